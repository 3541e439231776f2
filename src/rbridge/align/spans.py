"""Where each proxy token lies in the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from rbridge.align.spelling import check_spelled


@dataclass(frozen=True)
class TraceSpans:
    """The tokens of ``" " + R`` that hold bytes of R, and which.

    Attributes:
        index: positions, among all tokens, of those that hold a trace byte. The others (the
            separator alone, a SentencePiece dummy prefix) are fed to the proxy but not scored.
        start, end: their half-open byte spans in R. A token made of the separator and the first
            bytes of R starts at 0: the separator is no trace byte.
    """

    index: Int[np.ndarray, " tokens"]
    start: Int[np.ndarray, " tokens"]
    end: Int[np.ndarray, " tokens"]


def trace_spans(tokens: Sequence[bytes], reasoning: bytes) -> TraceSpans:
    """Byte spans in R of the tokens that a tokenizer made of ``" " + R``.

    Args:
        tokens: the bytes of each token, in order. One space more than the separator may stand in
            front: the dummy prefix of SentencePiece, or of a byte-level `add_prefix_space`.
        reasoning: UTF-8 bytes of R, not empty.

    Returns:
        Spans that lie side by side and cover R from 0 to its end.

    Raises:
        AlignmentError: the tokens do not spell the text; the byte counted is that of ``" " + R``.

    >>> spans = trace_spans([b" ", b" So", b" 2", b"."], b"So 2.")
    >>> spans.index.tolist(), spans.start.tolist(), spans.end.tolist()
    ([1, 2, 3], [0, 2, 4], [2, 4, 5])
    """
    num_before = 1 + check_tokens(b"".join(tokens), b" " + reasoning)
    end = np.cumsum([len(token) for token in tokens], dtype=np.int64) - num_before
    start = np.concatenate([[-num_before], end[:-1]]).astype(np.int64)
    index = np.flatnonzero((end > 0) & (end > start))
    return TraceSpans(index, np.maximum(start[index], 0), end[index])


def check_tokens(spelled: bytes, text: bytes) -> int:
    """Pass where tokens spell ``text``, with or without one dummy space in front.

    Returns:
        The number of dummy spaces: 0 or 1.

    Raises:
        AlignmentError: they spell something else.
    """
    num_dummy = int(len(spelled) == len(text) + 1 and spelled.startswith(b" "))
    check_spelled(spelled[num_dummy:], text, what="tokens")
    return num_dummy
