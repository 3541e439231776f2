"""The two kinds of figure that a check gives, each with its n: a share with an interval, and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
# The normal quantile of that level.
Z = 1.959964


@dataclass(frozen=True)
class Share:
    """A count out of n.

    Attributes:
        num: how many.
        n: of how many.
        value: num / n, or None where n is 0.
        interval: at 95 %; None where there is none.
    """

    num: int
    n: int
    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Quantiles:
    """How n values lie: the smallest, the 5th, 25th, 50th, 75th and 95th hundredth, the largest."""

    n: int
    low: float
    q05: float
    q25: float
    median: float
    q75: float
    q95: float
    high: float


def share(num: int, n: int) -> Share:
    """A share with Wilson's score interval (Wilson 1927).

    >>> share(1, 2).value, share(0, 0).value
    (0.5, None)
    """
    from scipy.stats import binomtest

    if n == 0:
        return Share(num, n, None, None)
    interval = binomtest(num, n).proportion_ci(LEVEL, method="wilson")
    return Share(num, n, num / n, (float(interval.low), float(interval.high)))


def clustered_share(nums: Sequence[int], ns: Sequence[int]) -> Share:
    """A share of things that come in clusters, such as tokens in traces, which are alike within one.

    The interval is that of a ratio estimator over clusters (Cochran 1977, section 6.3), cut to [0, 1];
    None of a single cluster.

    >>> clustered_share([1, 3], [4, 4]).value
    0.5
    """
    num, n = sum(nums), sum(ns)
    if n == 0:
        return Share(num, n, None, None)
    value = num / n
    if len(ns) < 2:
        return Share(num, n, value, None)
    residuals = np.array(nums) - value * np.array(ns)
    stderr = float(np.sqrt(len(ns) / (len(ns) - 1) * (residuals**2).sum())) / n
    return Share(num, n, value, (max(0.0, value - Z * stderr), min(1.0, value + Z * stderr)))


def quantiles(values: Sequence[float] | Sequence[int]) -> Quantiles | None:
    """Quantiles, interpolated linearly; None of no values.

    >>> quantiles([1, 2, 3]).median
    2.0
    """
    if not values:
        return None
    found = np.quantile(np.asarray(values, dtype=np.float64), [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
    return Quantiles(len(values), *found.tolist())
