"""Paired resamples of recipe means, over items and over seeds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import f as f_distribution

from rbridge.rank.components import residual_variance
from rbridge.rank.replicates import Replicates
from rbridge.rank.seeds import Pilot, SeedNoise, seed_noise


def resample_means(
    replicates: Replicates, *, resamples: int, rng: np.random.Generator, pilot: Pilot | None = None
) -> Float[np.ndarray, "resamples recipes"]:
    """Recipe means under resampling: the same items for all recipes, and seeds.

    Items: n - 1 of n are drawn with replacement in each stratum (a benchmark), since drawing n would
    understate the variance of a mean by the factor (n - 1) / n (Rao and Wu 1988, with m = n - 1).

    Seeds: a recipe's mean is moved by a normal draw. Its variance is drawn from what the seeds allow
    (``seed_noise``: variance x df / chi2(df), so that intervals widen as Student's t does), less the
    residual of seed and item, which the resampled items bring already, over the number of seeds. Where
    common seeds are blocks, all recipes are moved alike by the seeds' common effect.

    Args:
        replicates: at least one item and one row a recipe.
        resamples: how many.
        rng: source of randomness.
        pilot: seed noise known from elsewhere.

    Returns:
        One row a resample. A single item is never resampled, nor are seeds where no recipe has two and
        there is no pilot.
    """
    means = _item_means(replicates, resamples, rng)
    noise = seed_noise(replicates, pilot)
    if noise is None:
        return means
    num_seeds = np.array([len(rows) for rows in replicates.rows()], dtype=np.float64)
    return means + _seed_moves(noise, num_seeds, residual_variance(replicates), resamples, rng)


def _item_means(
    replicates: Replicates, resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples recipes"]:
    by_recipe = replicates.item_means()
    counts = np.concatenate(
        [item_counts(len(items), resamples, rng) * len(items) for items in replicates.strata()], axis=1
    )
    at = np.concatenate(replicates.strata())
    # One matrix product: never a (resamples, items, rows) array.
    return counts @ by_recipe[:, at].T / replicates.num_items


def item_counts(
    num_items: int, resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples items"]:
    """Shares with which items are drawn: n - 1 draws of n, each row adding up to 1; 1 for a single item."""
    if num_items == 1:
        return np.ones((resamples, 1))
    drawn = rng.integers(num_items, size=(resamples, num_items - 1), dtype=np.int32)
    drawn += np.arange(resamples, dtype=np.int32)[:, None] * num_items
    counts = np.bincount(drawn.ravel(), minlength=resamples * num_items)
    return counts.reshape(resamples, num_items) / (num_items - 1)


def _seed_moves(
    noise: SeedNoise,
    num_seeds: Float[np.ndarray, " recipes"],
    residual: float,
    resamples: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "resamples recipes"]:
    num_recipes = len(num_seeds)
    # One estimate for all recipes errs for all alike, estimates of their own each for itself.
    freedom = noise.freedom[:1] if noise.pooled else noise.freedom
    scale = freedom / rng.chisquare(freedom, size=(resamples, len(freedom)))
    variance = np.maximum(noise.variance * scale - residual, 0.0) / num_seeds
    moved = rng.standard_normal((resamples, num_recipes)) * np.sqrt(variance)
    if noise.shared > 0:
        # Known from the seeds alone, however many recipes share them.
        moved += (rng.standard_t(num_seeds[0] - 1, size=resamples) * np.sqrt(noise.shared / num_seeds[0]))[
            :, None
        ]
    return moved


def mean_covariance(replicates: Replicates, noise: SeedNoise | None) -> Float[np.ndarray, "recipes recipes"]:
    """Covariance of the recipes' means under the same two sources, the seeds' variance taken as known."""
    by_recipe = replicates.item_means()
    num_recipes = len(by_recipe)
    covariance = np.zeros((num_recipes, num_recipes))
    for items in replicates.strata():
        if len(items) > 1:
            centred = by_recipe[:, items] - by_recipe[:, items].mean(axis=1, keepdims=True)
            covariance += centred @ centred.T * (len(items) / (len(items) - 1))
    covariance /= replicates.num_items**2
    if noise is not None:
        num_seeds = np.array([len(rows) for rows in replicates.rows()], dtype=np.float64)
        own = np.maximum(noise.variance - residual_variance(replicates), 0.0) / num_seeds
        covariance += np.diag(own) + noise.shared / num_seeds[0]
    return covariance


def uneven_seed_noise(replicates: Replicates, *, level: float = 0.99) -> tuple[tuple[str, float], ...]:
    """Recipes whose seeds vary more than the other recipes' do.

    Args:
        replicates: recipes with two seeds or more count, others are passed over.
        level: an F test of each recipe's variance against that of the others together must pass it,
            after Bonferroni over recipes.

    Returns:
        Each such recipe, and how many times the others' standard deviation its own is.
    """
    by_row = replicates.values.mean(axis=1)
    seeds = {
        name: by_row[rows]
        for name, rows in zip(replicates.names, replicates.rows(), strict=True)
        if len(rows) > 1
    }
    squares = {name: float(((values - values.mean()) ** 2).sum()) for name, values in seeds.items()}
    freedom = {name: len(values) - 1 for name, values in seeds.items()}
    found = []
    for name in seeds:
        rest = sum(freedom.values()) - freedom[name]
        variance = (sum(squares.values()) - squares[name]) / rest if rest else 0.0
        if variance > 0:
            ratio = squares[name] / freedom[name] / variance
            if f_distribution.sf(ratio, freedom[name], rest) * len(seeds) < 1 - level:
                found.append((name, float(np.sqrt(ratio))))
    return tuple(found)
