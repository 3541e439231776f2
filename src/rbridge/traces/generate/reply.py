"""A chat completion as it came over the wire, read without trust."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

# Servers write -9999, or minus infinity, for what they do not know.
_UNKNOWN = -9999.0


@dataclass(frozen=True)
class RawPiece:
    """A token as the server reports it; nothing is taken for granted.

    Attributes:
        text: the token as text; servers write U+FFFD, or nothing, for half a character.
        raw: its bytes, where the server gives them.
        logprob: natural log-probability, or None where it is null.
        top: log-probabilities of the most likely tokens at this place, highest first; may be empty.
    """

    text: str
    raw: bytes | None
    logprob: float | None
    top: tuple[float, ...] = ()

    @property
    def literal(self) -> bytes:
        """What the piece says it spells."""
        return self.text.encode("utf-8", "surrogatepass") if self.raw is None else self.raw


@dataclass(frozen=True)
class Reply:
    """What a chat endpoint answered.

    Attributes:
        content: the text of the reply; None where there is none.
        thinking: what the server shows of the model's thinking apart from the reply, or None.
        refusal: the model's own refusal, or None.
        finish_reason: ``stop``, ``length``, ... or None.
        pieces: its tokens, or None where the server gives no log-probabilities.
        prompt_tokens, completion_tokens: as billed, or None where the server does not say.
        model, fingerprint: as the server names what it ran, or None.
    """

    content: str | None
    thinking: str | None
    refusal: str | None
    finish_reason: str | None
    pieces: tuple[RawPiece, ...] | None
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str | None
    fingerprint: str | None


def read_reply(body: bytes) -> Reply:
    """Read the body of a chat completion.

    Args:
        body: JSON as it arrived.

    Raises:
        ValueError: it is no chat completion; one line says where.
    """
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        message = choice["message"]
        tokens = (choice.get("logprobs") or {}).get("content")
        usage = document.get("usage") or {}
        return Reply(
            content=_text(message.get("content")),
            thinking=_text(message.get("reasoning_content")) or _text(message.get("reasoning")),
            refusal=_text(message.get("refusal")),
            finish_reason=_text(choice.get("finish_reason")),
            pieces=tuple(_piece(token) for token in tokens) if tokens else None,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            model=_text(document.get("model")),
            fingerprint=_text(document.get("system_fingerprint")),
        )
    except (ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"the reply is no chat completion: {str(error)[:80]}") from None
    except (KeyError, IndexError, TypeError, AttributeError):
        begin = body[:60].decode(errors="replace")
        raise ValueError(f"the reply is no chat completion: it begins {begin!r}") from None


def _piece(token: dict[str, Any]) -> RawPiece:
    raw = token.get("bytes")
    known = [_number(one.get("logprob")) for one in token.get("top_logprobs") or ()]
    top = sorted((one for one in known if one is not None and one > _UNKNOWN), reverse=True)
    return RawPiece(
        text=_text(token.get("token")) or "",
        raw=None if raw is None else bytes(raw),  # a ValueError where they are no bytes
        logprob=_number(token.get("logprob")),
        top=tuple(top),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    """True is no log-probability, and a string is none either."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
