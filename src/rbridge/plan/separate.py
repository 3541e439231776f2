"""How many seeds or traces would tell two recipes apart (normal approximation, two-sided test).

The difference of two recipes' means over S seeds and n traces, the same traces for both, has variance

    V = 2 seed_variance / S + trace_variance / n

with seed_variance the variance of one seed's mean about its recipe, and trace_variance that of the
difference of the two recipes on one trace, seeds averaged out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from rbridge.errors import InputError


@dataclass(frozen=True)
class Separation:
    """What a count of seeds or traces would have to be.

    Attributes:
        needed: the count, or None where no number of them is enough.
        reason: why there is none.
    """

    needed: int | None
    reason: str | None = None


def seeds_to_separate(
    difference: float,
    *,
    seed_variance: float,
    trace_variance: float,
    num_traces: int,
    level: float = 0.95,
    power: float = 0.8,
) -> Separation:
    """Seeds a recipe that find a difference of this size with the wanted power.

    Args:
        difference: of the two recipes, in the metric's unit, not 0.
        seed_variance: of one seed's mean, at least 0.
        trace_variance: of the difference on one trace, at least 0.
        num_traces: that both are scored on.
        level: of the test.
        power: chance that the test finds it.

    >>> seeds_to_separate(1.0, seed_variance=1.0, trace_variance=0.0, num_traces=1).needed
    16
    """
    left = _allowed_variance(difference, level, power) - trace_variance / num_traces
    if left <= 0:
        return Separation(None, f"with {num_traces} traces no number of seeds is enough: add traces")
    return Separation(max(1, math.ceil(2 * seed_variance / left)))


def traces_to_separate(
    difference: float,
    *,
    seed_variance: float,
    trace_variance: float,
    num_seeds: float,
    level: float = 0.95,
    power: float = 0.8,
) -> Separation:
    """Traces that find a difference of this size with the wanted power; arguments as for seeds.

    >>> traces_to_separate(1.0, seed_variance=0.0, trace_variance=10.0, num_seeds=1.0).needed
    79
    """
    left = _allowed_variance(difference, level, power) - 2 * seed_variance / num_seeds
    if left <= 0:
        return Separation(None, f"with {num_seeds:g} seeds a recipe no number of traces is enough: add seeds")
    return Separation(max(1, math.ceil(trace_variance / left)))


def _allowed_variance(difference: float, level: float, power: float) -> float:
    if difference == 0:
        raise InputError("the two recipes have the same value: no count of seeds or traces separates them")
    return (difference / (norm.ppf((1 + level) / 2) + norm.ppf(power))) ** 2
