"""Paired bootstrap of recipe means, over items and over seeds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import f as f_distribution

from rbridge.rank.replicates import Replicates


def resample_means(
    replicates: Replicates, *, resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples recipes"]:
    """Recipe means under resampling: the same items for all recipes, and seeds.

    Items: n - 1 of n are drawn with replacement, since drawing n would understate the variance of a
    mean by the factor (n - 1) / n (Rao and Wu 1988, with m = n - 1).

    Seeds: each seed's deviation from its recipe's mean, times the root of n / (n - 1), goes into
    one pool for all recipes; a recipe's mean is moved by the mean of as many draws as it has seeds.
    Teams can afford two or three seeds, and the range of a recipe's own two holds the truth half of
    the time. Pooling takes seed noise to be alike across recipes, and lends it to a recipe with one
    seed. The pool knows that noise from few degrees of freedom, the sum of n - 1, so each resample
    scales it by the root of df / chi2(df): intervals then widen as Student's t does.

    Args:
        replicates: at least one item and one row a recipe.
        resamples: how many.
        rng: source of randomness.

    Returns:
        One row a resample. A single item is never resampled, nor are seeds where no recipe has two.
    """
    by_row = _item_means(replicates.values, resamples, rng)
    rows = replicates.rows()
    means = np.stack([by_row[:, of_recipe].mean(axis=1) for of_recipe in rows], axis=1)
    pool = _seed_deviations(by_row, rows)
    if pool is None:
        return means
    moved = np.stack([_mean_of_draws(pool, len(of_recipe), rng) for of_recipe in rows], axis=1)
    freedom = sum(len(of_recipe) - 1 for of_recipe in rows)
    return means + moved * np.sqrt(freedom / rng.chisquare(freedom, size=(resamples, 1)))


def _item_means(
    values: Float[np.ndarray, "replicates items"], resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples replicates"]:
    num_items = values.shape[1]
    if num_items == 1:
        return np.repeat(values.T, resamples, axis=0)
    # How often each item is drawn, then one matrix product: never a (resamples, items, rows) array.
    counts = rng.multinomial(num_items - 1, np.full(num_items, 1 / num_items), size=resamples)
    return counts @ values.T / (num_items - 1)


def _seed_deviations(
    by_row: Float[np.ndarray, "resamples replicates"], rows: list[list[int]]
) -> Float[np.ndarray, "resamples deviations"] | None:
    """Deviations of seeds from their recipes' means, scaled to the variance of a seed; None without."""
    deviations = [
        (by_row[:, of_recipe] - by_row[:, of_recipe].mean(axis=1, keepdims=True))
        * np.sqrt(len(of_recipe) / (len(of_recipe) - 1))
        for of_recipe in rows
        if len(of_recipe) > 1
    ]
    return np.concatenate(deviations, axis=1) if deviations else None


def _mean_of_draws(
    pool: Float[np.ndarray, "resamples deviations"], num_draws: int, rng: np.random.Generator
) -> Float[np.ndarray, " resamples"]:
    drawn = rng.integers(pool.shape[1], size=(pool.shape[0], num_draws))
    return np.take_along_axis(pool, drawn, axis=1).mean(axis=1)


def uneven_seed_noise(replicates: Replicates, *, level: float = 0.99) -> tuple[tuple[str, float], ...]:
    """Recipes whose seeds vary more than the other recipes' do, so that pooling misleads.

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
