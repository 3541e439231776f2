"""The order of recipes by one score: rows, one sentence, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rbridge.answers.called import called_pairs
from rbridge.answers.combined import Combined
from rbridge.answers.rank import RankedGroup
from rbridge.metric import metric_named
from rbridge.rank import LeftOut, RankedRecipe
from rbridge.rank.combine import RULE
from rbridge.report.text import NONE, digits_for, direction, grouped, listed, percent, plural, span_text


@dataclass(frozen=True)
class RankingRow:
    """One recipe's line (see ``rbridge.rank.RankedRecipe``).

    Attributes:
        tied: whom it cannot be told apart from, as text.
        with_leader: rank 1 cannot be excluded for it; None without replicates.
        target: its target, or None.
    """

    rank: int
    rank_set: tuple[int, int] | None
    recipe: str
    value: float
    interval: tuple[float, float] | None
    num_seeds: int
    tied: str
    with_leader: bool | None
    target: float | None


@dataclass(frozen=True)
class RankingSection:
    """One group's ranking.

    Attributes:
        title: the group, such as "gsm8k".
        proxy, unit, meaning: what it is ranked by; unit and meaning empty for a user's column.
        lower_is_better: direction.
        level: of intervals and possible ranks.
        num_items: items behind every value.
        rows: best first.
        target: column of the truth, or None.
        verdict: one sentence.
        footnotes: what the figures rest on.
        digits: decimals of value and interval.
        standing: "declared" or "exploratory", and how many metrics were looked at.
    """

    title: str
    proxy: str
    unit: str
    meaning: str
    lower_is_better: bool
    level: float
    num_items: int
    rows: tuple[RankingRow, ...]
    target: str | None
    verdict: str
    footnotes: tuple[str, ...]
    digits: int
    standing: str

    @property
    def direction(self) -> str:
        """Which way is better."""
        return direction(lower=self.lower_is_better)


def ranking_section(group: RankedGroup, standing: str, seen: Sequence[str] = ()) -> RankingSection:
    """A ranking as the page shows it, with what ``answers.declared.status`` says, and what its recipes have seen."""
    ranking = group.ranking
    known = metric_named(group.proxy)
    return RankingSection(
        title=group_title(group.group),
        proxy=group.proxy,
        unit=known.unit if known else "",
        meaning=known.meaning if known else "",
        lower_is_better=group.lower_is_better,
        level=ranking.level,
        num_items=ranking.num_items,
        rows=tuple(_row(row, group) for row in ranking.order),
        target=group.target if group.targets is not None else None,
        verdict=ranking_verdict(group),
        footnotes=(*_footnotes(group), *(f"{line[:1].upper()}{line[1:]}." for line in seen)),
        digits=digits_for([row.value for row in ranking.order], [row.interval for row in ranking.order]),
        standing=f"{standing[:1].upper()}{standing[1:]}.",
    )


def combined_section(one: Combined, standing: str) -> RankingSection:
    """Several benchmarks in one ranking, with the rule, and who leads without each of them."""
    section = ranking_section(one.ranked, standing)
    rest = "" if not one.ranked.group else f", {group_title(one.ranked.group)}"
    return replace(
        section,
        title=f"{', '.join(one.benchmarks)} together{rest}",
        proxy=f"mean z-score of {section.proxy}",
        unit="standard deviations over recipes",
        meaning="",
        footnotes=(f"Rule: {RULE}.", *section.footnotes, *map(_without, one.left_out)),
    )


def _without(left: LeftOut) -> str:
    tau = "no tau" if left.kendall_tau is None else f"Kendall tau {left.kendall_tau:.2f} with all (null 0)"
    return f"Without {left.benchmark}: {left.best} leads{' instead' if left.changed_best else ''}; {tau}."


def group_title(group: Mapping[str, str]) -> str:
    """A group's name: the benchmark as it is, other columns with theirs."""
    parts = [value if key == "benchmark" else f"{key} {value}" for key, value in group.items()]
    return ", ".join(parts) or "all rows"


def _row(row: RankedRecipe, group: RankedGroup) -> RankingRow:
    return RankingRow(
        rank=row.rank,
        rank_set=row.rank_set,
        recipe=row.recipe,
        value=row.value,
        interval=row.interval,
        num_seeds=row.num_seeds,
        tied=tied_text(row, group.ranking.order),
        with_leader=None if row.rank_set is None else row.rank_set[0] == 1,
        target=None if group.targets is None else group.targets.get(row.recipe),
    )


def tied_text(row: RankedRecipe, order: Sequence[RankedRecipe]) -> str:
    """Whom a recipe cannot be told apart from, in few words: names while they are few, then ranks."""
    if row.tied_with is None:
        return NONE
    others = [other for other in order if other.recipe != row.recipe]
    apart = [other.recipe for other in others if other.recipe not in row.tied_with]
    if not row.tied_with:
        return "none"
    if len(row.tied_with) <= 3 and apart:
        return ", ".join(row.tied_with)
    if not apart:
        return row.tied_with[0] if len(others) == 1 else f"all {len(others)} others"
    if len(apart) <= 2:
        return f"all but {listed(apart)}"
    return f"ranks {_ranges(sorted({other.rank for other in others if other.recipe in row.tied_with}))}"


def _ranges(numbers: Sequence[int]) -> str:
    """Rising whole numbers, neighbours drawn together."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(span_text(low, high) for low, high in runs)


def ranking_verdict(group: RankedGroup) -> str:
    """Who leads, who cannot be told apart from it, how sure, and on what."""
    ranking = group.ranking
    first, *others = ranking.order
    if not others:
        return f"Only one recipe, {first.recipe}, has a value of {group.proxy}: there is nothing to rank."
    leaders = [row.recipe for row in ranking.order if row.rank == 1]
    if first.tied_with is None:
        best = f"{listed(leaders)} {'has' if len(leaders) == 1 else 'share'} the best {group.proxy}"
        return f"{best} of {len(ranking.order)} recipes, but no confidence can be given: {first.reason}."
    sure = f"{percent(ranking.level)} confidence"
    basis = f"{_items(ranking.num_items)} and {_seeds(ranking.order)}"
    if not first.tied_with:
        return (
            f"{first.recipe} leads all {len(others)} other recipes by {group.proxy}, told apart from each "
            f"at {sure}, on {basis}."
        )
    if len(first.tied_with) == len(others):
        return (
            f"No recipe leads: {first.recipe} has the best {group.proxy} of {len(ranking.order)}, but none of the "
            f"others can be told apart from it at {sure}, on {basis}."
        )
    return (
        f"{first.recipe} leads {len(ranking.order)} recipes by {group.proxy}, but {listed(first.tied_with)} "
        f"cannot be told apart from it at {sure}, on {basis}."
    )


def _items(number: int) -> str:
    return "one value a seed" if number == 1 else plural(number, "shared trace")


def _seeds(rows: Sequence[RankedRecipe]) -> str:
    low, high = min(row.num_seeds for row in rows), max(row.num_seeds for row in rows)
    return f"{span_text(low, high)} seed{'s' if high > 1 else ''} a recipe"


def _footnotes(group: RankedGroup) -> Iterator[str]:
    ranking = group.ranking
    if ranking.resampled:
        yield (
            f"{percent(ranking.level)} intervals from {grouped(ranking.resamples)} paired resamples of "
            f"{' and '.join(ranking.resampled)}; every value is a mean over {_items(ranking.num_items)}, "
            "then over seeds."
        )
        yield (
            "Possible ranks cannot be excluded, for all recipes at once; "
            "tied recipes cannot be told apart at the same level."
        )
    else:
        yield "No replicates: one row a recipe and one value a row, so nothing can be resampled and no interval given."
    if group.num_dropped == 0:
        yield "No row or item was left out."
    else:
        what = "1 row or item" if group.num_dropped == 1 else f"{grouped(group.num_dropped)} rows or items"
        yield f"Left out: {what}, for empty cells or because not every recipe has them."
    called = called_pairs(group)
    notes = group.notes if called is None else (*group.notes, called)
    yield from (f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in notes)
