"""Calling pairs: how sure a difference in score is of a difference in target, the score's own bias counted in.

Resampling seeds and items tells how sure a score's order is to come out again. It does not tell whether the target
has that order: a score may be biased, by style for one, and a bias does not vary between seeds. Here a pair's bias
is normal around 0 with a standard deviation that is learnt from recipes whose targets are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr, ndtr

LEVEL = 0.9
# ln(bias / spread of the differences): beyond these ends it is as good as none, or as infinite.
_LOW, _HIGH = -8.0, 8.0


@dataclass(frozen=True)
class Calls:
    """Pairs called at a level, held against the targets.

    Attributes:
        level: stated probability from which on a pair is called.
        num_pairs: pairs whose targets are resolved.
        num_called: of them, called.
        num_right: of those, in the target's order.
    """

    level: float
    num_pairs: int
    num_called: int
    num_right: float

    @property
    def share_called(self) -> float | None:
        """Share of the resolved pairs that are called."""
        return self.num_called / self.num_pairs if self.num_pairs else None

    @property
    def share_right(self) -> float | None:
        """Share of the called pairs that are right."""
        return self.num_right / self.num_called if self.num_called else None


def stated_probability(
    difference: Float[np.ndarray, " pairs"], error: Float[np.ndarray, " pairs"], bias: float
) -> Float[np.ndarray, " pairs"]:
    """Probability that the target orders each pair as the score does.

    Args:
        difference: of the scores.
        error: standard error of each difference, seeds and items.
        bias: standard deviation of a pair's bias, in the score's unit; may be infinite.
    """
    return ndtr(_ratio(np.abs(difference), error, bias))


def fit_bias(
    difference: Float[np.ndarray, " pairs"],
    error: Float[np.ndarray, " pairs"],
    right: Float[np.ndarray, " pairs"],
) -> float:
    """The bias of greatest likelihood, given which pairs the target orders as the score does.

    Args:
        difference: of the scores.
        error: standard error of each difference.
        right: 1 in the target's order, 0 against it, 1/2 tied.

    Returns:
        Its standard deviation in the score's unit; infinite without pairs, or where the score does no better
        than chance.
    """
    size = np.abs(difference)
    if not len(size) or right.mean() <= 0.5:
        return float("inf")
    spread = float(np.median(size))
    if spread == 0:
        return float("inf")

    def loss(log_bias: float) -> float:
        ratio = _ratio(size, error, spread * float(np.exp(log_bias)))
        return -float((right * log_ndtr(ratio) + (1 - right) * log_ndtr(-ratio)).sum())

    found = minimize_scalar(loss, bounds=(_LOW, _HIGH), method="bounded")
    return spread * float(np.exp(found.x))


def calls(
    stated: Float[np.ndarray, " pairs"], right: Float[np.ndarray, " pairs"], *, level: float = LEVEL
) -> Calls:
    """Which pairs are called, and how many of them are right.

    Args:
        stated: probability of each pair's order, at least 1/2.
        right: 1 in the target's order, 0 against it, 1/2 tied.
        level: from which on a pair is called.
    """
    called = stated >= level
    return Calls(level, len(stated), int(called.sum()), float(right[called].sum()))


def _ratio(
    size: Float[np.ndarray, " pairs"], error: Float[np.ndarray, " pairs"], bias: float
) -> Float[np.ndarray, " pairs"]:
    total = np.hypot(error, bias)
    with np.errstate(over="ignore"):  # beyond the largest float is infinity, which is meant
        return np.divide(size, total, out=np.where(size > 0, np.inf, 0.0), where=total > 0)
