"""How much of a text stands in another: word n-grams (shingles), their containment and Jaccard index."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

NUM_WORDS = 5
_WORD = re.compile(r"\w+|[^\w\s]")

Shingle = tuple[str, ...]


def shingles(text: str, num_words: int = NUM_WORDS) -> frozenset[Shingle]:
    """The runs of so many words of a text, capitals and white space aside; of a shorter text, the whole.

    A word is a run of letters, digits and underscores, or one other character.

    >>> sorted(shingles("So a + b", 3))
    [('a', '+', 'b'), ('so', 'a', '+')]
    """
    words = _WORD.findall(text.casefold())
    if len(words) <= num_words:
        return frozenset([tuple(words)] if words else [])
    return frozenset(tuple(words[at : at + num_words]) for at in range(len(words) - num_words + 1))


def contained(text: frozenset[Shingle], reference: frozenset[Shingle]) -> float | None:
    """The share of a text's shingles that stand in a reference; None of a text without words.

    >>> contained(shingles("a b c", 2), shingles("b c d", 2))
    0.5
    """
    return len(text & reference) / len(text) if text else None


def near_duplicates(texts: Sequence[frozenset[Shingle]], threshold: float) -> list[tuple[int, int, float]]:
    """All pairs of texts whose Jaccard index reaches a threshold, exactly.

    Two sets that are so alike must share one of each other's rarest shingles, so only those are looked up
    (prefix filtering: Chaudhuri et al. 2006, Bayardo et al. 2007), not all pairs.

    Args:
        texts: shingles of each text.
        threshold: in (0, 1].

    Returns:
        Positions i < j and the index of each pair, in order.

    >>> near_duplicates([shingles("a b c d"), shingles("A b, c d"), shingles("a b c d")], 0.9)
    [(0, 2, 1.0)]
    """
    frequency = Counter(shingle for text in texts for shingle in text)
    seen: dict[Shingle, list[int]] = {}
    pairs = []
    for j, text in enumerate(texts):
        rarest = sorted(text, key=lambda shingle: (frequency[shingle], shingle))
        # The subtraction keeps a product such as 0.7 * 10 = 7.000000000000001 from counting as 8.
        prefix = rarest[: len(text) - math.ceil(threshold * len(text) - 1e-9) + 1]
        candidates = {i for shingle in prefix for i in seen.get(shingle, ())}
        for i in sorted(candidates):
            common = len(text & texts[i])
            index = common / (len(text) + len(texts[i]) - common)
            if index >= threshold:
                pairs.append((i, j, index))
        for shingle in prefix:
            seen.setdefault(shingle, []).append(j)
    return sorted(pairs)
