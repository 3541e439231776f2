"""Which recipes are told apart while traces are still being scored, and which pairs need more of them.

Confidence sequences: intervals of all pairs' mean differences that hold at all times at once, so that one may
look after every round and stop when one likes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# Traces at which the mixture's bound is about tightest; it changes slowly around them.
_TIGHT_AT = 5.0


@dataclass(frozen=True)
class Bands:
    """Where the difference of two recipes' means lies, for every pair at once.

    Attributes:
        low, high: bounds of the row's mean minus the column's.
        settled: pairs that are decided; their bounds stay as they were then.
    """

    low: Float[np.ndarray, "recipes recipes"]
    high: Float[np.ndarray, "recipes recipes"]
    settled: Bool[np.ndarray, "recipes recipes"]

    @property
    def better(self) -> Bool[np.ndarray, "recipes recipes"]:
        """Whether the row is told better (lower) than the column."""
        return self.high < 0

    def alike(self, indifference: float) -> Bool[np.ndarray, "recipes recipes"]:
        """Pairs that are not told apart and known to differ by no more than ``indifference``."""
        near = (self.low >= -indifference) & (self.high <= indifference)
        return near & ~self.better & ~self.better.T


@dataclass(frozen=True)
class Top:
    """Who is among the k best, as masks over recipes; all others are still open.

    Attributes:
        inside: fewer than k others can be better by more than the indifference.
        outside: at least k others are not worse by more than the indifference.
    """

    inside: Bool[np.ndarray, " recipes"]
    outside: Bool[np.ndarray, " recipes"]


def nothing_known(num_recipes: int) -> Bands:
    """Bands before the first trace."""
    shape = (num_recipes, num_recipes)
    return Bands(np.full(shape, -np.inf), np.full(shape, np.inf), np.eye(num_recipes, dtype=bool))


def difference_bounds(
    differences: Float[np.ndarray, "pairs traces"], known: Bool[np.ndarray, "pairs traces"], *, error: float
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Bounds of mean differences, each valid at all numbers of traces at once.

    Robbins' normal mixture for self-normalised sums (de la Peña, Klass and Lai 2004): with S the sum of
    n differences less the tested mean, V the sum of their squares, and m = 5,

        (1 + n/m)^(-1/2) exp( S^2 / (2 V) * n / (n + m) )  <  1 / error     at all n.

    Solved for the mean this is  mean ± s sqrt(c / (n - c)),  c = 2 (1 + m/n) ln( sqrt(1 + n/m) / error ),
    infinite for n <= c. Asymptotic in n, as the confidence sequences of Waudby-Smith, Arbour, Sinha,
    Kennedy and Ramdas (2024); the bound towards the longer tail is moved out by Johnson's (1978) term for
    skewness g,  |g| s c / (3 n).

    Args:
        differences: paired, a row a pair; entries that are not known are not looked at.
        known: which entries are there.
        error: probability that a row's bounds are ever wrong.
    """
    n = known.sum(axis=1)
    one = np.maximum(n, 1)
    mean = np.where(known, differences, 0.0).sum(axis=1) / one
    apart = np.where(known, differences - mean[:, None], 0.0)
    spread = np.sqrt((apart**2).sum(axis=1) / one)
    third = (apart**3).sum(axis=1) / one
    c = 2 * (1 + _TIGHT_AT / one) * np.log(np.sqrt(1 + one / _TIGHT_AT) / error)
    enough = n > c
    half = np.where(enough, spread * np.sqrt(c / np.where(enough, n - c, 1.0)), np.inf)
    varies = spread > 0
    moved = np.where(varies, third / np.where(varies, spread, 1.0) ** 2, 0.0) * c / (3 * one)
    return mean - half + np.minimum(moved, 0.0), mean + half + np.maximum(moved, 0.0)


def narrowed(
    bands: Bands,
    values: Float[np.ndarray, "recipes traces"],
    known: Bool[np.ndarray, "recipes traces"],
    *,
    error: float,
    indifference: float,
) -> Bands:
    """The bands after more traces; pairs that are settled stay as they are.

    Args:
        bands: from earlier looks, or ``nothing_known``.
        values: lower is better; only entries that are ``known`` are looked at.
        known: which traces each recipe has. A pair is compared on those that both have.
        error: probability that any of all pairs' bounds is ever wrong, shared out evenly (union bound).
        indifference: a pair known to differ by no more is settled.
    """
    num = len(values)
    low, high = bands.low.copy(), bands.high.copy()
    each = error / max(1, num * (num - 1) // 2)
    for row in range(num):
        others = np.flatnonzero(~bands.settled[row, :row])
        if not len(others):
            continue
        both = known[row] & known[others]
        bounds = difference_bounds(values[row] - values[others], both, error=each)
        low[row, others] = np.maximum(low[row, others], bounds[0])
        high[row, others] = np.minimum(high[row, others], bounds[1])
        low[others, row], high[others, row] = -high[row, others], -low[row, others]
    found = Bands(low, high, bands.settled)
    decided = found.better | found.better.T | found.alike(indifference)
    return Bands(low, high, bands.settled | decided)


def needed_pairs(
    bands: Bands, *, indifference: float, top: int | None = None
) -> Bool[np.ndarray, "recipes recipes"]:
    """Pairs that more traces may still decide, and whose decision matters.

    Args:
        bands: what is known.
        indifference: as in ``narrowed``.
        top: only who is among the ``top`` best matters; None: the whole order.
    """
    unsettled = ~bands.settled
    if top is None:
        return unsettled
    within, undecided = _top(bands, indifference, top)[1:]
    among = unsettled & within[:, None] & within
    return among & (undecided[:, None] | undecided)


def top_sets(bands: Bands, *, indifference: float, top: int) -> Top:
    """Who is known to be among the ``top`` best, and who is not; at the border a recipe may be both."""
    return _top(bands, indifference, top)[0]


def _top(
    bands: Bands, indifference: float, top: int
) -> tuple[Top, Bool[np.ndarray, " recipes"], Bool[np.ndarray, " recipes"]]:
    """Membership, the recipes among whom the border runs, and those of them that are undecided.

    A recipe that is surely in takes a place, one that is surely out is nobody's rival any more: what is
    left is the same question among fewer recipes for fewer places.
    """
    num = len(bands.low)
    alike = bands.alike(indifference)
    not_worse = bands.better | alike
    within = np.ones(num, dtype=bool)
    inside, outside = np.zeros(num, dtype=bool), np.zeros(num, dtype=bool)
    while True:
        places = top - int((inside & ~within).sum())
        # Column j may be better than row i by more than the indifference.
        rivals = (~not_worse & ~np.eye(num, dtype=bool) & within).sum(axis=1)
        not_worse_than = (not_worse.T & within).sum(axis=1)
        sure_in, sure_out = within & (rivals < places), within & (not_worse_than >= places)
        inside, outside = inside | sure_in, outside | sure_out
        clear = sure_in ^ sure_out
        if not clear.any():
            return Top(inside, outside), within, within & ~sure_in & ~sure_out
        within = within & ~clear
