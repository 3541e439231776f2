"""The best curve of a family: from every cell of its grid, then by exact gradients, never diverging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares

from rbridge.fit.families import Family, Scale

_Rows = Float[np.ndarray, " rows"]

# Local searches: the grid is fine, the second and third only show whether starts agree.
_STARTS = 3


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Attributes:
        family: of curves.
        scale: of the training proxies.
        linear: its coefficients c.
        theta: its nonlinear parameters.
        bounds: of the target: values are held within them; None for none.
        starts_agree: every local search ended at the same squared error, within one in a thousand.
    """

    family: Family
    scale: Scale
    linear: tuple[float, ...]
    theta: tuple[float, ...]
    bounds: tuple[float, float] | None
    starts_agree: bool

    def __call__(self, x: _Rows) -> _Rows:
        """Target at x, within the bounds; x must be where the family is defined."""
        grid = np.array([self.theta])
        values = self.family.design(x, self.scale, grid)[0] @ np.array(self.linear)
        return values if self.bounds is None else np.clip(values, *self.bounds)

    def defined(self, x: _Rows) -> Bool[np.ndarray, " rows"]:
        """Where the curve exists."""
        return self.family.defined(x, self.scale)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """c0, c1, ... and then theta, as in the family's formula."""
        return (*self.linear, *self.theta)


def best_curve(family: Family, x: _Rows, y: _Rows, bounds: tuple[float, float] | None) -> Curve:
    """Least squares over a whole family.

    Args:
        family: defined at every x.
        x: proxies.
        y: targets.
        bounds: of the target.

    Returns:
        The curve with the smallest squared error over all cells of the grid and the local searches
        that start from the best of them; theta never leaves its grid's range.
    """
    scale = Scale.of(x)
    design = family.design(x, scale, family.grid)
    linear = np.einsum("kpr,r->kp", np.linalg.pinv(design), y)
    if family.within_bounds and bounds is not None:
        linear = np.clip(linear, *bounds)
    squares = ((y - np.einsum("krp,kp->kr", design, linear)) ** 2).sum(axis=1)
    if not family.theta:
        return Curve(family, scale, tuple(map(float, linear[0])), (), bounds, starts_agree=True)
    starts = np.argsort(squares, kind="stable")[:_STARTS]
    ends = [_search(family, scale, x, y, linear[cell], family.grid[cell], bounds) for cell in starts]
    best, cost = min(ends, key=lambda end: end[1])
    agree = all(other <= cost * 1.001 + 1e-12 * float(y @ y) for _, other in ends)
    cut = len(best) - len(family.theta)
    return Curve(
        family,
        scale,
        tuple(map(float, best[:cut])),
        tuple(map(float, best[cut:])),
        bounds,
        starts_agree=agree,
    )


def _search(
    family: Family,
    scale: Scale,
    x: _Rows,
    y: _Rows,
    linear: Float[np.ndarray, " linear"],
    theta: Float[np.ndarray, " nonlinear"],
    bounds: tuple[float, float] | None,
) -> tuple[Float[np.ndarray, " parameters"], float]:
    """Bounded least squares from one cell: where it ends and its squared error, never above the start's."""
    num = len(linear)

    def residuals(parameters: Float[np.ndarray, " parameters"]) -> _Rows:
        return family.design(x, scale, parameters[None, num:])[0] @ parameters[:num] - y

    def jacobian(parameters: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, "rows parameters"]:
        grid = parameters[None, num:]
        bent = np.einsum("rpq,p->rq", family.gradient(x, scale, grid)[0], parameters[:num])
        return np.concatenate([family.design(x, scale, grid)[0], bent], axis=1)

    low, high = _limits(family, theta, num, bounds)
    # The solver wants a start strictly inside: a cell of the rim is moved in by a hair.
    room = 1e-9 * np.where(np.isfinite(high - low), high - low, 0.0)
    start = np.clip(np.concatenate([linear, theta]), low + room, high - room)
    found = least_squares(residuals, start, jac=jacobian, bounds=(low, high), x_scale="jac")
    ends = [(start, float((residuals(start) ** 2).sum())), (found.x, 2 * float(found.cost))]
    return min((end for end in ends if np.isfinite(end[1])), key=lambda end: end[1])


def _limits(
    family: Family, theta: Float[np.ndarray, " nonlinear"], num: int, bounds: tuple[float, float] | None
) -> tuple[Float[np.ndarray, " parameters"], Float[np.ndarray, " parameters"]]:
    low, high = family.grid.min(axis=0), family.grid.max(axis=0)
    if family.name in _TWO_SIDED:  # a rate keeps its sign: at 0 the family is the straight line
        low = np.where(theta > 0, family.grid[family.grid > 0].min(), low)
        high = np.where(theta < 0, family.grid[family.grid < 0].max(), high)
    held = bounds if family.within_bounds and bounds is not None else (-np.inf, np.inf)
    return np.concatenate([np.full(num, held[0]), low]), np.concatenate([np.full(num, held[1]), high])


_TWO_SIDED = ("exponential", "power")
