"""Families of curves as data: linear in most of their parameters, with exact gradients in the rest.

Every family is y = A(x; theta) c with a short theta of nonlinear parameters, so that c follows from
theta in closed form and a grid over theta is a multi-start over the whole family. x enters scaled by
the training rows (z = (x - mean) / sd, u the same of ln x), which makes one grid fit every proxy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

_Rows = Float[np.ndarray, " rows"]
_Grid = Float[np.ndarray, "cells nonlinear"]


@dataclass(frozen=True)
class Scale:
    """Centre and spread of training proxies, and of their logarithms where all are positive."""

    centre: float
    spread: float
    log_centre: float | None
    log_spread: float | None

    @classmethod
    def of(cls, x: _Rows) -> Scale:
        """Scale of training rows; a constant has spread 1, and then only a constant can be fitted."""
        if not (x > 0).all():
            return cls(float(x.mean()), float(x.std()) or 1.0, None, None)
        logs = np.log(x)
        return cls(float(x.mean()), float(x.std()) or 1.0, float(logs.mean()), float(logs.std()) or 1.0)

    def plain(self, x: _Rows) -> _Rows:
        """Z = (x - mean) / sd."""
        return (x - self.centre) / self.spread

    def logs(self, x: _Rows) -> _Rows:
        """U = (ln x - mean) / sd; only where the training rows are positive."""
        assert self.log_centre is not None
        assert self.log_spread is not None
        return (np.log(x) - self.log_centre) / self.log_spread


@dataclass(frozen=True)
class Family:
    """A family of curves.

    Attributes:
        name: what readers call it.
        formula: in x, z and u, its coefficients as c0, c1, ... and then its theta.
        theta: names of the nonlinear parameters.
        design: A at (x, scale, grid): cells x rows x linear.
        gradient: dA / dtheta at the same: cells x rows x linear x nonlinear.
        grid: starting values of theta, cells x nonlinear; the outermost are its bounds.
        defined: where the curve exists, at (x, scale).
        within_bounds: whether its linear coefficients are values of the target, and so must lie
            between the target's bounds.
    """

    name: str
    formula: str
    theta: tuple[str, ...]
    design: Callable[[_Rows, Scale, _Grid], Float[np.ndarray, "cells rows linear"]]
    gradient: Callable[[_Rows, Scale, _Grid], Float[np.ndarray, "cells rows linear nonlinear"]]
    grid: _Grid
    defined: Callable[[_Rows, Scale], Bool[np.ndarray, " rows"]]
    within_bounds: bool = False


_NO_THETA = np.zeros((1, 0))
_RATES = np.geomspace(0.1, 3.0, 10)
# Both ways of bending; 0.1 is all but straight within two standard deviations.
_BENDS = np.concatenate([-_RATES[::-1], _RATES])[:, None]
_FARTHEST = 50.0
_STEEPNESS = np.geomspace(0.5, 6.0, 6)
_MIDDLES = np.linspace(-2.5, 2.5, 9)


def _everywhere(x: _Rows, scale: Scale) -> Bool[np.ndarray, " rows"]:
    del scale
    return np.isfinite(x)


def _above_minus_one(x: _Rows, scale: Scale) -> Bool[np.ndarray, " rows"]:
    del scale
    return x > -1


def _positive(x: _Rows, scale: Scale) -> Bool[np.ndarray, " rows"]:
    return (x > 0) & (scale.log_centre is not None)


def _columns(*columns: _Rows) -> Float[np.ndarray, "cells rows linear"]:
    return np.stack(np.broadcast_arrays(*columns), axis=-1)[None]


def _linear(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    del grid
    return _columns(np.ones(len(x)), scale.plain(x))


def _quadratic(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    del grid
    z = scale.plain(x)
    return _columns(np.ones(len(x)), z, z**2)


def _logarithmic(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    del scale, grid
    return _columns(np.ones(len(x)), np.log1p(x))


def _constant(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    del scale, grid
    return _columns(np.ones(len(x)))


def _no_gradient(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear nonlinear"]:
    del scale, grid
    return np.zeros((1, len(x), 1, 0))


def _held(power: Float[np.ndarray, "cells rows"]) -> Float[np.ndarray, "cells rows"]:
    """Powers of e kept finite, for scores that are absurdly far from the fitted ones."""
    return np.clip(power, -_FARTHEST, _FARTHEST)


def _bent(v: _Rows, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    """[1, (exp(theta v) - 1) / theta]: straight as theta goes to 0, slope 1 at v = 0 for all."""
    bend = np.expm1(_held(grid * v)) / grid
    return np.stack([np.ones_like(bend), bend], axis=-1)


def _bent_gradient(v: _Rows, grid: _Grid) -> Float[np.ndarray, "cells rows linear nonlinear"]:
    power = _held(grid * v)
    steep = (v * np.exp(power) - np.expm1(power) / grid) / grid
    return np.stack([np.zeros_like(steep), steep], axis=-1)[..., None]


def _exponential(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    return _bent(scale.plain(x), grid)


def _exponential_gradient(
    x: _Rows, scale: Scale, grid: _Grid
) -> Float[np.ndarray, "cells rows linear nonlinear"]:
    return _bent_gradient(scale.plain(x), grid)


def _power(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    return _bent(scale.logs(x), grid)


def _power_gradient(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear nonlinear"]:
    return _bent_gradient(scale.logs(x), grid)


def _rise(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows"]:
    return expit(grid[:, :1] * (scale.plain(x) - grid[:, 1:]))


def _logistic(x: _Rows, scale: Scale, grid: _Grid) -> Float[np.ndarray, "cells rows linear"]:
    rise = _rise(x, scale, grid)
    return np.stack([1 - rise, rise], axis=-1)


def _logistic_gradient(
    x: _Rows, scale: Scale, grid: _Grid
) -> Float[np.ndarray, "cells rows linear nonlinear"]:
    rise = _rise(x, scale, grid)
    slope = rise * (1 - rise)
    by_steepness = slope * (scale.plain(x) - grid[:, 1:])
    by_middle = -slope * grid[:, :1]
    falling = np.stack([-by_steepness, -by_middle], axis=-1)
    return np.stack([falling, -falling], axis=-2)


LINEAR = Family("linear", "c0 + c1*z", (), _linear, _no_gradient, _NO_THETA, _everywhere)
CONSTANT = Family("constant", "c0", (), _constant, _no_gradient, _NO_THETA, _everywhere)
FAMILIES: tuple[Family, ...] = (
    LINEAR,
    Family("quadratic", "c0 + c1*z + c2*z^2", (), _quadratic, _no_gradient, _NO_THETA, _everywhere),
    Family("logarithmic", "c0 + c1*ln(x + 1)", (), _logarithmic, _no_gradient, _NO_THETA, _above_minus_one),
    Family(
        "exponential", "c0 + c1*(exp(rate*z) - 1)/rate", ("rate",),
        _exponential, _exponential_gradient, _BENDS, _everywhere,
    ),
    Family(
        "power", "c0 + c1*(exp(exponent*u) - 1)/exponent", ("exponent",),
        _power, _power_gradient, _BENDS, _positive,
    ),
    Family(
        "logistic", "c0 + (c1 - c0)/(1 + exp(-steepness*(z - middle)))", ("steepness", "middle"),
        _logistic, _logistic_gradient,
        np.array([(k, m) for k in _STEEPNESS for m in _MIDDLES]), _everywhere, within_bounds=True,
    ),
)  # fmt: skip
