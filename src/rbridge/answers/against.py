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
    decisions,
    one_seed_decision_accuracy,
    resample_means,
    resampled_decision_accuracy,
)


@dataclass(frozen=True)
class Held:
    """What came of it; the last two are None below two recipes with targets."""

    agreement: Agreement
    decisions: Decisions | None
    items_interval: tuple[float, float] | None


def hold(
    group: RankGroup,
    targets: Mapping[str, float],
    ranking: Ranking,
    question: RankQuestion,
    *,
    lower: bool,
    rng: np.random.Generator,
    pilot: Pilot | None,
) -> Held:
    """Hold a group's ranking against its targets."""
    found = _agreement(group, targets, question, lower=lower, rng=rng)
    if found.num_recipes < 2:
        return Held(found, None, None)
    return Held(
        found,
        _decisions(group, targets, ranking, question, lower=lower, rng=rng),
        _items_interval(group, targets, ranking, question, lower=lower, rng=rng, pilot=pilot),
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
    truth = _signed_targets(replicates.names, targets, question)
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


def _signed_targets(names: Sequence[str], targets: Mapping[str, float], question: RankQuestion) -> np.ndarray:
    """Targets in the order of names, higher is better."""
    return np.array([targets[name] for name in names]) * (-1.0 if question.targets_are_lower() else 1.0)


def _decisions(
    group: RankGroup,
    targets: Mapping[str, float],
    ranking: Ranking,
    question: RankQuestion,
    *,
    lower: bool,
    rng: np.random.Generator,
) -> Decisions:
    rows = [(at, row) for at, row in enumerate(ranking.order) if row.recipe in targets]
    names = [row.recipe for _, row in rows]
    at = [place for place, _ in rows]
    errors = None
    if group.target_noise is not None and all(name in group.target_noise.errors for name in names):
        errors = np.array([group.target_noise.errors[name] for name in names])
    apart = None
    if ranking.resampled:
        apart = apart_from_ties(names, [row.tied_with or () for _, row in rows])
    wins = ranking.win_probability
    return decisions(
        np.array([row.value for _, row in rows]) * (-1.0 if lower else 1.0),
        _signed_targets(names, targets, question),
        error=errors,
        apart=apart,
        stated=None if wins is None else wins[np.ix_(at, at)],
        z=question.resolve,
        rng=rng,
        resamples=question.resamples,
        level=question.level,
    )


def _items_interval(
    group: RankGroup,
    targets: Mapping[str, float],
    ranking: Ranking,
    question: RankQuestion,
    *,
    lower: bool,
    rng: np.random.Generator,
    pilot: Pilot | None,
) -> tuple[float, float] | None:
    """Interval of the decision accuracy over items and seeds, the recipes being those that they are."""
    if not ranking.resampled:
        return None
    replicates = group.replicates.only(targets)
    drawn = resample_means(replicates, resamples=question.resamples, rng=rng, pilot=pilot)
    shares = resampled_decision_accuracy(
        -drawn if lower else drawn, _signed_targets(replicates.names, targets, question)
    )
    low, high = np.quantile(shares, [(1 - question.level) / 2, (1 + question.level) / 2])
    return float(low), float(high)
