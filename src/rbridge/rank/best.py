"""Which recipe to take, and what taking it may cost: who may be best, shrunken scores, expected regret."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from rbridge.rank.posterior import MeanNoise, posterior_draws

# Worked on at a time, so that they stay in the processor's cache.
_ROWS = 64


@dataclass(frozen=True)
class Selection:
    """What choosing the best observed recipe means.

    Attributes:
        chosen: index of the recipe with the best observed score.
        may_be_best: per recipe, whether it cannot be excluded as best.
        shrunken: posterior mean of each true score: the observed one drawn towards the others.
        probability_best: of each recipe; None where seed noise is not known.
        regret: expected shortfall of the chosen recipe against the truly best one, in the metric's unit.
        regret_upper: its quantile at the ranking's level.
    """

    chosen: int
    may_be_best: Bool[np.ndarray, " recipes"]
    shrunken: Float[np.ndarray, " recipes"]
    probability_best: Float[np.ndarray, " recipes"] | None
    regret: float
    regret_upper: float


def may_be_best(
    means: Float[np.ndarray, " recipes"],
    drawn: Float[np.ndarray, "resamples recipes"],
    covariance: Float[np.ndarray, "recipes recipes"],
    *,
    level: float,
) -> Bool[np.ndarray, " recipes"]:
    """Recipes that cannot be excluded as best: multiple comparisons with the best (Hsu 1984).

    Recipe i is excluded where it trails some j by more standard errors than the ``level`` quantile of
    the largest such trail over all j, were all equal. The truly best one is excluded with probability
    1 - level at most: narrower than a rank set, which speaks of every recipe.

    Args:
        means: lower is better.
        drawn: their resamples.
        covariance: of the means, for standard errors of differences.
        level: of the statement.
    """
    num = len(means)
    centred = np.ascontiguousarray((drawn - means).T)
    lowest = centred.min(axis=0)
    scale = max(1.0, float(np.abs(means).max()))
    kept = np.ones(num, dtype=bool)
    for i in range(num):
        others = np.arange(num) != i
        variance = covariance[i, i] + np.diag(covariance)[others] - 2 * covariance[i, others]
        error = np.sqrt(np.maximum(variance, 0.0))
        trail = means[i] - means[others]
        exact = error <= 1e-12 * scale  # a difference that never varies excludes at any size
        if (trail[exact] > 1e-12 * scale).any():
            kept[i] = False
            continue
        error, trail = error[~exact], trail[~exact]
        if not (trail > 0).any():
            continue
        needed = float((trail / error).max())
        # Many recipes are settled at little cost: no deviation is larger than these, and a maximum only grows.
        bound = (centred[i] - lowest) / error.min()
        kept[i] = float(np.quantile(bound, level)) >= needed
        if not kept[i]:
            continue
        largest = np.full(len(drawn), -np.inf)
        varying = np.flatnonzero(others)[~exact]
        for some in np.array_split(np.arange(len(varying)), -(-len(varying) // _ROWS)):
            deviation = centred[i] - centred[varying[some]]
            deviation /= error[some, None]
            np.maximum(largest, deviation.max(axis=0), out=largest)
            kept[i] = float(np.quantile(largest, level)) >= needed
            if kept[i]:
                break
    return kept


def select(
    means: Float[np.ndarray, " recipes"],
    drawn: Float[np.ndarray, "resamples recipes"],
    covariance: Float[np.ndarray, "recipes recipes"],
    noise: MeanNoise,
    *,
    seeds_known: bool,
    rng: np.random.Generator,
    level: float,
) -> Selection:
    """The consequences of taking the recipe with the best observed mean.

    Args:
        means: lower is better.
        drawn: their resamples.
        covariance: of the means.
        noise: of the means, with what is not known of it.
        seeds_known: whether ``noise`` holds seed noise; without it no probability of being best
            is given.
        rng: source of randomness.
        level: of ``may_be_best`` and of the regret's quantile.
    """
    truth = posterior_draws(means, noise, draws=len(drawn), rng=rng)
    best = truth.min(axis=1)
    chosen = int(means.argmin())
    regret = truth[:, chosen] - best
    first = truth == best[:, None]
    shares = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)  # several best share a draw
    return Selection(
        chosen=chosen,
        may_be_best=may_be_best(means, drawn, covariance, level=level),
        shrunken=truth.mean(axis=0),
        probability_best=shares if seeds_known else None,
        regret=float(regret.mean()),
        regret_upper=float(np.quantile(regret, level)),
    )
