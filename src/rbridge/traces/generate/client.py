"""One chat endpoint: its address, its key, and a request that comes back as raw bytes."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from rbridge.errors import InputError
from rbridge.traces.generate.cost import Bill

KEY_ENV = "OPENAI_API_KEY"
_SHOWN = 200
_BILL: ContextVar[Bill] = ContextVar("bill")


@dataclass(frozen=True)
class Key:
    """An API key; nothing that is written or printed holds it."""

    secret: str | None = field(repr=False)

    def redact(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self.secret, "[key]") if self.secret else text

    def redact_bytes(self, body: bytes) -> bytes:
        """The bytes without the key."""
        return body.replace(self.secret.encode(), b"[key]") if self.secret else body


def read_key(name: str | None) -> Key:
    """The key in an environment variable; where none is named, OPENAI_API_KEY's if there is one.

    Raises:
        InputError: the named variable is not set, or what it holds cannot be sent.
    """
    secret = os.environ.get(name or KEY_ENV, "").strip()
    if not secret:
        if name is not None:
            raise InputError(
                f"--key-env {name}: no such environment variable, or it is empty; export {name}=..."
            )
        return Key(None)
    if not (secret.isascii() and secret.isprintable() and len(secret) >= 4):
        raise InputError(f"{name or KEY_ENV}: what it holds is no API key (expected printable ASCII)")
    return Key(secret)


def check_endpoint(url: str, *, offline: bool) -> str:
    """The base URL of an endpoint, as given but for ``/chat/completions`` at its end.

    Args:
        url: such as ``http://localhost:8000/v1``.
        offline: only this machine will do.

    Raises:
        InputError: no http URL, or one that carries a password or a query, where keys hide; none of it is shown.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise InputError("--endpoint: no http(s) URL; expected one such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            f"--endpoint: the URL at {host} carries a user, password or query; keys come from the environment "
            f"only: export {KEY_ENV}, or name another variable with --key-env"
        )
    if offline and not is_loopback(host):
        raise InputError(
            f"--offline: the endpoint {host} is not this machine; expected localhost or a 127.x address"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine; no name server is asked."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Endpoint:
    """A chat endpoint that is asked through the openai SDK.

    The SDK waits and tries again after 408, 409, 429 and 5xx, as long as Retry-After says, and after
    lost connections; each try is told to the call's ``Bill``.
    """

    def __init__(self, url: str, key: Key, *, timeout: float, retries: int) -> None:
        host = urlsplit(url).hostname or ""
        self.url = url
        self.host = urlsplit(url).netloc
        self._client = AsyncOpenAI(
            base_url=url,
            api_key=key.secret or "none",
            timeout=timeout,
            max_retries=retries,
            http_client=DefaultAsyncHttpxClient(
                follow_redirects=False,  # a key goes where the user sends it
                trust_env=not is_loopback(host),  # no proxy between this machine and itself
                event_hooks={"request": [_sending], "response": [_answered]},
            ),
        )

    async def ask(self, bill: Bill, messages: Sequence[dict[str, str]], **options: Any) -> bytes:
        """One chat completion, as its raw body.

        Args:
            bill: told of each try.
            messages: as in the chat API.
            options: the other fields of the request.

        Raises:
            openai.OpenAIError: no answer after all tries, an error status, or the cap.
        """
        _BILL.set(bill)
        request: Any = {"messages": list(messages), "logprobs": True, **options}  # checked by the server
        response = await self._client.chat.completions.with_raw_response.create(**request)
        return response.http_response.content

    async def complete(self, bill: Bill, prompt: str, **options: Any) -> bytes:
        """One plain completion of a prompt, as its raw body.

        Args:
            bill: told of each try.
            prompt: the text that is continued.
            options: the other fields of the request.

        Raises:
            openai.OpenAIError: no answer after all tries, an error status, or the cap.
        """
        _BILL.set(bill)
        request: Any = {"prompt": prompt, **options}
        response = await self._client.completions.with_raw_response.create(**request)
        return response.http_response.content

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def explain(error: Exception, key: Key) -> str:
    """One line about a failed request, from its status and the server's words, without the key."""
    from openai import APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        said = _said(error)
        return key.redact(f"{error.status_code} {error.response.reason_phrase}{said and ': '}{said}")
    if isinstance(error, APITimeoutError):
        return "no reply in time (--timeout)"
    cause = error.__cause__
    return key.redact(" ".join(f"{type(cause).__name__}: {cause}".split())[:_SHOWN]) if cause else str(error)


def _said(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        body = inner.get("message", inner) if isinstance(inner, dict) else inner
    return " ".join(str(body or "").split())[:_SHOWN]


async def _sending(_request: object) -> None:
    _BILL.get().sending()


async def _answered(response: Any) -> None:
    if response.status_code >= 300:
        _BILL.get().refused()
