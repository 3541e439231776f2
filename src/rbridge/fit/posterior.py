"""What the rows say of every curve at once, and where a new model's target will lie.

A grid over families, their nonlinear parameters and the strength of the errors' dependence; given
those, the rest is linear, and the predictive is Student's t in closed form. Each cell weighs by its
evidence under a unit-information prior (as BIC does, in small samples too), families alike. So an
interval holds what is not known of the family, of its bend, and of how much the errors repeat
themselves, and nothing has to converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtr

from rbridge.fit.errors import Dependence
from rbridge.fit.families import Family, Scale

_Rows = Float[np.ndarray, " rows"]
Bounds = tuple[float, float]

# The lightest cells, which together weigh less than this, are left out of an interval.
_NEGLIGIBLE = 0.003
# Halvings of a bracket of a few hundred standard deviations: to a millionth of one.
_BISECTIONS = 30


@dataclass(frozen=True)
class Cells:
    """One family's grid under one strength of dependence.

    Attributes:
        family: of curves.
        grid: theta of each cell.
        strength: of the dependence.
        log_evidence: of each cell; -inf where it breaks the target's bounds.
        linear: generalised least squares c of each cell.
        covariance: of c, in units of the error's variance.
        variance: of an error, estimated.
        freedom: degrees of freedom of that estimate.
    """

    family: Family
    grid: Float[np.ndarray, "cells nonlinear"]
    strength: float
    log_evidence: Float[np.ndarray, " cells"]
    linear: Float[np.ndarray, "cells linear"]
    covariance: Float[np.ndarray, "cells linear linear"]
    variance: Float[np.ndarray, " cells"]
    freedom: int


@dataclass(frozen=True)
class Posterior:
    """Weights of all cells, from ``posterior``.

    Attributes:
        scale: of the training proxies.
        cells: every family under every strength.
        weights: of the cells, in the same order; they sum to 1.
    """

    scale: Scale
    cells: tuple[Cells, ...]
    weights: tuple[Float[np.ndarray, " _"], ...]

    def family_weights(self) -> dict[str, float]:
        """How much each family weighs."""
        total: dict[str, float] = {}
        for cells, weights in zip(self.cells, self.weights, strict=True):
            total[cells.family.name] = total.get(cells.family.name, 0.0) + float(weights.sum())
        return total

    def strength(self) -> float:
        """Mean strength of the errors' dependence."""
        return float(
            sum(
                cells.strength * weights.sum()
                for cells, weights in zip(self.cells, self.weights, strict=True)
            )
        )

    def error_sd(self) -> float:
        """Standard deviation of a row's error: root of the mean variance over cells."""
        variance = sum(
            float(weights @ cells.variance) for cells, weights in zip(self.cells, self.weights, strict=True)
        )
        return float(np.sqrt(variance))

    def defined(self, x: _Rows) -> Bool[np.ndarray, " rows"]:
        """Where every curve that was weighed exists."""
        there = np.ones(len(x), dtype=bool)
        for family in {cells.family.name: cells.family for cells in self.cells}.values():
            there &= family.defined(x, self.scale)
        return there

    def interval(self, x: _Rows, level: float) -> tuple[_Rows, _Rows]:
        """Ends of the predictive interval of a new target at each x.

        Of a run it is for other checkpoints of that run; of recipes, for another recipe.

        Args:
            x: where every family that was fitted is defined.
            level: such as 0.9.
        """
        weights, location, spread, freedom = self._mixture(x)
        low = _quantile((1 - level) / 2, weights, location, spread, freedom)
        high = _quantile((1 + level) / 2, weights, location, spread, freedom)
        return low, high

    def _mixture(
        self, x: _Rows
    ) -> tuple[
        Float[np.ndarray, " kept"],
        Float[np.ndarray, "kept rows"],
        Float[np.ndarray, "kept rows"],
        Float[np.ndarray, " kept"],
    ]:
        ordered = np.sort(np.concatenate(self.weights))
        floor = ordered[int(np.searchsorted(np.cumsum(ordered), _NEGLIGIBLE))]
        parts = []
        for cells, weights in zip(self.cells, self.weights, strict=True):
            kept = weights >= floor
            if not kept.any():
                continue
            design = cells.family.design(x, self.scale, cells.grid[kept])
            location = np.einsum("krp,kp->kr", design, cells.linear[kept])
            known = np.einsum("krp,kpq,krq->kr", design, cells.covariance[kept], design)
            spread = np.sqrt(cells.variance[kept][:, None] * (1 + known))
            parts.append((weights[kept], location, spread, np.full(int(kept.sum()), cells.freedom)))
        weights, location, spread, freedom = (np.concatenate(part) for part in zip(*parts, strict=True))
        return weights / weights.sum(), location, spread, freedom.astype(np.float64)


def posterior(
    x: _Rows, y: _Rows, families: tuple[Family, ...], dependence: Dependence, bounds: Bounds | None
) -> Posterior:
    """Weigh every curve of some families against rows.

    Args:
        x: proxies.
        y: targets, not constant, two more than a family has linear coefficients.
        families: those that are defined at every x.
        dependence: of the errors.
        bounds: of the target, or None.
    """
    scale = Scale.of(x)
    found = [
        _cells(family, scale, x, y, dependence, float(strength), bounds)
        for strength in dependence.strengths
        for family in families
    ]
    priors = np.repeat(dependence.prior, len(families))
    top = max(float(cells.log_evidence.max()) for cells in found)
    # A family's evidence is its mean over its own grid, so that a finer grid is no heavier.
    raw = [
        prior * np.exp(cells.log_evidence - top) / len(cells.grid)
        for cells, prior in zip(found, priors, strict=True)
    ]
    total = sum(float(part.sum()) for part in raw)
    return Posterior(scale, tuple(found), tuple(part / total for part in raw))


def _cells(
    family: Family,
    scale: Scale,
    x: _Rows,
    y: _Rows,
    dependence: Dependence,
    strength: float,
    bounds: Bounds | None,
) -> Cells:
    design = family.design(x, scale, family.grid)
    num_cells, num_rows, num_linear = design.shape
    flat = np.concatenate([y[:, None], design.transpose(1, 0, 2).reshape(num_rows, -1)], axis=1)
    whitened, logdet = dependence.whiten(strength, flat)
    target = whitened[:, 0]
    a = whitened[:, 1:].reshape(num_rows, num_cells, num_linear).transpose(1, 0, 2)
    covariance = np.linalg.pinv(a.transpose(0, 2, 1) @ a, hermitian=True)
    linear = np.einsum("kpq,krq,r->kp", covariance, a, target)
    squares = ((target - np.einsum("krp,kp->kr", a, linear)) ** 2).sum(axis=1)
    # Exact curves leave rounding errors, whose logarithm means nothing.
    squares = np.maximum(squares, 1e-12 * ((y - y.mean()) ** 2).sum())
    freedom = num_rows - num_linear
    evidence = (
        -(num_rows - 1) / 2 * np.log(squares)
        - logdet / 2
        - (num_linear - 1) / 2 * np.log(num_rows)
        + (_logdet(design) - _logdet(a)) / 2
    )
    if family.within_bounds and bounds is not None:
        slack = 1e-9 * (bounds[1] - bounds[0])
        outside = (linear < bounds[0] - slack) | (linear > bounds[1] + slack)
        evidence = np.where(outside.any(axis=1), -np.inf, evidence)
    return Cells(family, family.grid, strength, evidence, linear, covariance, squares / freedom, freedom)


def _logdet(design: Float[np.ndarray, "cells rows linear"]) -> Float[np.ndarray, " cells"]:
    return np.linalg.slogdet(design.transpose(0, 2, 1) @ design)[1]


def _quantile(
    share: float,
    weights: Float[np.ndarray, " kept"],
    location: Float[np.ndarray, "kept rows"],
    spread: Float[np.ndarray, "kept rows"],
    freedom: Float[np.ndarray, " kept"],
) -> _Rows:
    """Quantile of a mixture of Student's t by bisection."""
    reach = 100 * spread.max(axis=0)
    low, high = location.min(axis=0) - reach, location.max(axis=0) + reach
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = weights @ stdtr(freedom[:, None], (middle - location) / spread) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
