"""Whether two columns of one run move together beyond both rising with its clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

_Rows = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class Correlation:
    """A correlation, and its two-sided p-value against none.

    Attributes:
        r: Pearson's, or None with the reason.
        p_value: from Student's t; None with r.
        num_rows: behind it.
        reason: why r is None.
    """

    r: float | None
    p_value: float | None
    num_rows: int
    reason: str | None = None


def detrended(x: _Rows, y: _Rows, clock: _Rows) -> Correlation:
    """Correlation of what is left of x and y once each has been fitted linearly on a clock.

    Args:
        x: proxies.
        y: targets.
        clock: such as ln(tokens).
    """
    if np.ptp(clock) == 0:
        return Correlation(None, None, len(x), "constant clock")
    return _correlation(
        _residual(x, clock), _residual(y, clock), spent=3, scales=(float(np.std(x)), float(np.std(y)))
    )


def first_differences(x: _Rows, y: _Rows) -> Correlation:
    """Correlation of the steps from one checkpoint to the next."""
    return _correlation(np.diff(x), np.diff(y), spent=2, scales=(float(np.std(x)), float(np.std(y))))


def _residual(values: _Rows, clock: _Rows) -> _Rows:
    slope = np.cov(values, clock)[0, 1] / clock.var(ddof=1)
    return values - values.mean() - slope * (clock - clock.mean())


def _correlation(x: _Rows, y: _Rows, *, spent: int, scales: tuple[float, float]) -> Correlation:
    num = len(x)
    if num <= spent:
        return Correlation(None, None, num, "too few rows")
    # What is left of a straight line is rounding, whose correlation means nothing.
    if x.std() <= 1e-9 * scales[0] or y.std() <= 1e-9 * scales[1]:
        return Correlation(None, None, num, "nothing is left")
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    if abs(r) == 1:
        return Correlation(r, 0.0, num)
    statistic = abs(r) * np.sqrt((num - spent) / (1 - r * r))
    return Correlation(r, float(2 * student.sf(statistic, num - spent)), num)
