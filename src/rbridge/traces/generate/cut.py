"""From raw replies to a trace, or to the reason why there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rbridge.align import Cut, cut_reply, reasoning_confidence
from rbridge.benchmarks import Problem
from rbridge.errors import AlignmentError
from rbridge.records import Trace, TraceKey
from rbridge.traces.generate.pieces import FittedReply, fit_pieces
from rbridge.traces.generate.reply import Reply, read_reply

ATTEMPTS = 2  # a malformed reply gets one more try (method.md section 3)
_THINKING_END = "</think>"
# LaTeX whose backslash was not doubled: JSON reads \frac as a form feed and "rac". A form feed, a
# backspace or a carriage return before a letter is nothing else; of tabs and line ends only what no
# English word begins with.
_BROKEN_LATEX = re.compile(
    r"(?<!\\)(?:\\\\)*\\(?:[bfr][a-z]|t(?:imes|heta|ext|frac|riangle|anh\b)|n(?:abla|eq|otin|mid)\b)"
)


@dataclass(frozen=True)
class Kept:
    """A trace, and whether the model thought before it wrote."""

    trace: Trace
    thinking: bool


@dataclass(frozen=True)
class Malformed:
    """A reply that is not the JSON that was asked for: it gets one more try."""

    reason: str


@dataclass(frozen=True)
class Unusable:
    """A reply that another try would not mend.

    Attributes:
        reason: one line.
        kind: ``length`` where a higher ``--max-tokens`` would help, else ``reply``.
    """

    reason: str
    kind: Literal["length", "reply"]


def judge(problem: Problem, voice: str, bodies: Sequence[bytes]) -> Kept | Unusable | None:
    """What the replies to a problem come to.

    Args:
        problem: that was asked.
        voice: whose text it is.
        bodies: all replies so far, raw, in order.

    Returns:
        The trace or the reason why there is none; None where the model is to be asked (again).
    """
    if not bodies:
        return None
    found = read_trace(problem, voice, bodies[-1])
    if not isinstance(found, Malformed):
        return found
    if len(bodies) < ATTEMPTS:
        return None
    return Unusable(f"{found.reason} (after {len(bodies)} tries)", "reply")


def read_trace(problem: Problem, voice: str, body: bytes) -> Kept | Malformed | Unusable:
    """One reply's trace, checked to the last byte."""
    try:
        reply = read_reply(body)
    except ValueError as error:
        return Malformed(str(error))
    content = reply.content or ""
    start = _after_thinking(content)
    cut = cut_reply(content, start)
    fault = _fault(reply, cut)
    if fault is not None:
        return fault
    if reply.pieces is None:
        return Unusable("the reply has no log-probabilities", "reply")
    assert cut is not None  # _fault has seen to it
    try:
        fitted = fit_pieces(content, reply.pieces, reply.thinking)
        trace = _trace(problem, voice, fitted, cut, content)
        reasoning_confidence(trace)  # the same gate as for traces that are imported
    except AlignmentError as error:
        return Unusable(" ".join(str(error).split()), "reply")
    return Kept(trace, thinking=bool(fitted.hidden_bytes or start or reply.thinking))


def was_cut_off(found: Kept | Malformed | Unusable) -> bool:
    """Whether more tokens would have helped."""
    return isinstance(found, Unusable) and found.kind == "length"


def _fault(reply: Reply, cut: Cut | None) -> Malformed | Unusable | None:
    if cut is not None and cut.reasoning.strip():
        return _bad_text(reply.content or "", cut)
    if reply.finish_reason == "length":
        spent = "" if reply.completion_tokens is None else f" after {reply.completion_tokens} tokens"
        return Unusable(f"the reply was cut off{spent}; a higher --max-tokens lets it end", "length")
    if reply.refusal:
        return Malformed(f"the model refused: {_begin(reply.refusal)}")
    if not (reply.content or "").strip():
        return Malformed(f"the reply is empty (finish_reason {reply.finish_reason})")
    if cut is not None:
        return Malformed("the reply's 'reasoning' is empty")
    return Malformed(f"no JSON object with a string under 'reasoning' in the reply {_begin(reply.content)}")


def _bad_text(content: str, cut: Cut) -> Malformed | None:
    literal = content.encode("utf-8", "surrogatepass")[slice(*cut.span)].decode("utf-8", "surrogatepass")
    broken = _BROKEN_LATEX.search(literal)
    if broken:
        return Malformed(f"the reasoning's LaTeX is not escaped: {literal[broken.start() :][:16]!r}")
    for text in (cut.reasoning, cut.final_answer or ""):
        if any("\ud800" <= char <= "\udfff" for char in text):
            return Malformed("half a surrogate pair stands in the reply")
    return None


def _trace(problem: Problem, voice: str, fitted: FittedReply, cut: Cut, content: str) -> Trace:
    # The tokens may have white space before the reply that its text has not, or the other way round.
    shift = _lead(fitted.text) - _lead(content)
    return Trace(
        key=TraceKey(problem.benchmark, problem.problem_id, voice),
        reasoning=cut.reasoning,
        question=problem.question,
        question_sha256=problem.question_sha256,
        choices=problem.choices,
        answer=cut.final_answer,
        reply=fitted.text,
        reasoning_span=(cut.span[0] + shift, cut.span[1] + shift),
        pieces=fitted.pieces,
        weight_source="self",
    )


def _lead(text: str) -> int:
    return len(text) - len(text.lstrip(" \t\r\n"))


def _after_thinking(content: str) -> int:
    """Characters up to the end of a span of thinking that the reply itself shows.

    Its opening mark may stand in the chat template. A reply that begins with its JSON shows none:
    a mark in it is part of a string.
    """
    at = content.rfind(_THINKING_END)
    if at == -1 or content.lstrip().startswith(("{", "```")):
        return 0
    return at + len(_THINKING_END)


def _begin(text: str | None) -> str:
    return repr((text or "")[:60])
