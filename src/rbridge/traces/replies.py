"""Replies of a model, with or without log-probabilities, as exchange documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rbridge.align.reply import json_literal
from rbridge.traces.objects import Candidate, field, optional, text_field

_DECODER = json.JSONDecoder(strict=False)
_IDS = ("problem_id", "item_id", "id", "idx", "index", "question_id", "doc_id")
_REPLIES = ("reply", "response", "completion", "output")
_ANSWERS = ("final_answer", "answer")
_BENCHMARKS = ("benchmark", "task")


def read_rows(objects: Iterable[Candidate], *, benchmark: str | None) -> Iterator[Candidate]:
    """Rows with ``frontier_logprobs`` over a whole reply, the reasoning as a byte span of the response.

    Fields: ``question``, ``frontier_response``, ``frontier_logprobs`` (a list of token, bytes, logprob),
    ``reasoning_byte_start``, ``reasoning_byte_end`` (bytes of the response, end exclusive). Tokens may
    spell more than the response (a thinking channel in front, a closing token): it must stand in them once.

    Args:
        objects: the rows.
        benchmark: what they are of; the row's own ``benchmark`` or ``task`` if None.
    """
    yield from _converted(objects, benchmark, _row)


def read_replies(objects: Iterable[Candidate], *, benchmark: str | None) -> Iterator[Candidate]:
    """Raw replies without log-probabilities: ``reply`` (or ``response``, ``completion``, ``output``).

    Where the reply holds a JSON object with the key ``reasoning``, that is R and ``final_answer`` the
    answer; any other reply is R as it stands.

    Args:
        objects: the replies.
        benchmark: what they are of; the object's own ``benchmark`` or ``task`` if None.
    """
    yield from _converted(objects, benchmark, _reply)


_Convert = Callable[[int, Mapping[str, Any], str | None], dict[str, Any]]


def _converted(objects: Iterable[Candidate], benchmark: str | None, convert: _Convert) -> Iterator[Candidate]:
    for index, (place, document) in enumerate(objects):
        if isinstance(document, ValueError):
            yield place, document
            continue
        try:
            yield place, convert(index, document, benchmark)
        except ValueError as error:
            yield place, error


def common_fields(index: int, row: Mapping[str, Any], benchmark: str | None) -> dict[str, Any]:
    """Benchmark, problem, question and the like of a foreign object, under their exchange names.

    Raises:
        ValueError: it names no benchmark and none was given.
    """
    named = benchmark or field(row, _BENCHMARKS, "benchmark (or give --benchmark NAME)")
    known = optional(row, _IDS)
    kept = {
        name: row[name]
        for name in ("voice", "question_sha256", "choices", "correct", "prompt")
        if name in row
    }
    question = optional(row, ("question", "problem", "query"))
    return {
        **kept,
        **({} if question is None else {"question": question}),
        "benchmark": named,
        "problem_id": str(index if known is None else known),
    }


def _row(index: int, row: Mapping[str, Any], benchmark: str | None) -> dict[str, Any]:
    response = text_field(row, ("frontier_response",))
    pieces = token_pieces(field(row, ("frontier_logprobs",), "frontier_logprobs"))
    spelled = b"".join(piece_bytes(piece) for piece in pieces)
    try:
        reply = spelled.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"frontier_logprobs: the tokens spell no UTF-8 text (byte {error.start})") from None
    count = spelled.count(response.encode())
    if count != 1:
        raise ValueError(
            f"frontier_logprobs: the tokens spell the response {count} times; expected once (they begin "
            f"{reply[:24]!r}, the response {response[:24]!r})"
        )
    start, end = _span(row, len(response.encode()))
    offset = spelled.index(response.encode())
    return {
        **common_fields(index, row, benchmark),
        "reasoning": _reasoning(response, start, end),
        "reply": reply,
        "reasoning_span": [offset + start, offset + end],
        "pieces": pieces,
    }


def _span(row: Mapping[str, Any], num_bytes: int) -> tuple[int, int]:
    names = ("reasoning_byte_start", "reasoning_byte_end")
    start, end = (field(row, (name,), name) for name in names)
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= num_bytes:
        raise ValueError(f"reasoning bytes [{start}, {end}): outside the response's {num_bytes} bytes")
    return start, end


def _reasoning(response: str, start: int, end: int) -> str:
    """The text at a byte span of the response, unescaped where it is the JSON string ``reasoning``."""
    literal = json_literal(response)
    if literal is not None:
        first, last = (len(response[:at].encode()) for at in literal)
        if (first, last) == (start, end):
            whole: str = json.loads(f'"{response[literal[0] : literal[1]]}"', strict=False)
            return whole
    try:
        return response.encode()[start:end].decode()
    except UnicodeDecodeError:
        raise ValueError(f"reasoning bytes [{start}, {end}) cut a character in two") from None


def _reply(index: int, row: Mapping[str, Any], benchmark: str | None) -> dict[str, Any]:
    reply = text_field(row, _REPLIES)
    document = {**common_fields(index, row, benchmark), "reasoning": reply}
    answer = optional(row, _ANSWERS)
    whole = _json_reply(reply)
    if whole is not None:
        document |= {"reasoning": whole["reasoning"], "reply": reply}
        answer = optional(whole, _ANSWERS) if answer is None else answer
    if answer is not None:
        document["answer"] = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return document


def _json_reply(reply: str) -> dict[str, Any] | None:
    """The first JSON object in a reply that has a text under ``reasoning``, or None."""
    at = reply.find("{")
    while at != -1:
        try:
            whole, _ = _DECODER.raw_decode(reply, at)
        except ValueError:
            whole = None
        if isinstance(whole, dict) and isinstance(whole.get("reasoning"), str):
            return whole
        at = reply.find("{", at + 1)
    return None


def token_pieces(tokens: Any) -> list[dict[str, Any]]:
    """Tokens of an OpenAI-like reply (token, bytes, logprob) as pieces.

    Raises:
        ValueError: not a list of such objects.
    """
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise ValueError("log-probabilities: expected a list of objects with token (or bytes) and logprob")
    return [_piece(token) for token in tokens]


def _piece(token: Mapping[str, Any]) -> dict[str, Any]:
    if token.get("logprob") is None:
        raise ValueError(f"log-probabilities: token {str(token.get('token'))[:24]!r} has no logprob")
    piece = {"text": token.get("token", token.get("text")), "logprob": float(token["logprob"])}
    if token.get("bytes") is not None:
        piece["bytes"] = list(token["bytes"])
    return piece


def piece_bytes(piece: Mapping[str, Any]) -> bytes:
    """The bytes of a piece; ``bytes`` wins over ``text``.

    Raises:
        ValueError: it has neither.
    """
    try:
        return bytes(piece["bytes"]) if "bytes" in piece else piece["text"].encode()
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"log-probabilities: a token has neither text nor bytes: {piece}") from None
