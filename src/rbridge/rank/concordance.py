"""Concordant less discordant pairs of many orders against one: what decision accuracy and Kendall's tau share.

All orders are counted at once, bit by bit of the target's ranks (a wavelet tree): O(n log n) an order, each
step one pass over the whole array, where a call of ``scipy.stats.kendalltau`` an order takes three times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Concordance:
    """Pairs of every order against the target's.

    Attributes:
        balance: concordant less discordant pairs, one an order.
        untied: pairs that an order does not tie.
        target_untied: pairs that the target does not tie.
        num_pairs: all pairs.
    """

    balance: Int[np.ndarray, " orders"]
    untied: Int[np.ndarray, " orders"]
    target_untied: int
    num_pairs: int

    @property
    def decision_accuracy(self) -> Float[np.ndarray, " orders"]:
        """Share of pairs in the target's order, a pair tied on either side half."""
        return (1 + self.balance / self.num_pairs) / 2

    @property
    def kendall_tau(self) -> Float[np.ndarray, " orders"] | None:
        """Tau-b of every order; None where the target or an order is constant, since it is not defined then."""
        if not self.target_untied or not self.untied.all():
            return None
        return self.balance / np.sqrt(self.untied * float(self.target_untied))


def concordance(
    orders: Float[np.ndarray, "orders recipes"], target: Float[np.ndarray, " recipes"]
) -> Concordance:
    """Count the pairs of every order that stand in the target's order, and against it.

    Args:
        orders: one row an order, at least two recipes.
        target: one value a recipe.

    Returns:
        Exact counts. A pair tied on either side is neither concordant nor discordant.
    """
    num_orders, num = orders.shape
    by_target = np.argsort(target, kind="stable")
    ranks = np.unique(target[by_target], return_inverse=True)[1].astype(np.int32)
    # Recipes of equal target stand side by side, those tied in an order stay in the target's order:
    # neither kind is ever an inversion.
    values = orders[:, by_target]
    sequence = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, sequence, axis=1)
    inverted = _inversions(ranks[sequence])
    pairs = num * (num - 1) // 2
    target_untied = pairs - int(_tied_pairs(ranks[None])[0])
    untied, both = np.full(num_orders, pairs), np.zeros(num_orders, dtype=np.int64)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if tied.any():
        untied[tied] -= _tied_pairs(ordered[tied])
        both[tied] = _tied_pairs(ordered[tied], ranks[sequence[tied]])
    # concordant + discordant = pairs less those tied on either side.
    counted = untied + target_untied - pairs + both
    return Concordance(counted - 2 * inverted, untied, target_untied, pairs)


# Orders at a time: their ranks and counts then stay in the processor's cache.
_ORDERS = 100


def _inversions(ranks: Int[np.ndarray, "orders recipes"]) -> Int[np.ndarray, " orders"]:
    """Pairs of each row whose first is the larger; all rows hold the same numbers, from 0 on.

    From the highest bit down, rows are sorted stably by the bits seen so far. Two numbers part at the first
    bit in which they differ, and are inverted where the one with bit 1 stands before the one with bit 0.
    """
    ordered = np.sort(ranks[:1])
    bits = range(int(ordered[0, -1]).bit_length())
    return np.concatenate(
        [_count(ranks[first : first + _ORDERS], ordered, bits) for first in range(0, len(ranks), _ORDERS)]
    )


def _count(
    ranks: Int[np.ndarray, "orders recipes"], ordered: Int[np.ndarray, "1 recipes"], bits: range
) -> Int[np.ndarray, " orders"]:
    found = np.zeros(len(ranks), dtype=np.int64)
    for bit in reversed(bits):
        # Ones of groups further left are the same in all rows, and all that the sorted row has.
        found += _ones_before_zeros(ranks >> bit) - _ones_before_zeros(ordered >> bit)
        key = (ranks >> bit).astype(np.min_scalar_type(int(ordered[0, -1])))  # 16 bits sort by radix
        ranks = np.take_along_axis(ranks, np.argsort(key, axis=1, kind="stable"), axis=1)
    return found


def _ones_before_zeros(numbers: Int[np.ndarray, "orders recipes"]) -> Int[np.ndarray, " orders"]:
    """Pairs of each row with a last bit 1 before a last bit 0."""
    ones = numbers & 1
    before = np.cumsum(ones, axis=1, dtype=np.int32)
    return ((1 - ones) * before).sum(axis=1, dtype=np.int64)


def _tied_pairs(*ordered: np.ndarray) -> Int[np.ndarray, " orders"]:
    """Pairs of each row that are equal in all keys, rows sorted by the keys in their order."""
    places = np.arange(ordered[0].shape[1])
    new = np.ones(ordered[0].shape, dtype=bool)
    new[:, 1:] = np.any([key[:, 1:] != key[:, :-1] for key in ordered], axis=0)
    # Every place adds how many equal ones stand before it.
    return (places - np.maximum.accumulate(np.where(new, places, 0), axis=1)).sum(axis=1)
