"""Small models trained side by side, one thread each: a model of a million parameters fills no second core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
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
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_start)
    try:
        futures = [pool.submit(train_job, job, devices=devices) for job in jobs]
        for done in as_completed(futures):
            yield done.result()
    except BrokenProcessPool:
        raise RBridgeError(
            "a training process was killed (out of memory?); train with fewer --workers; what is finished is kept"
        ) from None
    except BaseException:  # a bad job, or Ctrl-C: what the others have written is kept
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown()


def _start() -> None:
    """A worker whose parent was killed must not write on beside the next run's workers; Ctrl-C ends it at once."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # it runs in a worker
    parent.join()
    os._exit(1)
