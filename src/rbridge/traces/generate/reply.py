"""A chat completion as it came over the wire, read without trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

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


class _Open(BaseModel):
    model_config = ConfigDict(extra="ignore")


def _numbers_only(value: object) -> object:
    """True is no log-probability, and a string is none either."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


_Number = Annotated[float | None, BeforeValidator(_numbers_only)]
_Byte = Annotated[int, Field(ge=0, le=255)]


class _Alternative(_Open):
    logprob: _Number = None


class _Token(_Open):
    token: str = ""
    raw: list[_Byte] | None = Field(default=None, alias="bytes")
    logprob: _Number = None
    top_logprobs: list[_Alternative] | None = None

    def piece(self) -> RawPiece:
        known = [
            one.logprob
            for one in self.top_logprobs or ()
            if one.logprob is not None and one.logprob > _UNKNOWN
        ]
        raw = None if self.raw is None else bytes(self.raw)
        return RawPiece(self.token, raw, self.logprob, tuple(sorted(known, reverse=True)))


class _Logprobs(_Open):
    content: list[_Token] | None = None


class _Message(_Open):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None


class _Choice(_Open):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(_Open):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(_Open):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


def read_reply(body: bytes) -> Reply:
    """Read the body of a chat completion.

    Args:
        body: JSON as it arrived.

    Raises:
        ValueError: it is no chat completion; one line says where.
    """
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise ValueError(f"the reply is no chat completion: {place}: {first['msg']}") from None
    choice = completion.choices[0]
    message = choice.message
    thinking = message.reasoning_content or message.reasoning
    tokens = None if choice.logprobs is None else choice.logprobs.content
    usage = completion.usage or _Usage()
    return Reply(
        content=message.content,
        thinking=thinking if isinstance(thinking, str) else None,
        refusal=message.refusal,
        finish_reason=choice.finish_reason,
        pieces=None if not tokens else tuple(token.piece() for token in tokens),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        model=completion.model,
        fingerprint=completion.system_fingerprint,
    )
