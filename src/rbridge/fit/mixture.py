"""Linear regression of a target on mixture weights, as RegMix does it (Liu et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

from rbridge.fit.folds import PAPER_FOLDS, kfold
from rbridge.fit.result import NoFit

_Rows = Float[np.ndarray, " rows"]
_Table = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class LinearFit:
    """A target as a linear function of features.

    Attributes:
        centre: mean of each training feature.
        coefficients: one a feature.
        intercept: the target at the centre: the mean of the training targets.
        covariance: of the coefficients, in units of the error's variance.
        variance: of an error, estimated; None without degrees of freedom.
        freedom: of that estimate.
        num_rows: trained on.
    """

    centre: Float[np.ndarray, " features"]
    coefficients: Float[np.ndarray, " features"]
    intercept: float
    covariance: Float[np.ndarray, "features features"]
    variance: float | None
    freedom: int
    num_rows: int

    def __call__(self, features: _Table) -> _Rows:
        """Predicted targets."""
        return (features - self.centre) @ self.coefficients + self.intercept

    def half_width(self, features: _Table, level: float) -> _Rows | None:
        """Of the prediction interval of each row: errors independent, equal and normal."""
        if self.variance is None:
            return None
        away = features - self.centre
        known = 1 + 1 / self.num_rows + np.einsum("rf,fg,rg->r", away, self.covariance, away)
        return student.ppf((1 + level) / 2, self.freedom) * np.sqrt(self.variance * known)


def fit_linear(features: _Table, target: _Rows) -> LinearFit:
    """Least squares with an intercept; of equally good ones the smallest coefficients.

    Mixture weights sum to one, up to their rounding, so the columns are all but dependent: the
    smallest solution is what scikit-learn's ``LinearRegression`` gives too.

    Raises:
        NoFit: fewer than two rows, or a constant target.
    """
    if len(target) < 2:
        raise NoFit(f"{len(target)} rows; a regression needs two")
    if np.ptp(target) == 0:
        raise NoFit("constant target")
    centre, intercept = features.mean(axis=0), float(target.mean())
    away = features - centre
    inverse = np.linalg.pinv(away, rcond=np.finfo(float).eps * max(away.shape))
    coefficients = inverse @ (target - intercept)
    freedom = len(target) - 1 - int(np.linalg.matrix_rank(away))
    squares = float(((target - intercept - away @ coefficients) ** 2).sum())
    return LinearFit(
        centre,
        coefficients,
        intercept,
        inverse @ inverse.T,
        squares / freedom if freedom > 0 else None,
        freedom,
        len(target),
    )


def held_out(features: _Table, target: _Rows) -> _Rows:
    """Predictions of every row by a regression that has not seen its fold.

    Raises:
        NoFit: fewer rows than folds, or a fold whose training targets are constant.
    """
    if len(target) < PAPER_FOLDS:
        raise NoFit(f"{len(target)} rows; {PAPER_FOLDS} folds need {PAPER_FOLDS}")
    predicted = np.zeros(len(target))
    for test in kfold(len(target)):
        predicted[test] = fit_linear(features[~test], target[~test])(features[test])
    return predicted
