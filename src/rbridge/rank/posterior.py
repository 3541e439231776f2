"""True scores given the observed ones, with what is not known of the noise taken in.

Taking estimated noise for known makes every promise too good: a recipe that leads because its seeds happened
to agree is believed, and the regret of choosing it comes out too low. So the variances are integrated over,
on a grid, together with the mean of all recipes and the spread between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betaln, gammaln, ndtr
from scipy.stats import chi2

from rbridge.rank.components import residual_variance
from rbridge.rank.replicates import Replicates
from rbridge.rank.seeds import SeedNoise

# The spread between true scores, as multiples of that of the observed ones: closer where it may be small,
# each weighed by the width of its step.
_STEPS = np.arange(1, 21) / 20
_SPREADS = 5 * _STEPS**2
# The mean of all recipes, in its standard errors, and the quantiles at which noise stands, in normal scores.
_CENTRES = np.linspace(-3.0, 3.0, 7)
_SCORES = np.linspace(-2.7, 2.7, 7)
# How alike the recipes' seed variances are: they vary as 1 / chi2 with these degrees of freedom.
_ALIKE = (1.5, 3.0, 6.0, 12.0, 24.0, math.inf)
# How much likelier than any of the others the last is beforehand: two seeds a recipe often look uneven by chance.
_ALL_ALIKE = 20.0
_LEAST_WEIGHT = 0.01
_DRAWS_AT_A_TIME = 100


@dataclass(frozen=True)
class MeanNoise:
    """What the recipes' means may vary by: cells of a grid, each with a variance for every recipe.

    Attributes:
        variance: in each cell, at each place, of each recipe. Within a cell the recipes' places are
            independent of one another. What all recipes share is left out.
        cell_weight: prior weight of each cell, adding up to 1.
        place_weight: of each place, adding up to 1.
    """

    variance: Float[np.ndarray, "cells places recipes"]
    cell_weight: Float[np.ndarray, " cells"]
    place_weight: Float[np.ndarray, " places"]


def known_noise(variance: Float[np.ndarray, " recipes"]) -> MeanNoise:
    """Noise whose variance is known."""
    return MeanNoise(variance[None, None], np.ones(1), np.ones(1))


def mean_noise(replicates: Replicates, noise: SeedNoise | None) -> MeanNoise:
    """The noise of the recipes' means: items, and seeds with all the variances that their number allows.

    Seeds: recipe i's variance is s0^2 d0 / chi2(d0), its sum of squares that variance times chi2 (the model
    that ``seed_noise`` moderates by); s0^2 and d0 are cells, weighed by the likelihood of all sums of
    squares, and the variance within a cell is at places of its posterior. The level's prior, 1 / s0^4, is
    the one under which an alike variance has the unbiased estimate for its mean.
    Items: each recipe's deviations from the items' means over recipes (the crossed model: likings of
    different recipes are independent).
    """
    items = _item_variance(replicates)
    if noise is None:
        return known_noise(items)
    freedom, scale, weight = _levels(noise)
    num_seeds = np.array([len(rows) for rows in replicates.rows()], dtype=np.float64)
    chance = ndtr(_SCORES)
    variance = np.empty((len(weight), len(_SCORES), len(items)))
    for cell, (alike, level) in enumerate(zip(freedom, scale, strict=True)):
        if math.isinf(alike):
            variance[cell] = level
        else:
            # Few designs have more than two numbers of seeds, and quantiles are slow.
            own, at = np.unique(noise.own_freedom, return_inverse=True)
            quantiles = chi2.ppf(1 - chance[:, None], alike + own)[:, at]
            variance[cell] = (alike * level + noise.squares) / quantiles
    seeds = np.maximum(variance - residual_variance(replicates), 0.0) / num_seeds
    places = np.exp(-(_SCORES**2) / 2)
    return MeanNoise(items + seeds, weight, places / places.sum())


def _levels(
    noise: SeedNoise,
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """Degrees of freedom d0 and level s0^2 of each cell worth keeping, and its weight."""
    own = noise.own_freedom > 0
    squares, freedom = noise.squares[own], noise.own_freedom[own]
    pilot_squares, pilot_freedom = 0.0, 0.0
    if noise.pilot is not None:
        pilot_squares, pilot_freedom = noise.pilot.variance * noise.pilot.freedom, float(noise.pilot.freedom)
    total = float(freedom.sum()) + pilot_freedom
    pooled = (float(squares.sum()) + pilot_squares) / total
    if pooled == 0:
        return np.array([math.inf]), np.zeros(1), np.ones(1)
    step = min(0.7, math.sqrt(2 / total))
    levels = pooled * np.exp(np.arange(-6.0, 4.0, step))
    # Variances can differ only where two recipes at least show theirs; a pilot stands for all recipes alike.
    kinds = _ALIKE if len(squares) > 1 and noise.pilot is None else (math.inf,)
    log_weight = np.array(
        [[_log_likelihood(squares, freedom, alike, level) for level in levels] for alike in kinds]
    )
    log_weight -= pilot_freedom / 2 * np.log(levels) + pilot_squares / 2 / levels + np.log(levels)
    log_weight[-1] += math.log(_ALL_ALIKE)
    weight = np.exp(log_weight - log_weight.max())
    kept = weight > _LEAST_WEIGHT
    at_kind, at_level = np.nonzero(kept)
    return np.array(kinds)[at_kind], levels[at_level], weight[kept] / weight[kept].sum()


def _log_likelihood(
    squares: Float[np.ndarray, " recipes"], freedom: Float[np.ndarray, " recipes"], alike: float, level: float
) -> float:
    """Log density of sums of squares, s^2 ~ s0^2 F(d, d0); what does not depend on s0 and d0 is left out."""
    if math.isinf(alike):
        each = (
            -freedom / 2 * math.log(level)
            - squares / (2 * level)
            - gammaln(freedom / 2)
            - freedom / 2 * math.log(2)
        )
        return float(each.sum())
    ratio = squares / (alike * level)
    each = (
        -freedom / 2 * math.log(alike * level)
        - (freedom + alike) / 2 * np.log1p(ratio)
        - betaln(freedom / 2, alike / 2)
    )
    return float(each.sum())


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
    typical = float(noise.cell_weight @ (noise.variance.mean(axis=2) @ noise.place_weight))
    error = np.sqrt((between + typical) / len(means))
    centre = means.mean() + error[:, None] * _CENTRES
    log_weight = np.array(
        [_log_likelihoods(means, variance, noise, between, centre) for variance in noise.variance]
    )
    # A step in m is as wide as its standard error, one in t as its distance from the last.
    log_weight += np.log(error * _STEPS)[:, None] + np.log(noise.cell_weight)[:, None, None]
    weight = np.exp(log_weight - log_weight.max())
    drawn = rng.choice(weight.size, size=draws, p=(weight / weight.sum()).ravel())
    cell, spread_at, centre_at = np.unravel_index(np.sort(drawn), weight.shape)
    return np.concatenate(
        [
            _given(
                means,
                noise,
                cell[some],
                between[spread_at[some]],
                centre[spread_at[some], centre_at[some]],
                rng,
            )
            for some in np.array_split(np.arange(draws), -(-draws // _DRAWS_AT_A_TIME))
        ]
    )


def _log_likelihoods(
    means: Float[np.ndarray, " recipes"],
    variance: Float[np.ndarray, "places recipes"],
    noise: MeanNoise,
    between: Float[np.ndarray, " spreads"],
    centre: Float[np.ndarray, "spreads centres"],
) -> Float[np.ndarray, "spreads centres"]:
    """Log likelihood of the observed means in one cell, over the places of each recipe's noise."""
    weight = noise.place_weight
    if (variance == variance[0]).all():  # alike: every place is the same
        variance, weight = variance[:1], np.ones(1)
    total = between[:, None, None] + variance
    apart = (means - centre[:, :, None]) ** 2
    density = np.exp(-0.5 * apart[:, :, None] / total[:, None]) / np.sqrt(total)[:, None]
    mixed = np.einsum("scpr,p->scr", density, weight)
    return np.log(np.maximum(mixed, np.finfo(float).tiny)).sum(axis=2)


def _given(
    means: Float[np.ndarray, " recipes"],
    noise: MeanNoise,
    cell: Int[np.ndarray, " draws"],
    between: Float[np.ndarray, " draws"],
    centre: Float[np.ndarray, " draws"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "draws recipes"]:
    """One draw of all true scores for each drawn cell, spread and centre."""
    possible = noise.variance[cell]
    total = between[:, None, None] + possible
    apart = (means - centre[:, None]) ** 2
    log_weight = np.log(noise.place_weight)[:, None] - 0.5 * (np.log(total) + apart[:, None] / total)
    # The largest of log weights with Gumbel noise falls on a place as often as its weight says.
    place = (log_weight + rng.gumbel(size=log_weight.shape)).argmax(axis=1)
    variance = np.take_along_axis(possible, place[:, None], axis=1)[:, 0]
    kept = between[:, None] / (between[:, None] + variance)  # how much of an observation is believed
    location = kept * means + (1 - kept) * centre[:, None]
    return location + rng.standard_normal(location.shape) * np.sqrt(kept * variance)
