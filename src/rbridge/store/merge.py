"""Put the finished runs of several stores into one, such as those of shards that shared no disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rbridge.errors import InputError
from rbridge.store.files import new_folder
from rbridge.store.runs import Run, RunStore
from rbridge.store.settled import read_whole_runs

# Nats a token by which two machines may differ on one run, in float32 and in half precision.
_TOLERANCE = {"float32": 5e-5}
_HALF_TOLERANCE = 0.5


@dataclass(frozen=True)
class Merged:
    """What came of a merge.

    Attributes:
        copied: runs that the target did not have.
        present: how many it had already, from an earlier merge or another shard.
    """

    copied: tuple[Run, ...]
    present: int


def merge_runs(sources: Sequence[Path], target: Path) -> Merged:
    """Copy every finished run of the sources into a store, each once; what is unfinished stays behind.

    Args:
        sources: folders that ``rbridge score -o`` wrote.
        target: a store, made where there is none.

    Raises:
        InputError: a source holds no run, or a run that the target has with other numbers.
    """
    store = RunStore(target)
    copied: list[Run] = []
    present = 0
    for run in [run for source in sources for run in read_whole_runs(source)]:
        there = store.finished(run.manifest.key, run.manifest.checkpoint)
        if there is not None:
            _refuse_other_numbers(run, there)
            present += 1
            continue
        folder = store.folder(run.manifest.key, run.manifest.checkpoint)
        with new_folder(folder) as scratch:
            shutil.copytree(run.folder, scratch, dirs_exist_ok=True)
        copied.append(Run(folder, run.manifest))
    return Merged(tuple(copied), present)


def _refuse_other_numbers(run: Run, there: Run) -> None:
    """Two runs of one key are one computation, so they agree within rounding."""
    stored = {one.key: one.tokens.nll for one in there.scored()}
    tolerance = _TOLERANCE.get(run.manifest.dtype, _HALF_TOLERANCE)
    for one in run.scored():
        other = stored.get(one.key)
        if other is None or len(other) != len(one.tokens.nll):
            raise InputError(
                f"{run.folder}: has other tokens for {one.key} than {there.folder}, which has the same key"
            )
        apart = float(np.abs(one.tokens.nll - other).max())
        if apart > tolerance:
            raise InputError(
                f"{run.folder}: differs from {there.folder} by {apart:.2g} nats on a token of {one.key}, though both "
                "have the same key; see which holds with rbridge score --verify, and delete the other"
            )
