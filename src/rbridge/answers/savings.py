"""FLOPs savings asked of a CSV: of points, or of what metrics said of every recipe."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rbridge.answers.cells import read_number, read_table
from rbridge.compute import (
    Point,
    RecipeScores,
    Saving,
    decision_points,
    pareto_frontier,
    saving_intervals,
    savings,
)
from rbridge.errors import InputError
from rbridge.metric import metric_named

NO_RECIPES = "no per-recipe data"
FEW_RECIPES = "fewer than four recipes"
NO_END = "an end lies outside the alternative's frontier in too many resamples"


@dataclass(frozen=True)
class SavingsQuestion:
    """What is asked of a table.

    Attributes:
        source: CSV with a row a point; with ``score``, a row a recipe at a checkpoint.
        method: whose saving.
        metric, flops, value: its columns of metric, FLOPs and what the metric reaches.
        score, target, recipe: per-recipe columns of the score, the truth and the recipe's name.
        lower_is_better: metrics of which lower scores are better.
        resamples, level, seed: of the intervals.
    """

    source: Path
    method: str
    metric: str = "metric"
    flops: str = "flops"
    value: str = "decision_accuracy"
    score: str | None = None
    target: str | None = None
    recipe: str = "recipe"
    lower_is_better: Collection[str] = ()
    resamples: int = 1000
    level: float = 0.9
    seed: int = 0


@dataclass(frozen=True)
class SavingsAnswer:
    """Savings of a method's frontier, each with its interval or why it has none.

    Attributes:
        savings: cheapest point first.
        intervals: of the savings, in their order; an end may be None.
        interval_reason: why there are none at all, or why an end is missing.
        num_points: checkpoints read.
        num_recipes: behind each decision accuracy; None where the table holds points.
        alternatives: the other metrics.
    """

    savings: tuple[Saving, ...]
    intervals: tuple[tuple[float | None, float | None] | None, ...]
    interval_reason: str | None
    num_points: int
    num_recipes: int | None
    alternatives: tuple[str, ...]


def answer_savings(question: SavingsQuestion) -> SavingsAnswer:
    """Savings of a method over the best of all other metrics.

    Raises:
        InputError: the file or its columns do not fit the question.
    """
    if question.score is None:
        points = read_points(
            question.source, metric=question.metric, flops=question.flops, value=question.value
        )
        found = savings(points, _known(question, points))
        return SavingsAnswer(
            found, (None,) * len(found), NO_RECIPES, len(points), None, _others(points, question.method)
        )
    scores, target = _read_recipes(question)
    points = decision_points(scores, target)
    found = savings(points, _known(question, points))
    enough = len(target) >= 4
    intervals: tuple[tuple[float | None, float | None] | None, ...] = (None,) * len(found)
    reason: str | None = FEW_RECIPES
    if enough:
        rng = np.random.default_rng(question.seed)
        drawn = saving_intervals(
            scores, target, question.method, rng=rng, resamples=question.resamples, level=question.level
        )
        intervals = drawn
        reason = NO_END if any(None in ends for ends in drawn) else None
    return SavingsAnswer(found, intervals, reason, len(points), len(target), _others(points, question.method))


def read_points(source: Path, *, metric: str, flops: str, value: str) -> tuple[Point, ...]:
    """Points of a CSV; a row with an empty cell in a column that is used is left out.

    Raises:
        InputError: no such file or column, no number, or FLOPs that are not positive.
    """
    points = []
    for line, row in enumerate(read_table(source, (metric, flops, value)), start=2):
        if row[metric] and row[flops] and row[value]:
            cost = _flops(source, line, flops, row[flops])
            points.append(Point(str(row[metric]), cost, read_number(source, line, value, row[value])))
    return tuple(points)


def frontiers(points: Collection[Point]) -> dict[str, tuple[Point, ...]]:
    """Pareto frontier of each metric, in order of first appearance."""
    names = dict.fromkeys(point.metric for point in points)
    return {name: pareto_frontier(point for point in points if point.metric == name) for name in names}


def _flops(source: Path, line: int, column: str, cell: str | None) -> float:
    cost = read_number(source, line, column, cell)
    if cost <= 0:
        raise InputError(f"{source}:{line}: {column} is {cell}; expected a positive number of FLOPs")
    return cost


def _known(question: SavingsQuestion, points: Collection[Point]) -> str:
    names = dict.fromkeys(point.metric for point in points)
    if question.method not in names:
        raise InputError(
            f"{question.source}: no row has {question.metric} {question.method!r}; it has {', '.join(names)}"
        )
    return question.method


def _others(points: Collection[Point], method: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(point.metric for point in points if point.metric != method))


def _read_recipes(question: SavingsQuestion) -> tuple[list[RecipeScores], Float[np.ndarray, " recipes"]]:
    assert question.score is not None
    source = question.source
    if question.target is None:
        raise InputError("--score needs --target COLUMN: the recipes' true values stand in the same table")
    columns = (question.metric, question.flops, question.recipe, question.score, question.target)
    truths: dict[str, float] = {}
    found: dict[tuple[str, float], dict[str, float]] = {}
    for line, row in enumerate(read_table(source, columns), start=2):
        if not all(row[column] for column in columns):
            continue
        name, recipe = str(row[question.metric]), str(row[question.recipe])
        truth = read_number(source, line, question.target, row[question.target])
        if truths.setdefault(recipe, truth) != truth:
            raise InputError(
                f"{source}:{line}: {question.target} of recipe {recipe!r} differs from an earlier row"
            )
        checkpoint = found.setdefault((name, _flops(source, line, question.flops, row[question.flops])), {})
        if recipe in checkpoint:
            raise InputError(f"{source}:{line}: recipe {recipe!r} stands twice at one checkpoint of {name}")
        sign = -1.0 if _lower(question, name) else 1.0
        checkpoint[recipe] = sign * read_number(source, line, question.score, row[question.score])
    for (name, flops), checkpoint in found.items():
        if len(checkpoint) != len(truths):
            raise InputError(
                f"{source}: {name} at {flops:g} FLOPs has {len(checkpoint)} of {len(truths)} recipes; "
                "a decision accuracy needs all of them at every checkpoint"
            )
    if len(truths) < 2:
        raise InputError(f"{source}: {len(truths)} recipes; a decision needs two")
    scores = [
        RecipeScores(name, flops, np.array([checkpoint[recipe] for recipe in truths]))
        for (name, flops), checkpoint in found.items()
    ]
    return scores, np.array(list(truths.values()))


def _lower(question: SavingsQuestion, name: str) -> bool:
    known = metric_named(name)
    return name in question.lower_is_better if known is None else known.direction == "lower"
