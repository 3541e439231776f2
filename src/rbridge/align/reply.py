"""Find the reasoning R inside a raw reply, through JSON escapes, keeping byte positions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rbridge.errors import AlignmentError

_DECODER = json.JSONDecoder(strict=False)
_GAP = re.compile(r"[ \t\r\n]*")
# A surrogate pair is one escape of 12 characters; an escape that is one half alone is no text.
_UNIT = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]+", re.DOTALL
)


@dataclass(frozen=True)
class Location:
    """Where R stands in a reply: half-open byte span, and whether the span is JSON-escaped."""

    start: int
    end: int
    escaped: bool


@dataclass(frozen=True)
class Cut:
    """What a reply's JSON object says.

    Attributes:
        reasoning: the value of ``reasoning``, unescaped.
        final_answer: the value of ``final_answer``: a string unescaped, anything else as it is written
            in the JSON; None where it is null or left out.
        span: half-open byte span of the reasoning in the reply, between its quotes, still escaped.
    """

    reasoning: str
    final_answer: str | None
    span: tuple[int, int]


def cut_reply(reply: str, start: int = 0) -> Cut | None:
    """Cut the reasoning and the answer out of a reply that is, or holds, a JSON object.

    Args:
        reply: the writer's raw reply; a code fence or a sentence around the object does no harm.
        start: where to begin to look, in characters: behind a span of thinking.

    Returns:
        The parts, or None where there is no object with a string under ``reasoning``.
    """
    members = _reasoning_object(reply, start)
    if members is None:
        return None
    first, last = members["reasoning"]
    before = len(reply[: first + 1].encode())
    span = (before, before + len(reply[first + 1 : last - 1].encode()))
    answer = members.get("final_answer")
    return Cut(
        reasoning=_value(reply, members["reasoning"]),
        final_answer=None if answer is None else _as_text(reply, answer),
        span=span,
    )


def locate_reasoning(reply: str, reasoning: str, span: tuple[int, int] | None) -> Location:
    """The bytes of ``reply`` that say ``reasoning``.

    Looked for as the span given, else as the JSON key ``reasoning``, else as the one exact
    occurrence (interfaces.md).

    Args:
        reply: the writer's raw reply.
        reasoning: R, unescaped.
        span: half-open byte span of R in the reply, or None.

    Returns:
        The span in bytes, and whether it must be unescaped to give R.

    Raises:
        AlignmentError: R is not there, is there more than once, or the span says something else.
    """
    if span is not None:
        return _at_span(reply.encode(), reasoning, span)
    literal = json_literal(reply)
    if literal is not None:
        raw = reply[literal[0] : literal[1]]
        if json.loads(f'"{raw}"', strict=False) == reasoning:
            start = len(reply[: literal[0]].encode())
            return Location(start, start + len(raw.encode()), escaped="\\" in raw)
    found = [match.start() for match in re.finditer(f"(?={re.escape(reasoning)})", reply)]
    if len(found) == 1:
        start = len(reply[: found[0]].encode())
        return Location(start, start + len(reasoning.encode()), escaped=False)
    count = "nowhere" if not found else f"{len(found)} times"
    raise AlignmentError(
        f"the reasoning stands {count} in the reply and is not its JSON key 'reasoning': "
        "give reasoning_span, the half-open byte span of the reasoning in the reply"
    )


def _at_span(reply: bytes, reasoning: str, span: tuple[int, int]) -> Location:
    start, end = span
    if not 0 <= start < end <= len(reply):
        raise AlignmentError(f"reasoning_span [{start}, {end}) is outside the reply's {len(reply)} bytes")
    inside = reply[start:end]
    if inside == reasoning.encode():
        return Location(start, end, escaped=False)
    try:
        if json.loads(b'"' + inside + b'"', strict=False) == reasoning:
            return Location(start, end, escaped=True)
    except ValueError:
        pass  # not a JSON literal either: the message below says what stands there
    raise AlignmentError(
        f"reasoning_span [{start}, {end}) holds {inside[:24]!r}..., expected the reasoning, "
        f"which begins {reasoning[:24]!r}"
    )


def json_literal(reply: str) -> tuple[int, int] | None:
    """Character span, quotes excluded, of the string under ``reasoning`` in the reply's JSON object."""
    members = _reasoning_object(reply, 0)
    return None if members is None else (members["reasoning"][0] + 1, members["reasoning"][1] - 1)


def _reasoning_object(reply: str, start: int) -> dict[str, tuple[int, int]] | None:
    """Character spans of the values of the reply's JSON object, by key.

    The object may stand anywhere (inside a code fence, after a sentence): the first ``{`` from
    which a whole object with a string under ``reasoning`` can be read is taken.
    """
    at = reply.find("{", start)
    while at != -1:
        members = _members(reply, at)
        if members is not None:
            return members
        at = reply.find("{", at + 1)
    return None


def _members(reply: str, at: int) -> dict[str, tuple[int, int]] | None:
    try:
        whole, _ = _DECODER.raw_decode(reply, at)
    except (ValueError, RecursionError):  # brackets nested without end are no reply either
        return None
    if not isinstance(whole.get("reasoning"), str):
        return None
    members: dict[str, tuple[int, int]] = {}
    at = _skip(reply, at + 1)
    while reply[at] != "}":
        key, at = _DECODER.raw_decode(reply, at)
        start = _skip(reply, _skip(reply, at) + 1)  # behind the colon
        _, at = _DECODER.raw_decode(reply, start)
        members[key] = (start, at)  # of a repeated key, the last counts, as in json.loads
        at = _skip(reply, at)
        if reply[at] == ",":
            at = _skip(reply, at + 1)
    return members


def _value(reply: str, span: tuple[int, int]) -> Any:
    return json.loads(reply[span[0] : span[1]], strict=False)


def _as_text(reply: str, span: tuple[int, int]) -> str | None:
    value = _value(reply, span)
    return value if value is None or isinstance(value, str) else reply[span[0] : span[1]]


def _skip(reply: str, at: int) -> int:
    match = _GAP.match(reply, at)
    assert match is not None  # the pattern matches the empty string
    return match.end()


def unescaped_bytes(literal: bytes) -> Iterator[tuple[int, int, int]]:
    """Units of a JSON string literal, in order.

    Args:
        literal: UTF-8 bytes between the quotes, valid JSON.

    Yields:
        Start and end of the unit in the literal, and the number of UTF-8 bytes it stands for.
        A run without escapes is one unit and stands for itself.
    """
    for unit in _UNIT.finditer(literal):
        raw = unit.group()
        if raw.startswith(b"\\"):
            num_bytes = len(json.loads(b'"' + raw + b'"').encode("utf-8", "surrogatepass"))
        else:
            num_bytes = len(raw)
        yield unit.start(), unit.end(), num_bytes
