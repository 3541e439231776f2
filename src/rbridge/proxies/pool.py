"""Training processes side by side, one thread each, which end with whoever started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from rbridge.errors import RBridgeError


@contextmanager
def training_pool(processes: int) -> Generator[ProcessPoolExecutor]:
    """A pool of processes whose workers are ended at once when the block fails or is interrupted.

    Args:
        processes: workers; each computes in one thread.

    Raises:
        RBridgeError: a worker was killed from outside.
    """
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        yield pool
    except BrokenProcessPool:
        raise RBridgeError(
            "a training process was killed from outside (out of memory?); what is finished is kept: "
            "run the same command again, with fewer processes where memory is short"
        ) from None
    except BaseException:  # a bad job, or Ctrl-C: what the others have written is kept
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown()


def _start_worker() -> None:
    # Ctrl-C ends a worker at once: what it was writing is a scratch folder and never taken for finished.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch  # in the workers alone

    torch.set_num_threads(1)


def end_with_parent() -> None:
    """End this process when its parent was killed; it would train on beside the next run's workers."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
