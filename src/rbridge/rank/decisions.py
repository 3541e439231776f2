"""What an order of recipes is worth where the targets are known, and how far the targets can be known.

Rules are fixed before a score is looked at: they speak of the targets' own noise only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr

from rbridge.rank.agreement import pair_scores, recipe_interval

# Edges of the bins that stated probabilities of the likelier recipe are put in.
_BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_TOP = (1, 3, 5, 10)


@dataclass(frozen=True)
class Bin:
    """Pairs whose stated probability lies in one range.

    Attributes:
        low, high: the range; the last one is closed.
        stated: mean stated probability that the likelier recipe is better.
        found: share of the pairs in which it is, ties half.
        num_pairs: pairs.
    """

    low: float
    high: float
    stated: float
    found: float
    num_pairs: int


@dataclass(frozen=True)
class TopK:
    """How many of the target's k best are among the score's k best.

    Attributes:
        k: how many.
        recall: share; ties at the border of either side count by chance.
        null: what a random order gives, k over recipes.
    """

    k: int
    recall: float
    null: float


@dataclass(frozen=True)
class Decisions:
    """Decisions held against known targets; a figure without its data is None.

    Attributes:
        z: pairs with a target gap under z standard errors are unresolved.
        num_resolved: pairs that are resolved; None where the targets' noise is not known.
        resolved_accuracy, resolved_interval: decision accuracy on them, with its interval over recipes.
        ceiling: decision accuracy that a perfect score would be expected to have on all pairs.
        share_decided: share of pairs that the score tells apart, at the ranking's level.
        decided_accuracy: decision accuracy on those.
        num_decided: how many they are.
        brier: mean squared error of the stated pairwise probabilities (a coin's is 0.25).
        bins: the same probabilities by range.
        regret: target of the best recipe less that of the recipe with the best score.
        regret_null: the same for a recipe taken at random.
        top: recall of the k best.
    """

    z: float
    num_resolved: int | None
    resolved_accuracy: float | None
    resolved_interval: tuple[float, float] | None
    ceiling: float | None
    share_decided: float | None
    decided_accuracy: float | None
    num_decided: int
    brier: float | None
    bins: tuple[Bin, ...]
    regret: float
    regret_null: float
    top: tuple[TopK, ...]


def decisions(
    proxy: Float[np.ndarray, " recipes"],
    target: Float[np.ndarray, " recipes"],
    *,
    error: Float[np.ndarray, " recipes"] | None,
    apart: Bool[np.ndarray, "recipes recipes"] | None,
    stated: Float[np.ndarray, "recipes recipes"] | None,
    z: float,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> Decisions:
    """Hold decisions against targets.

    Args:
        proxy, target: higher is better, at least two recipes.
        error: standard error of each target, or None.
        apart: which pairs the score tells apart; None where it cannot say.
        stated: probability that the row's recipe is better than the column's; None without.
        z: of the rule that leaves unresolved pairs out.
        rng: source of randomness.
        resamples, level: of the interval.
    """
    scores = pair_scores(proxy, target)
    upper = np.triu(np.ones_like(scores, dtype=bool), k=1)
    clear = None if error is None else resolved(target, error, z)
    counted = upper if clear is None else upper & clear
    told = None if apart is None else upper & apart
    brier, bins = (None, ()) if stated is None else _calibration(stated, target, counted)
    wide = clear is not None and len(target) >= 4 and bool(counted.any())
    return Decisions(
        z=z,
        num_resolved=None if clear is None else int(counted.sum()),
        resolved_accuracy=_mean(scores, counted) if clear is not None else None,
        resolved_interval=recipe_interval(scores, rng, resamples, level, counted=clear) if wide else None,
        ceiling=None if error is None else ceiling(target, error),
        share_decided=None if told is None else float(told.sum() / upper.sum()),
        decided_accuracy=None if told is None else _mean(scores, told),
        num_decided=0 if told is None else int(told.sum()),
        brier=brier,
        bins=bins,
        regret=float(target.max() - target[proxy == proxy.max()].mean()),
        regret_null=float(target.max() - target.mean()),
        top=tuple(_top(proxy, target, k) for k in _TOP if 2 * k <= len(target)),
    )


def _mean(
    scores: Float[np.ndarray, "recipes recipes"], counted: Bool[np.ndarray, "recipes recipes"]
) -> float | None:
    return float(scores[counted].mean()) if counted.any() else None


def resolvable_gap(error: Float[np.ndarray, " recipes"], z: float) -> float:
    """The gap of two targets of typical noise from which on they are resolved, in the targets' unit."""
    return float(z * np.sqrt(2 * (error**2).mean()))


def resolved(
    target: Float[np.ndarray, " recipes"], error: Float[np.ndarray, " recipes"], z: float
) -> Bool[np.ndarray, "recipes recipes"]:
    """Pairs whose targets differ by z standard errors of the difference or more; equal targets never do."""
    gap = np.abs(np.subtract.outer(target, target))
    return (gap >= z * np.sqrt(np.add.outer(error**2, error**2))) & (gap > 0)


def ceiling(target: Float[np.ndarray, " recipes"], error: Float[np.ndarray, " recipes"]) -> float:
    """Decision accuracy that the true order is expected to have against the measured targets.

    True targets are taken as normal around their mean, with the spread that the measured ones have
    beyond their errors; the posterior of each pair's gap then says how probably its measured order is
    the true one. No score can be expected to do better.
    """
    between = max(0.0, float(target.var(ddof=1)) - float((error**2).mean()))
    if between == 0:
        return 0.5
    kept = between / (between + error**2)
    middle = target.mean() + kept * (target - target.mean())
    spread = np.sqrt(np.add.outer(kept * error**2, kept * error**2))
    upper = np.triu_indices(len(target), k=1)
    gap = (np.subtract.outer(middle, middle) * np.sign(np.subtract.outer(target, target)))[upper]
    exact = spread[upper] == 0
    sure = np.where(gap > 0, 1.0, 0.5)
    return float(np.where(exact, sure, ndtr(gap / np.where(exact, 1.0, spread[upper]))).mean())


def _calibration(
    stated: Float[np.ndarray, "recipes recipes"],
    target: Float[np.ndarray, " recipes"],
    counted: Bool[np.ndarray, "recipes recipes"],
) -> tuple[float | None, tuple[Bin, ...]]:
    if not counted.any():
        return None, ()
    better = (np.sign(np.subtract.outer(target, target))[counted] + 1) / 2
    share = stated[counted]
    brier = float(((share - better) ** 2).mean())
    likelier = np.maximum(share, 1 - share)
    # Of two that are as likely neither is the one said to be better, so half of the pair comes right.
    right = np.where(share == 0.5, 0.5, np.where(share > 0.5, better, 1 - better))
    at = np.clip(np.searchsorted(_BINS, likelier, side="right") - 1, 0, len(_BINS) - 2)
    bins = [
        Bin(
            low=_BINS[number],
            high=_BINS[number + 1],
            stated=float(likelier[at == number].mean()),
            found=float(right[at == number].mean()),
            num_pairs=int((at == number).sum()),
        )
        for number in range(len(_BINS) - 1)
        if (at == number).any()
    ]
    return brier, tuple(bins)


def _top(proxy: Float[np.ndarray, " recipes"], target: Float[np.ndarray, " recipes"], k: int) -> TopK:
    recall = float((_membership(proxy, k) * _membership(target, k)).sum() / k)
    return TopK(k, recall, k / len(target))


def _membership(values: Float[np.ndarray, " recipes"], k: int) -> Float[np.ndarray, " recipes"]:
    """Probability of standing among the k best, ties at the border drawn by lot."""
    border = np.sort(values)[-k]
    above = values > border
    share = (k - above.sum()) / (values == border).sum()
    return above + share * (values == border)


def apart_from_ties(
    names: Sequence[str], tied_with: Sequence[Sequence[str]]
) -> Bool[np.ndarray, "recipes recipes"]:
    """Which pairs are told apart, from each recipe's list of those it is tied with."""
    tied = [set(others) for others in tied_with]
    return np.array(
        [[other not in tied[row] and name != other for other in names] for row, name in enumerate(names)]
    )
