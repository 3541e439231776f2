"""How many times fewer FLOPs a metric needs than the best alternative (method.md, section 5)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.compute.frontier import Point, pareto_frontier

BELOW = "below the alternative's cheapest point"
ABOVE = "above what the alternative reaches"
NO_ALTERNATIVE = "no other metric"


@dataclass(frozen=True)
class Saving:
    """A point of a method's frontier, and what the alternatives pay for its value.

    Attributes:
        point: of the method's own frontier.
        alternative_flops: where the alternatives' combined frontier reaches that value, or None.
        saving: alternative_flops over the point's FLOPs, or None.
        reason: why they are None.
    """

    point: Point
    alternative_flops: float | None
    saving: float | None
    reason: str | None = None


def savings(points: Collection[Point], method: str) -> tuple[Saving, ...]:
    """Saving at every point of a method's frontier, cheapest first.

    The alternative is the combined Pareto frontier of all other metrics, read linearly in value
    against log FLOPs. A value outside it has no saving: nothing is extrapolated.

    Args:
        points: of all metrics, value higher is better.
        method: the metric whose saving is asked for.
    """
    alternative = pareto_frontier(point for point in points if point.metric != method)
    own = pareto_frontier(point for point in points if point.metric == method)
    return tuple(_saving(point, alternative) for point in own)


def _saving(point: Point, alternative: Sequence[Point]) -> Saving:
    if not alternative:
        return Saving(point, None, None, NO_ALTERNATIVE)
    if point.value < alternative[0].value:
        return Saving(point, None, None, BELOW)
    if point.value > alternative[-1].value:
        return Saving(point, None, None, ABOVE)
    flops = _read(point.value, alternative)
    return Saving(point, flops, flops / point.flops)


def _read(value: float, frontier: Sequence[Point]) -> float:
    values = [point.value for point in frontier]
    return float(np.exp(np.interp(value, values, np.log([point.flops for point in frontier]))))


@dataclass(frozen=True)
class RecipeScores:
    """What a metric said of every recipe at one checkpoint.

    Attributes:
        metric: whose.
        flops: what training up to the checkpoint cost.
        values: one a recipe, in one order of recipes for all checkpoints; higher is better.
    """

    metric: str
    flops: float
    values: Float[np.ndarray, " recipes"]


def decision_points(
    scores: Sequence[RecipeScores], target: Float[np.ndarray, " recipes"]
) -> tuple[Point, ...]:
    """Decision accuracy of every checkpoint against the recipes' targets, as a fraction.

    Args:
        scores: of all metrics.
        target: higher is better, the same recipes, two or more.
    """
    values = _pair_scores(scores, target).mean(axis=1)
    return _points(scores, values)


def _points(scores: Sequence[RecipeScores], values: Float[np.ndarray, " scores"]) -> tuple[Point, ...]:
    return tuple(
        Point(one.metric, one.flops, float(value)) for one, value in zip(scores, values, strict=True)
    )


def _pair_scores(
    scores: Sequence[RecipeScores], target: Float[np.ndarray, " recipes"]
) -> Float[np.ndarray, "scores pairs"]:
    """1 where a checkpoint puts a pair in the target's order, 0 against it, 1/2 tied on either side."""
    first, second = np.triu_indices(len(target), k=1)
    values = np.stack([one.values for one in scores])
    truth = np.sign(target[first] - target[second])
    return (np.sign(values[:, first] - values[:, second]) * truth + 1) / 2


def saving_intervals(
    scores: Sequence[RecipeScores],
    target: Float[np.ndarray, " recipes"],
    method: str,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.9,
) -> tuple[tuple[float | None, float | None], ...]:
    """Percentile intervals of the savings, recipes resampled and both frontiers refitted.

    In each resample the method's checkpoints of the full data's frontier keep their FLOPs, take
    their resampled values, and are read on the resampled frontier of the alternatives. A value
    above that frontier counts as a saving beyond every bound, one below it as less than any.

    Args:
        scores: of all metrics.
        target: higher is better; three recipes or more.
        method: whose saving.
        rng: source of randomness.
        resamples: how many.
        level: of the interval.

    Returns:
        (low, high) for each point of ``savings``; pairs of a recipe with its own copy say nothing
        and are left out; an end that lies outside the alternatives'
        frontier in too many resamples to be told is None.
    """
    own = pareto_frontier(point for point in decision_points(scores, target) if point.metric == method)
    kept = {point.flops for point in own}
    num = len(target)
    counts = rng.multinomial(num, np.full(num, 1 / num), size=resamples).astype(np.float64)
    first, second = np.triu_indices(num, k=1)
    pairs = counts[:, first] * counts[:, second]
    # One recipe drawn every time leaves no pair: such a resample, all but impossible, says nothing.
    pairs = pairs[pairs.sum(axis=1) > 0]
    values = pairs @ _pair_scores(scores, target).T / pairs.sum(axis=1, keepdims=True)
    drawn = np.array([_resampled(_points(scores, row), method, kept) for row in values])
    return tuple(_ends(column, level) for column in drawn.T)


def _resampled(points: Sequence[Point], method: str, kept: Collection[float]) -> list[float]:
    alternative = pareto_frontier(point for point in points if point.metric != method)
    best: dict[float, Point] = {}
    for point in points:
        if point.metric == method and point.flops in kept:
            held = best.get(point.flops)
            best[point.flops] = point if held is None or point.value > held.value else held
    found = [_saving(best[flops], alternative) for flops in sorted(best)]
    outside = {ABOVE: np.inf, BELOW: 0.0}
    return [one.saving if one.saving is not None else outside[one.reason or ABOVE] for one in found]


def _ends(drawn: Float[np.ndarray, " resamples"], level: float) -> tuple[float | None, float | None]:
    # Order statistics, not interpolated ones: infinite and finite savings do not average.
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return (float(low) if 0 < low < np.inf else None), (float(high) if 0 < high < np.inf else None)
