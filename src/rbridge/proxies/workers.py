"""Small models trained side by side, one thread each: a model of a million parameters fills no second core."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from rbridge.errors import RBridgeError
from rbridge.proxies.job import ProxyJob, TrainedProxy, train_job


def train_side_by_side(
    jobs: Sequence[ProxyJob], workers: int, devices: Mapping[str, Any] | None
) -> Iterator[TrainedProxy]:
    """Jobs that do not depend on one another, as they are finished.

    Raises:
        RBridgeError: a worker was killed; what it had written is kept.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_one_thread)
    try:
        futures = [pool.submit(train_job, job, devices=devices) for job in jobs]
        for done in as_completed(futures):
            yield done.result()
    except BrokenProcessPool:
        raise RBridgeError(
            "a training process was killed (out of memory?); train with fewer --workers; what is finished is kept"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    torch.set_num_threads(1)
