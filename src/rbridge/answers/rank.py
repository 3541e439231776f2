"""Rank what is stored: read runs or a table, order each group, hold it against targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rbridge.answers.comparable import run_rank_groups
from rbridge.answers.observations import RankGroup, read_rank_groups, read_targets
from rbridge.errors import InputError
from rbridge.metric import lower_is_better, metric_named
from rbridge.rank import (
    Agreement,
    Ranking,
    Replicates,
    agreement,
    one_seed_decision_accuracy,
    rank_recipes,
    uneven_seed_noise,
)
from rbridge.store.runs import Run, read_runs

_LARGEST = 1e100


@dataclass(frozen=True)
class RankQuestion:
    """What is to be ranked, by what, against what.

    Attributes:
        source: folder of score runs, or a CSV of observations.
        proxy: metric or column to rank by.
        lower, higher: what the user said of the proxy's direction.
        target: column of the truth, or None.
        target_lower: lower targets are better.
        targets: CSV of targets, for score runs.
        by: columns that split the data into groups.
        resamples, level, seed: of the bootstrap.
    """

    source: Path
    proxy: str = "rbridge"
    lower: bool = False
    higher: bool = False
    target: str | None = None
    target_lower: bool = False
    targets: Path | None = None
    by: tuple[str, ...] = ("benchmark",)
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class RankedGroup:
    """One group's ranking, and its agreement with the target where there is one."""

    group: Mapping[str, str]
    proxy: str
    lower_is_better: bool
    ranking: Ranking
    target: str | None
    targets: Mapping[str, float] | None
    target_lower_is_better: bool
    agreement: Agreement | None
    num_dropped: int
    notes: tuple[str, ...]


def rank_groups(question: RankQuestion) -> list[RankedGroup]:
    """Answer a rank question.

    Raises:
        InputError: the files or columns do not fit the question.
        IncomparableRuns: score runs that must not stand in one ranking.
    """
    lower = lower_is_better(question.proxy, lower=question.lower, higher=question.higher)
    if question.resamples < 100 or not 0 < question.level < 1:
        raise InputError("--resamples must be at least 100 and --level between 0 and 1")
    groups = _read_groups(question)
    return [rank_group(group, question, lower=lower) for group in groups]


def rank_runs(runs: tuple[Run, ...], question: RankQuestion) -> list[RankedGroup]:
    """As ``rank_groups``, for runs that are read already."""
    lower = lower_is_better(question.proxy, lower=question.lower, higher=question.higher)
    return [rank_group(group, question, lower=lower) for group in _run_groups(runs, question)]


def _read_groups(question: RankQuestion) -> list[RankGroup]:
    if question.source.is_dir():
        return _run_groups(read_runs(question.source), question)
    if question.targets is not None:
        raise InputError(
            "--targets goes with score runs; a CSV has its target in a column of its own: --target COLUMN"
        )
    return read_rank_groups(question.source, proxy=question.proxy, target=question.target, by=question.by)


def _run_groups(runs: tuple[Run, ...], question: RankQuestion) -> list[RankGroup]:
    if (question.target is None) != (question.targets is None):
        raise InputError(
            "score runs hold no targets: give both --targets FILE.csv and --target COLUMN, or neither"
        )
    targets = None
    if question.targets is not None and question.target is not None:
        targets = read_targets(question.targets, target=question.target)
    return run_rank_groups(runs, metric=question.proxy, by=question.by, targets=targets)


def rank_group(group: RankGroup, question: RankQuestion, *, lower: bool) -> RankedGroup:
    """Order one group. Every group draws from its own copy of the same random stream."""
    _refuse_scale(group.replicates, question.proxy)
    rng = np.random.default_rng(question.seed)
    ranking = rank_recipes(
        group.replicates, lower_is_better=lower, rng=rng, resamples=question.resamples, level=question.level
    )
    found = None
    if group.targets is not None:
        found = _agreement(group, group.targets, question, lower=lower, rng=rng)
    return RankedGroup(
        group=group.group,
        proxy=question.proxy,
        lower_is_better=lower,
        ranking=ranking,
        target=question.target,
        targets=group.targets,
        target_lower_is_better=question.target is not None and _target_lower(question),
        agreement=found,
        num_dropped=group.num_dropped,
        notes=(*group.notes, *_seed_notes(group.replicates, ranking)),
    )


def _refuse_scale(replicates: Replicates, proxy: str) -> None:
    """Squares of such values are infinite or 0 in float64, so no variance could be taken."""
    largest = float(np.abs(replicates.values).max())
    if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
        raise InputError(
            f"{proxy}: its largest value is {largest:.3g} in size; expected one between {1 / _LARGEST:.0e} and "
            f"{_LARGEST:.0e}: rescale the column"
        )


def _agreement(
    group: RankGroup,
    targets: Mapping[str, float],
    question: RankQuestion,
    *,
    lower: bool,
    rng: np.random.Generator,
) -> Agreement:
    replicates = group.replicates.only(targets)
    sign = -1.0 if lower else 1.0
    truth = np.array([targets[name] for name in replicates.names]) * (
        -1.0 if _target_lower(question) else 1.0
    )
    one_seed, num_seeds = one_seed_decision_accuracy(replicates, truth, lower_is_better=lower)
    return agreement(
        sign * replicates.means(),
        truth,
        one_seed=one_seed,
        num_seeds=num_seeds,
        rng=rng,
        resamples=question.resamples,
        level=question.level,
    )


def _target_lower(question: RankQuestion) -> bool:
    assert question.target is not None  # there are targets
    known = metric_named(question.target)
    if known is not None and known.direction == "higher" and question.target_lower:
        raise InputError(f"{question.target}: of this metric higher is better; drop --target-lower-is-better")
    return question.target_lower if known is None else known.direction == "lower"


def _seed_notes(replicates: Replicates, ranking: Ranking) -> tuple[str, ...]:
    if not ranking.resampled:
        return ()
    if "seeds" in ranking.resampled:
        return (
            "seed noise is pooled over recipes: taken to be alike for all",
            *[
                f"but seeds of {recipe} vary {ratio:.0f} times as much as the others' (F test, p < 0.01): "
                "its interval is too narrow, the others' are too wide"
                for recipe, ratio in uneven_seed_noise(replicates)
            ],
        )
    return (
        "conditional on these checkpoints: one seed a recipe shows nothing of the variation between seeds",
    )
