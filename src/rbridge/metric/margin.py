"""The question margin: how much a problem's own question helps a proxy along the trace (method.md).

rBridge cannot tell "has learned to reason" from "has seen text that looks like the trace". The style of a
trace, and how much text like it a proxy saw, stand in its loss under the right question and under another
one alike, and cancel in the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rbridge.records import TraceKey

MARGIN = "question_margin"
NUMBERS = "question_margin_numbers"
OWN_VOICE = "question_margin_own_voice"
OTHER_BITS = "other_question_bits_per_byte"
MARGIN_METRICS = (MARGIN, NUMBERS, OWN_VOICE, OTHER_BITS)


@dataclass(frozen=True)
class QuestionReading:
    """One trace's losses behind one question.

    Attributes:
        key: the trace.
        shots: worked examples before the question.
        asked: problem_id of the question: the trace's own, or another.
        nll: -ln p of every scored token, nats.
        number_at: which of them are number tokens (ASCII digits, beside spaces).
        number_nll: -ln p of those among all number tokens of the vocabulary, nats.
        num_bytes: UTF-8 bytes of the trace.
    """

    key: TraceKey
    shots: int
    asked: str
    nll: Float[np.ndarray, " tokens"]
    number_at: Int[np.ndarray, " numbers"]
    number_nll: Float[np.ndarray, " numbers"]
    num_bytes: int

    @property
    def right(self) -> bool:
        """Whether the question is the trace's own."""
        return self.asked == self.key.problem_id


@dataclass(frozen=True)
class Margin:
    """What a trace's own question is worth to a proxy, over the mean of some other questions.

    Attributes:
        key: the trace.
        shots: worked examples before each question.
        num_others: other questions that it is a mean over.
        all_tokens: mean over tokens of ln p(right) - ln p(other), nats a token; higher is better.
        numbers: the same over number tokens, renormalised among them; None where the trace has none.
        other_bits: loss behind other questions in bits a byte: what style alone explains.
    """

    key: TraceKey
    shots: int
    num_others: int
    all_tokens: float
    numbers: float | None
    other_bits: float


def margins(readings: Iterable[QuestionReading]) -> list[Margin]:
    """Every trace's margin, in order of first appearance; a trace that lacks either side has none."""
    groups: dict[TraceKey, list[QuestionReading]] = {}
    for reading in readings:
        groups.setdefault(reading.key, []).append(reading)
    found = [_margin(group) for group in groups.values()]
    return [margin for margin in found if margin is not None]


def _margin(group: Sequence[QuestionReading]) -> Margin | None:
    right = next((reading for reading in group if reading.right), None)
    others = [reading for reading in group if not reading.right]
    if right is None or not others:
        return None
    numbers = None
    if len(right.number_at):
        numbers = float(np.mean([other.number_nll.mean() for other in others]) - right.number_nll.mean())
    bits = [other.nll.sum() / (np.log(2) * other.num_bytes) for other in others]
    return Margin(
        key=right.key,
        shots=right.shots,
        num_others=len(others),
        all_tokens=float(np.mean([other.nll.mean() for other in others]) - right.nll.mean()),
        numbers=numbers,
        other_bits=float(np.mean(bits)),
    )


def own_voice(found: Sequence[Margin]) -> list[Margin]:
    """The margins in the proxy's own style, where problems have several voices.

    The own style of a proxy on a benchmark is the voice whose traces it finds likeliest behind other
    questions (bits a byte). It is picked on one half of the problems and read on the other, both ways, so
    that no trace is chosen for its own value. A benchmark with one voice gives nothing.
    """
    benchmarks: dict[str, list[Margin]] = {}
    for margin in found:
        benchmarks.setdefault(margin.key.benchmark, []).append(margin)
    return [margin for group in benchmarks.values() for margin in _own(group)]


def _own(group: Sequence[Margin]) -> list[Margin]:
    if len({margin.key.voice for margin in group}) < 2:
        return []
    problems = sorted({margin.key.problem_id for margin in group})
    half = {problem: place % 2 for place, problem in enumerate(problems)}
    kept: list[Margin] = []
    for side in (0, 1):
        read = [margin for margin in group if half[margin.key.problem_id] == side]
        bits = _mean_bits([margin for margin in group if half[margin.key.problem_id] != side])
        if len(bits) > 1:
            own = min(bits, key=lambda voice: (bits[voice], voice))
            kept += [margin for margin in read if margin.key.voice == own]
    return kept


def _mean_bits(group: Sequence[Margin]) -> Mapping[str, float]:
    voices: dict[str, list[float]] = {}
    for margin in group:
        voices.setdefault(margin.key.voice, []).append(margin.other_bits)
    return {voice: float(np.mean(values)) for voice, values in voices.items()}
