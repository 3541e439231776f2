"""Which pieces of a source a recipe reads, and in which order: by seed, exact to the token share."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int, Integer


@dataclass(frozen=True)
class Pieces:
    """Documents of a source in a drawn order; one that is longer than a window is cut at its borders.

    Attributes:
        starts: where each piece begins in the source's ids.
        lengths: its tokens, at most a window.
        num_cut: documents that were cut.
    """

    starts: Int[np.ndarray, " pieces"]
    lengths: Int[np.ndarray, " pieces"]
    num_cut: int = 0

    @cached_property
    def ends(self) -> Int[np.ndarray, " pieces"]:
        """Tokens up to the end of each piece."""
        return np.cumsum(self.lengths)

    def nearest(self, num_tokens: int) -> int:
        """How many pieces come nearest to so many tokens, going round as often as it takes.

        >>> pieces = Pieces(np.array([0, 4, 7]), np.array([4, 3, 3]))
        >>> [pieces.nearest(num) for num in (0, 1, 3, 7, 10, 13)]
        [0, 0, 1, 2, 3, 4]
        """
        rounds, rest = divmod(num_tokens, int(self.ends[-1]))
        at = int(np.searchsorted(self.ends, rest, side="right"))
        before = int(self.ends[at - 1]) if at else 0
        return rounds * len(self.ends) + at + (2 * (rest - before) > int(self.lengths[at]))

    def part(self, first: int, last: int) -> Pieces:
        """Pieces number ``first`` up to ``last``, going round."""
        chosen = np.arange(first, last) % len(self.starts)
        return Pieces(self.starts[chosen], self.lengths[chosen])


def draw_pieces(ends: Integer[np.ndarray, " documents"], *, window: int, rng: np.random.Generator) -> Pieces:
    """All documents of a source in random order, each whole where it fits a window.

    Args:
        ends: where each document ends among the source's ids.
        window: tokens.
        rng: of the order.

    >>> pieces = draw_pieces(np.array([10]), window=4, rng=np.random.default_rng(0))
    >>> pieces.starts.tolist(), pieces.lengths.tolist(), pieces.num_cut
    ([0, 4, 8], [4, 4, 2], 1)
    """
    last = np.asarray(ends, dtype=np.int64)
    first = np.concatenate([[0], last[:-1]])
    order = rng.permutation(len(last))
    first, last = first[order], last[order]
    num_pieces = -(-(last - first) // window)
    document = np.repeat(np.arange(len(order)), num_pieces)
    number = np.arange(len(document)) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    starts = first[document] + number * window
    return Pieces(starts, np.minimum(last[document] - starts, window), int((num_pieces > 1).sum()))


def pool_of(pieces: Pieces, *, pool_tokens: int, skip_tokens: int) -> Pieces:
    """The pieces that a recipe draws from: so many tokens, behind those that its base has read."""
    first = pieces.nearest(skip_tokens)
    last = max(pieces.nearest(skip_tokens + pool_tokens), first + 1)
    return pieces.part(first, last)


def stream(*names: object) -> np.random.Generator:
    """A generator that depends on these names alone, whatever else is drawn."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
