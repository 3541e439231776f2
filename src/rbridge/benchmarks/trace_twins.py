"""Twins' traces without asking anybody: a bundle's own, with other numbers in question and reasoning."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rbridge.benchmarks.renumber import ranges, renumber
from rbridge.records import Trace, TraceKey


@dataclass(frozen=True)
class Twinned:
    """What came of it.

    Attributes:
        twins: traces under ``problem_id-twin1`` and so on, of the same voice, without weights.
        missing: traces that have none, and why.
    """

    twins: tuple[Trace, ...]
    missing: tuple[tuple[TraceKey, str], ...]


def twin_traces(traces: Sequence[Trace], *, seed: int = 0, each: int = 1) -> Twinned:
    """Twins of every trace that spells out its arithmetic (see ``renumber``).

    Args:
        traces: with their questions.
        seed: of the numbers drawn; a trace's twins do not depend on the traces beside it but for the ranges of numbers.
        each: twins of each.
    """
    twins: list[Trace] = []
    missing: list[tuple[TraceKey, str]] = []
    for benchmark in dict.fromkeys(trace.key.benchmark for trace in traces):
        those = [trace for trace in traces if trace.key.benchmark == benchmark]
        within = ranges(text for trace in those for text in (trace.question or "", trace.reasoning))
        for trace in those:
            if trace.question is None:
                missing.append((trace.key, "its question is not known"))
                continue
            if trace.choices is not None:
                missing.append((trace.key, "its options hold numbers of their own"))
                continue
            if trace.prompt is not None and trace.prompt.count(trace.question) != 1:
                missing.append((trace.key, "its prompt does not hold its question"))
                continue
            # One stream a problem, so that its voices get the same numbers where they can.
            rng = np.random.default_rng([seed, zlib.crc32(trace.key.problem_id.encode())])
            for number in range(1, each + 1):
                made = renumber(trace.question, trace.reasoning, rng, within)
                if isinstance(made, str):
                    missing.append((trace.key, made))
                    break
                twins.append(_twin(trace, number, *made))
    return Twinned(tuple(twins), tuple(missing))


def _twin(
    trace: Trace, number: int, question: str, reasoning: str, new: Mapping[Fraction, Fraction]
) -> Trace:
    key = dataclasses.replace(trace.key, problem_id=f"{trace.key.problem_id}-twin{number}")
    answer = None
    if trace.answer is not None and trace.answer.isdigit():
        answer = str(new.get(Fraction(trace.answer), Fraction(trace.answer)))
    prompt = None if trace.prompt is None else trace.prompt.replace(trace.question or "", question)
    return Trace(key, reasoning, question=question, choices=trace.choices, prompt=prompt, answer=answer)
