"""The order of recipes, with intervals, the ranks that each may have, and who is tied with whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from rbridge.rank.bootstrap import resample_means
from rbridge.rank.replicates import Replicates

NO_REPLICATES = "no replicates"


@dataclass(frozen=True)
class RankedRecipe:
    """One recipe's place.

    Attributes:
        recipe: its name.
        value: mean over items and seeds.
        num_seeds: replicates behind it.
        interval: of the value, or None.
        rank: 1 is best; exactly equal values share the better rank.
        rank_set: lowest and highest rank that cannot be excluded, for all recipes at once.
        tied_with: recipes from which it cannot be told apart at that level.
        reason: why interval, rank set and ties are None.
    """

    recipe: str
    value: float
    num_seeds: int
    interval: tuple[float, float] | None
    rank: int
    rank_set: tuple[int, int] | None
    tied_with: tuple[str, ...] | None
    reason: str | None


@dataclass(frozen=True)
class Ranking:
    """All recipes, best first.

    Attributes:
        order: one row a recipe.
        win_probability: for each pair in that order, the share of resamples in which the row is
            better than the column, ties half; None without replicates.
        num_items: items that all recipes share.
        resampled: what varied between resamples: "items", "seeds", both, or nothing.
        level: of the intervals and of the rank sets (these hold for all recipes at once).
        resamples: bootstrap resamples.
    """

    order: tuple[RankedRecipe, ...]
    win_probability: Float[np.ndarray, "recipes recipes"] | None
    num_items: int
    resampled: tuple[str, ...]
    level: float
    resamples: int


def rank_recipes(
    replicates: Replicates,
    *,
    lower_is_better: bool,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Ranking:
    """Order recipes by their mean, with paired bootstrap uncertainty.

    Two recipes are told apart where the difference of their means, over its bootstrap standard
    error, exceeds the ``level`` quantile of the largest such ratio over all pairs and resamples
    (a max-t region), so that all statements hold at once with that probability. A recipe's rank
    set follows: one more than the recipes told better, up to all less those told worse.

    Args:
        replicates: every recipe on the same items.
        lower_is_better: direction of the metric.
        rng: source of randomness.
        resamples: bootstrap resamples.
        level: confidence.

    Returns:
        The ranking. Where there is one item and no recipe has two seeds, nothing can be resampled:
        intervals, rank sets and win probabilities are then None, with the reason.
    """
    means = replicates.means()
    ranks = rankdata(means if lower_is_better else -means, method="min")
    order = np.lexsort((np.arange(len(means)), ranks))
    num_seeds = [len(rows) for rows in replicates.rows()]
    resampled = _what_varies(replicates.num_items, num_seeds)
    if not resampled:
        rows = [
            RankedRecipe(
                recipe=replicates.names[i],
                value=float(means[i]),
                num_seeds=num_seeds[i],
                interval=None,
                rank=int(ranks[i]),
                rank_set=None,
                tied_with=None,
                reason=NO_REPLICATES,
            )
            for i in order
        ]
        return Ranking(tuple(rows), None, replicates.num_items, (), level, resamples)
    drawn = resample_means(replicates, resamples=resamples, rng=rng)
    better = told_better(
        means if lower_is_better else -means, drawn if lower_is_better else -drawn, level=level
    )
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    rows = [
        RankedRecipe(
            recipe=replicates.names[i],
            value=float(means[i]),
            num_seeds=num_seeds[i],
            interval=(float(low[i]), float(high[i])),
            rank=int(ranks[i]),
            rank_set=(1 + int(better[:, i].sum()), len(means) - int(better[i].sum())),
            tied_with=tuple(
                replicates.names[j] for j in order if j != i and not better[i, j] and not better[j, i]
            ),
            reason=None,
        )
        for i in order
    ]
    wins = win_probability(drawn[:, order], lower_is_better=lower_is_better)
    return Ranking(tuple(rows), wins, replicates.num_items, resampled, level, resamples)


def _what_varies(num_items: int, num_seeds: list[int]) -> tuple[str, ...]:
    items = ("items",) if num_items > 1 else ()
    return (*items, "seeds") if max(num_seeds) > 1 else items


def told_better(
    means: Float[np.ndarray, " recipes"], drawn: Float[np.ndarray, "resamples recipes"], *, level: float
) -> Bool[np.ndarray, "recipes recipes"]:
    """Whether the row is told better (lower) than the column, for all pairs at once.

    Args:
        means: lower is better.
        drawn: their bootstrap resamples.
        level: probability that none of the statements is wrong.
    """
    left, right = np.triu_indices(len(means), k=1)
    better = np.zeros((len(means), len(means)), dtype=bool)
    if not len(left):
        return better
    difference = means[left] - means[right]
    error, largest = _studentised(means, drawn, left, right)
    critical = float(np.quantile(largest, level))
    # A pair whose difference never varies is told apart by any difference at all.
    apart = np.where(error > 0, np.abs(difference) > critical * error, difference != 0)
    better[left, right] = apart & (difference < 0)
    better[right, left] = apart & (difference > 0)
    return better


def _studentised(
    means: Float[np.ndarray, " recipes"],
    drawn: Float[np.ndarray, "resamples recipes"],
    left: np.ndarray,
    right: np.ndarray,
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " resamples"]]:
    """Standard error of each pair's difference, and each resample's largest |deviation| over it."""
    centred = drawn - means
    # Differences' variances from one covariance matrix; the maxima in blocks, to bound memory.
    covariance = np.cov(drawn, rowvar=False, ddof=1)
    variance = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
    error = np.sqrt(np.maximum(variance, 0.0))
    error[error < 1e-12 * float(np.abs(means).max())] = 0.0  # rounding of equal columns
    largest = np.zeros(len(drawn))
    for block in np.array_split(np.flatnonzero(error > 0), max(1, len(left) // 4096)):
        if len(block):
            deviation = np.abs(centred[:, left[block]] - centred[:, right[block]]) / error[block]
            np.maximum(largest, deviation.max(axis=1), out=largest)
    return error, largest


def win_probability(
    drawn: Float[np.ndarray, "resamples recipes"], *, lower_is_better: bool
) -> Float[np.ndarray, "recipes recipes"]:
    """Share of resamples in which the row is better than the column; ties, and itself, half."""
    signed = -drawn if lower_is_better else drawn
    wins = np.empty((drawn.shape[1], drawn.shape[1]))
    for i in range(drawn.shape[1]):
        above = signed[:, [i]] > signed
        equal = signed[:, [i]] == signed
        wins[i] = above.mean(axis=0) + equal.mean(axis=0) / 2
    return wins
