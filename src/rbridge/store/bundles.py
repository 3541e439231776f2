"""A trace bundle on disk: ``manifest.json`` and ``traces.parquet``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from rbridge.errors import InputError
from rbridge.records import Pieces, Trace, TraceKey
from rbridge.store.documents import read_document
from rbridge.store.files import new_folder, sha256_file, sha256_json, write_json

# 1: first format.
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TRACES = "traces.parquet"

_SCHEMA = pl.Schema(
    {
        "benchmark": pl.String,
        "problem_id": pl.String,
        "voice": pl.String,
        "reasoning": pl.String,
        "question": pl.String,
        "question_sha256": pl.String,
        "choices": pl.List(pl.String),
        "prompt": pl.String,
        "answer": pl.String,
        "correct": pl.Boolean,
        "reply": pl.String,
        "reasoning_span": pl.List(pl.Int64),
        "pieces": pl.List(pl.Struct({"bytes": pl.Binary, "logprob": pl.Float64})),
        "weight_source": pl.String,
    }
)


class WeightModel(BaseModel):
    """The model that was teacher-forced over the traces, where the writer gave no probabilities."""

    model_config = ConfigDict(extra="ignore")

    name: str
    sha256: str
    dtype: str
    date: str
    shots: int
    engine: str
    note: str


class BundleManifest(BaseModel):
    """What a bundle says of itself."""

    model_config = ConfigDict(extra="ignore")

    format_version: int = FORMAT_VERSION
    name: str
    created: str
    rbridge_version: str
    counts: dict[str, int]
    voices: dict[str, int]
    weight_sources: dict[str, int]
    weight_models: list[WeightModel] = Field(default_factory=list)
    licence: str | None = None
    note: str | None = None
    content_sha256: str
    traces_sha256: str


@dataclass(frozen=True)
class Bundle:
    """Traces with what is known of them."""

    path: Path
    manifest: BundleManifest
    traces: tuple[Trace, ...]

    def trace(self, name: str) -> Trace:
        """The one trace of that name (see ``TraceKey.answers_to``).

        Raises:
            InputError: none, or several.
        """
        found = [trace for trace in self.traces if trace.key.answers_to(name)]
        if len(found) != 1:
            count = "no trace" if not found else f"{len(found)} traces"
            raise InputError(
                f"{name}: {count} of that name in {self.path}; name it benchmark/problem_id/voice"
            )
        return found[0]


def write_bundle(
    path: Path,
    traces: Sequence[Trace],
    *,
    name: str | None = None,
    weight_models: Iterable[WeightModel] = (),
    licence: str | None = None,
    note: str | None = None,
) -> BundleManifest:
    """Write traces as a new bundle, whole or not at all.

    Args:
        path: folder that does not exist yet, or is empty.
        traces: with different keys, at least one.
        name: what the bundle calls itself; the folder's name if left out.
        weight_models: teacher-forced models behind the weights.
        licence: terms of the traces, as the user states them.
        note: one line for readers.

    Raises:
        InputError: no traces, a repeated key, or a path that is taken.
    """
    from rbridge import __version__

    if not traces:
        raise InputError(f"{path}: no traces to write: an empty bundle scores nothing")
    repeated = [key for key, count in Counter(trace.key for trace in traces).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: trace {repeated[0]} comes twice; a key may name one trace only")
    with new_folder(path) as folder:
        pl.DataFrame([_row(trace) for trace in traces], schema=_SCHEMA).write_parquet(folder / TRACES)
        manifest = BundleManifest(
            name=name or path.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            rbridge_version=__version__,
            counts=dict(Counter(trace.key.benchmark for trace in traces)),
            voices=dict(Counter(trace.key.voice for trace in traces)),
            weight_sources=dict(Counter(trace.weight_source or "none" for trace in traces)),
            weight_models=list(weight_models),
            licence=licence,
            note=note,
            content_sha256=content_sha256(traces),
            traces_sha256=sha256_file(folder / TRACES),
        )
        write_json(folder / MANIFEST, manifest.model_dump())
    return manifest


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check it against its manifest.

    Raises:
        InputError: no bundle there, one of a newer format, damaged, or empty.
    """
    manifest = read_manifest(path)
    table = path / TRACES
    if not table.is_file():
        raise InputError(f"{table}: missing; the bundle is incomplete: import or copy it again")
    if sha256_file(table) != manifest.traces_sha256:
        raise InputError(f"{table}: does not match its manifest's SHA-256; import or copy the bundle again")
    traces = tuple(_trace(row) for row in pl.read_parquet(table).to_dicts())
    if not traces:
        raise InputError(f"{path}: the bundle holds no trace")
    return Bundle(path, manifest, traces)


def read_manifest(path: Path) -> BundleManifest:
    """Read what a bundle says of itself.

    Raises:
        InputError: no bundle there, or one of a newer format.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise InputError(
            f"{path}: no trace bundle there ({MANIFEST} is missing); expected a folder made by "
            "'rbridge traces import' or the name 'starter'"
        )
    return read_document(file, BundleManifest, newest=FORMAT_VERSION)


def content_sha256(traces: Iterable[Trace]) -> str:
    """Hash of what the traces say, in key order, whatever file they came in."""
    ordered = sorted(traces, key=lambda trace: (trace.key.benchmark, trace.key.problem_id, trace.key.voice))
    rows = [_row(trace) for trace in ordered]
    for row in rows:
        row["pieces"] = row["pieces"] and [[p["bytes"].hex(), p["logprob"].hex()] for p in row["pieces"]]
    return sha256_json(rows)


def _row(trace: Trace) -> dict[str, Any]:
    pieces = None
    if trace.pieces is not None:
        both = zip(trace.pieces.spelled, trace.pieces.logprobs.tolist(), strict=True)
        pieces = [{"bytes": spelled, "logprob": logprob} for spelled, logprob in both]
    return {
        "benchmark": trace.key.benchmark,
        "problem_id": trace.key.problem_id,
        "voice": trace.key.voice,
        "reasoning": trace.reasoning,
        "question": trace.question,
        "question_sha256": trace.question_sha256,
        "choices": None if trace.choices is None else list(trace.choices),
        "prompt": trace.prompt,
        "answer": trace.answer,
        "correct": trace.correct,
        "reply": trace.reply,
        "reasoning_span": None if trace.reasoning_span is None else list(trace.reasoning_span),
        "pieces": pieces,
        "weight_source": trace.weight_source,
    }


def _trace(row: dict[str, Any]) -> Trace:
    pieces = None
    if row["pieces"] is not None:
        spelled = tuple(piece["bytes"] for piece in row["pieces"])
        pieces = Pieces(spelled, np.array([piece["logprob"] for piece in row["pieces"]], dtype=np.float64))
    span = row["reasoning_span"]
    rest = (
        "reasoning",
        "question",
        "question_sha256",
        "prompt",
        "answer",
        "correct",
        "reply",
        "weight_source",
    )
    return Trace(
        key=TraceKey(row["benchmark"], row["problem_id"], row["voice"]),
        choices=None if row["choices"] is None else tuple(row["choices"]),
        reasoning_span=None if span is None else (span[0], span[1]),
        pieces=pieces,
        **{name: row[name] for name in rest},
    )
