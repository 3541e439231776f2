"""Whether a corpus holds the questions or traces of a benchmark: how many of their word 8-grams stand in it.

The rule is PaLM's (Chowdhery et al. 2022, section 8): a text counts as contaminated where 70 % of its 8-grams
were seen. One null beside it reads each text backwards, word by word: the same words in an order that only
chance can have put into the corpus. In a language of few forms, chance makes right text too: there fresh text of
the same kind is looked for as well (``chance``), on two measures that a copy and fresh text share fairly: the 8-grams
that no other text has, and the whole text within one document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt64

from rbridge.quality.whole import MULTIPLIER, WholeTexts

NUM_WORDS = 8
SEEN = 0.7
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Found:
    """How much of each text was found, by its own words and by the words read backwards.

    Attributes:
        share: of the text's distinct 8-grams; None of a text of fewer than 8 words, which could stand anywhere.
        backwards: the same of the reversed text.
        own: of those 8-grams of the text that no other text has; None where there are fewer than 8.
        whole: whether all of the text's words stand in one document, one behind the other; None as ``share``.
    """

    share: tuple[float | None, ...]
    backwards: tuple[float | None, ...]
    own: tuple[float | None, ...]
    whole: tuple[bool | None, ...]


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
        self._whole = WholeTexts([self._numbered(one) for one in words], shortest=NUM_WORDS)

    def read(self, document: str) -> None:
        """Mark what a document of the corpus holds."""
        numbers = self._numbered(_words(document))
        if len(numbers) < NUM_WORDS or not len(self._known):
            return
        grams, whole = _polynomial(numbers)
        at = np.minimum(np.searchsorted(self._known, grams), len(self._known) - 1)
        hit = (self._known[at] == grams) & whole
        if hit.any():
            self._seen[at[hit]] = True
            self._whole.read(numbers, hit)

    def found(self) -> Found:
        """What was seen so far."""
        return Found(
            tuple(self._share(grams) for grams in self._grams),
            tuple(self._share(grams) for grams in self._backwards),
            tuple(self._share(grams, at_least=NUM_WORDS) for grams in self._own()),
            self._whole.found(),
        )

    def _own(self) -> list[UInt64[np.ndarray, " _"]]:
        """The 8-grams of each text that no other text has."""
        each = [np.unique(grams) for grams in self._grams]
        if not each:
            return []
        grams, texts = np.unique(np.concatenate(each), return_counts=True)
        return [one[texts[np.searchsorted(grams, one)] == 1] for one in each]

    def _share(self, grams: UInt64[np.ndarray, " grams"], at_least: int = 1) -> float | None:
        own = np.unique(grams)
        if len(own) < at_least:
            return None
        return float(self._seen[np.searchsorted(self._known, own)].mean())

    def _numbered(self, words: Sequence[str]) -> Int[np.ndarray, " words"]:
        return np.array([self._numbers.get(word, 0) for word in words], dtype=np.int64)

    def _hashed(self, words: Sequence[str]) -> UInt64[np.ndarray, " grams"]:
        if len(words) < NUM_WORDS:
            return np.empty(0, np.uint64)
        grams, whole = _polynomial(self._numbered(words))
        return grams[whole]


def is_contaminated(share: float | None) -> bool:
    """Whether so large a share of a text's 8-grams makes it contaminated."""
    return share is not None and share >= SEEN


def _polynomial(
    numbers: Int[np.ndarray, " words"],
) -> tuple[UInt64[np.ndarray, " grams"], Bool[np.ndarray, " grams"]]:
    """The hash of each 8-gram, and whether all of its words are known."""
    num_grams = len(numbers) - NUM_WORDS + 1
    value = np.zeros(num_grams, np.uint64)
    known = np.ones(num_grams, dtype=bool)
    for shift in range(NUM_WORDS):
        part = numbers[shift : shift + num_grams]
        value = value * MULTIPLIER + part.astype(np.uint64)  # wraps around, as it should
        known &= part > 0
    return value, known


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
