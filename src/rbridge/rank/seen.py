"""Which recipes have seen the problems: whose gap between problems and their twins stands out among the recipes'.

A gap holds the twins' own difficulty, which all recipes share, what a recipe's liking for certain numbers adds, which
spreads the gaps of clean recipes, and what having seen the problems adds, which only raises it. So the gaps are tested
for outliers above, by Rosner's generalised many-outlier procedure (1983, Technometrics 25), of which the critical
values are simulated for one side and for as many recipes as there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.rank.bootstrap import resample_means
from rbridge.rank.replicates import Replicates

FEWEST = 3
_SIMULATED = 20_000
_TOO_FEW = f"fewer than {FEWEST} recipes: nothing shows how far the gaps of clean ones lie apart"


@dataclass(frozen=True)
class Gap:
    """One recipe's gap.

    Attributes:
        recipe: its name.
        gap: how much better the problems are scored than their twins, mean over problems and seeds.
        interval: of it, over problems and seeds; None where neither can be resampled.
        excess: the gap less the mean gap of the recipes that are not called, itself aside; None of a single recipe.
        excess_interval: of it, problems paired.
        p_value: of the recipe being among the outliers, for all recipes at once; None below three recipes.
        seen: whether it is called; None where nothing can tell.
        reason: why.
    """

    recipe: str
    gap: float
    interval: tuple[float, float] | None
    excess: float | None
    excess_interval: tuple[float, float] | None
    p_value: float | None
    seen: bool | None
    reason: str | None


def seen_problems(
    replicates: Replicates, *, rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> tuple[Gap, ...]:
    """Call the recipes whose gap is an outlier above the others'.

    With k recipes at most (k - 1) / 2 can be called: the others must show what clean recipes are like.

    Args:
        replicates: gaps, one row a replicate, one column a problem; higher where the problem is scored better.
        rng: of resamples and of the simulated null.
        level: of intervals; 1 - level is the chance that any of all clean recipes is called.
        resamples: of problems and seeds.

    Returns:
        One row a recipe, the largest gap first.
    """
    means, names = replicates.means(), replicates.names
    drawn = resample_means(replicates, resamples=resamples, rng=rng)
    varies = float(np.ptp(drawn, axis=0).max()) > 0
    order = np.argsort(-means, kind="stable")
    p_values = outlier_p_values(means, rng) if len(means) >= FEWEST else None
    called = np.zeros(len(means), dtype=bool) if p_values is None else p_values <= 1 - level
    gaps = []
    for at in order:
        others = ~called
        others[at] = False
        excess, excess_interval = None, None
        if others.any():
            excess = float(means[at] - means[others].mean())
            excess_interval = (
                _interval(drawn[:, at] - drawn[:, others].mean(axis=1), level) if varies else None
            )
        # The gap must also be more than noise of the problems.
        noisy = excess_interval is not None and excess_interval[0] <= 0
        gaps.append(Gap(
            recipe=names[at],
            gap=float(means[at]),
            interval=_interval(drawn[:, at], level) if varies else None,
            excess=excess,
            excess_interval=excess_interval,
            p_value=None if p_values is None else float(p_values[at]),
            seen=None if p_values is None else bool(called[at]) and not noisy,
            reason=_TOO_FEW if p_values is None else None,
        ))  # fmt: skip
    return tuple(gaps)


def outlier_p_values(
    means: Float[np.ndarray, " recipes"], rng: np.random.Generator, simulated: int = _SIMULATED
) -> Float[np.ndarray, " recipes"]:
    """For each recipe, how likely so far an outlier above is anywhere among as many normal values of one spread.

    Args:
        means: at least three.
        rng: of the simulation.
        simulated: sets of normal values.
    """
    found = _deviations(means[None])[0]
    null = _deviations(rng.standard_normal((simulated, len(means))))
    # Of each number of outliers, with one share of the error: Rosner tests them all.
    of_number = (1 + (null >= found).sum(axis=0)) / (1 + simulated) * len(found)
    p_values = np.ones(len(means))
    # The j largest are called where any number from j on is.
    p_values[np.argsort(-means, kind="stable")[: len(found)]] = np.minimum.accumulate(of_number[::-1])[::-1]
    return np.minimum(p_values, 1.0)


def _deviations(sets: Float[np.ndarray, "sets recipes"]) -> Float[np.ndarray, "sets numbers"]:
    """For 1, 2, ... outliers: the least of them, in standard deviations of the rest from their mean."""
    ordered = np.sort(sets, axis=1)
    num = ordered.shape[1]
    found = []
    for outliers in range(1, (num - 1) // 2 + 1):
        rest = ordered[:, : num - outliers]
        spread = np.maximum(rest.std(axis=1, ddof=1), 1e-150)
        found.append((ordered[:, num - outliers] - rest.mean(axis=1)) / spread)
    return np.stack(found, axis=1)


def _interval(values: Float[np.ndarray, " resamples"], level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
