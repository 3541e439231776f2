"""How well one order of recipes agrees with another: decision accuracy and Kendall's tau."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import kendalltau

from rbridge.rank.replicates import Replicates

CONSTANT = "constant"
TOO_FEW = "fewer than two recipes"
CHANCE = 0.5


@dataclass(frozen=True)
class Agreement:
    """A proxy's order against the target's.

    Attributes:
        decision_accuracy: share of pairs in the target's order; a tie on either side is half.
        interval: of the decision accuracy, by resampling recipes; None below four recipes.
        kendall_tau: tau-b; None where one side is constant.
        p_value: of tau against no relation; None with tau.
        num_recipes: recipes with a proxy value and a target.
        num_pairs: all pairs of them.
        num_ties: pairs tied on either side.
        one_seed: mean decision accuracy of single seeds; None without common seeds.
        num_seeds: seeds behind ``one_seed``.
        reason: why a figure is None.
    """

    decision_accuracy: float | None
    interval: tuple[float, float] | None
    kendall_tau: float | None
    p_value: float | None
    num_recipes: int
    num_pairs: int
    num_ties: int
    one_seed: float | None
    num_seeds: int
    reason: str | None

    def side_of_chance(self, level: float) -> Literal["above", "below"] | None:
        """Where the interval leaves out 1/2 and tau's p lies below ``1 - level``: on which side; else None.

        Both are asked: a perfect order's interval has no width, however few the recipes (four: p 2/4!).
        """
        if self.interval is None or self.p_value is None or self.p_value >= 1 - level:
            return None
        low, high = self.interval
        return "above" if low > CHANCE else "below" if high < CHANCE else None


def pair_scores(
    proxy: Float[np.ndarray, " recipes"], target: Float[np.ndarray, " recipes"]
) -> Float[np.ndarray, "recipes recipes"]:
    """1 where a pair stands in the target's order, 0 against it, 1/2 tied; symmetric."""
    agree = np.sign(np.subtract.outer(proxy, proxy)) * np.sign(np.subtract.outer(target, target))
    return (agree + 1) / 2


def decision_accuracy(proxy: Float[np.ndarray, " recipes"], target: Float[np.ndarray, " recipes"]) -> float:
    """Share of the pairs of recipes that a proxy puts in the target's order.

    Args:
        proxy: higher is better.
        target: higher is better.

    Returns:
        In [0, 1]; a pair tied on either side counts half, so that a constant gives exactly 0.5.

    >>> decision_accuracy(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))
    0.6666666666666666
    """
    upper = np.triu_indices(len(proxy), k=1)
    return float(pair_scores(proxy, target)[upper].mean())


def agreement(
    proxy: Float[np.ndarray, " recipes"],
    target: Float[np.ndarray, " recipes"],
    *,
    one_seed: float | None,
    num_seeds: int,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Agreement:
    """Decision accuracy and Kendall's tau of a proxy against a target.

    Args:
        proxy: seed-averaged, higher is better.
        target: higher is better, same recipes.
        one_seed: mean decision accuracy of single seeds, from ``one_seed_decision_accuracy``.
        num_seeds: seeds behind it.
        rng: source of randomness.
        resamples: of recipes, for the interval.
        level: of the interval.
    """
    num = len(proxy)
    if num < 2:
        return Agreement(None, None, None, None, num, 0, 0, None, 0, TOO_FEW)
    scores = pair_scores(proxy, target)
    upper = np.triu_indices(num, k=1)
    tied = scores[upper] == 0.5
    constant = np.ptp(proxy) == 0 or np.ptp(target) == 0
    tau = None if constant else kendalltau(proxy, target, variant="b")
    return Agreement(
        decision_accuracy=float(scores[upper].mean()),
        interval=recipe_interval(scores, rng, resamples, level) if num >= 4 else None,
        kendall_tau=None if tau is None else float(tau.statistic),
        p_value=None if tau is None else float(tau.pvalue),
        num_recipes=num,
        num_pairs=len(tied),
        num_ties=int(tied.sum()),
        one_seed=one_seed,
        num_seeds=num_seeds,
        reason=CONSTANT if constant else None,
    )


def recipe_interval(
    scores: Float[np.ndarray, "recipes recipes"],
    rng: np.random.Generator,
    resamples: int,
    level: float,
    *,
    counted: Bool[np.ndarray, "recipes recipes"] | None = None,
) -> tuple[float, float]:
    """Percentile interval of the mean pair score, recipes drawn with replacement.

    Pairs of a recipe with its own copy say nothing and are left out, as are pairs not ``counted``.
    """
    num = len(scores)
    counts = rng.multinomial(num, np.full(num, 1 / num), size=resamples).astype(np.float64)
    kept = 1 - np.eye(num) if counted is None else counted & ~np.eye(num, dtype=bool)
    hits = ((counts @ (scores * kept)) * counts).sum(axis=1)
    pairs = ((counts @ kept) * counts).sum(axis=1)
    drawn = hits[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def gain_interval(
    proxy: Float[np.ndarray, " recipes"],
    other: Float[np.ndarray, " recipes"],
    target: Float[np.ndarray, " recipes"],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, tuple[float, float] | None]:
    """How much better one proxy's decision accuracy is than another's, on the same recipes.

    Args:
        proxy, other: two proxies' values, higher is better.
        target: higher is better, same recipes.
        rng: source of randomness.
        resamples: of recipes, the same for both proxies.
        level: of the interval.

    Returns:
        The difference, and its percentile interval; None below four recipes.
    """
    difference = decision_accuracy(proxy, target) - decision_accuracy(other, target)
    if len(target) < 4:
        return difference, None
    scores = pair_scores(proxy, target) - pair_scores(other, target)
    return difference, recipe_interval(scores, rng, resamples, level)


def one_seed_decision_accuracy(
    replicates: Replicates, target: Float[np.ndarray, " recipes"], *, lower_is_better: bool
) -> tuple[float | None, int]:
    """Mean decision accuracy of rankings by one seed each.

    Args:
        replicates: rows with seeds.
        target: higher is better, one value a recipe in the order of ``replicates.names``.
        lower_is_better: direction of the replicates' metric.

    Returns:
        The mean over seeds that every recipe has, and their number; (None, 0) without any.
        Rows without a named seed are taken in their order: first of each recipe, second, ...
    """
    sign = -1.0 if lower_is_better else 1.0
    by_row = sign * replicates.values.mean(axis=1)
    of_seed: dict[str, list[float]] = defaultdict(list)
    for rows in replicates.rows():
        named = {replicates.seeds[row] or f"#{place}": by_row[row] for place, row in enumerate(rows)}
        for seed, value in named.items():
            of_seed[seed].append(value)
    complete = [np.array(values) for values in of_seed.values() if len(values) == len(target)]
    if not complete or len(target) < 2:
        return None, 0
    return float(np.mean([decision_accuracy(values, target) for values in complete])), len(complete)
