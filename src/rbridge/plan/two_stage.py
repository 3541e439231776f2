"""The two-stage search (paper, section on future work; method.md section 5): how many recipes to keep.

Stage 1 scores all N recipes with small proxies and keeps the k best; stage 2 scores those with
larger proxies; the recipe with the best score of both is trained at target size. Cost N C1 + k C2 + Ct
against N Ct. Worlds are drawn from the model below, and the search is carried out in each.

    target      t = standard normal, one a recipe
    stage s     rho_s t + sqrt(1 - rho_s^2) e_s,  e standard normal, corr(e_1, e_2) = shared
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rbridge.errors import InputError
from rbridge.plan.noise import Correlation

# Worlds held in memory at a time, in recipes x worlds.
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Costs:
    """FLOPs of one recipe's training run: a stage-1 proxy (all its seeds), a stage-2 proxy, the target."""

    stage1: float
    stage2: float
    target: float

    def search(self, num_recipes: int, kept: int) -> float:
        """N C1 + k C2 + Ct; keeping one recipe needs no stage 2."""
        second = 0.0 if kept == 1 else kept * self.stage2
        return num_recipes * self.stage1 + second + self.target


@dataclass(frozen=True)
class Choice:
    """What keeping k recipes after stage 1 leads to.

    Attributes:
        kept: k.
        best_survives: chance that the truly best recipe is among the k.
        best_survives_interval: 90 % interval over what the correlations may be; None where they
            were stated and count as known.
        best_chosen: chance that it is the one trained at target size.
        regret: expected shortfall of the chosen recipe's target behind the best one's, in standard
            deviations of the target over recipes.
        regret_interval: as above.
        flops: of the whole search.
        saving: FLOPs of training every recipe at target size over ``flops``.
    """

    kept: int
    best_survives: float
    best_survives_interval: tuple[float, float] | None
    best_chosen: float
    regret: float
    regret_interval: tuple[float, float] | None
    flops: float
    saving: float


@dataclass(frozen=True)
class TwoStage:
    """The search for every k.

    Attributes:
        choices: k = 1 ... N.
        recommended: the smallest k whose chance that the best survives reaches what was asked for.
        random_regret: of a recipe picked blindly, the null.
        worlds: drawn.
    """

    choices: tuple[Choice, ...]
    recommended: int
    random_regret: float
    worlds: int


def two_stage(
    num_recipes: int,
    stage1: Correlation,
    stage2: Correlation,
    costs: Costs,
    *,
    rng: np.random.Generator,
    survive: float = 0.9,
    shared_error: float = 0.0,
    worlds: int = 40_000,
) -> TwoStage:
    """Chances, regret and cost of the two-stage search for every number of recipes kept.

    Args:
        num_recipes: N, at least 2.
        stage1: between a stage-1 score and the target.
        stage2: between a stage-2 score and the target.
        costs: FLOPs a recipe.
        rng: draws the worlds.
        survive: wanted chance that the best recipe survives stage 1, in (0, 1).
        shared_error: correlation of the two stages' errors, in [0, 1): what misleads a small proxy
            (style, for one) may mislead a larger one too.
        worlds: to draw, spread over 100 draws of the correlations where a pilot estimated them.

    Raises:
        InputError: an argument outside its range.
    """
    _check(num_recipes, survive, shared_error)
    known = stage1.num_recipes is None and stage2.num_recipes is None
    num_draws = 1 if known else 100
    each = math.ceil(worlds / num_draws)
    rho1, rho2 = stage1.draws(num_draws, rng), stage2.draws(num_draws, rng)
    found = [_search(num_recipes, a, b, shared_error, each, rng) for a, b in zip(rho1, rho2, strict=True)]
    survives, chosen, regret = (np.array(column) for column in zip(*found, strict=True))
    choices = tuple(
        Choice(
            kept=k,
            best_survives=float(survives[:, k - 1].mean()),
            best_survives_interval=None if known else _interval(survives[:, k - 1]),
            best_chosen=float(chosen[:, k - 1].mean()),
            regret=float(regret[:, k - 1].mean()),
            regret_interval=None if known else _interval(regret[:, k - 1]),
            flops=costs.search(num_recipes, k),
            saving=num_recipes * costs.target / costs.search(num_recipes, k),
        )
        for k in range(1, num_recipes + 1)
    )
    recommended = next(choice.kept for choice in choices if choice.best_survives >= survive)
    return TwoStage(choices, recommended, expected_maximum(num_recipes), num_draws * each)


def expected_maximum(num: int) -> float:
    """Mean of the largest of ``num`` standard normals: the regret of a recipe picked blindly.

    >>> round(expected_maximum(2), 10) == round(1 / math.sqrt(math.pi), 10)
    True
    """
    from scipy.integrate import quad
    from scipy.stats import norm

    def density(x: float) -> float:
        return x * num * math.exp(norm.logpdf(x) + (num - 1) * norm.logcdf(x))

    value, _ = quad(density, -12, 12, epsabs=1e-11, limit=200)
    return float(value)


def _check(num_recipes: int, survive: float, shared_error: float) -> None:
    if num_recipes < 2:
        raise InputError(f"{num_recipes} recipes: expected 2 or more to choose among")
    if not 0 < survive < 1:
        raise InputError(
            f"chance that the best survives {survive}: expected a share between 0 and 1, such as 0.9"
        )
    if not 0 <= shared_error < 1:
        raise InputError(f"shared error {shared_error}: expected a correlation from 0 to below 1")


def _search(
    num_recipes: int, rho1: float, rho2: float, shared: float, worlds: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    """Shares of worlds in which the best survives and is chosen, and mean regret, for k = 1 ... N."""
    survives, chosen, regret = np.zeros(num_recipes), np.zeros(num_recipes), np.zeros(num_recipes)
    done = 0
    while done < worlds:
        now = min(worlds - done, max(1, _CHUNK // num_recipes))
        target, score1, score2 = _worlds(now, num_recipes, rho1, rho2, shared, rng)
        order = np.argsort(-score1, axis=1)
        best = target.argmax(axis=1)
        place = np.argmax(order == best[:, None], axis=1)
        survives += np.cumsum(np.bincount(place, minlength=num_recipes))
        picked = _picked(order, _both(score1, score2, rho1, rho2, shared))
        chosen += (picked == best[:, None]).sum(axis=0)
        regret += (target.max(axis=1)[:, None] - np.take_along_axis(target, picked, axis=1)).sum(axis=0)
        done += now
    return survives / worlds, chosen / worlds, regret / worlds


def _worlds(
    num: int, num_recipes: int, rho1: float, rho2: float, shared: float, rng: np.random.Generator
) -> tuple[
    Float[np.ndarray, "worlds recipes"],
    Float[np.ndarray, "worlds recipes"],
    Float[np.ndarray, "worlds recipes"],
]:
    target, first, own = rng.normal(size=(3, num, num_recipes))
    second = shared * first + math.sqrt(1 - shared**2) * own
    return (
        target,
        rho1 * target + math.sqrt(1 - rho1**2) * first,
        rho2 * target + math.sqrt(1 - rho2**2) * second,
    )


def _both(
    score1: Float[np.ndarray, "worlds recipes"],
    score2: Float[np.ndarray, "worlds recipes"],
    rho1: float,
    rho2: float,
    shared: float,
) -> Float[np.ndarray, "worlds recipes"]:
    """The best guess of the target from both scores: its regression on them, up to scale."""
    between = rho1 * rho2 + shared * math.sqrt((1 - rho1**2) * (1 - rho2**2))
    return (rho1 - between * rho2) * score1 + (rho2 - between * rho1) * score2


def _picked(
    order: Int[np.ndarray, "worlds recipes"], guess: Float[np.ndarray, "worlds recipes"]
) -> Int[np.ndarray, "worlds kept"]:
    """The recipe with the best guess among the first k of the order, for every k; k = 1 is the first itself."""
    ordered = np.take_along_axis(guess, order, axis=1)
    # Where a new running maximum is reached, its place; carried on until the next one.
    leads = ordered >= np.maximum.accumulate(ordered, axis=1)
    place = np.maximum.accumulate(np.where(leads, np.arange(order.shape[1]), 0), axis=1)
    return np.take_along_axis(order, place, axis=1)


def _interval(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)
