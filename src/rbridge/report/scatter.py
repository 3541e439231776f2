"""A score held against its target, recipe by recipe."""

from __future__ import annotations

from dataclasses import dataclass

from rbridge.answers.rank import RankedGroup
from rbridge.metric import metric_named
from rbridge.rank import CHANCE, Agreement
from rbridge.report.rankings import group_title
from rbridge.report.text import bracket, digits_for, direction, fixed, p_text, percent

# More points than this bear their ranks instead of their names on a narrow screen.
NUMBERED = 10


@dataclass(frozen=True)
class RecordedTargets:
    """Where targets come from that were measured earlier and not with this page.

    Attributes:
        what: one phrase, such as "accuracy of 283k-parameter models on 200 fresh problems".
        command: the command that makes them again.
        recorded: date or version of the record.
        num_seeds: target models a recipe, or None where not known.
        num_problems: problems behind each target, or None where not known.
        note: one line more, or None.
    """

    what: str
    command: str
    recorded: str
    num_seeds: int | None = None
    num_problems: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class ScatterPoint:
    """A recipe's score, the rank that it gives, and its target."""

    recipe: str
    rank: int
    value: float
    interval: tuple[float, float] | None
    target: float
    num_seeds: int


@dataclass(frozen=True)
class ScatterSection:
    """A score against its target, recipe by recipe."""

    title: str
    proxy: str
    unit: str
    lower_is_better: bool
    target: str
    recorded: RecordedTargets | None
    points: tuple[ScatterPoint, ...]
    without_target: tuple[str, ...]
    agreement: Agreement
    level: float
    num_items: int
    verdict: str
    digits: int

    @property
    def numbered(self) -> bool:
        """Whether narrow screens show ranks instead of names."""
        return len(self.points) > NUMBERED

    @property
    def direction(self) -> str:
        """Which way the score is better."""
        return direction(lower=self.lower_is_better)


def scatter_section(group: RankedGroup, recorded: RecordedTargets | None) -> ScatterSection | None:
    """A group's score against its target, or None where it has no target."""
    if group.targets is None or group.agreement is None:
        return None
    known = metric_named(group.proxy)
    points = tuple(
        ScatterPoint(row.recipe, row.rank, row.value, row.interval, group.targets[row.recipe], row.num_seeds)
        for row in group.ranking.order
        if row.recipe in group.targets
    )
    return ScatterSection(
        title=group_title(group.group),
        proxy=group.proxy,
        unit=known.unit if known else "",
        lower_is_better=group.lower_is_better,
        target=group.target or "target",
        recorded=recorded,
        points=points,
        without_target=tuple(row.recipe for row in group.ranking.order if row.recipe not in group.targets),
        agreement=group.agreement,
        level=group.ranking.level,
        num_items=group.ranking.num_items,
        verdict=agreement_sentence(group),
        digits=digits_for([point.value for point in points], [point.interval for point in points]),
    )


def agreement_sentence(group: RankedGroup) -> str:
    """How well the order agrees with the target's, beside what chance gives."""
    found, level = group.agreement, percent(group.ranking.level)
    assert found is not None  # the caller has looked
    if found.decision_accuracy is None:
        return f"No agreement with {group.target} can be computed: {found.reason}."
    interval = (
        "no interval below four recipes"
        if found.interval is None
        else f"{level} interval {bracket(found.interval, 2)}, which {_against_chance(found, group.ranking.level)}"
    )
    tau = (
        f"there is no Kendall tau ({found.reason})"
        if found.kendall_tau is None
        else f"Kendall tau {fixed(found.kendall_tau, 2)} (p {p_text(found.p_value)})"
    )
    return (
        f"{group.proxy} puts {percent(round(found.decision_accuracy, 3))} of {found.num_pairs} pairs in the order of "
        f"{group.target} (chance {percent(0.5)}; {interval}); {tau}."
    )


def _against_chance(found: Agreement, level: float) -> str:
    assert found.interval is not None
    if side := found.side_of_chance(level):
        return f"lies {side} chance"
    low, high = found.interval
    if low <= CHANCE <= high:
        return "includes chance"
    return f"with {found.num_recipes} recipes does not tell it from chance, see p"
