"""A trace bundle on disk: ``manifest.json`` and ``traces.parquet``."""

from __future__ import annotations

import hashlib
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
from rbridge.store.files import canonical_json, new_folder, sha256_file, write_json

# 1: first format.
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
TRACES = "traces.parquet"

TRACES_SCHEMA = pl.Schema(
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


class SkippedProblem(BaseModel):
    """A problem that has no trace, and why."""

    model_config = ConfigDict(extra="ignore")

    problem_id: str
    reason: str


class Generation(BaseModel):
    """How one voice's traces of one benchmark were asked for.

    Attributes:
        benchmark, voice, model: the series, and the model as its endpoint names it.
        served: models and fingerprints that the servers named.
        hosts: of the endpoints, without any credential.
        prompt_sha256: of the wording around the questions.
        temperature, top_p, max_tokens: decoding.
        logprobs_mode: ``raw``, ``processed``, ``not known`` or ``mixed``, as the probes found.
        flags: what the probes found that a reader should know.
        first, last: dates of the first and the last call.
        questions: where they were read.
        num_problems, num_traces, num_missing: asked for, in the bundle, still without a reply.
        num_correct, num_wrong: by the benchmark's checker; the others could not be told.
        num_thinking: traces that were written after thinking.
        skipped: problems without a trace.
        num_calls, num_lost: replies, probes and second tries included; and calls that were never answered.
        prompt_tokens, completion_tokens: as billed.
        cost_usd: lost calls at their worst case; None where the price is not known.
        price: what it was counted by, or None.
        licence, allowed_use: the source model's terms and what they allow, as the user states them.
    """

    model_config = ConfigDict(extra="ignore")

    benchmark: str
    voice: str
    model: str
    served: list[str]
    hosts: list[str]
    prompt_sha256: str
    temperature: float
    top_p: float
    max_tokens: int
    logprobs_mode: str
    flags: list[str]
    first: str
    last: str
    questions: str
    num_problems: int
    num_traces: int
    num_missing: int
    num_correct: int
    num_wrong: int
    num_thinking: int
    skipped: list[SkippedProblem]
    num_calls: int
    num_lost: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    price: str | None
    licence: str | None
    allowed_use: str | None


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
    generated: list[Generation] = Field(default_factory=list)
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
        pl.DataFrame([trace_row(trace) for trace in traces], schema=TRACES_SCHEMA).write_parquet(
            folder / TRACES
        )
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
    digest = ContentDigest()
    for trace in ordered:
        digest.add(trace)
    return digest.hexdigest()


class ContentDigest:
    """The hash of traces that come one by one, in key order."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256(b"[")
        self._num = 0

    def add(self, trace: Trace) -> None:
        """Take in the next trace, as one row of canonical JSON."""
        row = trace_row(trace)
        row["pieces"] = row["pieces"] and [[p["bytes"].hex(), p["logprob"].hex()] for p in row["pieces"]]
        self._sha256.update(b"," * bool(self._num) + canonical_json(row).encode())
        self._num += 1

    def hexdigest(self) -> str:
        """The hash of all rows as one JSON list."""
        whole = self._sha256.copy()
        whole.update(b"]")
        return whole.hexdigest()


def trace_row(trace: Trace) -> dict[str, Any]:
    """A trace as a row of the table."""
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
