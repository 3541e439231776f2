"""Score runs on disk: a folder per (checkpoint x bundle), raw per-token values, never recomputed.

RUNS/<checkpoint>-<key>/manifest.json, tokens.parquet     finished
RUNS/.partial-<key>/00007.parquet                         batches of a run that was interrupted
"""

from __future__ import annotations

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
from rbridge.store.files import new_folder, write_bytes, write_json

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
    parameters: int
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
    """A finished run: what it is, and its raw token scores."""

    folder: Path
    manifest: RunManifest

    def scored(self) -> tuple[ScoredTrace, ...]:
        """Read the raw token scores, in the order of the bundle."""
        return _read_scores(self.folder / TOKENS)

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
    """A folder of runs that one process writes and any number read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def finished(self, key: str, checkpoint: str) -> Run | None:
        """The finished run of that key and name, or None."""
        folder = self.folder(key, checkpoint)
        return Run(folder, _read_manifest(folder)) if (folder / MANIFEST).is_file() else None

    def folder(self, key: str, checkpoint: str) -> Path:
        """Where the run of that key stands when it is finished."""
        name = re.sub(r"[^A-Za-z0-9._@-]+", "-", checkpoint).strip("-.")[-60:]
        return self.root / f"{name or 'checkpoint'}-{key[:_KEY_SHOWN]}"

    def partial(self, key: str) -> tuple[ScoredTrace, ...]:
        """Scores that an interrupted run left behind."""
        folder = self._partial_folder(key)
        parts = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        return tuple(scored for part in parts for scored in _read_scores(part))

    def append(self, key: str, scored: Sequence[ScoredTrace]) -> None:
        """Keep a batch's scores before the run is finished."""
        folder = self._partial_folder(key)
        folder.mkdir(parents=True, exist_ok=True)
        number = sum(1 for _ in folder.glob("*.parquet"))
        write_bytes(folder / f"{number:06d}.parquet", _parquet(scored))

    def finish(self, manifest: RunManifest, scored: Sequence[ScoredTrace]) -> Run:
        """Write the whole run under its final name and drop its partial batches."""
        folder = self.folder(manifest.key, manifest.checkpoint)
        with new_folder(folder) as scratch:
            write_bytes(scratch / TOKENS, _parquet(scored))
            write_json(scratch / MANIFEST, manifest.model_dump())
        shutil.rmtree(self._partial_folder(manifest.key), ignore_errors=True)
        return Run(folder, manifest)

    def relabel(self, run: Run, labels: Labels) -> Run:
        """Write other labels into a finished run; its numbers stay."""
        manifest = run.manifest.model_copy(update={"labels": labels})
        write_json(run.folder / MANIFEST, manifest.model_dump())
        return Run(run.folder, manifest)

    def _partial_folder(self, key: str) -> Path:
        return self.root / f".partial-{key[:_KEY_SHOWN]}"


def read_runs(root: Path) -> tuple[Run, ...]:
    """All finished runs below a folder, or the one run that the folder is, by name.

    Raises:
        InputError: no run there, or one of a newer format.
    """
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
        **{
            name: None if tokens.statistics is None else getattr(tokens.statistics, name).tolist()
            for name in _STATISTICS
        },
    }


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
