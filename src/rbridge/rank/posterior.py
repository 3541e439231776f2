"""True scores given the observed ones, with what is not known of the noise taken in.

Taking estimated noise for known makes every promise too good: a recipe that leads because its seeds happened
to agree is believed, and the regret of choosing it comes out too low. So the variances are integrated over,
on a grid, together with the mean of all recipes and the spread between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr
from scipy.stats import chi2

from rbridge.rank.components import residual_variance
from rbridge.rank.replicates import Replicates
from rbridge.rank.seeds import SeedNoise

# The spread between true scores, as multiples of that of the observed ones.
_SPREADS = np.linspace(0.0, 5.0, 61)[1:]
# The mean of all recipes, in its standard errors, and the quantiles at which noise stands, in normal scores.
_CENTRES = np.linspace(-4.0, 4.0, 25)
_SCORES = np.linspace(-3.5, 3.5, 21)
_DRAWS_AT_A_TIME = 200


@dataclass(frozen=True)
class MeanNoise:
    """What a recipe's mean may vary by, as variances at a few places with their prior weight.

    Attributes:
        variance: at each place, of each recipe; what all recipes share is left out.
        weight: of each place, adding up to 1.
        shared: one unknown variance moves all recipes together; otherwise each has its own.
    """

    variance: Float[np.ndarray, "places recipes"]
    weight: Float[np.ndarray, " places"]
    shared: bool


def mean_noise(replicates: Replicates, noise: SeedNoise | None) -> MeanNoise:
    """The noise of the recipes' means: items, and seeds with the variance that their number allows.

    Seeds: variance x freedom / chi2(freedom), as the resamples have it. Items: each recipe's deviations from
    the items' means over recipes (the crossed model: likings of different recipes are independent).
    """
    items = _item_variance(replicates)
    if noise is None:
        return MeanNoise(items[None], np.ones(1), shared=True)
    num_seeds = np.array([len(rows) for rows in replicates.rows()], dtype=np.float64)
    scale = noise.freedom / chi2.ppf(ndtr(_SCORES)[:, None], noise.freedom)
    seeds = np.maximum(noise.variance * scale - residual_variance(replicates), 0.0) / num_seeds
    weight = np.exp(-(_SCORES**2) / 2)
    return MeanNoise(items + seeds, weight / weight.sum(), shared=noise.pooled)


def _item_variance(replicates: Replicates) -> Float[np.ndarray, " recipes"]:
    by_recipe = replicates.item_means()
    num = len(by_recipe)
    found = np.zeros(num)
    if num < 2:
        return found
    apart = by_recipe - by_recipe.mean(axis=0)
    for items in replicates.strata():
        if len(items) > 1:
            # The deviation from a mean that holds the recipe itself is short by its share.
            found += apart[:, items].var(axis=1, ddof=1) * len(items) * num / (num - 1)
    return found / replicates.num_items**2


def posterior_draws(
    means: Float[np.ndarray, " recipes"], noise: MeanNoise, *, draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draws recipes"]:
    """True scores given the observed ones: means ~ N(truth, noise), truth ~ N(m, t^2), m and t unknown.

    m has a flat prior; t a flat one up to five times the standard deviation of the observed means (Gelman
    et al., Bayesian Data Analysis, section 5.4). Selecting the best afterwards needs no further correction:
    a posterior does not know who looked.
    """
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    if spread == 0:
        return np.repeat(means[None], draws, axis=0)
    between = (_SPREADS * spread) ** 2
    # Where the mean of all recipes may lie: about their mean, by a standard error that holds most noise.
    error = np.sqrt((between + float(noise.weight @ noise.variance.mean(axis=1))) / len(means))
    centre = means.mean() + error[:, None] * _CENTRES
    weight = np.stack([_likelihood(means, noise, t2, at) for t2, at in zip(between, centre, strict=True)])
    weight += np.log(error)[:, None, None]  # the width of a step in m
    weight = np.exp(weight - weight.max())
    cells = rng.choice(weight.size, size=draws, p=(weight / weight.sum()).ravel())
    spread_at, centre_at, place = np.unravel_index(cells, weight.shape)
    blocks = np.array_split(np.arange(draws), max(1, draws // _DRAWS_AT_A_TIME))
    return np.concatenate(
        [
            _given(means, noise, between[spread_at[b]], centre[spread_at[b], centre_at[b]], place[b], rng)
            for b in blocks
        ]
    )


def _log_density(
    means: Float[np.ndarray, " recipes"],
    noise: MeanNoise,
    between: Float[np.ndarray, " cells"] | float,
    centre: Float[np.ndarray, " cells"],
) -> Float[np.ndarray, "cells places recipes"]:
    """Log density of each observed mean, at each place of the noise, less a constant."""
    total = np.reshape(between, (-1, 1, 1)) + noise.variance
    return -0.5 * (np.log(total) + (means - centre[:, None, None]) ** 2 / total)


def _likelihood(
    means: Float[np.ndarray, " recipes"],
    noise: MeanNoise,
    between: float,
    centre: Float[np.ndarray, " centres"],
) -> Float[np.ndarray, "centres places"]:
    """Log weight of each centre; of each place of the noise too, where it is shared (else one column)."""
    density = _log_density(means, noise, between, centre)
    if noise.shared:
        return density.sum(axis=2) + np.log(noise.weight)
    top = density.max(axis=1)
    mixed = np.log(np.einsum("cpr,p->cr", np.exp(density - top[:, None]), noise.weight)) + top
    return mixed.sum(axis=1, keepdims=True)


def _given(
    means: Float[np.ndarray, " recipes"],
    noise: MeanNoise,
    between: Float[np.ndarray, " draws"],
    centre: Float[np.ndarray, " draws"],
    place: np.ndarray,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draws recipes"]:
    """One draw of all true scores for each drawn spread and centre."""
    if noise.shared:
        variance = noise.variance[place]
    else:
        density = _log_density(means, noise, between, centre) + np.log(noise.weight)[:, None]
        # The largest of log weights with Gumbel noise falls on a place as often as its weight says.
        at = (density + rng.gumbel(size=density.shape)).argmax(axis=1)
        variance = np.take_along_axis(noise.variance, at, axis=0)
    kept = between[:, None] / (between[:, None] + variance)  # how much of an observation is believed
    location = kept * means + (1 - kept) * centre[:, None]
    return location + rng.standard_normal(location.shape) * np.sqrt(kept * variance)
