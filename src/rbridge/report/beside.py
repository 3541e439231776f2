"""What stands beside a ranking, as rows of the page's comparison and as lines under the ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rbridge.answers.beside import Beheld, Beside
from rbridge.answers.rank import RankedGroup
from rbridge.report.comparison import ComparisonRow, Gain


def comparison_rows(beheld: Sequence[Beheld]) -> tuple[ComparisonRow, ...]:
    """Score, companions, controls and nulls of every ranking that was held against a target."""
    return tuple(row for one in beheld if one.ranked.agreement is not None for row in _rows(one))


def _rows(one: Beheld) -> Iterator[ComparisonRow]:
    level = one.ranked.ranking.level
    gains = tuple(
        Gain(other.ranked.proxy, other.gain, other.gain_interval, level)
        for other in one.beside
        if other.gain is not None
    )
    yield ComparisonRow.of(one.ranked, kind="score", gains=gains)
    for other in one.beside:
        if other.ranked.agreement is not None:
            yield ComparisonRow.of(other.ranked, kind="null" if other.kind == "null" else "control")


def with_companions(one: Beheld) -> RankedGroup:
    """The ranking, with its style flags and its companions' orders among its notes."""
    flags = () if one.style is None else one.style.reasons
    companions = [other for other in one.beside if other.kind == "companion"]
    return replace(one.ranked, notes=(*one.ranked.notes, *flags, *map(_line, companions)))


def _line(other: Beside) -> str:
    name = other.ranked.proxy
    if other.ranked.abstain:
        return f"{name} beside it: {other.ranked.abstain}"
    order = ", ".join(row.recipe for row in other.ranked.ranking.order[:5])
    tau = "no tau" if other.kendall_tau is None else f"tau {other.kendall_tau:.2f} with this order"
    more = "" if len(other.ranked.ranking.order) <= 5 else ", ..."
    return f"{name} beside it: {order}{more}; {tau}, {other.num_recipes} recipes"
