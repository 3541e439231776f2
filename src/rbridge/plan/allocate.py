"""Which proxy to train next: beliefs about recipes, the gain of one more seed, sequential halving.

Recipes are taken as normal about a common mean, seeds as normal about their recipe. One more seed of
a recipe is worth the expected rise of the best posterior mean (the knowledge gradient of Frazier,
Powell and Dayanik 2008, equation 4.2), which is the fall in the expected regret of choosing now.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from rbridge.errors import InputError


@dataclass(frozen=True)
class Belief:
    """What is believed of one recipe's true value; higher is better.

    Attributes:
        mean, variance: of the normal posterior; the mean is shrunk towards all recipes' mean.
        num_seeds: behind it.
    """

    mean: float
    variance: float
    num_seeds: int


@dataclass(frozen=True)
class Halving:
    """One round of sequential halving: train ``seeds`` more of each of ``recipes``, then keep the better half."""

    recipes: int
    seeds: int


def beliefs(
    values: Sequence[Float[np.ndarray, " seeds"]], *, seed_variance: float | None = None
) -> tuple[list[Belief], float]:
    """Posterior of each recipe from its seeds' values, and the seed variance used.

    Args:
        values: per recipe, one value a seed, higher is better; at least two recipes.
        seed_variance: of one seed about its recipe; pooled over recipes if left out.

    Returns:
        Beliefs in the recipes' order, and the seed variance. The variance between recipes is the
        method-of-moments estimate, at least 0: then all posterior means are alike.

    Raises:
        InputError: fewer than two recipes, or no recipe has two seeds and no variance was given.
    """
    if len(values) < 2:
        raise InputError(f"{len(values)} recipe: expected 2 or more to choose among")
    if seed_variance is None:
        seed_variance = _pooled_variance(values)
    means = np.array([recipe.mean() for recipe in values])
    noise = np.array([seed_variance / len(recipe) for recipe in values])
    between = max(0.0, float(means.var(ddof=1) - noise.mean()))
    centre = (
        float(np.average(means, weights=1 / (between + noise))) if (between + noise).all() else means.mean()
    )
    found = []
    for mean, error, recipe in zip(means, noise, values, strict=True):
        trust = between / (between + error) if between else 0.0
        found.append(Belief(float(centre + trust * (mean - centre)), float(trust * error), len(recipe)))
    return found, seed_variance


def knowledge_gain(believed: Sequence[Belief], *, seed_variance: float) -> Float[np.ndarray, " recipes"]:
    """Expected fall in the regret of choosing the best recipe, for one more seed of each.

    Args:
        believed: at least two recipes.
        seed_variance: of one seed about its recipe, above 0.

    Returns:
        One gain a recipe, in the metric's unit, at least 0.
    """
    mean = np.array([one.mean for one in believed])
    variance = np.array([one.variance for one in believed])
    # How far one more seed moves the posterior mean: its prior standard deviation.
    moved = variance / np.sqrt(variance + seed_variance)
    top, second = np.argsort(-mean, kind="stable")[:2]
    rival = np.where(np.arange(len(mean)) == top, mean[second], mean[top])
    gap = -np.abs(mean - rival)
    gain = np.zeros(len(mean))
    moves = moved > 0
    z = gap[moves] / moved[moves]
    gain[moves] = moved[moves] * (z * norm.cdf(z) + norm.pdf(z))
    return gain


def halving_schedule(num_recipes: int, budget: int) -> list[Halving]:
    """Rounds of sequential halving (Karnin, Koren and Somekh 2013) within a budget of training runs.

    Args:
        num_recipes: to choose among.
        budget: proxies that can be trained, one a recipe and seed.

    Returns:
        Rounds until one recipe is left; each has the same share of the budget.

    Raises:
        InputError: the budget does not give every recipe one proxy in the first round.

    >>> halving_schedule(8, 24)
    [Halving(recipes=8, seeds=1), Halving(recipes=4, seeds=2), Halving(recipes=2, seeds=4)]
    """
    rounds = math.ceil(math.log2(num_recipes)) if num_recipes > 1 else 0
    found = []
    left = num_recipes
    for _ in range(rounds):
        seeds = budget // (left * rounds)
        if seeds < 1:
            raise InputError(
                f"{budget} proxies: too few for sequential halving of {num_recipes} recipes; "
                f"expected {left * rounds} or more"
            )
        found.append(Halving(left, seeds))
        left = math.ceil(left / 2)
    return found


def _pooled_variance(values: Sequence[Float[np.ndarray, " seeds"]]) -> float:
    freedom = sum(len(recipe) - 1 for recipe in values)
    if freedom == 0:
        raise InputError(
            "every recipe has one seed, so seed noise is unknown: train a second seed of some, or state --seed-sd"
        )
    return sum(float(((recipe - recipe.mean()) ** 2).sum()) for recipe in values) / freedom
