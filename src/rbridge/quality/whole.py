"""Whether a text stands whole in a document, word by word: one hash of the text, and of every window so long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt64

# Of a polynomial modulo 2^64: odd, and with its bits well spread.
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))


class WholeTexts:
    """Some texts, each marked once it is seen whole."""

    def __init__(self, texts: Sequence[Int[np.ndarray, " _"]], *, shortest: int) -> None:
        """Index the texts.

        Args:
            texts: their words as numbers, 0 for none.
            shortest: words of the shortest text that can be told.
        """
        self._told = [len(words) >= shortest for words in texts]
        self._seen = np.zeros(len(texts), dtype=bool)
        self._shortest = shortest
        windows: dict[int, list[tuple[UInt64[np.ndarray, " _"], int]]] = {}
        for at, words in enumerate(texts):
            if self._told[at]:
                windows.setdefault(len(words), []).append((_Sums(words).windows(len(words)), at))
        self._by_length = {length: _in_order(found) for length, found in sorted(windows.items())}

    def read(self, numbers: Int[np.ndarray, " words"], hit: Bool[np.ndarray, " grams"]) -> None:
        """Mark what a document holds.

        Args:
            numbers: its words.
            hit: of each window of the shortest length, whether it stands in any text: only where these follow one
                another can a longer one.
        """
        bounds = np.flatnonzero(np.diff(np.concatenate([[False], hit, [False]]).astype(np.int8)))
        for first, last in bounds.reshape(-1, 2).tolist():
            words = numbers[first : last + self._shortest - 1]
            sums = _Sums(words)
            for length, (hashes, owners) in self._by_length.items():
                if length > len(words):
                    break
                found = sums.windows(length)
                low = np.searchsorted(hashes, found)
                for at in set(low[hashes[np.minimum(low, len(hashes) - 1)] == found].tolist()):
                    self._seen[owners[at : np.searchsorted(hashes, hashes[at], side="right")]] = True

    def found(self) -> tuple[bool | None, ...]:
        """Which texts were seen; None of those that are too short to tell."""
        return tuple(bool(seen) if told else None for seen, told in zip(self._seen, self._told, strict=True))


class _Sums:
    """Sums of powers from the front, from which the hash of any window is one difference."""

    def __init__(self, numbers: Int[np.ndarray, " words"]) -> None:
        self._powers = np.full(len(numbers), MULTIPLIER, np.uint64).cumprod()
        terms = numbers.astype(np.uint64) * np.full(len(numbers), _INVERSE, np.uint64).cumprod()
        self._sums = np.concatenate([np.zeros(1, np.uint64), terms.cumsum()])

    def windows(self, length: int) -> UInt64[np.ndarray, " windows"]:
        """The hash of each run of so many words."""
        return (self._sums[length:] - self._sums[:-length]) * self._powers[length - 1 :]


def _in_order(
    found: Sequence[tuple[UInt64[np.ndarray, " _"], int]],
) -> tuple[UInt64[np.ndarray, " every"], Int[np.ndarray, " every"]]:
    """All hashes in order, and whose each is."""
    hashes = np.concatenate([windows for windows, _ in found])
    owners = np.concatenate([np.full(len(windows), at) for windows, at in found])
    order = np.argsort(hashes, kind="stable")
    return hashes[order], owners[order]
