"""Which recipe to take, and what taking it may cost: who may be best, shrunken scores, expected regret."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# Grid of the spread between recipes' true scores, as multiples of the spread of the observed ones.
_GRID = np.linspace(0.0, 5.0, 101)[1:]


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
    centred = drawn - means
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
        elif (~exact).any():
            deviation = (centred[:, [i]] - centred[:, others][:, ~exact]) / error[~exact]
            critical = float(np.quantile(deviation.max(axis=1), level))
            kept[i] = bool((trail[~exact] <= critical * error[~exact]).all())
    return kept


def select(
    means: Float[np.ndarray, " recipes"],
    drawn: Float[np.ndarray, "resamples recipes"],
    covariance: Float[np.ndarray, "recipes recipes"],
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
        seeds_known: whether ``covariance`` holds seed noise; without it no probability of being best
            is given.
        rng: source of randomness.
        level: of ``may_be_best`` and of the regret's quantile.
    """
    truth = posterior_draws(means, covariance, draws=len(drawn), rng=rng)
    best = truth.min(axis=1)
    chosen = int(means.argmin())
    regret = truth[:, chosen] - best
    shares = (truth == best[:, None]).mean(axis=0)
    return Selection(
        chosen=chosen,
        may_be_best=may_be_best(means, drawn, covariance, level=level),
        shrunken=truth.mean(axis=0),
        probability_best=shares if seeds_known else None,
        regret=float(regret.mean()),
        regret_upper=float(np.quantile(regret, level)),
    )


def posterior_draws(
    means: Float[np.ndarray, " recipes"],
    covariance: Float[np.ndarray, "recipes recipes"],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draws recipes"]:
    """True scores given the observed ones: means ~ N(truth, covariance), truth ~ N(m, t^2), m and t unknown.

    m has a flat prior; t a flat one up to five times the standard deviation of the observed means, on a
    grid (Gelman et al., Bayesian Data Analysis, section 5.4). Selecting the best afterwards needs no
    further correction: a posterior does not know who looked.
    """
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    if spread == 0:
        return np.repeat(means[None], draws, axis=0)
    values, basis = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    observed, ones = basis.T @ means, basis.T @ np.ones(len(means))
    between = (_GRID * spread) ** 2
    total = between[:, None] + values  # (grid, recipes): variance of each eigencoordinate
    precision = (ones**2 / total).sum(axis=1)  # of m
    centre = (ones * observed / total).sum(axis=1) / precision
    residual = observed - centre[:, None] * ones
    log_posterior = -0.5 * (np.log(total).sum(axis=1) + np.log(precision) + (residual**2 / total).sum(axis=1))
    weight = np.exp(log_posterior - log_posterior.max())
    at = rng.choice(len(_GRID), size=draws, p=weight / weight.sum())
    middle = centre[at] + rng.standard_normal(draws) / np.sqrt(precision[at])
    kept = (between[:, None] / total)[at]  # how much of an observation is believed
    location = kept * observed + (1 - kept) * middle[:, None] * ones
    return (location + rng.standard_normal((draws, len(means))) * np.sqrt(kept * values)) @ basis.T
