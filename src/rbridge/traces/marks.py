r"""0/1 weights from marks in the text: ``<span>`` ... ``</span>``, as in trillionlabs/rbridge-mask.

What stands between marks weighs 1, the rest 0; the marks themselves are no part of the reasoning. The
published files also close with ``<\span>``. A proxy token that a mark cuts weighs the share of its bytes
inside, where the authors' script counts it whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rbridge.align import LOG_ZERO, MARKS
from rbridge.traces.objects import Candidate, optional, text_field

_MARK = re.compile(r"<span>|</span>|<\\span>")
_IDS = ("problem_id", "id", "idx", "index", "question_id")


def read_marked(objects: Iterable[Candidate], *, benchmark: str) -> Iterator[Candidate]:
    """Exchange documents of marked traces.

    Args:
        objects: with ``question`` and ``reasoning``; without an id, the place in the file is the problem's.
        benchmark: what they are of: the files do not say.
    """
    for index, (place, document) in enumerate(objects):
        if isinstance(document, ValueError):
            yield place, document
            continue
        try:
            reasoning, pieces = unmark(text_field(document, ("reasoning",)))
            known = optional(document, _IDS)
            found: dict[str, Any] = {
                "benchmark": benchmark,
                "problem_id": str(index if known is None else known),
                "question": text_field(document, ("question",)),
                "reasoning": reasoning,
            }
            if pieces is not None:
                found |= {"pieces": pieces, "weight_source": MARKS}
            yield place, found
        except ValueError as error:
            yield place, error


def unmark(text: str) -> tuple[str, list[dict[str, Any]] | None]:
    r"""The text without its marks, and pieces of weight 1 and 0 that spell it; None where nothing is marked.

    Raises:
        ValueError: marks nest, or one is opened and not closed, or closed and not opened.

    >>> unmark("So <span>2 + 3</span>.")[0]
    'So 2 + 3.'
    >>> [(piece["text"], piece["logprob"]) for piece in unmark("So <span>2<\\span>.")[1]]
    [('So ', -1000.0), ('2', 0.0), ('.', -1000.0)]
    """
    pieces: list[dict[str, Any]] = []
    opened, at = False, 0
    for mark in _MARK.finditer(text):
        if (mark.group() == "<span>") == opened:
            what = "a <span> inside another" if opened else f"a {mark.group()} that was not opened"
            raise ValueError(f"reasoning: {what} at character {mark.start()}")
        _add(pieces, text[at : mark.start()], inside=opened)
        opened, at = not opened, mark.end()
    if opened:
        raise ValueError("reasoning: the last <span> is not closed")
    if at == 0:
        return text, None
    _add(pieces, text[at:], inside=False)
    return "".join(piece["text"] for piece in pieces), pieces


def _add(pieces: list[dict[str, Any]], text: str, *, inside: bool) -> None:
    if text:
        pieces.append({"text": text, "logprob": 0.0 if inside else LOG_ZERO})
