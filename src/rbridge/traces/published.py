"""The authors' published traces (trillionlabs/rBridge), as exchange documents.

Per benchmark they are a ``.json`` list of completions with reasoning and final answer, and ``.jsonl`` files
with one row a token of the whole completion, its JSON wrapper included. The published page names no
columns, so each is looked for under its usual names, and a user can say which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rbridge.errors import InputError
from rbridge.traces import objects
from rbridge.traces.objects import Candidate
from rbridge.traces.replies import piece_bytes, token_pieces

_USUAL = {
    "id": ("problem_id", "question_id", "idx", "index", "id", "sample_id", "doc_id"),
    "question": ("question", "problem", "query"),
    "reasoning": ("reasoning",),
    "answer": ("final_answer", "answer"),
    "token": ("token", "text"),
    "logprob": ("logprob", "log_prob", "token_logprob"),
}
FIELDS = tuple(_USUAL)
_WRAPPERS = ("response", "completion", "output")


@dataclass
class _Tokens:
    """The token rows of one completion: where the first stands, and what they say."""

    place: str
    rows: list[dict[str, Any]] = field(default_factory=list)


def read_published(
    objects_found: Iterable[Candidate], *, benchmark: str, fields: Mapping[str, str]
) -> Iterator[Candidate]:
    """Completions with the pieces that spell them.

    Args:
        objects_found: completions and token rows, in any order; a row is what has a log-probability.
        benchmark: what they are of: the files do not say.
        fields: names of columns, by our name for them (see ``FIELDS``), where they are not the usual.

    Raises:
        InputError: ``fields`` names something that we do not look for.
    """
    names = _names(fields)
    completions: list[tuple[str, dict[str, Any]]] = []
    tokens: dict[str, _Tokens] = {}
    for place, document in objects_found:
        if isinstance(document, ValueError):
            yield place, document
        elif any(name in document for name in names["logprob"]):
            try:
                identity = str(objects.field(document, names["id"], "id of a token row"))
            except ValueError as error:
                yield place, error
                continue
            tokens.setdefault(identity, _Tokens(place)).rows.append(document)
        else:
            completions.append((place, document))
    for index, (place, document) in enumerate(completions):
        known = objects.optional(document, names["id"])
        identity = str(index if known is None else known)
        try:
            yield place, _document(identity, document, tokens.pop(identity, None), benchmark, names)
        except ValueError as error:
            yield place, error
    for identity, left in tokens.items():
        yield left.place, ValueError(f"tokens of {identity!r} belong to no completion; add its .json file")


def _names(fields: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    for name in fields:
        if name not in _USUAL:
            raise InputError(f"--field {name}=...: expected one of {', '.join(FIELDS)}")
    return {name: (fields[name],) if name in fields else usual for name, usual in _USUAL.items()}


def _document(
    identity: str,
    completion: dict[str, Any],
    tokens: _Tokens | None,
    benchmark: str,
    names: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    if tokens is None:
        raise ValueError(f"completion {identity!r} has no token rows; add its .jsonl file")
    inner = next((completion[key] for key in _WRAPPERS if isinstance(completion.get(key), dict)), completion)
    pieces = token_pieces([_token(row, names) for row in tokens.rows])
    try:
        reply = b"".join(piece_bytes(piece) for piece in pieces).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{tokens.place}: the tokens spell no UTF-8 text (byte {error.start})") from None
    answer = objects.optional(inner, names["answer"])
    return {
        "benchmark": benchmark,
        "problem_id": identity,
        "question": objects.field(completion, names["question"], "question"),
        "reasoning": objects.field(inner, names["reasoning"], "reasoning"),
        **({} if answer is None else {"answer": str(answer)}),
        "reply": reply,
        "pieces": pieces,
    }


def _token(row: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {
        "token": objects.optional(row, names["token"]),
        "bytes": row.get("bytes"),
        "logprob": objects.field(row, names["logprob"], "logprob"),
    }
