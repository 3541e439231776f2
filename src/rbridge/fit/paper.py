"""The paper's fitting protocol to the letter (arXiv 2509.21013; method.md, section 7).

Four families, each without bounds or guards, the best by train R2 in each of five shuffled folds.
An exponential may diverge here, as it does in the paper's own tables; ``fit.protocol`` does not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float
from scipy.optimize import curve_fit

from rbridge.fit.folds import PAPER_FOLDS, kfold
from rbridge.fit.result import Fold, NoFit, mean_of

_Rows = Float[np.ndarray, " rows"]

# The form of each family, its coefficients in order.
FORMULAS = {
    "linear": "a*x + b",
    "quadratic": "a*x^2 + b*x + c",
    "logarithmic": "a*ln(x + 1) + b",
    "exponential": "a*exp(b*x) + c",
}


@dataclass(frozen=True)
class PaperCurve:
    """A fitted family: its name and coefficients in the order of ``FORMULAS``."""

    family: str
    coefficients: tuple[float, ...]

    def __call__(self, x: _Rows) -> _Rows:
        """Target at x; not finite where the curve has left the range of floats or of its logarithm."""
        with np.errstate(all="ignore"):
            return _VALUES[self.family](x, *self.coefficients)


@dataclass(frozen=True)
class PaperFit:
    """A proxy's relation to a target by the paper's protocol.

    Attributes:
        best: the curve with the best train R2 on all rows.
        r2: of it, on all rows.
        train_r2, test_mae: means over folds, as in the paper's tables.
        folds: each fold.
    """

    best: PaperCurve
    r2: float
    train_r2: float
    test_mae: float
    folds: tuple[Fold, ...]


def fit_paper(x: _Rows, y: _Rows) -> PaperFit:
    """Fit by the paper's protocol.

    Args:
        x: proxy values, a lower-is-better proxy negated, in the order of tokens trained.
        y: target values, same rows.

    Raises:
        NoFit: fewer rows than folds, a constant side, or a fold in which nothing can be computed.
    """
    _check(x, y)
    folds = tuple(
        _fold(x[~test], y[~test], x[test], y[test], number)
        for number, test in enumerate(kfold(len(x)), start=1)
    )
    best, r2 = _best(x, y, "all rows")
    train_r2, test_mae = mean_of(folds)
    return PaperFit(best, r2, train_r2, test_mae, folds)


def _check(x: _Rows, y: _Rows) -> None:
    if len(x) < PAPER_FOLDS:
        raise NoFit(f"{len(x)} rows; {PAPER_FOLDS} folds need {PAPER_FOLDS}")
    if np.ptp(x) == 0:
        raise NoFit("constant proxy")
    if np.ptp(y) == 0:
        raise NoFit("constant target")


def _fold(
    train_x: Float[np.ndarray, " train"],
    train_y: Float[np.ndarray, " train"],
    test_x: Float[np.ndarray, " test"],
    test_y: Float[np.ndarray, " test"],
    number: int,
) -> Fold:
    curve, r2 = _best(train_x, train_y, f"fold {number}")
    mae = float(np.abs(test_y - curve(test_x)).mean())
    if not np.isfinite(mae):
        raise NoFit(f"fold {number}: the {curve.family} curve is not finite on the held-out rows")
    return Fold(curve.family, r2, mae, len(test_x))


def _best(x: _Rows, y: _Rows, where: str) -> tuple[PaperCurve, float]:
    """The family with the best train R2; the first of equals."""
    if np.ptp(y) == 0:
        raise NoFit(f"{where}: constant target")
    found = [(r2, curve) for curve in _curves(x, y) if np.isfinite(r2 := _r2(y, curve(x)))]
    if not found:
        raise NoFit(f"{where}: no family could be fitted")
    r2, curve = max(found, key=lambda pair: pair[0])
    return curve, r2


def _r2(y: _Rows, predicted: _Rows) -> float:
    with np.errstate(all="ignore"):
        return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _curves(x: _Rows, y: _Rows) -> list[PaperCurve]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Rank and covariance warnings: the paper's protocol keeps such fits if they are finite.
        warnings.simplefilter("ignore")
        fitted = {
            "linear": _fitted_polynomial(x, y, 1),
            "quadratic": _fitted_polynomial(x, y, 2),
            "logarithmic": _fitted_polynomial(np.log1p(x), y, 1) if (x > -1).all() else None,
            "exponential": _fitted_exponential(x, y),
        }
    return [
        PaperCurve(family, tuple(float(value) for value in coefficients))
        for family, coefficients in fitted.items()
        if coefficients is not None and np.isfinite(coefficients).all()
    ]


def _fitted_polynomial(x: _Rows, y: _Rows, degree: int) -> Float[np.ndarray, " coefficients"] | None:
    if not x.any():  # every x of the fold is 0, which polyfit divides by: the family drops out
        return None
    try:
        return np.polyfit(x, y, degree)
    except np.linalg.LinAlgError:
        return None


def _fitted_exponential(x: _Rows, y: _Rows) -> Float[np.ndarray, " coefficients"] | None:
    try:
        return curve_fit(_exponential, x, y, p0=(1, 0.1, 0), maxfev=5000)[0]
    except RuntimeError:  # no convergence: the family drops out
        return None


def _linear(x: _Rows, a: float, b: float) -> _Rows:
    return a * x + b


def _quadratic(x: _Rows, a: float, b: float, c: float) -> _Rows:
    return a * x**2 + b * x + c


def _logarithmic(x: _Rows, a: float, b: float) -> _Rows:
    return a * np.log(x + 1) + b


@no_type_check  # curve_fit calls it thousands of times a fold: a check of shapes each time would be the whole cost
def _exponential(x: _Rows, a: float, b: float, c: float) -> _Rows:
    return a * np.exp(b * x) + c


_VALUES: dict[str, Callable[..., _Rows]] = {
    "linear": _linear,
    "quadratic": _quadratic,
    "logarithmic": _logarithmic,
    "exponential": _exponential,
}
