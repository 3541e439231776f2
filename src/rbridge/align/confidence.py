"""The frontier's probability at every byte of the reasoning R (method.md section 2)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from rbridge.align.reply import locate_reasoning, unescaped_bytes
from rbridge.align.spelling import check_spelled
from rbridge.errors import AlignmentError
from rbridge.records import Pieces, Trace


def reasoning_confidence(trace: Trace) -> Float[np.ndarray, " bytes"] | None:
    """The probability of the whole frontier piece that holds each byte of R.

    Where a reply is kept, the pieces spell the reply and R is found inside it; a JSON escape gives
    every byte of its character the mean over its raw bytes. Otherwise the pieces spell R itself.

    Args:
        trace: with ``pieces``, or without: then there is no confidence.

    Returns:
        One probability in [0, 1] for each UTF-8 byte of R, or None where the trace has no pieces.

    Raises:
        AlignmentError: the pieces do not spell the text, or R is not to be found in the reply.
    """
    if trace.pieces is None:
        return None
    if trace.reply is None:
        return _per_byte(trace.pieces, trace.reasoning.encode())
    raw = _per_byte(trace.pieces, trace.reply.encode())
    where = locate_reasoning(trace.reply, trace.reasoning, trace.reasoning_span)
    if not where.escaped:
        return raw[where.start : where.end]
    return _through_escapes(raw[where.start : where.end], trace.reply.encode()[where.start : where.end])


def _per_byte(pieces: Pieces, text: bytes) -> Float[np.ndarray, " bytes"]:
    check_spelled(b"".join(pieces.spelled), text, what="pieces")
    lengths = [len(piece) for piece in pieces.spelled]
    return np.repeat(np.exp(pieces.logprobs), lengths)


def _through_escapes(raw: Float[np.ndarray, " raw"], literal: bytes) -> Float[np.ndarray, " bytes"]:
    """Probabilities of a JSON string literal's raw bytes, carried to the bytes it stands for."""
    carried: list[float] = []
    for start, end, num_bytes in unescaped_bytes(literal):
        if end - start == num_bytes:  # unescaped: each byte keeps its own probability
            carried.extend(raw[start:end])
        else:
            carried.extend([float(raw[start:end].mean())] * num_bytes)
    if not carried:
        raise AlignmentError("the reasoning is empty")
    return np.asarray(carried, dtype=np.float64)
