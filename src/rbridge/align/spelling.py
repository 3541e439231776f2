"""Which bytes a token's vocabulary string stands for.

Character offsets, as fast tokenizers report them, are no way to find a token's bytes: they overlap
where a token splits a character, and `trim_offsets` (GPT-NeoX, OLMo) leaves spaces uncovered. The
vocabulary strings themselves are exact, once it is known how they are written.
"""

from __future__ import annotations

import re
from enum import Enum

from rbridge.errors import AlignmentError

SPACE_MARK = "▁"  # U+2581, SentencePiece's visible space
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Spelling(Enum):
    """How a tokenizer writes bytes in its vocabulary strings."""

    BYTE_LEVEL = "byte-level"  # GPT-2's 256 printable stand-ins, one per byte
    SENTENCEPIECE = "sentencepiece"  # ▁ for a space, <0xNN> for a byte without a piece
    PLAIN = "plain"  # the text itself


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's table from stand-in character to byte.

    Printable Latin-1 bytes stand for themselves; the other 68 follow from U+0100 in byte order.
    """
    themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(themselves)]
    table = {chr(byte): byte for byte in themselves}
    return table | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_level_alphabet()


def spell_token(token: str, spelling: Spelling) -> bytes:
    """The bytes that a vocabulary string stands for.

    Args:
        token: the vocabulary's own string (not a decoded text; added tokens, which are written
            as plain text in every vocabulary, are not for this function).
        spelling: how the vocabulary writes bytes.

    Returns:
        The token's bytes. A character outside GPT-2's alphabet stands for its own UTF-8, so that
        a vocabulary that breaks the rule is caught by ``check_spelled`` and nowhere hidden.

    >>> spell_token("Ġthe", Spelling.BYTE_LEVEL), spell_token("▁the", Spelling.SENTENCEPIECE)
    (b' the', b' the')
    >>> spell_token("<0xE2>", Spelling.SENTENCEPIECE)
    b'\\xe2'
    """
    if spelling is Spelling.BYTE_LEVEL:
        return b"".join(
            bytes([_BYTE_OF[char]]) if char in _BYTE_OF else char.encode("utf-8", "surrogatepass")
            for char in token
        )
    if spelling is Spelling.SENTENCEPIECE:
        if match := _BYTE_TOKEN.fullmatch(token):
            return bytes([int(match[1], 16)])
        token = token.replace(SPACE_MARK, " ")
    return token.encode("utf-8", "surrogatepass")


def check_spelled(spelled: bytes, text: bytes, *, what: str) -> None:
    """Pass where ``spelled`` is ``text``, and otherwise say where they part.

    Args:
        spelled: bytes of tokens or pieces, joined.
        text: the bytes they must spell.
        what: the subject of the message, such as "pieces" or "tokens".

    Raises:
        AlignmentError: they differ; the message names the first byte that does.
    """
    if spelled == text:
        return
    shorter = min(len(spelled), len(text))
    at = next((i for i in range(shorter) if spelled[i] != text[i]), shorter)
    raise AlignmentError(
        f"{what} stop spelling the text at byte {at}: "
        f"text has {_around(text, at)}, {what} have {_around(spelled, at)}"
    )


def _around(text: bytes, at: int) -> str:
    return repr(text[at : at + 12]) if at < len(text) else "its end"
