"""A ranking held against known targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.answers.observations import RankGroup
from rbridge.answers.question import RankQuestion
from rbridge.rank import (
    Agreement,
    Calls,
    Decisions,
    Pilot,
    Ranking,
    Relation,
    agreement,
    apart_from_ties,
    calls,
    concordance,
    decisions,
    one_seed_decision_accuracy,
    relation,
    resample_means,
    resolvable_gap,
    resolved,
    target_probability,
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
        target_probability: that the first recipe has a better target than the second, by names, learnt from the
            others' targets; None with too few targets.
        relation: what it is learnt from.
        calls: the pairs called by it.
    """

    agreement: Agreement
    decisions: Decisions | None = None
    items_interval: tuple[float, float] | None = None
    tau_items_interval: tuple[float, float] | None = None
    target_probability: Mapping[str, Mapping[str, float]] | None = None
    relation: Relation | None = None
    calls: Calls | None = None


def hold(case: Case, rng: np.random.Generator) -> Held:
    """Hold a group's ranking against its targets."""
    found = _agreement(case, rng)
    if found.num_recipes < 2:
        return Held(found)
    held, intervals = _decisions(case, rng), _items_intervals(case, rng)
    return Held(found, held, *intervals, *_calls(case, rng))


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
    errors = _errors(case, names)
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


def _errors(case: Case, names: Sequence[str]) -> np.ndarray | None:
    """Standard errors of the targets; None unless all are known."""
    noise = case.group.target_noise
    if noise is None or not all(name in noise.errors for name in names):
        return None
    return np.array([noise.errors[name] for name in names])


def _calls(
    case: Case, rng: np.random.Generator
) -> tuple[Mapping[str, Mapping[str, float]] | None, Relation | None, Calls | None]:
    """What the other recipes' targets say of each pair of recipes in the traces' format, with a target or without."""
    inside = case.group.in_format
    order = [row for row in case.ranking.order if inside is None or row.recipe in inside]
    if len(order) < 2:
        return None, None, None
    known = np.array([row.recipe in case.targets for row in order])
    names = [row.recipe for row in order if row.recipe in case.targets]
    score = case.sign * np.array([row.value for row in order])
    truth = np.zeros(len(order))
    truth[known] = case.signed_targets(names)
    counted, gap = None, 0.0
    errors = _errors(case, names)
    if errors is not None:
        gap = resolvable_gap(errors, case.question.resolve)
        counted = np.zeros((len(order), len(order)), dtype=bool)
        counted[np.ix_(known, known)] = resolved(truth[known], errors, case.question.resolve)
    stated = target_probability(score, truth, known, gap=gap)
    if stated is None:
        return None, None, None
    found = calls(stated, truth, known, counted=counted, rng=rng, resamples=case.question.resamples)
    return by_names([row.recipe for row in order], stated), relation(score, truth, known), found


def by_names(names: Sequence[str], matrix: np.ndarray) -> dict[str, dict[str, float]]:
    """A matrix of pairs for JSON, without its diagonal."""
    return {
        name: {other: float(share) for other, share in zip(names, shares, strict=True) if other != name}
        for name, shares in zip(names, matrix, strict=True)
    }


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
