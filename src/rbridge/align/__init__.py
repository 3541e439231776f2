"""Carry a frontier model's confidence onto a proxy's tokens, byte by byte.

Frontier pieces -> one probability per byte of the reply -> one per byte of the reasoning R
-> a mean over the trace bytes of each proxy token. Everything here is exact or refuses:
bytes that do not spell the text raise ``AlignmentError`` with the first byte that differs.
"""

from rbridge.align.confidence import reasoning_confidence
from rbridge.align.logprobs import checked_logprob
from rbridge.align.reply import Cut, cut_reply, locate_reasoning
from rbridge.align.sources import (
    LOG_ZERO,
    MARKS,
    SELF,
    add_weights,
    check_present,
    check_unambiguous,
    weighed_by,
    weight_sources,
    whose_weights,
)
from rbridge.align.spans import TraceSpans, check_tokens, trace_spans
from rbridge.align.spelling import Spelling, check_spelled, spell_token
from rbridge.align.spread import spread

__all__ = [
    "LOG_ZERO",
    "MARKS",
    "SELF",
    "Cut",
    "Spelling",
    "TraceSpans",
    "add_weights",
    "check_present",
    "check_spelled",
    "check_tokens",
    "check_unambiguous",
    "checked_logprob",
    "cut_reply",
    "locate_reasoning",
    "reasoning_confidence",
    "spell_token",
    "spread",
    "trace_spans",
    "weighed_by",
    "weight_sources",
    "whose_weights",
]
