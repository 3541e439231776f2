"""Whether a corpus holds the questions or traces of a benchmark: how many of their word 8-grams stand in it.

The rule is PaLM's (Chowdhery et al. 2022, section 8): a text counts as contaminated where 70 % of its 8-grams
were seen. The null beside it reads each text backwards, word by word: the same words in an order that only
chance can have put into the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64

NUM_WORDS = 8
SEEN = 0.7
_WORD = re.compile(r"\w+|[^\w\s]")
# Of a polynomial modulo 2^64: odd, and with its bits well spread.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Found:
    """How much of each text was found, by its own words and by the words read backwards.

    Attributes:
        share: of the text's distinct 8-grams; None of a text of fewer than 8 words, which could stand anywhere.
        backwards: the same of the reversed text.
    """

    share: tuple[float | None, ...]
    backwards: tuple[float | None, ...]


class NgramIndex:
    """The 8-grams of some texts, each marked once it is seen in a corpus.

    Memory grows with the texts that are looked for, not with the corpus.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index the texts that will be looked for."""
        words = [_words(text) for text in texts]
        # Words that no text has are 0, and no 8-gram with a 0 is looked for.
        self._numbers = {
            word: at for at, word in enumerate(dict.fromkeys(w for one in words for w in one), 1)
        }
        self._grams = [self._hashed(one) for one in words]
        self._backwards = [self._hashed(one[::-1]) for one in words]
        every = [*self._grams, *self._backwards]
        self._known = np.unique(np.concatenate(every)) if every else np.empty(0, np.uint64)
        self._seen = np.zeros(len(self._known), dtype=bool)

    def read(self, document: str) -> None:
        """Mark what a document of the corpus holds."""
        grams = self._hashed(_words(document))
        if not len(grams) or not len(self._known):
            return
        at = np.minimum(np.searchsorted(self._known, grams), len(self._known) - 1)
        self._seen[at[self._known[at] == grams]] = True

    def found(self) -> Found:
        """What was seen so far."""
        return Found(
            tuple(self._share(grams) for grams in self._grams),
            tuple(self._share(grams) for grams in self._backwards),
        )

    def _share(self, grams: UInt64[np.ndarray, " grams"]) -> float | None:
        if not len(grams):
            return None
        own = np.unique(grams)
        return float(self._seen[np.searchsorted(self._known, own)].mean())

    def _hashed(self, words: Sequence[str]) -> UInt64[np.ndarray, " grams"]:
        numbers = np.array([self._numbers.get(word, 0) for word in words], dtype=np.int64)
        if len(numbers) < NUM_WORDS:
            return np.empty(0, np.uint64)
        return _polynomial(numbers)


def is_contaminated(share: float | None) -> bool:
    """Whether so large a share of a text's 8-grams makes it contaminated."""
    return share is not None and share >= SEEN


def _polynomial(numbers: Int[np.ndarray, " words"]) -> UInt64[np.ndarray, " grams"]:
    num_grams = len(numbers) - NUM_WORDS + 1
    value = np.zeros(num_grams, np.uint64)
    known = np.ones(num_grams, dtype=bool)
    for shift in range(NUM_WORDS):
        part = numbers[shift : shift + num_grams]
        value = value * _MULTIPLIER + part.astype(np.uint64)  # wraps around, as it should
        known &= part > 0
    return value[known]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
