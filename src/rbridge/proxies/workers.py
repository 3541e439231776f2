"""Small models trained side by side, one thread each: a model of a million parameters fills no second core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from rbridge.proxies.job import ProxyJob, TrainedProxy, finished, train_job
from rbridge.proxies.pool import training_pool


def train_side_by_side(
    jobs: Sequence[ProxyJob], workers: int, devices: Mapping[str, Any] | None
) -> Iterator[TrainedProxy]:
    """Jobs as they are finished, each begun as soon as its base is; for those that are there no process is started.

    Args:
        jobs: bases before what stands on them.
        workers: processes.
        devices: TrainingArguments that say where training runs.

    Raises:
        RBridgeError: a worker was killed; what it had written is kept.
    """
    left: list[ProxyJob] = []
    for job in jobs:
        if found := finished(job):
            yield found
        else:
            left.append(job)
    if not left:
        return
    unfinished = {str(job.final) for job in left}
    behind: dict[str, list[ProxyJob]] = {}
    for job in left:
        below = job.base if job.base is not None and job.base in unfinished else ""
        behind.setdefault(below, []).append(job)
    with training_pool(min(workers, len(left))) as pool:
        training: set[Future[TrainedProxy]] = set()
        ready = behind[""]
        while ready or training:
            training |= {pool.submit(train_job, job, devices=devices) for job in ready}
            ended, training = wait(training, return_when=FIRST_COMPLETED)
            done = [future.result() for future in ended]
            ready = [job for one in done for job in behind.get(str(one.job.final), [])]
            yield from done
