"""The default protocol: guarded families, folds that respect how rows hang together, nulls beside.

Where the paper's protocol picks the best train R2, this one picks the family with the largest
evidence on each fold's training rows, from curves that cannot diverge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from rbridge.fit.curve import Curve, best_curve
from rbridge.fit.errors import Dependence, along_run, independent, within_recipes
from rbridge.fit.families import CONSTANT, FAMILIES, Family, Scale
from rbridge.fit.folds import PAPER_FOLDS, blocked, by_recipe, forward, kfold
from rbridge.fit.posterior import Posterior, posterior
from rbridge.fit.result import Fold, NoFit, mean_of

_Rows = Float[np.ndarray, " rows"]
_Mask = Bool[np.ndarray, " rows"]

# A half of ten rows is the least that a curve is fitted to when it must look ahead.
_FORWARD_ROWS = 10
_RESAMPLES = 2000

RULES = {
    "run": "checkpoints of one run, in order: blocked folds, and forward folds that only look ahead",
    "recipes": "several rows a recipe: whole recipes are held out",
    "independent": "exchangeable rows: plain shuffled folds",
}


@dataclass(frozen=True)
class ChosenCurve:
    """What predicts.

    Attributes:
        curve: of the family with the largest evidence.
        posterior: all curves, for intervals.
        dependence: of the errors.
    """

    curve: Curve
    posterior: Posterior
    dependence: Dependence


@dataclass(frozen=True)
class GuardedFit:
    """A proxy's relation to a target by the default protocol.

    Attributes:
        chosen: on all rows.
        r2: of its curve, on all rows.
        train_r2, test_mae: means over folds.
        folds: each fold; its family was chosen on its training rows.
        forward: folds that only look ahead; empty where rows are in no order or are too few.
        misses: absolute error of each row when it was held out.
    """

    chosen: ChosenCurve
    r2: float
    train_r2: float
    test_mae: float
    folds: tuple[Fold, ...]
    forward: tuple[Fold, ...]
    misses: _Rows


def dependence_of(recipes: Sequence[str] | None, num_rows: int, *, ordered: bool) -> Dependence:
    """The rule by which rows hang together (``RULES``).

    Args:
        recipes: of each row, or None where the table names none.
        num_rows: of the table.
        ordered: a clock such as tokens orders the rows.
    """
    num_recipes = len(set(recipes)) if recipes is not None else 1
    if recipes is not None and 1 < num_recipes < num_rows:
        return within_recipes(recipes)
    if num_recipes == 1 and ordered:
        return along_run(num_rows)
    return independent(num_rows)


def fit_guarded(
    x: _Rows,
    y: _Rows,
    *,
    dependence: Dependence,
    bounds: tuple[float, float] | None,
    families: Sequence[Family] = FAMILIES,
) -> GuardedFit:
    """Fit by the default protocol.

    Args:
        x: proxies, as they are.
        y: targets, same rows.
        dependence: of the rows' errors; it decides the folds.
        bounds: of the target, or None.
        families: to choose from; ``(CONSTANT,)`` is the null that knows no proxy.

    Raises:
        NoFit: fewer rows than folds, or a constant side, on all rows or in a fold.
    """
    if len(x) < PAPER_FOLDS:
        raise NoFit(f"{len(x)} rows; {PAPER_FOLDS} folds need {PAPER_FOLDS}")
    chosen = choose_curve(x, y, dependence=dependence, bounds=bounds, families=families)
    misses = np.zeros(len(x))
    folds = []
    for number, test in enumerate(_folds(dependence), start=1):
        fold, missed = _fold(x, y, ~test, test, families, dependence, bounds, f"fold {number}")
        folds.append(fold)
        misses[test] = missed
    ahead = [
        _fold(x, y, train, test, families, dependence, bounds, f"forward fold {number}")[0]
        for number, (train, test) in enumerate(_ahead(dependence), start=1)
    ]
    train_r2, test_mae = mean_of(tuple(folds))
    return GuardedFit(chosen, _r2(y, chosen.curve(x)), train_r2, test_mae, tuple(folds), tuple(ahead), misses)


def _folds(dependence: Dependence) -> Iterator[_Mask]:
    num = len(dependence.places)
    if dependence.kind == "run":
        return blocked(num)
    if dependence.kind == "recipes":
        return by_recipe([str(place) for place in dependence.places])
    return kfold(num)


def _ahead(dependence: Dependence) -> Iterator[tuple[_Mask, _Mask]]:
    num = len(dependence.places)
    return forward(num) if dependence.kind == "run" and num >= _FORWARD_ROWS else iter(())


def _fold(
    x: _Rows,
    y: _Rows,
    train: _Mask,
    test: _Mask,
    families: Sequence[Family],
    dependence: Dependence,
    bounds: tuple[float, float] | None,
    where: str,
) -> tuple[Fold, Float[np.ndarray, " held"]]:
    # A family must exist on the held-out rows too: what is held out is no reason to fail, nor to peek at y.
    there = [family for family in families if family.defined(x[test], Scale.of(x[train])).all()]
    curve = choose_curve(
        x[train], y[train], dependence=dependence.only(train), bounds=bounds, families=there, where=where
    ).curve
    missed = np.abs(y[test] - curve(x[test]))
    return (
        Fold(curve.family.name, _r2(y[train], curve(x[train])), float(missed.mean()), int(test.sum())),
        missed,
    )


def choose_curve(
    x: _Rows,
    y: _Rows,
    *,
    dependence: Dependence,
    bounds: tuple[float, float] | None,
    families: Sequence[Family] = FAMILIES,
    where: str = "all rows",
) -> ChosenCurve:
    """The curve of the family with the largest evidence, and all others for intervals.

    Args:
        x, y, dependence, bounds, families: as of ``fit_guarded``.
        where: what a reason is about.

    Raises:
        NoFit: a constant side, or too few rows for every family.
    """
    if np.ptp(y) == 0:
        raise NoFit(f"{where}: constant target")
    usable = tuple(family for family in families if _carries(family, x))
    if not usable:
        raise NoFit(f"{where}: constant proxy, or too few rows")
    weighed = posterior(x, y, usable, dependence, bounds)
    weights = weighed.family_weights()
    best = max(usable, key=lambda family: weights[family.name])
    return ChosenCurve(best_curve(best, x, y, bounds), weighed, dependence)


def _carries(family: Family, x: _Rows) -> bool:
    """Whether the rows can tell a family's parameters apart, and leave an error to estimate."""
    scale = Scale.of(x)
    if len(x) == 0 or not family.defined(x, scale).all():
        return False
    num = family.design(x[:1], scale, family.grid[:1]).shape[-1] + len(family.theta)
    return family is CONSTANT or len(np.unique(x)) >= num < len(x)


def _r2(y: _Rows, predicted: _Rows) -> float:
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


@dataclass(frozen=True)
class Skill:
    """How much of the best null's error a proxy takes away: 1 - MAE / MAE of that null.

    Attributes:
        value: 1 is a perfect proxy, 0 or less no gain; None with the reason.
        null: the null with the smallest test MAE.
        interval: what is held out together is resampled: folds of a run, recipes, or rows.
        level: of the interval.
        num_units: resampled.
        reason: why there is no value.
    """

    value: float | None
    null: str | None
    interval: tuple[float, float] | None
    level: float
    num_units: int
    reason: str | None = None


def skill(
    fit: GuardedFit, nulls: Mapping[str, GuardedFit], *, rng: np.random.Generator, level: float = 0.9
) -> Skill:
    """Skill of a fit relative to the best of its nulls, fitted in the same folds."""
    if not nulls:
        return Skill(None, None, None, level, 0, "no null could be fitted")
    name = min(nulls, key=lambda null: nulls[null].test_mae)
    units = _units(fit.chosen.dependence)
    own, other = _unit_sums(fit.misses, units), _unit_sums(nulls[name].misses, units)
    if other.sum() == 0:
        return Skill(None, name, None, level, len(own), "the null makes no error")
    counts = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=_RESAMPLES)
    theirs = counts @ other
    drawn = 1 - (counts @ own)[theirs > 0] / theirs[theirs > 0]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Skill(float(1 - own.sum() / other.sum()), name, (float(low), float(high)), level, len(own))


def _units(dependence: Dependence) -> list[_Mask]:
    if dependence.kind == "recipes":
        return [dependence.places == place for place in np.unique(dependence.places)]
    if dependence.kind == "run":
        return list(_folds(dependence))
    return list(np.eye(len(dependence.places), dtype=bool))


def _unit_sums(misses: _Rows, units: Sequence[_Mask]) -> Float[np.ndarray, " units"]:
    return np.array([misses[unit].sum() for unit in units])
