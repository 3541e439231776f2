"""A fit of one recipe applied unchanged to others: how far off it is, and for a recipe not seen.

Rows of one recipe say nothing about the differences between recipes. Those show only where several
recipes have a fit's error each, and below six of them an interval is not identified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

FEWEST_RECIPES = 6
NOT_IDENTIFIED = "not identified"

_Rows = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class Offset:
    """Where a new recipe's target lies, relative to the fit's prediction for it.

    Attributes:
        centre: mean error (target minus prediction) over recipes.
        half_width: of the interval around prediction + centre.
        num_recipes: behind it.
    """

    centre: float
    half_width: float
    num_recipes: int


def transfer_offset(errors: Mapping[str, _Rows], *, level: float) -> Offset | None:
    """Interval of a further recipe's error, from the errors of other recipes.

    One-way random effects: a row's error is a recipe's own plus a row's own. Recipes count alike.
    A new row's variance is that of recipe means, plus what of the rows' own variance those means
    average away; Student's t over recipes.

    Args:
        errors: target minus prediction of each row, by recipe, without the recipe that is predicted.
        level: of the interval.

    Returns:
        None where it is not identified: fewer than ``FEWEST_RECIPES`` - 1 other recipes.
    """
    num = len(errors)
    if num < FEWEST_RECIPES - 1:
        return None
    means = np.array([rows.mean() for rows in errors.values()])
    freedom = sum(len(rows) - 1 for rows in errors.values())
    within = sum(float(((rows - rows.mean()) ** 2).sum()) for rows in errors.values()) / max(freedom, 1)
    averaged = float(np.mean([1 - 1 / len(rows) for rows in errors.values()]))
    between = float(means.var(ddof=1))
    spread = np.sqrt(between * (1 + 1 / num) + within * averaged)
    degrees = _satterthwaite(between * (1 + 1 / num), num - 1, within * averaged, freedom)
    return Offset(float(means.mean()), float(student.ppf((1 + level) / 2, degrees) * spread), num)


def _satterthwaite(first: float, first_freedom: int, second: float, second_freedom: int) -> float:
    """Degrees of freedom of a sum of two independent variance estimates."""
    terms = first**2 / first_freedom + (second**2 / second_freedom if second_freedom else 0.0)
    return (first + second) ** 2 / terms if terms > 0 else float(first_freedom)
