"""Does the score earn its keep? Metrics side by side, and one rule that says whether a gain is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rbridge.answers.rank import RankedGroup
from rbridge.metric import metric_named
from rbridge.rank import Agreement
from rbridge.report.text import bracket, direction, fixed, p_text, percent, signed

RULE = (
    "Rule, the same for every page: the first score in the table is on trial. Its gain counts as shown only if "
    "the interval of its decision accuracy lies wholly above chance (0.5), the p of its Kendall tau lies below "
    "one minus the interval's level, and the interval of its difference to the strongest null (the null with the "
    "highest decision accuracy on the same pairs) lies wholly above zero."
)

Kind = Literal["score", "control", "null"]


@dataclass(frozen=True)
class Gain:
    """How much better one metric orders recipes than another.

    Attributes:
        over: name of the other row.
        difference: of the decision accuracies, this minus the other.
        interval: of the difference, both metrics on the same resamples; None where not known.
        level: of the interval.
        resampled: what varied.
    """

    over: str
    difference: float
    interval: tuple[float, float] | None
    level: float = 0.95
    resampled: str = "recipes"

    @property
    def shown(self) -> bool:
        """Whether the interval lies wholly above zero."""
        return self.interval is not None and self.interval[0] > 0

    @property
    def reading(self) -> str:
        """What the interval allows to say."""
        if self.interval is None:
            return "no interval: no gain shown"
        if self.shown:
            return "gain shown"
        return "loss shown" if self.interval[1] < 0 else "no gain shown: includes zero"


@dataclass(frozen=True)
class ComparisonRow:
    """One metric's agreement with the target.

    Attributes:
        name: as the page prints it.
        meaning: what it is, one line.
        kind: ``score`` (on trial), ``control`` (the score with a part taken out, or a rival), or
            ``null`` (needs no model: what a score must beat to be worth its price).
        lower_is_better: direction.
        agreement: with the target.
        level: of the agreement's interval.
        gains: differences to other rows, where they were computed.
        group: what is compared within, such as a benchmark; rows of one group stand together.
        target: column of the truth.
    """

    name: str
    meaning: str
    kind: Kind
    lower_is_better: bool
    agreement: Agreement
    level: float = 0.95
    gains: tuple[Gain, ...] = ()
    group: str = ""
    target: str = "target"

    @classmethod
    def of(
        cls,
        ranked: RankedGroup,
        *,
        kind: Kind,
        name: str | None = None,
        meaning: str | None = None,
        gains: tuple[Gain, ...] = (),
    ) -> ComparisonRow:
        """A row from a ranking that was held against a target."""
        assert ranked.agreement is not None  # the caller ranked with a target
        known = metric_named(ranked.proxy)
        return cls(
            name=name or ranked.proxy,
            meaning=meaning or (known.meaning if known else ""),
            kind=kind,
            lower_is_better=ranked.lower_is_better,
            agreement=ranked.agreement,
            level=ranked.ranking.level,
            gains=gains,
            group=", ".join(ranked.group.values()),
            target=ranked.target or "target",
        )

    @property
    def direction(self) -> str:
        """Which way is better."""
        return direction(lower=self.lower_is_better)


@dataclass(frozen=True)
class Conclusion:
    """Whether the score on trial earned its keep.

    Attributes:
        shown: the rule's answer.
        why: the figures that decided it, as a sentence.
    """

    shown: bool
    why: str

    @property
    def text(self) -> str:
        """Answer and reason."""
        return f"{'Gain shown' if self.shown else 'No gain shown'}: {self.why}"


@dataclass(frozen=True)
class ComparisonSection:
    """Metrics side by side within one group."""

    group: str
    target: str
    rows: tuple[ComparisonRow, ...]
    conclusion: Conclusion
    footnotes: tuple[str, ...]

    @property
    def gains(self) -> tuple[tuple[str, Gain], ...]:
        """All differences, with the name of the row that they belong to."""
        return tuple((row.name, gain) for row in self.rows for gain in row.gains)


def comparison_sections(rows: Sequence[ComparisonRow]) -> tuple[ComparisonSection, ...]:
    """Rows of equal group together, in the order given, each with the rule's answer."""
    by_group = [(group, tuple(found)) for group, found in groupby(rows, key=lambda row: row.group)]
    return tuple(
        ComparisonSection(group, found[0].target, found, conclude(found), tuple(_footnotes(found)))
        for group, found in by_group
    )


def conclude(rows: Sequence[ComparisonRow]) -> Conclusion:
    """Apply ``RULE``: a gain is never assumed, only shown."""
    score = next((row for row in rows if row.kind == "score"), None)
    if score is None:
        return Conclusion(shown=False, why="no score stands in the table, only controls and nulls.")
    found = score.agreement
    if found.decision_accuracy is None:
        return Conclusion(shown=False, why=f"{score.name} has no decision accuracy ({found.reason}).")
    own = f"{score.name} has a decision accuracy of {_with_interval(score)}"
    null = strongest_null(score, rows)
    if found.side_of_chance(score.level) != "above":
        p = "" if found.p_value is None else f" (p {p_text(found.p_value)})"
        beside = "" if null is None else f" The strongest null, {null.name}, has {_with_interval(null)}."
        return Conclusion(shown=False, why=f"{own}{p}, which is not shown above chance (0.5).{beside}")
    if null is None:
        why = f"{own}, but no null stands beside it on the same {found.num_pairs} pairs."
        return Conclusion(shown=False, why=why)
    return _against_null(own, score, null)


def _against_null(own: str, score: ComparisonRow, null: ComparisonRow) -> Conclusion:
    beside = f"{own}; the strongest null, {null.name}, has {_with_interval(null)}"
    gain = next((gain for gain in score.gains if gain.over == null.name), None)
    if gain is None or gain.interval is None:
        return Conclusion(shown=False, why=f"{beside}; no interval of their difference was computed.")
    difference = (
        f"their difference is {signed(gain.difference, 2)}, "
        f"{percent(gain.level)} interval {bracket(gain.interval, 2)}"
    )
    where = "above zero" if gain.shown else "below zero" if gain.interval[1] < 0 else "which includes zero"
    return Conclusion(shown=gain.shown, why=f"{beside}; {difference}, {where}.")


def strongest_null(score: ComparisonRow, rows: Sequence[ComparisonRow]) -> ComparisonRow | None:
    """The null with the highest decision accuracy among those on as many pairs as the score."""
    nulls = [
        row
        for row in rows
        if row.kind == "null"
        and row.agreement.decision_accuracy is not None
        and row.agreement.num_pairs == score.agreement.num_pairs
    ]
    return max(nulls, key=lambda row: row.agreement.decision_accuracy or 0.0, default=None)


def _with_interval(row: ComparisonRow) -> str:
    return f"{fixed(row.agreement.decision_accuracy, 2)} {bracket(row.agreement.interval, 2)}"


def _footnotes(rows: Sequence[ComparisonRow]) -> Iterator[str]:
    levels = " or ".join(sorted({percent(row.level) for row in rows}))
    yield (
        "Decision accuracy: share of pairs of recipes in the target's order, a tie on either side half; chance is "
        f"0.5. Its {levels} interval resamples recipes; there is none below four."
    )
    yield (
        "Kendall tau is tau-b, p against no relation (tau 0). One seed: mean decision accuracy when a single "
        "seed of each recipe is all there is."
    )
    if len({row.agreement.num_pairs for row in rows}) > 1:
        yield "Rows rest on different numbers of pairs: only rows on the same pairs compare."
    for row in rows:
        if row.agreement.reason:
            yield f"{row.name}: no Kendall tau, {row.agreement.reason}."
