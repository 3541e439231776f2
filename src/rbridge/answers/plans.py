"""What to train next, from a pilot's table or from what is scored so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rbridge.answers.comparable import run_rank_groups
from rbridge.answers.observations import RankGroup, read_rank_groups
from rbridge.errors import InputError
from rbridge.metric import lower_is_better
from rbridge.plan import (
    Correlation,
    Halving,
    Separation,
    beliefs,
    correlation_from_accuracy,
    halving_schedule,
    knowledge_gain,
    pilot_correlation,
    seeds_to_separate,
    traces_to_separate,
)
from rbridge.rank import Replicates
from rbridge.store.settled import read_whole_runs

MEANS_ONLY = "a table of means says nothing of single traces"


@dataclass(frozen=True)
class Stage:
    """How well a stage's score follows the target, and where that is known from."""

    correlation: Correlation
    known_from: str


def stated_stage(decision_accuracy: float) -> Stage:
    """A stage whose decision accuracy was published or guessed.

    Raises:
        InputError: no share from 0 to 1.
    """
    return Stage(correlation_from_accuracy(decision_accuracy), "stated decision accuracy, taken as known")


def pilot_stage(pilot: Path, column: str, target: str, lower: Sequence[str]) -> tuple[Stage, float]:
    """A stage measured on a pilot's recipes, and the target's standard deviation over them.

    Args:
        pilot: CSV with ``recipe``, the stage's column and the target's; rows of a recipe are its seeds.
        column: the stage's score.
        target: column of the truth.
        lower: columns of which lower is better (metrics that we know need not be told).

    Raises:
        InputError: a file or column that does not fit, or too few recipes.
    """
    groups = read_rank_groups(pilot, proxy=column, target=target, by=())
    if not groups:
        raise InputError(f"{pilot}: no row has recipe, {column} and {target}")
    (group,) = groups
    assert group.targets is not None  # a target was asked for
    truth = np.array([group.targets[name] for name in group.replicates.names]) * _sign(target, lower)
    found = pilot_correlation(group.replicates.means() * _sign(column, lower), truth)
    return Stage(found, f"pilot of {found.num_recipes} recipes"), float(truth.std(ddof=1))


def _sign(column: str, lower: Sequence[str]) -> float:
    low = column in lower
    return -1.0 if lower_is_better(column, lower=low, higher=not low and not _known(column)) else 1.0


def _known(column: str) -> bool:
    from rbridge.metric import metric_named

    return metric_named(column) is not None


@dataclass(frozen=True)
class NextRecipe:
    """One recipe's place in what to train next.

    Attributes:
        recipe: its name.
        value: mean over its seeds.
        shrunken: posterior mean, drawn towards all recipes' mean.
        num_seeds: trained so far.
        gain: expected fall in regret for one more seed of it, in the metric's unit.
        seeds_needed, traces_needed: to tell it from the leader; None for the leader itself, and for
            traces where only means are known.
    """

    recipe: str
    value: float
    shrunken: float
    num_seeds: int
    gain: float
    seeds_needed: Separation | None
    traces_needed: Separation | None


@dataclass(frozen=True)
class NextGroup:
    """What to train next in one group, largest gain first."""

    group: Mapping[str, str]
    lower_is_better: bool
    leader: str
    seed_sd: float
    order: tuple[NextRecipe, ...]
    halving: tuple[Halving, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NextQuestion:
    """What is compared, and how.

    Attributes:
        source: folder of score runs, or a CSV of observations.
        proxy: metric or column.
        lower, higher: what the user said of its direction.
        by: columns that split the data.
        seed_sd: standard deviation of one seed about its recipe; estimated if None.
        budget: proxies that can still be trained, for a schedule of sequential halving; or None.
        level, power: of the test that two recipes are to be told apart by.
    """

    source: Path
    proxy: str
    lower: bool = False
    higher: bool = False
    by: tuple[str, ...] = ("benchmark",)
    seed_sd: float | None = None
    budget: int | None = None
    level: float = 0.95
    power: float = 0.8


def next_groups(question: NextQuestion) -> list[NextGroup]:
    """Which proxy to train next, group by group.

    Raises:
        InputError: files or columns that do not fit, one recipe only, or seed noise that nothing shows.
    """
    lower = lower_is_better(question.proxy, lower=question.lower, higher=question.higher)
    if question.source.is_dir():
        groups = run_rank_groups(read_whole_runs(question.source), metric=question.proxy, by=question.by)
    else:
        groups = read_rank_groups(question.source, proxy=question.proxy, target=None, by=question.by)
    return [_next_group(group, question, lower=lower) for group in groups]


def _next_group(group: RankGroup, question: NextQuestion, *, lower: bool) -> NextGroup:
    replicates, sign = group.replicates, -1.0 if lower else 1.0
    seeds = [sign * replicates.values[rows].mean(axis=1) for rows in replicates.rows()]
    stated = None if question.seed_sd is None else question.seed_sd**2
    believed, variance = beliefs(seeds, seed_variance=stated)
    if variance <= 0:
        raise InputError(f"{question.proxy}: seeds do not vary at all; one more seed tells nothing")
    gains = knowledge_gain(believed, seed_variance=variance)
    leader = int(np.argmax([one.mean for one in believed]))
    order = sorted(range(len(believed)), key=lambda row: (-gains[row], replicates.names[row]))
    return NextGroup(
        group=group.group,
        lower_is_better=lower,
        leader=replicates.names[leader],
        seed_sd=variance**0.5,
        order=tuple(
            NextRecipe(
                recipe=replicates.names[row],
                value=float(sign * seeds[row].mean()),
                shrunken=sign * believed[row].mean,
                num_seeds=believed[row].num_seeds,
                gain=float(gains[row]),
                seeds_needed=_seeds_needed(replicates, row, leader, variance, question),
                traces_needed=_traces_needed(replicates, row, leader, variance, question),
            )
            for row in order
        ),
        halving=None if question.budget is None else tuple(halving_schedule(len(believed), question.budget)),
        notes=group.notes,
    )


def _seeds_needed(
    replicates: Replicates, row: int, leader: int, variance: float, question: NextQuestion
) -> Separation | None:
    if row == leader:
        return None
    difference, of_trace = _differences(replicates, row, leader)
    if difference == 0:
        return Separation(None, "the two have the same value")
    return seeds_to_separate(
        difference,
        seed_variance=variance,
        trace_variance=of_trace or 0.0,
        num_traces=replicates.num_items,
        level=question.level,
        power=question.power,
    )


def _traces_needed(
    replicates: Replicates, row: int, leader: int, variance: float, question: NextQuestion
) -> Separation | None:
    if row == leader:
        return None
    difference, of_trace = _differences(replicates, row, leader)
    if of_trace is None:
        return Separation(None, MEANS_ONLY)
    if difference == 0:
        return Separation(None, "the two have the same value")
    rows = replicates.rows()
    # Two recipes with S1 and S2 seeds err as much as two with the harmonic mean of them.
    seeds = 2 / (1 / len(rows[row]) + 1 / len(rows[leader]))
    return traces_to_separate(
        difference,
        seed_variance=variance,
        trace_variance=of_trace,
        num_seeds=seeds,
        level=question.level,
        power=question.power,
    )


def _differences(replicates: Replicates, one: int, other: int) -> tuple[float, float | None]:
    """Mean difference of two recipes, and its variance over traces (None where only means are known)."""
    rows = replicates.rows()
    by_trace = replicates.values[rows[one]].mean(axis=0) - replicates.values[rows[other]].mean(axis=0)
    spread = float(by_trace.var(ddof=1)) if len(by_trace) > 1 else None
    return float(by_trace.mean()), spread
