"""How much trace-like text a recipe holds, counted without a model: the null that a score has to beat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\d+|[^\W\d]+|[^\w\s]|_")
_RUN = 4  # words


def trace_like_share(documents: Iterable[str], traces: Iterable[str]) -> float:
    """The share of the documents' words that lie in a run of four words which some trace has too.

    A word is a run of letters, a number or a single mark. All numbers count as the same word, so that the
    form of the text is counted and not whether its arithmetic is right.

    >>> trace_like_share(["Then buys 2: 5 + 2 = 7.", "import re"], ["So buys 3: 9 + 3 = 12."])
    0.75
    """
    runs = {run for trace in traces for run in _runs(_words(trace))}
    num_words = num_covered = 0
    for document in documents:
        words = _words(document)
        covered = {
            first + offset for first, run in enumerate(_runs(words)) if run in runs for offset in range(_RUN)
        }
        num_words += len(words)
        num_covered += len(covered)
    return num_covered / num_words


def _words(text: str) -> list[str]:
    return ["0" if word.isdigit() else word for word in _WORD.findall(text)]


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[first : first + _RUN]) for first in range(len(words) - _RUN + 1)]
