"""How rows are held out: at random, in blocks, forward in time, or by recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

PAPER_FOLDS = 5
PAPER_SEED = 42


def kfold(
    num_rows: int, *, num_folds: int = PAPER_FOLDS, seed: int = PAPER_SEED
) -> Iterator[Bool[np.ndarray, " rows"]]:
    """Test masks of shuffled folds: scikit-learn's ``KFold(5, shuffle=True, random_state=42)``, bit for bit.

    Args:
        num_rows: at least ``num_folds``.
        num_folds: the first ``num_rows % num_folds`` of them hold one row more.
        seed: of the legacy generator, whose stream NumPy has frozen for good.
    """
    order = np.arange(num_rows)
    np.random.RandomState(seed).shuffle(order)  # the paper's splits are this stream
    return _masks(np.array_split(order, num_folds), num_rows)


def blocked(num_rows: int, *, num_folds: int = PAPER_FOLDS) -> Iterator[Bool[np.ndarray, " rows"]]:
    """Test masks of contiguous blocks, for rows whose neighbours err alike."""
    return _masks(np.array_split(np.arange(num_rows), num_folds), num_rows)


def by_recipe(
    recipes: Sequence[str], *, num_folds: int = PAPER_FOLDS, seed: int = PAPER_SEED
) -> Iterator[Bool[np.ndarray, " rows"]]:
    """Test masks that hold whole recipes out: as many folds as asked, or one a recipe where they are fewer."""
    names = list(dict.fromkeys(recipes))
    number = {name: index for index, name in enumerate(names)}
    of_row = np.array([number[name] for name in recipes])
    for mask in kfold(len(names), num_folds=min(num_folds, len(names)), seed=seed):
        yield mask[of_row]


def forward(
    num_rows: int, *, num_cuts: int = 3
) -> Iterator[tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]]:
    """Train and test masks that only look ahead: the first half, then the next block, and so on.

    Args:
        num_rows: in order; ten or more for the first half to carry a fit.
        num_cuts: blocks that the second half is cut into.
    """
    rows = np.arange(num_rows)
    for block in np.array_split(rows[num_rows - num_rows // 2 :], num_cuts):
        yield rows < block[0], np.isin(rows, block)


def _masks(blocks: Sequence[Int[np.ndarray, " _"]], num_rows: int) -> Iterator[Bool[np.ndarray, " rows"]]:
    for block in blocks:
        mask = np.zeros(num_rows, dtype=bool)
        mask[block] = True
        yield mask
