"""How often a source repeats: in the large run, and how much of it a proxy may see to repeat it as often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Repetition:
    """A source's part in a recipe.

    Attributes:
        source: its name.
        asked: tokens that the proxy reads of it.
        held: tokens of it that are on disk.
        pool: tokens that the proxy draws from; fewer than held where the target would repeat it.
        repeats: how often the proxy reads each token of the pool, on average; at most 1 where it does not repeat.
        target_repeats: the same of the large run; None where its budget or the source's size is not known.
        note: what a reader must know, or None.
    """

    source: str
    asked: int
    held: int
    pool: int
    repeats: float
    target_repeats: float | None
    note: str | None = None


def match_repetition(
    asked: Mapping[str, int],
    held: Mapping[str, int],
    available: Mapping[str, int | None],
    *,
    budget: int,
    target_tokens: int | None,
) -> tuple[Repetition, ...]:
    """The pool of each source, so that it repeats in the proxy as often as in the large run.

    With a proxy's budget D, the target's T and a source of N tokens of which the proxy reads A, the target
    reads A T / D of them and repeats it r = A T / (D N) times. Where r > 1, the proxy draws from A / r = N D / T
    tokens; else from A of them, and none comes twice.

    Args:
        asked: A, by source.
        held: tokens on disk, by source.
        available: N, by source.
        budget: D.
        target_tokens: T, or None: then sources repeat only where the disk holds too little.

    >>> [one] = match_repetition({"a": 50}, {"a": 200}, {"a": 200}, budget=100, target_tokens=1000)
    >>> one.pool, one.repeats, one.target_repeats
    (20, 2.5, 2.5)
    """
    return tuple(
        _one(name, num, held[name], available[name], budget, target_tokens) for name, num in asked.items()
    )


def _one(
    name: str, asked: int, held: int, available: int | None, budget: int, target_tokens: int | None
) -> Repetition:
    target_repeats = None
    note = None
    wanted = asked
    if target_tokens is None:
        if asked > held:
            note = "repeats since no more is on disk; target_tokens is not given, so nothing is matched"
    elif available is None:
        note = "how many tokens it has at full scale is not known: give 'available'"
    else:
        target_repeats = asked * target_tokens / (budget * available)
        wanted = asked if target_repeats <= 1 else round(available * budget / target_tokens)
        if wanted > held:
            note = "repeats more than at the target: too little of it is on disk"
    pool = max(1, min(wanted, held))
    return Repetition(name, asked, held, pool, asked / pool, target_repeats, note)
