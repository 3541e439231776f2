"""Small models trained side by side, one thread each: a model of a million parameters fills no second core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from typing import Any

from rbridge.proxies.job import ProxyJob, TrainedProxy, train_job
from rbridge.proxies.pool import training_pool


def train_side_by_side(
    jobs: Sequence[ProxyJob], workers: int, devices: Mapping[str, Any] | None
) -> Iterator[TrainedProxy]:
    """Jobs that do not depend on one another, as they are finished.

    Raises:
        RBridgeError: a worker was killed; what it had written is kept.
    """
    with training_pool(min(workers, len(jobs))) as pool:
        futures = [pool.submit(train_job, job, devices=devices) for job in jobs]
        for done in as_completed(futures):
            yield done.result()
