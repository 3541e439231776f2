"""A ranking held against known targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.answers.observations import RankGroup
from rbridge.answers.question import RankQuestion
from rbridge.rank import (
    Agreement,
    Decisions,
    Pilot,
    Ranking,
    agreement,
    apart_from_ties,
    concordance,
    decisions,
    one_seed_decision_accuracy,
    resample_means,
)


@dataclass(frozen=True)
class Case:
    """A group's ranking, the targets to hold it against, and how both were asked for."""

    group: RankGroup
    targets: Mapping[str, float]
    ranking: Ranking
    question: RankQuestion
    lower_is_better: bool
    pilot: Pilot | None

    @property
    def sign(self) -> float:
        """What makes the score higher-is-better."""
        return -1.0 if self.lower_is_better else 1.0

    def signed_targets(self, names: Sequence[str]) -> np.ndarray:
        """Targets in the order of names, higher is better."""
        return np.array([self.targets[name] for name in names]) * (
            -1.0 if self.question.targets_are_lower() else 1.0
        )


@dataclass(frozen=True)
class Held:
    """What came of it.

    Attributes:
        agreement: with the targets.
        decisions: None below two recipes with targets.
        items_interval: of the decision accuracy over items and seeds, the recipes being those that they
            are; None where nothing was resampled.
        tau_items_interval: of Kendall's tau likewise; None also where it has no value.
    """

    agreement: Agreement
    decisions: Decisions | None
    items_interval: tuple[float, float] | None
    tau_items_interval: tuple[float, float] | None


def hold(case: Case, rng: np.random.Generator) -> Held:
    """Hold a group's ranking against its targets."""
    found = _agreement(case, rng)
    if found.num_recipes < 2:
        return Held(found, None, None, None)
    return Held(found, _decisions(case, rng), *_items_intervals(case, rng))


def _agreement(case: Case, rng: np.random.Generator) -> Agreement:
    replicates = case.group.replicates.only(case.targets)
    truth = case.signed_targets(replicates.names)
    one_seed, num_seeds = one_seed_decision_accuracy(replicates, truth, lower_is_better=case.lower_is_better)
    return agreement(
        case.sign * replicates.means(),
        truth,
        one_seed=one_seed,
        num_seeds=num_seeds,
        rng=rng,
        resamples=case.question.resamples,
        level=case.question.level,
    )


def _decisions(case: Case, rng: np.random.Generator) -> Decisions:
    rows = [(at, row) for at, row in enumerate(case.ranking.order) if row.recipe in case.targets]
    names = [row.recipe for _, row in rows]
    at = [place for place, _ in rows]
    errors = None
    noise = case.group.target_noise
    if noise is not None and all(name in noise.errors for name in names):
        errors = np.array([noise.errors[name] for name in names])
    apart = None
    if case.ranking.resampled:
        apart = apart_from_ties(names, [row.tied_with or () for _, row in rows])
    wins = case.ranking.win_probability
    return decisions(
        case.sign * np.array([row.value for _, row in rows]),
        case.signed_targets(names),
        error=errors,
        apart=apart,
        stated=None if wins is None else wins[np.ix_(at, at)],
        z=case.question.resolve,
        rng=rng,
        resamples=case.question.resamples,
        level=case.question.level,
    )


def _items_intervals(
    case: Case, rng: np.random.Generator
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    if not case.ranking.resampled:
        return None, None
    question = case.question
    replicates = case.group.replicates.only(case.targets)
    drawn = resample_means(replicates, resamples=question.resamples, rng=rng, pilot=case.pilot)
    counts = concordance(case.sign * drawn, case.signed_targets(replicates.names))
    taus = counts.kendall_tau
    return (
        _percentiles(counts.decision_accuracy, question.level),
        None if taus is None else _percentiles(taus, question.level),
    )


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
