"""A metric's values for every recipe: replicates (seeds) by items (problems)."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Replicates:
    """What a ranking starts from.

    Attributes:
        recipes: recipe of each row; several rows of one recipe are its seeds.
        seeds: name of each row's seed, or None where it is not known.
        values: one row a replicate, one column an item (a problem, the mean of its voices); every
            replicate has every item, so that differences between recipes are paired. A single column
            where only means are known.
        stratum: of each item, such as its benchmark's number: items are resampled within strata. None
            where all are of one.
    """

    recipes: tuple[str, ...]
    seeds: tuple[str | None, ...]
    values: Float[np.ndarray, "replicates items"]
    stratum: tuple[int, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Each recipe once, in order of first appearance."""
        return tuple(dict.fromkeys(self.recipes))

    @property
    def num_items(self) -> int:
        """Items that every replicate was measured on."""
        return int(self.values.shape[1])

    def rows(self) -> list[list[int]]:
        """The rows of each recipe, in the order of ``names``."""
        found: dict[str, list[int]] = {name: [] for name in self.names}
        for row, recipe in enumerate(self.recipes):
            found[recipe].append(row)
        return list(found.values())

    def strata(self) -> list[Int[np.ndarray, " items_of_one"]]:
        """The items of each stratum."""
        if self.stratum is None:
            return [np.arange(self.num_items)]
        labels = np.array(self.stratum)
        return [np.flatnonzero(labels == label) for label in sorted(set(self.stratum))]

    def item_means(self) -> Float[np.ndarray, "recipes items"]:
        """Mean of each recipe over seeds, item by item."""
        return np.array([self.values[rows].mean(axis=0) for rows in self.rows()])

    def means(self) -> Float[np.ndarray, " recipes"]:
        """Mean of each recipe: over items, then over seeds."""
        by_row = self.values.mean(axis=1)
        return np.array([by_row[rows].mean() for rows in self.rows()])

    def only(self, wanted: Container[str]) -> Replicates:
        """The rows of the wanted recipes."""
        kept = [row for row, recipe in enumerate(self.recipes) if recipe in wanted]
        return Replicates(
            tuple(self.recipes[row] for row in kept),
            tuple(self.seeds[row] for row in kept),
            self.values[kept],
            self.stratum,
        )
