"""What ``rbridge score --until-settled`` found, and which checkpoints it therefore did not score in full.

RUNS/settled-<id>.json        the verdict; the scores that it rests on are batches of unfinished runs
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from rbridge.errors import IncomparableRuns
from rbridge.store.documents import read_document
from rbridge.store.files import write_json
from rbridge.store.runs import Run, RunStore, read_runs
from rbridge.store.views import WHOLE, View

# 1: first format.
_FORMAT = 1


class SettledCheckpoint(BaseModel):
    """One checkpoint: the key of its run, and how many of the bundle's traces stood when its order was settled."""

    model_config = ConfigDict(extra="ignore")

    checkpoint: str
    key: str
    num_traces: int


class SettledDocument(BaseModel):
    """The file: its checkpoints, and the verdict as ``--json`` prints it (null while it is being found)."""

    model_config = ConfigDict(extra="ignore")

    format_version: int = _FORMAT
    checkpoints: list[SettledCheckpoint]
    settled: dict[str, Any] | None


def write_settled(
    root: Path, name: str, checkpoints: list[SettledCheckpoint], verdict: Mapping[str, Any] | None
) -> Path:
    """Write the verdict, or, without one, that the checkpoints are being scored in part."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / f"settled-{name}.json"
    document = SettledDocument(checkpoints=checkpoints, settled=None if verdict is None else dict(verdict))
    write_json(file, document.model_dump())
    return file


def read_whole_runs(root: Path, view: View = WHOLE) -> tuple[Run, ...]:
    """``read_runs`` for a comparison: refused where some of the recipes were scored in part.

    Raises:
        IncomparableRuns: checkpoints of an ``--until-settled`` there have no finished run.
    """
    if part := scored_in_part(root):
        raise IncomparableRuns(
            f"{part}; to compare them here, score them in full (the same rbridge score without --until-settled: "
            "what is scored is kept)"
        )
    return read_runs(root, view)


def scored_in_part(root: Path) -> str | None:
    """Says which checkpoints of an ``--until-settled`` have no finished run there; None where all have."""
    store = RunStore(root)
    for file in sorted(root.glob("settled-*.json")):
        known = read_document(file, SettledDocument, newest=_FORMAT).checkpoints
        short = [one for one in known if store.finished(one.key, one.checkpoint) is None]
        if short:
            return (
                f"{root}: {len(short)} of {len(known)} checkpoints were scored in part ({short[0].checkpoint} on "
                f"{short[0].num_traces} traces), until their order was settled: {file.name} holds that order"
            )
    return None
