"""Hold a reply's tokens against its text, byte by byte: what does not spell it is refused with its place.

Servers differ in what they report beside the text of the reply: a closing control token, white space
that the text lost, a whole span of thinking that the text does not show, U+FFFD for half a character.
What can be told apart for certain is; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from rbridge.align import check_spelled, checked_logprob
from rbridge.errors import AlignmentError
from rbridge.records import Pieces
from rbridge.traces.generate.reply import RawPiece

_SPACE = b" \t\r\n"
_CONTROL = re.compile(rb"<\|[^<>|]*\|>|</?[a-zA-Z_]\w*>|<\xef\xbd\x9c.*?\xef\xbd\x9c>|")
# What stands at the end of a span of thinking: </think>, or a channel mark such as <|message|>.
_THINKING_ENDS = re.compile(rb"(?:</\w+>|<\|\w+\|>)$")
_LOST = "\N{REPLACEMENT CHARACTER}".encode()


@dataclass(frozen=True)
class FittedReply:
    """A reply and the pieces that spell it.

    Attributes:
        text: the reply, with the white space that its tokens have around it.
        pieces: bytes and log-probabilities; they spell ``text``.
        hidden_bytes: bytes of thinking that the tokens covered and the reply does not show.
    """

    text: str
    pieces: Pieces
    hidden_bytes: int


def fit_pieces(content: str, pieces: Sequence[RawPiece], thinking: str | None = None) -> FittedReply:
    """The tokens of a reply, byte for byte.

    Args:
        content: the text of the reply, not empty.
        pieces: its tokens as reported.
        thinking: what the server itself shows of the thinking before the reply, or None.

    Raises:
        AlignmentError: the tokens do not spell the reply, cannot be told apart from hidden thinking,
            hide part of a character, or have no log-probability; the message names the place.
    """
    text = _utf8(content)
    without_end = pieces[:-1] if pieces and _CONTROL.fullmatch(pieces[-1].literal) else None
    for candidate in (pieces, without_end):
        if candidate is None:
            continue
        found = _as_reported(text, candidate, thinking)
        if found is not None:
            return found
    for candidate in (pieces, without_end):
        if candidate is not None and any(_LOST in piece.literal for piece in candidate):
            spelled = _recovered(text, candidate)
            if spelled is not None:
                return FittedReply(content, _with_logprobs(candidate, spelled, 0), 0)
    raise AlignmentError(_difference(text, pieces))


def _as_reported(text: bytes, pieces: Sequence[RawPiece], thinking: str | None) -> FittedReply | None:
    """The pieces whose bytes, as reported, end in the reply; None where they do not."""
    literals = [piece.literal for piece in pieces]
    joined = b"".join(literals)
    core = text.strip(_SPACE)
    if not joined.rstrip(_SPACE).endswith(core):
        return None
    start = len(joined.rstrip(_SPACE)) - len(core)
    before = joined[:start]
    if not before.strip(_SPACE):
        first, edge = 0, 0
    elif _is_thinking(before, thinking):
        edges = [0, *accumulate(len(literal) for literal in literals)]
        first = max(index for index, edge in enumerate(edges[:-1]) if edge <= start and literals[index])
        edge = edges[first]
        if joined[edge:start].strip(_SPACE):
            raise AlignmentError(
                f"piece {first} ({literals[first]!r}) holds the end of a hidden span of thinking and the "
                "beginning of the reply"
            )
    else:
        return None
    kept = joined[edge:]
    if _LOST in kept:
        raise AlignmentError(
            f"U+FFFD stands in the reply at byte {kept.index(_LOST)}: the server lost what stood there"
        )
    return FittedReply(kept.decode(), _with_logprobs(pieces[first:], literals[first:], first), edge)


def _is_thinking(before: bytes, thinking: str | None) -> bool:
    before = before.strip(_SPACE)
    shown = (thinking or "").strip().encode("utf-8", "surrogatepass")
    return bool(_THINKING_ENDS.search(before)) or (bool(shown) and shown in before)


def _with_logprobs(pieces: Sequence[RawPiece], spelled: Sequence[bytes], offset: int) -> Pieces:
    """Pieces that spell something, with their log-probabilities.

    A control token spells nothing and is left out; nothing before a character of several bytes is
    a part of it that the server hides.
    """
    kept: list[bytes] = []
    logprobs: list[float] = []
    for index, (piece, raw) in enumerate(zip(pieces, spelled, strict=True)):
        if not raw:
            following = b"".join(spelled[index : index + 8])
            if following[:1] >= b"\x80":
                raise AlignmentError(
                    f"piece {index + offset} is empty before {following[:8]!r}: the server hides part of a "
                    "character; it must report bytes"
                )
            continue
        if piece.logprob is None:
            raise AlignmentError(f"piece {index + offset} ({raw!r}) has no log-probability")
        try:
            logprobs.append(checked_logprob(piece.logprob))
        except ValueError as error:
            reason = str(error).partition(";")[0]
            raise AlignmentError(f"piece {index + offset} ({raw!r}): {reason}") from None
        kept.append(raw)
    return Pieces(tuple(kept), np.array(logprobs, dtype=np.float64))


def _recovered(text: bytes, pieces: Sequence[RawPiece]) -> list[bytes] | None:
    """The bytes of each piece where U+FFFD stands for lost ones, if only one way fits the reply.

    A U+FFFD stands for one to three bytes of a character. All ends that a piece can have are
    followed forwards and backwards through the text; where a piece keeps two, nobody can tell.

    Returns:
        The bytes, or None where no way fits.

    Raises:
        AlignmentError: more than one way fits.
    """
    forward: list[set[int]] = [{0}]
    for piece in pieces:
        forward.append({end for start in forward[-1] for end in _ends(text, start, piece.literal)})
    alive = forward[-1] & {len(text)}
    if not alive:
        return None
    ends = [alive]
    for piece, starts in zip(reversed(pieces), reversed(forward[:-1]), strict=True):
        alive = {start for start in starts if _ends(text, start, piece.literal) & alive}
        ends.append(alive)
    ends.reverse()
    for index, possible in enumerate(ends):
        if len(possible) > 1:
            raise AlignmentError(
                f"piece {index - 1} ({pieces[index - 1].text!r}) is part of a character and the server gives no "
                f"bytes: it may end at any of the reply's bytes {', '.join(map(str, sorted(possible)))}"
            )
    edges = [possible.pop() for possible in ends]
    return [text[a:b] for a, b in pairwise(edges)]


def _ends(text: bytes, start: int, literal: bytes) -> set[int]:
    """Where a piece that begins at ``start`` can end."""
    ends = {start}
    for number, part in enumerate(literal.split(_LOST)):
        if number:  # before each part but the first stands a U+FFFD
            ends = {
                end + size
                for end in ends
                for size in (1, 2, 3)
                if end + size <= len(text) and min(text[end : end + size]) >= 0x80
            }
        ends = {end + len(part) for end in ends if text.startswith(part, end)}
    return ends


def _utf8(content: str) -> bytes:
    try:
        return content.encode()
    except UnicodeEncodeError as error:
        raise AlignmentError(
            f"half a surrogate pair stands in the reply at character {error.start}"
        ) from None


def _difference(text: bytes, pieces: Sequence[RawPiece]) -> str:
    joined = b"".join(piece.literal for piece in pieces)
    if joined.rstrip(_SPACE).endswith(text.strip(_SPACE)):
        return (
            f"{len(joined) - len(text)} bytes of tokens stand before the reply ({joined[:24]!r}...) that are no "
            "span of thinking"
        )
    try:
        check_spelled(joined, text, what="log-probabilities")
    except AlignmentError as error:
        return str(error)
    raise AssertionError("they spell the reply after all")
