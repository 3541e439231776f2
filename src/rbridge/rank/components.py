"""Where the uncertainty of a score comes from: variance components, and which source to buy next.

The model is crossed: value = overall + recipe + seed within recipe + problem + recipe x problem + residual,
a problem being the mean of its voices. Components are found by the analysis of variance (means squares
set equal to their expectations); an estimate below zero is reported as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.rank.replicates import Replicates

ONE_SEED = "one seed a recipe: seed noise is not known"
# A share of the spread between recipes' scores that is no noise, from which on the order hardly changes.
RELIABLE = 0.9
# Noise below so many roundings of the values is none: seeds that say the same to the last digits.
_ROUNDINGS = 64


@dataclass(frozen=True)
class Components:
    """Standard deviations, in the metric's unit, of each source; None where the data cannot tell.

    Attributes:
        recipe: between recipes: the signal.
        seed: between seeds of one recipe, on infinitely many items.
        problem: between problems; it cancels in differences of recipes.
        recipe_problem: of a recipe's liking for a problem; with one seed it holds the residual too.
        residual: of one seed on one problem beyond all that.
        noise: of one recipe's mean, the problems' common part left out.
        shares: of the noise's variance by what buys it down: "seeds", "traces".
        signal_to_noise: recipe over noise.
        reliability: recipe variance over recipe and noise variance.
        buy: "seeds", "traces" or "recipes".
        why: one line behind ``buy``.
    """

    recipe: float | None
    seed: float | None
    problem: float | None
    recipe_problem: float | None
    residual: float | None
    noise: float | None
    shares: dict[str, float]
    signal_to_noise: float | None
    reliability: float | None
    buy: str
    why: str


def residual_variance(replicates: Replicates) -> float:
    """Variance that one seed's mean over items has from the residual of seed and item.

    0 for a single item (it cannot be told from the seed's own variance) and for one seed a recipe.
    """
    total = 0.0
    for items in replicates.strata():
        num = len(items)
        if num < 2:
            continue
        found = _residual_mean_square(replicates, items)
        total += 0.0 if found is None else found * num
    return total / replicates.num_items**2


def _residual_mean_square(replicates: Replicates, items: np.ndarray) -> float | None:
    """Mean square of seed x item within recipes; None where no recipe has two seeds."""
    squares, freedom = 0.0, 0
    for rows in replicates.rows():
        block = replicates.values[rows][:, items]
        squares += float((_doubly_centred(block) ** 2).sum())
        freedom += (len(rows) - 1) * (len(items) - 1)
    return squares / freedom if freedom else None


def _doubly_centred(block: Float[np.ndarray, "rows items"]) -> Float[np.ndarray, "rows items"]:
    return block - block.mean(axis=1, keepdims=True) - block.mean(axis=0) + block.mean()


def components(replicates: Replicates, *, seed_variance: float | None) -> Components:
    """Variance components of one metric on one benchmark.

    Args:
        replicates: of one stratum, or several that are then taken as one.
        seed_variance: of one row's mean (moderated, mean over recipes), from ``seed_noise``; None where
            seeds show nothing.
    """
    num_recipes, num_items = len(replicates.names), replicates.num_items
    seeds = np.array([len(rows) for rows in replicates.rows()], dtype=np.float64)
    per_seed = float((1 / seeds).mean())
    cells = replicates.item_means()
    means = cells.mean(axis=1)
    every = np.arange(num_items)
    residual = _residual_mean_square(replicates, every) if num_items > 1 else None
    interaction = None
    if num_items > 1 and num_recipes > 1:
        found = float((_doubly_centred(cells) ** 2).sum()) / ((num_recipes - 1) * (num_items - 1))
        interaction = max(0.0, found - (residual or 0.0) * per_seed)
    problem = _problem_variance(cells, interaction, (residual or 0.0) * per_seed)
    own_seed = None if seed_variance is None else max(0.0, seed_variance - (residual or 0.0) / num_items)
    by_seeds = None if seed_variance is None else seed_variance * per_seed
    by_traces = None if interaction is None else interaction / num_items
    noise = None if by_seeds is None and by_traces is None else (by_seeds or 0.0) + (by_traces or 0.0)
    if (
        noise is not None
        and noise < (_ROUNDINGS * np.finfo(np.float64).eps * float(np.abs(means).max())) ** 2
    ):
        noise = 0.0
    recipe = None
    if num_recipes > 1 and noise is not None:
        recipe = max(0.0, float(means.var(ddof=1)) - noise)
    reliability = None
    if recipe is not None and noise is not None and recipe + noise > 0:
        reliability = recipe / (recipe + noise)
    # What more traces would buy down: the interaction, and the residual part of a row's variance.
    falls = {
        "seeds": by_seeds or 0.0,
        "traces": (by_traces or 0.0) + (residual or 0.0) / num_items * per_seed,
    }
    buy, why = _what_to_buy(falls, noise, reliability, seeds_known=by_seeds is not None)
    return Components(
        recipe=_root(recipe),
        seed=_root(own_seed),
        problem=_root(problem),
        recipe_problem=_root(interaction),
        residual=_root(residual),
        noise=_root(noise),
        shares={} if not noise else {name: part / noise for name, part in falls.items()},
        signal_to_noise=None if recipe is None or not noise else float(np.sqrt(recipe / noise)),
        reliability=reliability,
        buy=buy,
        why=why,
    )


def _problem_variance(
    cells: Float[np.ndarray, "recipes items"], interaction: float | None, residual: float
) -> float | None:
    if interaction is None:
        return None
    by_item = float(cells.mean(axis=0).var(ddof=1))
    return max(0.0, by_item - (interaction + residual) / len(cells))


def _root(variance: float | None) -> float | None:
    return None if variance is None else float(np.sqrt(variance))


def _what_to_buy(
    falls: dict[str, float], noise: float | None, reliability: float | None, *, seeds_known: bool
) -> tuple[str, str]:
    """The source that brings the noise down most when doubled; recipes where noise matters little.

    Rule: seeds first while they are unknown; recipes where the reliability is at least ``RELIABLE``;
    else the larger of what doubling seeds and doubling traces takes off the noise's variance.
    """
    if not seeds_known:
        return "seeds", f"{ONE_SEED}, and no number of traces shows it"
    if not noise or (reliability is not None and reliability >= RELIABLE):
        share = 1.0 if reliability is None else reliability
        return "recipes", f"{share:.0%} of the variance between recipes' scores is no noise"
    # Doubling halves what it buys down.
    halves = {name: part / 2 / noise for name, part in falls.items()}
    best = max(halves, key=lambda name: halves[name])
    other = "traces" if best == "seeds" else "seeds"
    return best, (
        f"twice the {best} take {halves[best]:.0%} off the noise's variance, twice the {other} {halves[other]:.0%}"
    )
