"""The processes of one training that torchrun starts: who writes, and who waits for whom."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager


def is_first() -> bool:
    """Whether this process writes: the only one, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


def num_processes() -> int:
    """Processes that train one model together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_all() -> None:
    """Go on when all have come here."""
    if num_processes() > 1:
        import torch
        from accelerate import PartialState

        # Told of no GPU, accelerate takes torchrun's processes for strangers unless it is told of the CPU.
        PartialState(cpu=not torch.cuda.is_available()).wait_for_everyone()


@contextmanager
def first_goes_first() -> Generator[None]:
    """The first process does the block alone; the others then find what it wrote."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()
