"""How much a recipe's score varies from seed to seed, from the two or three seeds that teams can afford.

Each recipe's own variance is drawn towards what the other recipes show (empirical Bayes, Smyth 2004,
"Linear models and empirical Bayes methods", section 6.2): as far as the variances are alike the pool
decides, as far as they really differ each recipe's own does. A recipe with one seed is lent the pool's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import digamma, polygamma
from scipy.stats import f as f_distribution

from rbridge.rank.replicates import Replicates

# Least degrees of freedom left for a common seed effect to be taken out of differences. Fixed in advance:
# the rule looks at the design, never at the values.
BLOCK_FREEDOM = 4.0
# A prior worth less than one degree of freedom would give intervals without an end.
_LEAST_PRIOR = 1.0


@dataclass(frozen=True)
class SeedNoise:
    """Variance of one row (one seed's mean over items), recipe by recipe.

    Attributes:
        variance: moderated, in squared units of the metric; what is left of it in differences between
            recipes where common seeds are blocks.
        freedom: degrees of freedom behind each variance.
        prior_freedom: how many the pool lends each recipe; infinite where all variances count as alike.
        shared: variance of a seed's effect on all recipes alike, which differences do not have; 0 without
            blocks.
        blocks: whether common seeds are used as blocks.
        squares: of the seeds around their recipe, what is shared taken out.
        own_freedom: degrees of freedom of each such sum.
        pilot: seed noise known from elsewhere, or None.
    """

    variance: Float[np.ndarray, " recipes"]
    freedom: Float[np.ndarray, " recipes"]
    prior_freedom: float
    shared: float
    blocks: bool
    squares: Float[np.ndarray, " recipes"]
    own_freedom: Float[np.ndarray, " recipes"]
    pilot: Pilot | None

    @property
    def pooled(self) -> bool:
        """One variance for all recipes, known from one estimate."""
        return math.isinf(self.prior_freedom)


@dataclass(frozen=True)
class Pilot:
    """Seed noise known from elsewhere: other recipes' seeds on the same items.

    Attributes:
        variance: of one row's mean.
        freedom: degrees of freedom behind it.
    """

    variance: float
    freedom: int


def pilot_of(replicates: Replicates) -> Pilot | None:
    """The pooled seed noise of a pilot study; None where no recipe has two seeds."""
    squares, freedom = _within(replicates)
    total = int(freedom.sum())
    return Pilot(float(squares.sum()) / total, total) if total else None


def seed_noise(replicates: Replicates, pilot: Pilot | None = None) -> SeedNoise | None:
    """Seed noise of every recipe; None where there is neither a second seed nor a pilot.

    Args:
        replicates: rows of one recipe are its seeds. Where every recipe has the same two or more named
            seeds, and four degrees of freedom or more are left, they are blocks: a seed's effect on all
            recipes alike is taken out of the variance of differences.
        pilot: added to the pool.
    """
    squares, freedom = _within(replicates)
    if not freedom.sum() and pilot is None:
        return None
    within = float(squares.sum()) / float(freedom.sum()) if freedom.sum() else 0.0
    blocked = common_seeds(replicates) if pilot is None else None
    if blocked is None:
        return _moderated(squares, freedom, pilot, shared=0.0, blocks=False)
    squares, freedom = _between_blocks(blocked)
    own = float(squares.sum()) / float(freedom.sum())
    return _moderated(squares, freedom, None, shared=_shared(blocked, within, own), blocks=True)


def _shared(table: Float[np.ndarray, "recipes seeds"], within: float, own: float) -> float:
    """Variance of the common seed effect; 0 unless the seeds differ more than chance makes nine in ten."""
    num_recipes, num_seeds = table.shape
    between = num_recipes * float(table.mean(axis=0).var(ddof=1))
    chance = f_distribution.ppf(0.9, num_seeds - 1, (num_seeds - 1) * (num_recipes - 1))
    return max(0.0, within - own) if between > chance * own else 0.0


def common_seeds(replicates: Replicates) -> Float[np.ndarray, "recipes seeds"] | None:
    """Row means by recipe and seed where every recipe has the same named seeds; None otherwise."""
    by_row = replicates.values.mean(axis=1)
    tables = [{replicates.seeds[row]: by_row[row] for row in rows} for rows in replicates.rows()]
    names = sorted(name for name in tables[0] if name is not None)
    complete = all(
        sorted(map(str, table)) == names and len(table) == len(rows)
        for table, rows in zip(tables, replicates.rows(), strict=True)
    )
    if not complete or (len(tables) - 1) * (len(names) - 1) < BLOCK_FREEDOM:
        return None
    return np.array([[table[name] for name in names] for table in tables])


def _within(replicates: Replicates) -> tuple[Float[np.ndarray, " recipes"], Float[np.ndarray, " recipes"]]:
    """Sum of squares of seeds around their recipe's mean, and its degrees of freedom."""
    by_row = replicates.values.mean(axis=1)
    rows = replicates.rows()
    squares = [((by_row[of_recipe] - by_row[of_recipe].mean()) ** 2).sum() for of_recipe in rows]
    return np.array(squares), np.array([len(of_recipe) - 1.0 for of_recipe in rows])


def _between_blocks(
    table: Float[np.ndarray, "recipes seeds"],
) -> tuple[Float[np.ndarray, " recipes"], Float[np.ndarray, " recipes"]]:
    """As ``_within``, around recipe mean plus seed mean; degrees of freedom shared out evenly."""
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    num_recipes, num_seeds = table.shape
    freedom = (num_seeds - 1) * (num_recipes - 1) / num_recipes
    return (residual**2).sum(axis=1), np.full(num_recipes, freedom)


def _moderated(
    squares: Float[np.ndarray, " recipes"],
    freedom: Float[np.ndarray, " recipes"],
    pilot: Pilot | None,
    *,
    shared: float,
    blocks: bool,
) -> SeedNoise:
    """Smyth's posterior variances: (d0 s0^2 + d s^2) / (d0 + d)."""
    total = float(freedom.sum()) + (pilot.freedom if pilot else 0)
    pooled = (float(squares.sum()) + (pilot.variance * pilot.freedom if pilot else 0.0)) / total
    own = freedom > 0
    variance = squares[own] / freedom[own]
    prior, prior_freedom = pooled, math.inf
    if pilot is None:
        prior, prior_freedom = scaled_f_prior(variance.tolist(), freedom[own].tolist(), pooled)
    if math.isinf(prior_freedom):
        num = len(squares)
        return SeedNoise(
            variance=np.full(num, pooled),
            freedom=np.full(num, total),
            prior_freedom=math.inf,
            shared=shared,
            blocks=blocks,
            squares=squares,
            own_freedom=freedom,
            pilot=pilot,
        )
    return SeedNoise(
        variance=(prior_freedom * prior + squares) / (prior_freedom + freedom),
        # Never more than the whole pool holds.
        freedom=np.minimum(prior_freedom + freedom, total),
        prior_freedom=prior_freedom,
        shared=shared,
        blocks=blocks,
        squares=squares,
        own_freedom=freedom,
        pilot=pilot,
    )


def scaled_f_prior(
    variances: Sequence[float], freedom: Sequence[float], pooled: float
) -> tuple[float, float]:
    """Prior variance s0^2 and its degrees of freedom d0, by moments of the log variances.

    Args:
        variances: sample variances, s^2 ~ s0^2 F(d, d0).
        freedom: degrees of freedom d of each.
        pooled: their pooled value, the answer where nothing says that they differ.

    Returns:
        (s0^2, d0); d0 is infinite where the variances spread no more than chance has them do, or where
        fewer than three of them, or a typical one of zero, say nothing.
    """
    middle = float(np.median(variances)) if len(variances) else 0.0
    if len(variances) < 3 or middle <= 0:
        return pooled, math.inf
    half = np.array(freedom) / 2
    # A variance of exactly zero has no logarithm; limma lifts it to a hundred-thousandth of the median.
    logs = np.log(np.maximum(variances, 1e-5 * middle)) - digamma(half) + np.log(half)
    spread = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if spread <= 0:
        return pooled, math.inf
    prior_freedom = max(_LEAST_PRIOR, 2 * trigamma_inverse(spread))
    at = prior_freedom / 2
    return float(np.exp(logs.mean() + digamma(at) - np.log(at))), prior_freedom


def trigamma_inverse(value: float) -> float:
    """The x > 0 with trigamma(x) = value, by Newton steps on 1 / trigamma, which is nearly straight.

    >>> round(trigamma_inverse(float(polygamma(1, 2.5))), 9)
    2.5
    """
    x = 0.5 + 1 / value  # Smyth 2004, appendix: always below the root, so that steps rise to it
    for _ in range(50):
        found = float(polygamma(1, x))
        step = found * (1 - found / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
