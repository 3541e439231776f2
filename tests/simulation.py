"""Worlds with a known curve and known errors, in which prediction intervals are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rbridge.fit import choose_curve, dependence_of, transfer_offset

SD = 2.0  # of a row's error, in points of accuracy
RECIPE_SD = 3.0  # of a recipe's own error
LEVEL = 0.9

CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "line": lambda x: 60 - 80 * (x - 0.6),
    "exponential": lambda x: 3 + 900 * np.exp(-6 * x),
    "logistic": lambda x: 25 + 50 / (1 + np.exp(12 * (x - 0.72))),
    # In none of the families: flat, then steep.
    "kink": lambda x: 30 + np.maximum(0, 0.74 - x) * 250,
}


@dataclass(frozen=True)
class World:
    """What is drawn: a curve, its rows, and which new rows are asked for.

    Attributes:
        curve: a key of ``CURVES``.
        rows: fitted rows, or recipes where there are several rows a recipe.
        kind: ``exchangeable``, ``between`` (held-out checkpoints of a run), ``ahead`` (its next two),
            ``recipes`` (rows of new recipes) or ``transfer`` (one run's fit on other recipes).
        correlation: of neighbouring checkpoints' errors.
        each: rows a recipe.
    """

    curve: str
    rows: int
    kind: str
    correlation: float = 0.0
    each: int = 1


def coverage(world: World, *, repeats: int, seed: int) -> float:
    """Share of new targets that lie in their 90 % interval."""
    rng = np.random.default_rng(seed)
    hits = [hit for _ in range(repeats) for hit in _DRAWS[world.kind](world, rng)]
    return float(np.mean(hits))


def _inside(x, y, new_x, new_y, *, recipes=None, ordered=False) -> list[bool]:
    fit = choose_curve(x, y, dependence=dependence_of(recipes, len(x), ordered=ordered), bounds=(0.0, 100.0))
    low, high = fit.posterior.interval(new_x, LEVEL)
    return list((low <= new_y) & (new_y <= high))


def _exchangeable(world: World, rng: np.random.Generator) -> list[bool]:
    x = rng.uniform(0.6, 0.85, world.rows + 4)
    y = CURVES[world.curve](x) + rng.normal(0, SD, len(x))
    return _inside(x[4:], y[4:], x[:4], y[:4])


def _run(world: World, rng: np.random.Generator) -> list[bool]:
    num = world.rows + 6
    x = 0.85 - 0.25 * np.sort(rng.uniform(0, 1, num)) ** 0.7
    errors = rng.normal(0, SD, num)
    for place in range(1, num):
        kept = np.sqrt(1 - world.correlation**2)
        errors[place] = world.correlation * errors[place - 1] + kept * errors[place]
    y = CURVES[world.curve](x) + errors
    held = np.zeros(num, dtype=bool)
    held[rng.choice(np.arange(1, num - 3), 4, replace=False)] = True
    held[-2:] = True
    asked = np.flatnonzero(held)[:-2] if world.kind == "between" else np.array([num - 2, num - 1])
    return _inside(x[~held], y[~held], x[asked], y[asked], ordered=True)


def _recipes(world: World, rng: np.random.Generator) -> list[bool]:
    num = world.rows + 2
    names = np.repeat(np.arange(num), world.each)
    x = np.clip(
        np.repeat(rng.uniform(0.62, 0.83, num), world.each) + rng.normal(0, 0.02, len(names)), 0.6, 0.85
    )
    y = (
        CURVES[world.curve](x)
        + np.repeat(rng.normal(0, RECIPE_SD, num), world.each)
        + rng.normal(0, SD, len(names))
    )
    new = names < 2
    return _inside(x[~new], y[~new], x[new], y[new], recipes=[str(name) for name in names[~new]])


def _transfer(world: World, rng: np.random.Generator) -> list[bool]:
    """One run's line, applied to other recipes; each is left out in turn."""
    x = rng.uniform(0.6, 0.85, 15)
    line = np.polyfit(x, CURVES[world.curve](x) + rng.normal(0, SD, 15), 1)
    errors = {}
    for recipe in range(world.rows):
        new_x = rng.uniform(0.6, 0.85, world.each)
        truth = CURVES[world.curve](new_x) + rng.normal(0, RECIPE_SD) + rng.normal(0, SD, world.each)
        errors[str(recipe)] = truth - np.polyval(line, new_x)
    hits = []
    for recipe, own in errors.items():
        offset = transfer_offset({name: rows for name, rows in errors.items() if name != recipe}, level=LEVEL)
        assert offset is not None
        hits += list(abs(own - offset.centre) <= offset.half_width)
    return hits


_DRAWS = {
    "exchangeable": _exchangeable,
    "between": _run,
    "ahead": _run,
    "recipes": _recipes,
    "transfer": _transfer,
}
