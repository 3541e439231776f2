"""Paired bootstrap of recipe means, over items and over seeds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from rbridge.rank.replicates import Replicates


def resample_means(
    replicates: Replicates, *, resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples recipes"]:
    """Recipe means under resampling: the same items for all recipes, seeds within each recipe.

    Of n units, n - 1 are drawn with replacement. Drawing n would understate the variance of a mean
    by the factor (n - 1) / n, which is a half at the two seeds that teams can afford (Rao and Wu
    1988, "Resampling inference with complex survey data", with m = n - 1).

    Args:
        replicates: at least one item and one row a recipe.
        resamples: how many.
        rng: source of randomness.

    Returns:
        One row a resample. A single item, or a recipe's single seed, is never resampled.
    """
    by_row = _item_means(replicates.values, resamples, rng)
    return np.stack([_seed_means(by_row[:, rows], rng) for rows in replicates.rows()], axis=1)


def _item_means(
    values: Float[np.ndarray, "replicates items"], resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples replicates"]:
    num_items = values.shape[1]
    if num_items == 1:
        return np.repeat(values.T, resamples, axis=0)
    # How often each item is drawn, then one matrix product: never a (resamples, items, rows) array.
    counts = rng.multinomial(num_items - 1, np.full(num_items, 1 / num_items), size=resamples)
    return counts @ values.T / (num_items - 1)


def _seed_means(
    by_seed: Float[np.ndarray, "resamples seeds"], rng: np.random.Generator
) -> Float[np.ndarray, " resamples"]:
    resamples, num_seeds = by_seed.shape
    if num_seeds == 1:
        return by_seed[:, 0]
    counts = rng.multinomial(num_seeds - 1, np.full(num_seeds, 1 / num_seeds), size=resamples)
    return (counts * by_seed).sum(axis=1) / (num_seeds - 1)
