"""Traces without their questions: for benchmarks that must not leave the house."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from rbridge.benchmarks import salted, text_sha256
from rbridge.benchmarks.salted import SALTED
from rbridge.errors import InputError
from rbridge.records import Trace


def without_questions(traces: Iterable[Trace], key: bytes) -> tuple[Trace, ...]:
    """Traces that name their problems by id and salted hash alone.

    Question and choices go. What the writer wrote stays, and may quote the question.

    Args:
        traces: with a question, or its plain SHA-256.
        key: what the hashes are salted with.

    Raises:
        InputError: a trace has a prompt of its own, which no source of questions could give back, or a
            hash that is salted already.
    """
    return tuple(_hidden(trace, key) for trace in traces)


def _hidden(trace: Trace, key: bytes) -> Trace:
    if trace.prompt is not None:
        raise InputError(
            f"trace {trace.key}: has a prompt of its own, which holds the question and which no source of "
            "questions gives back: drop 'prompt', or keep the questions in the bundle"
        )
    plain = trace.question_sha256 if trace.question is None else text_sha256(trace.question)
    if plain is None or plain.startswith(SALTED):
        raise InputError(f"trace {trace.key}: has no question and no plain question_sha256 to salt")
    return dataclasses.replace(trace, question=None, choices=None, question_sha256=salted(plain, key))
