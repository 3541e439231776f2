"""How the errors of rows hang together: not at all, along one run, or within a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

# Strengths of the dependence, and how likely each is before the data speak, (1 - s)^3. A flat start
# makes intervals of fifteen independent rows too wide, one at 0 those of a run's next checkpoints
# too narrow (bench/fit_coverage.py measures both).
_STRENGTHS = np.linspace(0.0, 0.8, 5)
_PRIOR = (1 - _STRENGTHS) ** 3
_NONE = np.zeros(1)

_Matrix = Float[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Dependence:
    """Correlation of the errors, up to one strength that the data must tell.

    Attributes:
        kind: ``independent``, ``run`` (first-order autoregressive in the order of rows) or
            ``recipes`` (one common error a recipe).
        strengths: values that it may have: the correlation of neighbours, or of a recipe's rows.
        places: of rows along the run, or the number of each row's recipe.
        prior: relative weights of the strengths before the data speak.
    """

    kind: str
    strengths: Float[np.ndarray, " strengths"]
    places: Int[np.ndarray, " rows"]
    prior: Float[np.ndarray, " strengths"]

    def only(self, kept: Bool[np.ndarray, " rows"]) -> Dependence:
        """The same for some of the rows, which keep their places."""
        return Dependence(self.kind, self.strengths, self.places[kept], self.prior)

    def whiten(self, strength: float, columns: _Matrix) -> tuple[_Matrix, float]:
        """L^-1 columns and ln det R, where R = L L^T is the correlation of the errors.

        For ``recipes`` the symmetric root stands for L: least squares cannot tell.
        """
        return _WHITEN[self.kind](self.places, strength, columns)


def independent(num_rows: int) -> Dependence:
    """Exchangeable rows."""
    return Dependence("independent", _NONE, np.arange(num_rows), np.ones(1))


def along_run(num_rows: int) -> Dependence:
    """Checkpoints of one run, in order."""
    return Dependence("run", _STRENGTHS, np.arange(num_rows), _PRIOR)


def within_recipes(recipes: Sequence[str]) -> Dependence:
    """Several rows a recipe."""
    number = {name: index for index, name in enumerate(dict.fromkeys(recipes))}
    return Dependence(
        "recipes", _STRENGTHS, np.array([number[name] for name in recipes]), np.ones(len(_STRENGTHS))
    )


def _whiten_independent(
    places: Int[np.ndarray, " rows"], strength: float, columns: _Matrix
) -> tuple[_Matrix, float]:
    del places, strength
    return columns, 0.0


def _whiten_run(places: Int[np.ndarray, " rows"], strength: float, columns: _Matrix) -> tuple[_Matrix, float]:
    """Each row less what the row before it says of it; gaps weaken that."""
    link = strength ** np.diff(places).astype(np.float64)
    left = np.sqrt(1 - link**2)
    whitened = columns.copy()
    whitened[1:] = (columns[1:] - link[:, None] * columns[:-1]) / left[:, None]
    return whitened, float(2 * np.log(left).sum())


def _whiten_recipes(
    places: Int[np.ndarray, " rows"], strength: float, columns: _Matrix
) -> tuple[_Matrix, float]:
    """Deviations from the recipe's mean and that mean have variances of their own."""
    whitened = np.empty_like(columns)
    logdet = 0.0
    for place in np.unique(places):
        rows = places == place
        num = int(rows.sum())
        mean = columns[rows].mean(axis=0)
        common = 1 + (num - 1) * strength
        whitened[rows] = (columns[rows] - mean) / np.sqrt(1 - strength) + mean / np.sqrt(common)
        logdet += (num - 1) * np.log(1 - strength) + np.log(common)
    return whitened, float(logdet)


_WHITEN: dict[str, Callable[[Int[np.ndarray, " rows"], float, _Matrix], tuple[_Matrix, float]]] = {
    "independent": _whiten_independent,
    "run": _whiten_run,
    "recipes": _whiten_recipes,
}
