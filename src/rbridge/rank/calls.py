"""Calling pairs: how sure a better score is of a better target, learnt from recipes whose targets are known.

Resampling seeds and items tells how sure a score's order is to come out again. It does not tell whether the target has
that order: a score may be biased, by style for one, and a bias does not vary between seeds. So the relation of score
and target is learnt from other recipes: both are taken as normal scores (of their ranks, so that no single style
stretches the scale), the target's being r times the score's and a normal rest, r from 0 to 1 with an even prior.
Where the score tells nothing r comes out near 0, and no pair is called.

Of two targets that cannot be told apart neither order is right, so a pair's probability is that of its order if their
gap is large enough to be seen. Called at 90 % are the surest pairs, as many as are expected to be right in 90 % of all:
a list with one wrong in ten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, log_ndtr, logsumexp, ndtri
from scipy.stats import beta, rankdata

from rbridge.rank.agreement import recipe_interval

LEVEL = 0.9
# Fewer recipes with a target, apart from the pair's own two, say nothing about a correlation.
FEWEST = 3
_GRID = (np.arange(200) + 0.5) / 200
# A gap of so many standard deviations of the targets is as good as a larger one.
_MOST = 100.0
_CHUNK = 20_000  # pairs at a time: 32 MB


@dataclass(frozen=True)
class Relation:
    """How the known targets follow the score.

    Attributes:
        num_targets: recipes with a target.
        correlation, interval: median and 90 % of r, normal scores.
    """

    num_targets: int
    correlation: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Calls:
    """Pairs called at a level.

    Attributes:
        level: expected share of right ones among the called.
        num_pairs: pairs of recipes.
        num_called: of them, called.
        num_held: pairs whose targets are both known (and resolved, where their noise is).
        num_held_called: of those, called.
        num_right: of those, in the target's order; a tie counts half.
        right_interval: of the share of right ones, 90 %: over recipes, and no narrower than for as many independent
            pairs; None without any or below four recipes.
    """

    level: float
    num_pairs: int
    num_called: int
    num_held: int
    num_held_called: int
    num_right: float
    right_interval: tuple[float, float] | None

    @property
    def share_right(self) -> float | None:
        """Share of the called pairs with known targets that are right."""
        return self.num_right / self.num_held_called if self.num_held_called else None

    @property
    def share_called(self) -> float | None:
        """Share of the pairs with known targets that are called."""
        return self.num_held_called / self.num_held if self.num_held else None


def target_probability(
    score: Float[np.ndarray, " recipes"],
    target: Float[np.ndarray, " recipes"],
    known: Bool[np.ndarray, " recipes"],
    *,
    gap: float = 0.0,
) -> Float[np.ndarray, "recipes recipes"] | None:
    """Probability that the target of the row's recipe is better than that of the column's, if they differ by ``gap``.

    Each pair's is learnt from the known targets of the *other* recipes.

    Args:
        score: higher is better.
        target: higher is better; read where ``known`` only.
        known: which recipes have a target.
        gap: difference from which on two targets can be told apart, in the target's unit.

    Returns:
        The matrix, 1/2 on its diagonal and for equal scores; None where some pair would be left with fewer
        than three targets to learn from.
    """
    if not _enough(known):
        return None
    x, y = _both(score, target, known)
    spread = float(np.std(target[known]))
    least = min(gap, _MOST * spread) / spread if spread > 0 else 0.0
    stated = np.full((len(score), len(score)), 0.5)
    left, right = np.triu_indices(len(score), k=1)
    for first in range(0, len(left), _CHUNK):
        one, other = left[first : first + _CHUNK], right[first : first + _CHUNK]
        drop = np.stack([known[one], known[other]]).astype(np.float64)
        at = np.stack([one, other])
        weights = _posterior(
            known.sum() - drop.sum(axis=0),
            (x[known] ** 2).sum() - (drop * x[at] ** 2).sum(axis=0),
            (x[known] * y[known]).sum() - (drop * x[at] * y[at]).sum(axis=0),
            (y[known] ** 2).sum() - (drop * y[at] ** 2).sum(axis=0),
        )
        apart, rest = (x[one] - x[other])[:, None] * _GRID, np.sqrt(2 * (1 - _GRID**2))
        above = logsumexp(weights + log_ndtr((apart - least) / rest), axis=1)
        below = logsumexp(weights + log_ndtr((-apart - least) / rest), axis=1)
        better = expit(above - below)
        stated[one, other], stated[other, one] = better, 1 - better
    return stated


def calls(
    stated: Float[np.ndarray, "recipes recipes"],
    target: Float[np.ndarray, " recipes"],
    known: Bool[np.ndarray, " recipes"],
    *,
    counted: Bool[np.ndarray, "recipes recipes"] | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = LEVEL,
) -> Calls:
    """Which pairs are called, and how many of those with known targets are right.

    Args:
        stated: probability that the row's recipe is better than the column's.
        target: higher is better; read where ``known`` only.
        known: which recipes have a target to hold the calls against.
        counted: pairs whose targets are resolved; None: all.
        rng: source of randomness.
        resamples: of recipes, for the interval.
        level: expected share of right ones among the called.
    """
    called = _surest(stated, level)
    both = np.outer(known, known) if counted is None else np.outer(known, known) & counted
    truth = np.where(known, target, 0.0)
    right = (np.sign(stated - stated.T) * np.sign(truth[:, None] - truth[None, :]) + 1) / 2
    upper = np.triu(np.ones_like(called), k=1)
    held = called & both
    num_held_called, num_right = int((held & upper).sum()), float(right[held & upper].sum())
    ends = None
    if len(target) >= 4 and num_held_called:
        over_recipes = recipe_interval(right, rng, resamples, 0.9, counted=held)
        ends = _wider(over_recipes, _exact(num_right, num_held_called))
    return Calls(
        level=level,
        num_pairs=int(upper.sum()),
        num_called=int((called & upper).sum()),
        num_held=int((both & upper).sum()),
        num_held_called=num_held_called,
        num_right=num_right,
        right_interval=ends,
    )


def relation(
    score: Float[np.ndarray, " recipes"],
    target: Float[np.ndarray, " recipes"],
    known: Bool[np.ndarray, " recipes"],
) -> Relation:
    """What all known targets say of r.

    Args:
        score: higher is better.
        target: higher is better; read where ``known`` only.
        known: which recipes have a target; at least one.
    """
    x, y = (values[known] for values in _both(score, target, known))
    sums = [np.array([value]) for value in (float(len(x)), (x**2).sum(), (x * y).sum(), (y**2).sum())]
    reached = np.cumsum(np.exp(_posterior(*sums)[0]))
    low, middle, high = (
        float(_GRID[min(int(np.searchsorted(reached, share)), len(_GRID) - 1)]) for share in (0.05, 0.5, 0.95)
    )
    return Relation(len(x), middle, (low, high))


def _exact(num_right: float, num: int) -> tuple[float, float]:
    """Clopper and Pearson's 90 % interval of a share: what resampling collapses to where all or none are right."""
    low = float(beta.ppf(0.05, num_right, num - num_right + 1)) if num_right else 0.0
    high = float(beta.ppf(0.95, num_right + 1, num - num_right)) if num_right < num else 1.0
    return low, high


def _wider(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def _surest(
    stated: Float[np.ndarray, "recipes recipes"], level: float
) -> Bool[np.ndarray, "recipes recipes"]:
    """The surest pairs, as many as keep the mean of their probabilities at the level; equal ones together."""
    sure = np.maximum(stated, stated.T)
    sizes, counts = np.unique(sure[np.triu_indices(len(sure), k=1)], return_counts=True)
    sizes, counts = sizes[::-1], counts[::-1]
    mean = np.cumsum(sizes * counts) / np.cumsum(counts)
    enough = sizes[mean >= level]
    called = sure >= enough[-1] if len(enough) else np.zeros_like(sure, dtype=bool)
    return called & ~np.eye(len(sure), dtype=bool)


def _enough(known: Bool[np.ndarray, " recipes"]) -> bool:
    return int(known.sum()) - 2 >= FEWEST


def _both(
    score: Float[np.ndarray, " recipes"],
    target: Float[np.ndarray, " recipes"],
    known: Bool[np.ndarray, " recipes"],
) -> tuple[Float[np.ndarray, " recipes"], Float[np.ndarray, " recipes"]]:
    """Normal scores of all scores and of the known targets (0 where there is none)."""
    y = np.zeros(len(score))
    y[known] = _normal_scores(target[known])
    return _normal_scores(score), y


def _normal_scores(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Normal quantiles of the ranks, of mean square 1; all 0 where all are equal."""
    found = ndtri((rankdata(values) - 0.5) / len(values))
    size = float(np.sqrt((found**2).mean()))
    return found / size if size > 0 else found


def _posterior(
    num: Float[np.ndarray, " pairs"],
    xx: Float[np.ndarray, " pairs"],
    xy: Float[np.ndarray, " pairs"],
    yy: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, "pairs grid"]:
    """Logarithms of the grid's weights: y is normal around r x with variance 1 - r^2."""
    rest = 1 - _GRID**2
    squares = yy[:, None] - 2 * _GRID * xy[:, None] + _GRID**2 * xx[:, None]
    log_likelihood = -0.5 * num[:, None] * np.log(rest) - 0.5 * squares / rest
    return log_likelihood - logsumexp(log_likelihood, axis=1, keepdims=True)
