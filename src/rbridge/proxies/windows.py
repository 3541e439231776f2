"""Pack documents into training windows without cutting any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from rbridge.errors import InputError
from rbridge.recipes.packing import share_windows

IGNORED = -100  # transformers' label of a position without loss


@dataclass(frozen=True)
class Windows:
    """Token windows ready for training.

    Attributes:
        ids: token ids; a document follows the end-of-text token of the one before it.
        labels: the same, but IGNORED on the padding at a window's end.
    """

    ids: Int[np.ndarray, "windows window"]
    labels: Int[np.ndarray, "windows window"]

    @property
    def num_tokens(self) -> int:
        """Tokens of documents, padding left out."""
        return int((self.labels != IGNORED).sum())


def pack_windows(documents: Sequence[Sequence[int]], *, window: int, pad_id: int) -> Windows:
    """Windows that hold every document once and whole, each in the fullest open window with room for it.

    Args:
        documents: token ids of each document, its end-of-text token included.
        window: length of a window in tokens.
        pad_id: any valid id; padding carries no loss.

    Raises:
        InputError: a document is longer than a window.
    """
    for number, document in enumerate(documents):
        if len(document) > window:
            raise InputError(
                f"document {number}: {len(document)} tokens, but a window holds {window} and no document is "
                "cut; use shorter documents or longer windows"
            )
    shared = share_windows([len(document) for document in documents], window)
    rows = [[token for position in members for token in documents[position]] for members in shared]
    return _padded(rows, window=window, pad_id=pad_id)


def _padded(rows: list[list[int]], *, window: int, pad_id: int) -> Windows:
    ids = np.full((len(rows), window), pad_id, dtype=np.int64)
    labels = np.full_like(ids, IGNORED)
    for row, held in enumerate(rows):
        ids[row, : len(held)] = labels[row, : len(held)] = held
    return Windows(ids, labels)
