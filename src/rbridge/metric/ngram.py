"""A data-only null: how well counts of a recipe's own bytes predict the traces, without any proxy.

An interpolated n-gram model over bytes with Witten-Bell weights (Witten and Bell 1991; Chen and Goodman
1998, section 2.4): with c the k - 1 bytes before b,

    P_k(b | c) = (count(c b) + types(c) P_{k-1}(b | c without its first byte)) / (count(c) + types(c))

and P_0 = 1/256, so that nothing is ever impossible. It is in bits a byte, as the proxies' losses are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt64

# Eight bytes fit into one 64-bit number, so counting is sorting.
ORDER = 8


@dataclass(frozen=True)
class _Level:
    """Counts of all strings of k bytes in a sample.

    Attributes:
        grams: each distinct string as a number, ascending.
        counts: how often each occurs.
        contexts: each distinct string of its first k - 1 bytes, ascending.
        totals: how often each of these is followed by a byte.
        types: by how many different ones.
    """

    grams: UInt64[np.ndarray, " grams"]
    counts: Float[np.ndarray, " grams"]
    contexts: UInt64[np.ndarray, " contexts"]
    totals: Float[np.ndarray, " contexts"]
    types: Float[np.ndarray, " contexts"]


@dataclass(frozen=True)
class ByteModel:
    """An n-gram model of a sample, shortest strings first."""

    levels: tuple[_Level, ...]

    def bits(self, text: bytes) -> Float[np.ndarray, " bytes"]:
        """-log2 P of every byte of a text, each given the bytes before it, ORDER - 1 at most."""
        probability = np.full(len(text), 1 / 256)
        for k, level in enumerate(self.levels, start=1):
            grams = _grams(text, k)
            if not len(grams):
                break
            own = _look_up(level.grams, level.counts, grams)
            contexts = grams >> np.uint64(8)
            total = _look_up(level.contexts, level.totals, contexts)
            types = _look_up(level.contexts, level.types, contexts)
            known = total > 0
            shorter = probability[k - 1 :]
            mixed = (own + types * shorter) / np.where(known, total + types, 1.0)
            probability[k - 1 :] = np.where(known, mixed, shorter)
        return -np.log2(probability)


def byte_model(texts: Iterable[bytes], *, order: int = ORDER) -> ByteModel:
    """Count a sample of a recipe.

    Args:
        texts: its documents; no string is counted across two of them.
        order: longest string, 1 to 8 bytes.
    """
    documents = list(texts)
    return ByteModel(tuple(_level(documents, k) for k in range(1, order + 1)))


def _level(documents: list[bytes], k: int) -> _Level:
    parts = [_grams(document, k) for document in documents]
    every = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
    grams, counts = np.unique(every, return_counts=True)
    contexts, first, types = np.unique(grams >> np.uint64(8), return_index=True, return_counts=True)
    # Strings of one context stand together, so their counts are summed between its first places.
    totals = np.add.reduceat(counts, first) if len(first) else np.zeros(0)
    return _Level(grams, counts.astype(float), contexts, totals.astype(float), types.astype(float))


def _grams(text: bytes, k: int) -> UInt64[np.ndarray, " grams"]:
    """Every string of k bytes as a number, by its end."""
    if len(text) < k:
        return np.zeros(0, dtype=np.uint64)
    letters = np.frombuffer(text, dtype=np.uint8).astype(np.uint64)
    grams = np.zeros(len(text) - k + 1, dtype=np.uint64)
    for place in range(k):
        grams = (grams << np.uint64(8)) | letters[place : place + len(grams)]
    return grams


def _look_up(
    keys: UInt64[np.ndarray, " keys"], values: Float[np.ndarray, " keys"], asked: UInt64[np.ndarray, " asked"]
) -> Float[np.ndarray, " asked"]:
    if not len(keys):
        return np.zeros(len(asked))
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0.0)
