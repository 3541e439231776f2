"""A served model as a source: an OpenAI-compatible completion endpoint that gives prompt log-probabilities.

Two forms are read: ``prompt_logprobs`` (vLLM: an entry a prompt token, the first null, each a map from
token id to log-probability) and ``echo`` (OpenAI's completions: ``token_logprobs`` of the prompt and of
what was generated, the first null). Token ids are sent, never strings.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import numpy as np
from jaxtyping import Float

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint, first_line, load_tokenizer
from rbridge.scoring.encode import Encoded
from rbridge.scoring.engine import HALF_TOLERANCE, TOLERANCE
from rbridge.scoring.source import Losses, Ready, Source, probe
from rbridge.store.files import sha256_json

# Requests in flight; a server batches them as it likes.
_AT_ONCE = 16
# Sequences a batch: what is lost at most when we are interrupted.
_BATCH = 64
# Answers that ask to come back later, and how often we do, waiting twice as long each time.
_BUSY = (408, 429, 500, 502, 503, 504)
_TRIES = 5
# What vLLM writes where a probability is 0.
_NEVER = -9999.0


def prepare(
    checkpoint: Checkpoint,
    is_finished: Callable[[Ready], bool],
    *,
    tokenizer: Checkpoint,
    dtype: str,
    wait: float = 1.0,
) -> Ready:
    """Ask a served model who it is; nothing is fetched.

    Args:
        checkpoint: ``name`` is the model's name on the server, ``source`` the server's URL (``.../v1``).
        is_finished: not asked, for nothing is fetched.
        tokenizer: where the model's tokenizer is.
        dtype: what the server computes in; decides how far its values may vary between batches.
        wait: seconds before the second try where the server is busy.

    Raises:
        InputError: no server there, or one that gives no prompt log-probabilities.
    """
    del is_finished
    loaded = load_tokenizer(tokenizer)
    tolerance = TOLERANCE if dtype == "float32" else HALF_TOLERANCE
    server = _Server(checkpoint.source.rstrip("/"), checkpoint.name, wait)
    asked = probe(loaded.vocabulary_size)[0]
    form = _find_form(server, asked.ids)
    first = _losses(server, form, asked)

    def check_unchanged() -> None:
        if float(np.abs(_losses(server, form, asked) - first).max()) > tolerance:
            raise InputError(
                f"{server.where}: serves other weights than when it was first asked; nothing of it is kept: "
                "give each model a name of its own and score it again"
            )

    def losses(items: Sequence[Encoded]) -> Losses:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(partial(_losses, server, form), items))

    source = Source(
        name=server.where,
        architecture="served",
        parameters=None,
        active_parameters=None,
        context_length=_context_length(server),
        vocabulary=loaded.vocabulary_size,
        tolerance=tolerance,
        losses=losses,
        batches=cut,
    )
    return Ready(
        # A name on a server may be given to another model: whose weights these are is known by what they say.
        weights_sha256=sha256_json({"model": checkpoint.name, "losses": [round(float(x), 2) for x in first]}),
        engine="endpoint",
        tokenizer=lambda: loaded,
        open=lambda: source,
        check_unchanged=check_unchanged,
    )


def cut(items: Sequence[Encoded]) -> Iterator[Sequence[Encoded]]:
    """Batches of equal number, in order."""
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


@dataclass(frozen=True)
class _Form:
    """One way to ask for the log-probabilities of a prompt.

    Attributes:
        request: what is added to the request.
        read: takes the prompt tokens' log-probabilities out of a choice of the reply, the first token's
            null among them; None where they are not there.
    """

    request: dict[str, Any]
    read: Callable[[dict[str, Any], Sequence[int]], list[float | None] | None]


def _read_prompt_logprobs(choice: dict[str, Any], ids: Sequence[int]) -> list[float | None] | None:
    entries = choice.get("prompt_logprobs")
    if not isinstance(entries, list):
        return None
    if len(entries) != len(ids):
        return [None] * len(entries)  # the count alone refuses it
    # Beside the likeliest tokens, the prompt's own is always in the map.
    return [
        None if entry is None else entry.get(str(token), {}).get("logprob")
        for entry, token in zip(entries, ids, strict=True)
    ]


def _read_echo(choice: dict[str, Any], ids: Sequence[int]) -> list[float | None] | None:
    values = (choice.get("logprobs") or {}).get("token_logprobs")
    if not isinstance(values, list) or len(values) < len(ids):
        return None
    # One token had to be generated; it stands behind the prompt's.
    return values[:-1] if len(values) > len(ids) else values


_FORMS = (
    _Form({"prompt_logprobs": 0}, _read_prompt_logprobs),
    _Form({"echo": True, "logprobs": 1}, _read_echo),
)


def _find_form(server: _Server, ids: Sequence[int]) -> _Form:
    """How this server gives the log-probabilities of a prompt.

    Raises:
        InputError: it gives none.
    """
    refused = ""
    for form in _FORMS:
        try:
            choice = server.complete(ids, form.request)
        except _Refused as error:  # it does not know the option
            refused = f"; it said: {error}"
            continue
        if form.read(choice, ids) is not None:
            return form
    raise InputError(
        f"{server.where}: gives log-probabilities of generated tokens only, none of the prompt's (prompt_logprobs "
        f"and echo are ignored or refused, as llama.cpp's server does{refused}); serve the model with vLLM, or "
        "score its folder or GGUF file directly"
    )


def _losses(server: _Server, form: _Form, item: Encoded) -> Float[np.ndarray, " tokens"]:
    """-ln p of the scored tokens of one sequence, nats.

    Raises:
        InputError: a value is missing, impossible, or there are too few or too many.
    """
    return scored_losses(
        form.read(server.complete(item.ids, form.request), item.ids), item, where=server.where
    )


def scored_losses(
    values: Sequence[float | None] | None, item: Encoded, *, where: str
) -> Float[np.ndarray, " tokens"]:
    """-ln p of the scored tokens of one sequence, nats.

    Args:
        values: the log-probabilities of its tokens, the first token's null among them.
        item: the sequence.
        where: for errors.

    Raises:
        InputError: a value is missing, impossible, or there are too few or too many.
    """
    if values is None or len(values) != len(item.ids):
        raise InputError(
            f"{where}: {len(item.ids)} prompt tokens went in, values of {len(values or [])} came out; expected "
            "one each: does the server add a BOS token of its own, or cut long prompts?"
        )
    found = [values[position] for position in item.scored]
    bad = [value for value in found if value is None or not _NEVER < value <= 1e-6]
    if bad:
        raise InputError(
            f"{where}: gives {bad[0]} as the log-probability of a token of {item.key}; expected a number of at "
            "most 0 for every token but the first"
        )
    return -np.minimum(np.array(found, dtype=np.float32), np.float32(0.0))


class _Refused(InputError):
    """The server understood and declined."""


@dataclass(frozen=True)
class _Server:
    """A completion endpoint and one model on it."""

    url: str
    model: str
    wait: float

    @property
    def where(self) -> str:
        """For errors."""
        return f"{self.model} at {self.url}"

    def complete(self, ids: Sequence[int], options: dict[str, Any]) -> dict[str, Any]:
        """The one choice of a completion of these tokens.

        Raises:
            InputError: the server cannot be reached, refuses, or gives no choice.
        """
        body = {"model": self.model, "prompt": list(ids), "max_tokens": 1, "temperature": 0, **options}
        document = self.ask("POST", "/completions", body)
        try:
            choice = document["choices"][0]
            # Some versions of vLLM put the list beside the choices of a completion with one prompt.
            return {"prompt_logprobs": document.get("prompt_logprobs"), **choice}
        except (KeyError, IndexError, TypeError):
            raise InputError(
                f"{self.where}: its reply holds no choice; expected an OpenAI-compatible completion"
            ) from None

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, tried again while the server is busy.

        Raises:
            InputError: the server cannot be reached, refuses, or its reply is no JSON.
        """
        key = os.environ.get("OPENAI_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        for attempt in range(_TRIES):
            try:
                reply = httpx2.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=600)
            except httpx2.HTTPError as error:
                raise InputError(
                    f"{self.where}: cannot be reached ({type(error).__name__}: {first_line(error)}); is the server up, "
                    "and does the URL end in /v1?"
                ) from None
            if reply.status_code not in _BUSY:
                break
            if attempt + 1 < _TRIES:
                time.sleep(self.wait * 2**attempt)
        if not reply.is_success:
            raise _Refused(f"{self.where}: status {reply.status_code}: {' '.join(reply.text.split())[:200]}")
        try:
            document: dict[str, Any] = reply.json()
        except ValueError:
            raise InputError(f"{self.where}: its reply is no JSON; does the URL end in /v1?") from None
        return document


def _context_length(server: _Server) -> int | None:
    """What the server's list of models says, as vLLM's does; None elsewhere. One token is generated."""
    try:
        models = server.ask("GET", "/models").get("data") or []
    except InputError:
        return None
    lengths = [model.get("max_model_len") for model in models if model.get("id") == server.model]
    return lengths[0] - 1 if lengths and isinstance(lengths[0], int) else None
