"""Baselines from the log-probabilities of answer options and labels (method.md, baselines)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Ways to make log-probabilities of options of unequal length comparable: what each is divided by.
SCALES = ("", "_per_token", "_per_character", "_per_byte")
CLOZE = ("accuracy", "probability", "total_probability", "normalised_probability", "margin")
CLOZE_METRICS = tuple(f"cloze_{name}{scale}" for scale in SCALES for name in CLOZE)


@dataclass(frozen=True)
class Spoken:
    """One text behind a problem's question, as a proxy finds it likely.

    Attributes:
        benchmark, problem_id: the problem.
        voice: whose trace stands before or in the text; empty where none does.
        kind: ``option``, ``label``, ``trace_and_answer`` or ``answer_given_trace``.
        gold: it is the right option, or right by construction.
        shots: worked examples before the question.
        nll: sum of -ln p over its tokens, nats.
        num_tokens, num_characters, num_bytes: its length.
    """

    benchmark: str
    problem_id: str
    voice: str
    kind: str
    gold: bool
    shots: int
    nll: float
    num_tokens: int
    num_characters: int
    num_bytes: int

    def logprob(self, scale: str) -> float:
        """Ln p of the whole, or over its tokens, characters or bytes."""
        over = {
            "": 1,
            "_per_token": self.num_tokens,
            "_per_character": self.num_characters,
            "_per_byte": self.num_bytes,
        }
        return -self.nll / over[scale]


def by_problem(spoken: Iterable[Spoken]) -> Mapping[tuple[str, str, int], list[Spoken]]:
    """The options of each problem that has a right one among two or more."""
    found: dict[tuple[str, str, int], list[Spoken]] = {}
    for one in spoken:
        if one.kind == "option":
            found.setdefault((one.benchmark, one.problem_id, one.shots), []).append(one)
    return {
        name: options
        for name, options in found.items()
        if len(options) > 1 and sum(option.gold for option in options) == 1
    }


def cloze(options: Sequence[Spoken], name: str, scale: str) -> float:
    """One baseline of one problem; higher is better of all of them.

    Args:
        options: of the problem, exactly one of them gold.
        name: of ``CLOZE``: accuracy (the gold option is the likeliest, ties by lot), probability (of the
            gold option), total_probability (sum over options), normalised_probability (gold over total),
            margin (ln p of gold less that of the best wrong one).
        scale: of ``SCALES``; it is applied before exp.
    """
    logprob = np.array([option.logprob(scale) for option in options])
    gold = next(place for place, option in enumerate(options) if option.gold)
    best = float(logprob.max())
    if name == "accuracy":
        return float(logprob[gold] == best) / int((logprob == best).sum())
    if name == "margin":
        return float(logprob[gold] - np.delete(logprob, gold).max())
    if name == "normalised_probability":
        return float(np.exp(logprob[gold] - best) / np.exp(logprob - best).sum())
    return float(np.exp(logprob).sum() if name == "total_probability" else np.exp(logprob[gold]))
