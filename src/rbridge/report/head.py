"""The top of the page: one sentence, what qualifies it, what was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rbridge.answers.rank import RankedGroup
from rbridge.report.comparison import ComparisonSection
from rbridge.report.rankings import ranking_verdict
from rbridge.report.scatter import agreement_sentence
from rbridge.report.scores import Material
from rbridge.report.text import fixed, listed, percent, plural


@dataclass(frozen=True)
class Remark:
    """A labelled sentence under the verdict."""

    label: str
    text: str


@dataclass(frozen=True)
class Head:
    """What a reader in a hurry reads: a sentence, what qualifies it, what was run."""

    verdict: str
    remarks: tuple[Remark, ...]
    materials: tuple[Material, ...]


def head(
    groups: Sequence[RankedGroup], comparisons: Sequence[ComparisonSection], run: tuple[Material, ...]
) -> Head:
    """What a reader in a hurry reads."""
    return Head(page_verdict(groups, run), tuple(_remarks(groups, comparisons, run)), run)


def page_verdict(groups: Sequence[RankedGroup], run: Sequence[Material]) -> str:
    """One sentence: who leads and how sure, or why nothing is ranked."""
    if not groups:
        return _unranked(run)
    if len(groups) == 1:
        return ranking_verdict(groups[0])
    alone = sum(group.ranking.order[0].tied_with == () for group in groups)
    levels = listed(sorted({percent(group.ranking.level) for group in groups}))
    return (
        f"Of {len(groups)} rankings, {_leaders(groups)}; in {alone or 'none'} of them the leader is told apart from "
        f"every other recipe at {levels} confidence."
    )


def _leaders(groups: Sequence[RankedGroup]) -> str:
    leaders = Counter(group.ranking.order[0].recipe for group in groups).most_common()
    if len(leaders) <= 3:
        return listed([f"{recipe} leads {count}" for recipe, count in leaders])
    (recipe, count), *others = leaders
    if count == 1:
        return "each has another leader"
    return f"{recipe} leads {count} and {len(others)} other recipes lead the rest"


def _unranked(run: Sequence[Material]) -> str:
    if not run:
        return "No run and no ranking stands on this page."
    checkpoints = sum(line.num_checkpoints for line in run)
    traces = sum(line.num_scored for line in run)
    benchmarks = {name for line in run for name in line.benchmarks}
    return (
        f"{plural(checkpoints, 'checkpoint')} scored on {plural(traces, 'trace')} of "
        f"{plural(len(benchmarks), 'benchmark')}; nothing is ranked."
    )


def _remarks(
    groups: Sequence[RankedGroup], comparisons: Sequence[ComparisonSection], run: Sequence[Material]
) -> Iterator[Remark]:
    held = [group for group in groups if group.agreement is not None]
    if held:
        yield Remark("Against the target", _against_target(held))
    if groups or comparisons:
        yield Remark("Over the nulls", _over_nulls(comparisons, has_targets=bool(held)))
    for line in run:
        text = f"{line.weights[:1].upper()}{line.weights[1:]}."
        yield Remark(f"Weights, {line.bundle}" if len(run) > 1 else "Weights", text)


def _against_target(groups: Sequence[RankedGroup]) -> str:
    if len(groups) == 1:
        return agreement_sentence(groups[0])
    found = [(group.agreement, group.ranking.level) for group in groups if group.agreement is not None]
    shares = [one.decision_accuracy for one, _ in found if one.decision_accuracy is not None]
    if not shares:
        return "No decision accuracy can be computed."
    above = sum(one.side_of_chance(level) == "above" for one, level in found)
    return (
        f"Decision accuracy from {fixed(min(shares), 2)} to {fixed(max(shares), 2)} over "
        f"{plural(len(found), 'ranking')} with a target (chance 0.5); "
        f"it lies above chance, by interval and p, in {above or 'none'} of them."
    )


def _over_nulls(comparisons: Sequence[ComparisonSection], *, has_targets: bool) -> str:
    if not comparisons and not has_targets:
        return "No gain shown: without targets nothing tells whether the score ranks better than what is cheaper."
    if not comparisons:
        return "No gain shown: no null or control was given to stand beside the score."
    if len(comparisons) == 1:
        return comparisons[0].conclusion.text
    shown = [section.group for section in comparisons if section.conclusion.shown]
    without = [section.group for section in comparisons if not section.conclusion.shown]
    if not shown:
        return f"No gain shown in any of {len(comparisons)} comparisons."
    rest = f"; no gain shown for {listed(without)}" if without else ""
    return f"Gain shown in {len(shown)} of {len(comparisons)} comparisons: {listed(shown)}{rest}."
