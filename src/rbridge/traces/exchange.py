"""The exchange JSONL: one trace a line (interfaces.md). Strict in, lossless out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)

from rbridge.align import SELF, add_weights, checked_logprob, reasoning_confidence
from rbridge.errors import RBridgeError
from rbridge.records import Pieces, Trace, TraceKey, Weights
from rbridge.traces.objects import Candidate, read_objects


def _id_text(value: object) -> object:
    """Integer ids are read as their decimal text: a problem_id is always a string."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Id = Annotated[StrictStr, BeforeValidator(_id_text)]


class _PieceLine(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: StrictStr | None = None
    raw: list[StrictInt] | None = Field(default=None, alias="bytes")
    logprob: Annotated[float, Strict()]

    def spelled(self) -> bytes:
        """The piece's bytes; ``bytes`` wins over ``text``."""
        if self.raw is not None:
            if any(not 0 <= byte < 256 for byte in self.raw):
                raise ValueError("bytes must be numbers from 0 to 255")
            return bytes(self.raw)
        if self.text is None:
            raise ValueError("a piece needs 'bytes' or 'text'")
        return self.text.encode()


class _WeightsLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: StrictStr
    pieces: list[_PieceLine]


class _TraceLine(BaseModel):
    model_config = ConfigDict(extra="ignore")

    benchmark: StrictStr
    problem_id: _Id | None = None
    item_id: _Id | None = None
    voice: StrictStr | None = None
    question: StrictStr | None = None
    question_sha256: StrictStr | None = None
    choices: list[StrictStr] | None = None
    prompt: StrictStr | None = None
    reasoning: StrictStr
    answer: _Id | None = None
    correct: StrictBool | None = None
    reply: StrictStr | None = None
    reasoning_span: tuple[StrictInt, StrictInt] | None = None
    pieces: list[_PieceLine] | None = None
    weight_source: StrictStr | None = None
    weights: list[_WeightsLine] | None = None


@dataclass(frozen=True)
class BadLine:
    """A line that was refused, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Imported:
    """What was read: good traces, refused lines, and keys that were not understood."""

    traces: tuple[Trace, ...]
    bad: tuple[BadLine, ...]
    unknown_keys: tuple[str, ...]


def read_exchange(paths: Sequence[Path], *, default_voice: str) -> Imported:
    """Read traces from exchange JSONL files, checking every line to the last byte.

    Args:
        paths: files of one JSON object a line; blank lines are passed over.
        default_voice: whose text a line without ``voice`` is: the source model's name.

    Returns:
        Every good trace in file order, and every bad line with its reason. A repeated key is a
        bad line: the first of its name stays.

    Raises:
        InputError: a file cannot be read.
    """
    return collect(read_objects(paths), default_voice=default_voice)


def collect(candidates: Iterable[Candidate], *, default_voice: str) -> Imported:
    """Check exchange documents from whatever format they were read, to the last byte.

    Args:
        candidates: from a reader of a format.
        default_voice: whose text a document without ``voice`` is.
    """
    traces: dict[TraceKey, Trace] = {}
    bad: list[BadLine] = []
    unknown: Counter[str] = Counter()
    for place, document in candidates:
        try:
            if isinstance(document, ValueError):
                raise document
            trace = _trace(document, default_voice)
            if trace.key in traces:
                raise ValueError(f"trace {trace.key} comes twice; give the second another voice or drop it")
        except (ValueError, RBridgeError) as error:
            bad.append(BadLine(place, _one_line(error)))
            continue
        traces[trace.key] = trace
        unknown.update(key for key in document if key not in _TraceLine.model_fields)
    return Imported(tuple(traces.values()), tuple(bad), tuple(sorted(unknown)))


def export_lines(traces: Iterable[Trace]) -> Iterator[str]:
    """Each trace as one line of exchange JSONL; reading it back gives the same trace."""
    for trace in traces:
        document = {
            "benchmark": trace.key.benchmark,
            "problem_id": trace.key.problem_id,
            "voice": trace.key.voice,
            "question": trace.question,
            "question_sha256": trace.question_sha256,
            "choices": trace.choices,
            "prompt": trace.prompt,
            "reasoning": trace.reasoning,
            "answer": trace.answer,
            "correct": trace.correct,
            "reply": trace.reply,
            "reasoning_span": trace.reasoning_span,
            "pieces": _piece_documents(trace.pieces),
            "weight_source": trace.weight_source,
            "weights": [
                {"source": other.source, "pieces": _piece_documents(other.pieces)}
                for other in trace.other_weights
            ]
            or None,
        }
        present = {key: value for key, value in document.items() if value is not None}
        yield json.dumps(present, ensure_ascii=False, allow_nan=False)


def _trace(document: dict[str, Any], default_voice: str) -> Trace:
    _refuse_surrogates(document)
    line = _TraceLine.model_validate(document)
    problem_id = line.problem_id if line.problem_id is not None else line.item_id
    if problem_id is None:
        raise ValueError("problem_id: missing")
    if not line.reasoning:
        raise ValueError("reasoning: empty; there is nothing to score")
    if line.question is None and line.prompt is None and line.question_sha256 is None:
        raise ValueError(
            "question: missing; give 'question', 'prompt', or the 'question_sha256' of a benchmark's"
        )
    pieces = None if line.pieces is None else _pieces(line.pieces, "pieces")
    trace = Trace(
        key=TraceKey(line.benchmark, problem_id, line.voice or default_voice),
        reasoning=line.reasoning,
        question=line.question,
        question_sha256=line.question_sha256,
        choices=None if line.choices is None else tuple(line.choices),
        prompt=line.prompt,
        answer=line.answer,
        correct=line.correct,
        reply=line.reply,
        reasoning_span=line.reasoning_span,
        pieces=pieces,
        weight_source=None if pieces is None else line.weight_source or SELF,
    )
    reasoning_confidence(trace)  # refuses pieces that do not spell
    for index, other in enumerate(line.weights or ()):
        if other.source in (SELF, "none"):
            raise ValueError(
                f"weights[{index}]: source {other.source!r}: the writer's own stand under 'pieces'"
            )
        found = _pieces(other.pieces, f"weights[{index}].pieces")
        trace = add_weights(trace, Weights(other.source, found))
    return trace


def _pieces(lines: Sequence[_PieceLine], place: str) -> Pieces:
    spelled: list[bytes] = []
    logprobs: list[float] = []
    for index, piece in enumerate(lines):
        try:
            spelled.append(piece.spelled())
            logprobs.append(checked_logprob(piece.logprob))
        except ValueError as error:
            raise ValueError(f"{place}[{index}]: {error}") from None
    return Pieces(tuple(spelled), np.array(logprobs, dtype=np.float64))


def _refuse_surrogates(document: dict[str, Any]) -> None:
    for key in _TraceLine.model_fields:
        value = document.get(key)
        texts = value if isinstance(value, list) else [value]
        for text in texts:
            if isinstance(text, str) and any("\ud800" <= char <= "\udfff" for char in text):
                raise ValueError(f"{key}: holds half of a surrogate pair, which is no text")


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return " ".join(str(error).split("\n"))


def _piece_documents(pieces: Pieces | None) -> list[dict[str, Any]] | None:
    if pieces is None:
        return None
    documents = []
    for spelled, logprob in zip(pieces.spelled, pieces.logprobs.tolist(), strict=True):
        try:
            documents.append({"text": spelled.decode(), "logprob": logprob})
        except UnicodeDecodeError:
            documents.append({"bytes": list(spelled), "logprob": logprob})
    return documents
