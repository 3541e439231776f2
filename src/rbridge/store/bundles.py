"""A trace bundle on disk: ``manifest.json`` and ``traces.parquet``."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from rbridge.align.sources import weight_sources
from rbridge.errors import InputError
from rbridge.records import Pieces, Trace, TraceKey, Weights
from rbridge.store.documents import read_document
from rbridge.store.files import canonical_json, new_folder, sha256_file, write_json
from rbridge.store.generation import Generation

# 1: first format.
# 2: other_weights (several weight models side by side), terms of each voice, questions kept outside, skips.
FORMAT_VERSION = 2
MANIFEST = "manifest.json"
TRACES = "traces.parquet"

_PIECES = pl.List(pl.Struct({"bytes": pl.Binary, "logprob": pl.Float64}))
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
        "pieces": _PIECES,
        "weight_source": pl.String,
        "other_weights": pl.List(pl.Struct({"source": pl.String, "pieces": _PIECES})),
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


class Terms(BaseModel):
    """Under which terms a voice's traces stand, as far as the user states them.

    Attributes:
        licence: name of the licence or of the source model's terms.
        use: what they allow, in the user's words.
    """

    model_config = ConfigDict(extra="ignore")

    licence: str | None = None
    use: str | None = None


class SkippedTrace(BaseModel):
    """Something that was meant to become a trace of this bundle and did not, and why."""

    model_config = ConfigDict(extra="ignore")

    place: str
    reason: str


class BundleManifest(BaseModel):
    """What a bundle says of itself.

    Attributes:
        counts: traces by benchmark.
        voices: traces by voice.
        weight_sources: traces by whose weights they carry; a trace may count under several.
        weight_models: teacher-forced models behind the weights.
        licence: terms of all traces, where they were stated for the bundle as a whole.
        terms: terms by voice, where they were stated for each.
        question_key: fingerprint of the key that the questions' hashes are salted with, where the
            questions are kept outside the bundle; None where they are not.
        skipped: what was refused on the way in.
        generated: how the traces of each benchmark and voice were asked for, where they were.
    """

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
    terms: dict[str, Terms] = Field(default_factory=dict)
    question_key: str | None = None
    skipped: list[SkippedTrace] = Field(default_factory=list)
    note: str | None = None
    generated: list[Generation] = Field(default_factory=list)
    content_sha256: str
    traces_sha256: str

    def licence_of(self, voice: str) -> str | None:
        """The licence that a voice's traces stand under, as stated for it or for the whole bundle."""
        stated = self.terms.get(voice)
        return stated.licence if stated is not None and stated.licence is not None else self.licence


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

    def voices_meant(self, voices: Sequence[str], licences: Sequence[str]) -> tuple[str, ...]:
        """The bundle's voices of these names (any where empty) and under these licences (likewise).

        A voice without a stated licence stands under none; capitals do not matter, nor does what follows
        the licence's name behind a comma or semicolon.
        """
        wanted = {licence.casefold() for licence in licences}
        return tuple(
            voice
            for voice in self.manifest.voices
            if (not voices or voice in voices)
            and (not licences or not wanted.isdisjoint(_names_of(self.manifest.licence_of(voice) or "")))
        )

    def chosen_voices(self, voices: Sequence[str], licences: Sequence[str]) -> tuple[str, ...]:
        """As ``voices_meant``; empty, which means all, where nothing was asked for.

        Raises:
            InputError: no such voice, or none that satisfies both.
        """
        self.check_voices(voices)
        if not voices and not licences:
            return ()
        found = self.voices_meant(voices, licences)
        if not found:
            stated = {
                voice: self.manifest.licence_of(voice) or "not stated" for voice in self.manifest.voices
            }
            known = ", ".join(f"{voice}: {licence}" for voice, licence in stated.items())
            raise InputError(f"{self.path}: no trace under {' or '.join(licences)}; its licences are {known}")
        return found

    def traces_of(self, voices: Sequence[str]) -> tuple[Trace, ...]:
        """The traces of these voices, or all where none is named."""
        return tuple(trace for trace in self.traces if not voices or trace.key.voice in voices)

    def check_voices(self, voices: Sequence[str]) -> None:
        """Pass where the bundle has traces of each of these voices.

        Raises:
            InputError: it has none of one of them.
        """
        for voice in voices:
            if voice not in self.manifest.voices:
                raise InputError(
                    f"{self.path}: no trace of voice {voice!r}; it has {', '.join(self.manifest.voices)}"
                )


def _names_of(licence: str) -> set[str]:
    """What a stated licence may be called: all of it, or its first words up to a comma or semicolon."""
    stated = licence.casefold()
    return {stated, stated.partition(";")[0].partition(",")[0].strip()}


def write_bundle(
    path: Path,
    traces: Sequence[Trace],
    *,
    name: str | None = None,
    weight_models: Iterable[WeightModel] = (),
    licence: str | None = None,
    note: str | None = None,
    terms: Mapping[str, Terms] | None = None,
    question_key: str | None = None,
    skipped: Sequence[SkippedTrace] = (),
    generated: Sequence[Generation] = (),
) -> BundleManifest:
    """Write traces as a new bundle, whole or not at all.

    Args:
        path: folder that does not exist yet, or is empty.
        traces: with different keys, at least one.
        name: what the bundle calls itself; the folder's name if left out.
        weight_models: teacher-forced models behind the weights.
        licence: terms of the traces, as the user states them.
        note: one line for readers.
        terms: terms by voice, as the user states them.
        question_key: fingerprint of the key behind salted question hashes, or None.
        skipped: what was refused on the way in.
        generated: how traces were asked for, where they were.

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
            weight_sources=dict(
                Counter(name for trace in traces for name in weight_sources(trace) or ("none",))
            ),
            weight_models=list(weight_models),
            licence=licence,
            terms=dict(terms or {}),
            question_key=question_key,
            skipped=list(skipped),
            note=note,
            generated=list(generated),
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
        row["pieces"] = _hashed(row["pieces"])
        others = row.pop("other_weights")
        if others:  # left out where there are none, so that a bundle of format 1 keeps its hash
            row["other_weights"] = [[other["source"], _hashed(other["pieces"])] for other in others]
        self._sha256.update(b"," * bool(self._num) + canonical_json(row).encode())
        self._num += 1

    def hexdigest(self) -> str:
        """The hash of all rows as one JSON list."""
        whole = self._sha256.copy()
        whole.update(b"]")
        return whole.hexdigest()


def _hashed(pieces: list[dict[str, Any]] | None) -> list[list[str]] | None:
    return None if pieces is None else [[piece["bytes"].hex(), piece["logprob"].hex()] for piece in pieces]


def trace_row(trace: Trace) -> dict[str, Any]:
    """A trace as a row of the table."""
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
        "pieces": None if trace.pieces is None else _piece_rows(trace.pieces),
        "weight_source": trace.weight_source,
        "other_weights": [
            {"source": other.source, "pieces": _piece_rows(other.pieces)} for other in trace.other_weights
        ],
    }


def _piece_rows(pieces: Pieces) -> list[dict[str, Any]]:
    both = zip(pieces.spelled, pieces.logprobs.tolist(), strict=True)
    return [{"bytes": spelled, "logprob": logprob} for spelled, logprob in both]


def _pieces(rows: list[dict[str, Any]]) -> Pieces:
    spelled = tuple(row["bytes"] for row in rows)
    return Pieces(spelled, np.array([row["logprob"] for row in rows], dtype=np.float64))


def _trace(row: dict[str, Any]) -> Trace:
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
        pieces=None if row["pieces"] is None else _pieces(row["pieces"]),
        # A bundle of format 1 has no such column.
        other_weights=tuple(
            Weights(other["source"], _pieces(other["pieces"])) for other in row.get("other_weights") or ()
        ),
        **{name: row[name] for name in rest},
    )
