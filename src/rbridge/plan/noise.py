"""How well a proxy's score follows the target: one correlation, and how sure we are of it.

Recipes' scores and targets are taken as jointly normal after a monotone change of each (a Gaussian
copula), so that one number stands for any metric on any scale. For normal pairs the share of pairs
in the same order is 1/2 + arcsin(rho) / pi (Sheppard 1899), which carries published decision
accuracies over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, rankdata

from rbridge.errors import InputError

# Fisher's z has variance 1 / (n - 3): below this many recipes a pilot says nothing of its own error.
FEWEST_PILOT_RECIPES = 5


@dataclass(frozen=True)
class Correlation:
    """Between a stage's score and the target, over recipes; above 0 where the score ranks rightly.

    Attributes:
        value: the estimate, or what was stated.
        num_recipes: of the pilot it was estimated from; None where it was stated and counts as known.
    """

    value: float
    num_recipes: int | None = None

    @property
    def decision_accuracy(self) -> float:
        """The share of pairs of recipes that it puts in the target's order.

        >>> round(Correlation(0.5).decision_accuracy, 12)
        0.666666666667
        """
        return 0.5 + math.asin(self.value) / math.pi

    def draws(self, num: int, rng: np.random.Generator) -> Float[np.ndarray, " draws"]:
        """Values that the true correlation may have: Fisher's z for a pilot, all alike where it was stated."""
        if self.num_recipes is None:
            return np.full(num, self.value)
        z = np.arctanh(self.value) + rng.normal(size=num) / math.sqrt(self.num_recipes - 3)
        return np.tanh(z)


def correlation_from_accuracy(decision_accuracy: float) -> Correlation:
    """The correlation behind a published decision accuracy, taken as known.

    Args:
        decision_accuracy: share of pairs in the target's order, in [0, 1].

    Raises:
        InputError: not in [0, 1].

    >>> round(correlation_from_accuracy(2 / 3).value, 12)
    0.5
    """
    if not 0 <= decision_accuracy <= 1:
        raise InputError(f"decision accuracy {decision_accuracy}: expected a share from 0 to 1, such as 0.78")
    return Correlation(math.sin(math.pi * (decision_accuracy - 0.5)))


def pilot_correlation(
    score: Float[np.ndarray, " recipes"], target: Float[np.ndarray, " recipes"]
) -> Correlation:
    """The correlation of a pilot's recipes, between normal scores of ranks, which no outlier can pull.

    Args:
        score: one value a recipe, higher is better.
        target: one value a recipe, higher is better.

    Raises:
        InputError: too few recipes, or one of the two is constant.
    """
    n = len(score)
    if n < FEWEST_PILOT_RECIPES:
        raise InputError(
            f"the pilot has {n} recipes with score and target; expected {FEWEST_PILOT_RECIPES} or more: "
            "add recipes, or state a published decision accuracy"
        )
    if np.ptp(score) == 0 or np.ptp(target) == 0:
        raise InputError(
            "the pilot's score or target is the same for every recipe: it says nothing of their order"
        )
    value = float(np.corrcoef(_normal_scores(score), _normal_scores(target))[0, 1])
    # A perfect order of n recipes is no proof of a perfect correlation: z is cut where one more
    # recipe out of order would have put it.
    highest = 1 - 1 / n**2
    return Correlation(float(np.clip(value, -highest, highest)), n)


def _normal_scores(values: Float[np.ndarray, " recipes"]) -> Float[np.ndarray, " recipes"]:
    return norm.ppf(rankdata(values) / (len(values) + 1))
