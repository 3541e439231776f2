"""Score runs on disk: a folder per (checkpoint x bundle), raw per-token values, never recomputed.

RUNS/<checkpoint>-<key>/manifest.json, tokens.parquet     finished
RUNS/.partial-<key>/00007-<writer>.parquet                batches of a run that was interrupted
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from rbridge.errors import InputError
from rbridge.records import Labels, ScoredTrace, Skip, TokenScores, TokenStatistics, TraceKey
from rbridge.store.documents import read_document
from rbridge.store.files import new_folder, unique, write_bytes, write_json
from rbridge.store.views import WHOLE, View, viewed

# 1: first format.
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TOKENS = "tokens.parquet"
_KEY_SHOWN = 12

_SCHEMA = pl.Schema(
    {
        "benchmark": pl.String,
        "problem_id": pl.String,
        "voice": pl.String,
        "shots": pl.Int64,
        "weight_source": pl.String,
        "num_bytes": pl.Int64,
        "nll": pl.List(pl.Float32),
        # Not float32: MinMax divides by a range that may be as small as 1e-6, where float32's
        # rounding of the weights would be a sixth of it.
        "weight": pl.List(pl.Float64),
        "start": pl.List(pl.Int32),
        "end": pl.List(pl.Int32),
        # Later columns: a file without them reads as if they were empty.
        "other_weights": pl.List(pl.Struct({"source": pl.String, "weight": pl.List(pl.Float64)})),
        "window": pl.List(pl.Int64),
        # Null where they were not asked for; absent in older files.
        "token": pl.List(pl.Int32),
        "rank": pl.List(pl.Int32),
        "entropy": pl.List(pl.Float32),
        "logit_margin": pl.List(pl.Float32),
        "probability_margin": pl.List(pl.Float32),
    }
)


_STATISTICS = tuple(field.name for field in fields(TokenStatistics))


class SkipRow(BaseModel):
    """A trace without a score, and why."""

    model_config = ConfigDict(extra="ignore")

    benchmark: str
    problem_id: str
    voice: str
    reason: str
    refused: bool = False


class HalfError(BaseModel):
    """How far half precision moved the losses of some traces from float32, nats.

    ``token_rms`` over their tokens; ``trace_mean`` and ``trace_max`` of how far a trace's mean loss moved.
    """

    model_config = ConfigDict(extra="ignore")

    num_traces: int
    token_rms: float
    trace_mean: float
    trace_max: float


class RunManifest(BaseModel):
    """Everything that fixes a run's numbers, and what the checkpoint is.

    ``key`` hashes the inputs (weights, tokenizer, prompts, traces, dtype, engine format); device,
    threads and library versions are recorded beside it.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    format_version: int = FORMAT_VERSION
    key: str
    checkpoint: str
    labels: Labels = Field(default_factory=Labels)
    revision: str | None
    weights_sha256: str
    tokenizer_sha256: str
    architecture: str
    engine: str = "transformers"
    parameters: int | None
    active_parameters: int | None = None
    parsed_labels: list[str] = Field(default_factory=list)
    context_length: int | None
    dtype: str
    device: str
    threads: int
    prefix_ids: list[int]
    bundle: str
    bundle_sha256: str
    weight_sources: list[str]
    question_sources: dict[str, str]
    shots: int
    limit: int | None
    benchmarks: list[str]
    num_scored: int
    skipped: list[SkipRow]
    versions: dict[str, str]
    created: str
    seconds: float
    max_probe_difference: float
    # How the engine ran the model: head, packed_up_to, float32_matmul.
    ways: dict[str, str | int] = Field(default_factory=dict)
    half_error: HalfError | None = None


@dataclass(frozen=True)
class Run:
    """A finished run: what it is, and its raw token scores.

    Attributes:
        folder: where it is kept.
        manifest: what it is, as far as the view shows it.
        view: which of its voices and whose weights are looked at.
    """

    folder: Path
    manifest: RunManifest
    view: View = WHOLE

    def scored(self) -> tuple[ScoredTrace, ...]:
        """Read the raw token scores as the view shows them, in the order of the bundle.

        Raises:
            InputError: weights of several models and no word of whose are meant.
        """
        return viewed(self.stored(), self.view, where=str(self.folder))

    def stored(self) -> tuple[ScoredTrace, ...]:
        """Read all that is stored: every voice, with everybody's weights."""
        return _read_scores(self.folder / TOKENS)

    def seen(self, view: View) -> Run:
        """The same run through a view.

        Raises:
            InputError: the run has no such voice or weights.
        """
        if view == WHOLE:
            return self
        shown = viewed(self.stored(), view, where=str(self.folder))
        changes = {
            "weight_sources": sorted({one.weight_source or "none" for one in shown}),
            "num_scored": len(shown),
            "skipped": [skip for skip in self.manifest.skipped if view.shows(skip.voice)],
        }
        return Run(self.folder, self.manifest.model_copy(update=changes), view)

    def trace(self, key: TraceKey) -> ScoredTrace:
        """The scores of one trace.

        Raises:
            InputError: the run has not scored it.
        """
        for one in self.scored():
            if one.key == key:
                return one
        raise InputError(f"{self.folder}: has no score of {key}; see rbridge show {self.folder} --items")


class RunStore:
    """A folder of runs that any number of processes write and read.

    Two that score the same checkpoint at once do the work twice and keep it once: every file has a
    name of its writer's, and the run that is finished first stands.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def finished(self, key: str, checkpoint: str) -> Run | None:
        """The finished run of that key and name, or None."""
        folder = self.folder(key, checkpoint)
        if not (folder / MANIFEST).is_file():
            return None
        run = Run(folder, _read_manifest(folder))
        return run if run.manifest.key == key else None

    def folder(self, key: str, checkpoint: str) -> Path:
        """Where the run of that key stands when it is finished."""
        name = re.sub(r"[^A-Za-z0-9._@-]+", "-", checkpoint).strip("-.")[-60:]
        return self.root / f"{name or 'checkpoint'}-{key[:_KEY_SHOWN]}"

    def partial(self, key: str) -> tuple[ScoredTrace, ...]:
        """Scores that an interrupted run left behind."""
        return tuple(scored for part in self._parts(key) for scored in _read_part(part))

    def append(self, key: str, scored: Sequence[ScoredTrace]) -> None:
        """Keep a batch's scores before the run is finished."""
        folder = self._partial_folder(key)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_bytes(folder / f"{len(self._parts(key)):06d}-{unique()}.parquet", _parquet(scored))
        except FileNotFoundError:  # another process has just finished this run and dropped the folder
            if not self._is_finished(key):
                raise

    def finish(self, manifest: RunManifest, scored: Sequence[ScoredTrace]) -> Run:
        """Write the whole run under its final name and drop its partial batches.

        Where another process has finished the same run meanwhile, that one is kept and given back.
        """
        folder = self.folder(manifest.key, manifest.checkpoint)
        try:
            with new_folder(folder) as scratch:
                write_bytes(scratch / TOKENS, _parquet(scored))
                write_json(scratch / MANIFEST, manifest.model_dump())
        except (OSError, InputError):
            other = self.finished(manifest.key, manifest.checkpoint)
            if other is None:
                raise
            self.drop_partial(manifest.key)
            return other
        self.drop_partial(manifest.key)
        for abandoned in self.root.glob(f".{glob.escape(folder.name)}.tmp-*"):  # of writers that were killed
            shutil.rmtree(abandoned, ignore_errors=True)
        return Run(folder, manifest)

    def drop_partial(self, key: str) -> None:
        """Forget the batches of an unfinished run."""
        shutil.rmtree(self._partial_folder(key), ignore_errors=True)

    def relabel(self, run: Run, labels: Labels, parsed: Sequence[str] = ()) -> Run:
        """Write other labels into a finished run; its numbers stay."""
        manifest = run.manifest.model_copy(update={"labels": labels, "parsed_labels": list(parsed)})
        write_json(run.folder / MANIFEST, manifest.model_dump())
        return Run(run.folder, manifest)

    def _parts(self, key: str) -> list[Path]:
        folder = self._partial_folder(key)
        return sorted(folder.glob("*.parquet")) if folder.is_dir() else []

    def _is_finished(self, key: str) -> bool:
        return any(self.root.glob(f"*-{key[:_KEY_SHOWN]}/{MANIFEST}"))

    def _partial_folder(self, key: str) -> Path:
        return self.root / f".partial-{key[:_KEY_SHOWN]}"


def read_runs(root: Path, view: View = WHOLE) -> tuple[Run, ...]:
    """All finished runs below a folder, or the one run that the folder is, by name.

    Args:
        root: the folder.
        view: which voices and whose weights to look at.

    Raises:
        InputError: no run there, one of a newer format, or one that lacks what the view asks for.
    """
    return tuple(run.seen(view) for run in _read_runs(root))


def _read_runs(root: Path) -> tuple[Run, ...]:
    if (root / MANIFEST).is_file() and (root / TOKENS).is_file():
        return (Run(root, _read_manifest(root)),)
    folders = sorted(
        path.parent for path in root.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")
    )
    if not folders:
        raise InputError(f"{root}: no score runs there; expected the folder that 'rbridge score -o' wrote")
    return tuple(Run(folder, _read_manifest(folder)) for folder in folders)


def skip_rows(skips: Iterable[Skip]) -> list[SkipRow]:
    """Skips as rows of a manifest."""
    return [
        SkipRow(
            benchmark=skip.key.benchmark,
            problem_id=skip.key.problem_id,
            voice=skip.key.voice,
            reason=skip.reason,
            refused=skip.refused,
        )
        for skip in skips
    ]


def _read_manifest(folder: Path) -> RunManifest:
    return read_document(folder / MANIFEST, RunManifest, newest=FORMAT_VERSION)


def _parquet(scored: Sequence[ScoredTrace]) -> bytes:
    from io import BytesIO

    for one in scored:
        if not np.isfinite(one.tokens.nll).all():
            raise InputError(
                f"{one.key}: a loss is not finite, and none such is ever stored: check the checkpoint"
            )
    buffer = BytesIO()
    pl.DataFrame([_row(one) for one in scored], schema=_SCHEMA).write_parquet(buffer)
    return buffer.getvalue()


def _row(scored: ScoredTrace) -> dict[str, Any]:
    tokens = scored.tokens
    return {
        "benchmark": scored.key.benchmark,
        "problem_id": scored.key.problem_id,
        "voice": scored.key.voice,
        "shots": scored.shots,
        "weight_source": scored.weight_source,
        "num_bytes": tokens.num_bytes,
        "nll": tokens.nll.tolist(),
        "weight": None if tokens.weight is None else tokens.weight.tolist(),
        "start": tokens.start.tolist(),
        "end": tokens.end.tolist(),
        "other_weights": [
            {"source": source, "weight": weight.tolist()} for source, weight in scored.other_weights.items()
        ],
        "window": None if scored.window is None else list(scored.window),
        **{
            name: None if tokens.statistics is None else getattr(tokens.statistics, name).tolist()
            for name in _STATISTICS
        },
    }


def _read_part(path: Path) -> tuple[ScoredTrace, ...]:
    try:
        return _read_scores(path)
    except FileNotFoundError:  # dropped by the process that has just finished this run
        return ()


def _read_scores(path: Path) -> tuple[ScoredTrace, ...]:
    table = pl.read_parquet(path)
    return tuple(_scored(row) for row in table.iter_rows(named=True))


def _scored(row: dict[str, Any]) -> ScoredTrace:
    weight = row["weight"]
    return ScoredTrace(
        key=TraceKey(row["benchmark"], row["problem_id"], row["voice"]),
        shots=row["shots"],
        weight_source=row["weight_source"],
        tokens=TokenScores(
            nll=np.array(row["nll"], dtype=np.float64),
            weight=None if weight is None else np.array(weight, dtype=np.float64),
            start=np.array(row["start"], dtype=np.int64),
            end=np.array(row["end"], dtype=np.int64),
            num_bytes=row["num_bytes"],
            statistics=_statistics(row),
        ),
        other_weights={
            other["source"]: np.array(other["weight"], dtype=np.float64)
            for other in row.get("other_weights") or ()
        },
        window=None if not row.get("window") else (row["window"][0], row["window"][1]),
    )


def _statistics(row: dict[str, Any]) -> TokenStatistics | None:
    if row.get("rank") is None:
        return None
    counted = ("token", "rank")
    return TokenStatistics(
        **{
            name: np.array(row[name], dtype=np.int64 if name in counted else np.float64)
            for name in _STATISTICS
        }
    )
