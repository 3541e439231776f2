"""Two orders of a few things, exactly: with three of them nothing can be significant, and that must be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.stats import kendalltau


@dataclass(frozen=True)
class Exact:
    """Kendall's tau-b and what chance gives.

    Attributes:
        tau: of the two orders.
        as_high: share of all orders of the things with a tau as high or higher (one-sided p).
        chance: smallest interval of tau around 0, of equal ends, that holds 95 % of all orders.
        n: things.
    """

    tau: float
    as_high: float
    chance: tuple[float, float]
    n: int


def exact(one: Sequence[float], other: Sequence[float]) -> Exact:
    """Tau of two lists, higher better in both, against all orders of the first.

    Args:
        one: at least two values, not all equal, and at most eight (8! orders).
        other: as many.

    >>> exact([1, 2, 3], [10, 20, 30])
    Exact(tau=1.0, as_high=0.16666666666666666, chance=(-1.0, 1.0), n=3)
    """
    tau = float(kendalltau(one, other).statistic)
    every = np.array([kendalltau(order, other).statistic for order in permutations(one)])
    reach = next(end for end in np.unique(np.abs(every)) if np.mean(np.abs(every) <= end + 1e-9) >= 0.95)
    return Exact(tau, float(np.mean(every >= tau - 1e-9)), (-float(reach), float(reach)), len(one))
