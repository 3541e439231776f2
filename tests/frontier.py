"""A chat endpoint on loopback: it plays a scripted model over real sockets, counts what it is asked, and can fail."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A question of the probe's is none of the benchmark's: it is counted apart.
PROBE = "probe"


def tokens_of(text: str, *, size: int = 3) -> list[dict[str, Any]]:
    """A text cut into tokens of a few bytes each, wherever that falls, with probabilities that differ."""
    raw = text.encode()
    cut = [raw[at : at + size] for at in range(0, len(raw), size)]
    return [
        {
            "token": piece.decode(errors="replace"),
            "bytes": list(piece),
            "logprob": -0.01 - 0.003 * (index % 97),
            "top_logprobs": [],
        }
        for index, piece in enumerate(cut)
    ]


def completion(content: str | None, tokens: list[dict[str, Any]] | None, **changes: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    logprobs = None if tokens is None else {"content": tokens}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **changes.pop("message", {})},
        "finish_reason": changes.pop("finish_reason", "stop"),
        "logprobs": logprobs,
    }
    usage = {"prompt_tokens": 120, "completion_tokens": len(tokens or []), "total_tokens": 120}
    return {
        "id": "c", "object": "chat.completion", "model": "scripted-1", "choices": [choice], "usage": usage, **changes
    }  # fmt: skip


def good_reply(reasoning: str, answer: str) -> dict[str, Any]:
    """What a well-behaved model answers."""
    content = json.dumps({"reasoning": reasoning, "final_answer": answer}, ensure_ascii=False)
    return completion(content, tokens_of(content))


def limit_of(request: dict[str, Any]) -> int:
    """The most tokens that a request allows, under either of its names."""
    return request.get("max_tokens") or request["max_completion_tokens"]


@dataclass(frozen=True)
class Fault:
    """Something other than a completion.

    Attributes:
        status: of an error; 0 cuts the connection in the middle of the body.
        headers: sent beside it.
        body: sent as it is.
        delay: seconds before the reply.
    """

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": {"message": "fault"}}'
    delay: float = 0.0


Script = Callable[[str, int], "dict[str, Any] | Fault"]


class Frontier:
    """What the endpoint was asked, and what it plays.

    Attributes:
        script: from a question and how often it was asked before to what is sent.
        asked: requests by question; the probe's under ``PROBE``.
        answered: completions that were sent whole, by question.
        requests: every body, in order.
        most_at_once: requests under way at the same time, at most.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.url = ""
        self._now = 0
        self._lock = threading.Lock()

    def questions(self) -> dict[str, int]:
        """How often each question was asked, the probe's left out."""
        return {question: number for question, number in self.asked.items() if question != PROBE}

    def play(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        request = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        question = request["messages"][-1]["content"].partition("\n\n")[0]
        is_probe = limit_of(request) == 1 or "cup of tea" in question
        name = PROBE if is_probe else question
        with self._lock:
            before = self.asked[name]
            self.asked[name] += 1
            self.requests.append(request)
            self.times.append(time.monotonic())
            self.headers.append({key.lower(): value for key, value in handler.headers.items()})
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            self._send(handler, name, self.script(name, before) if not is_probe else self.probe(request))
        finally:
            with self._lock:
                self._now -= 1

    def probe(self, request: dict[str, Any]) -> dict[str, Any] | Fault:
        """What the probe gets: the same distribution at every temperature."""
        if limit_of(request) == 1:
            token = {"token": "Rome", "bytes": list(b"Rome"), "logprob": -1.0}
            token["top_logprobs"] = [{"token": str(n), "logprob": -1.0 - n / 2} for n in range(5)]
            return completion("Rome", [token])
        return good_reply("3 € and 7 € are 10 €. 😀", "10")

    def _send(self, handler: BaseHTTPRequestHandler, name: str, reply: dict[str, Any] | Fault) -> None:
        if isinstance(reply, Fault):
            time.sleep(reply.delay)
            status, body, headers = reply.status or 200, reply.body, reply.headers
        else:
            status, body, headers = 200, json.dumps(reply).encode(), {}
        handler.send_response(status)
        for key, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(key, value)
        cut = isinstance(reply, Fault) and reply.status == 0
        handler.send_header("Content-Length", str(len(body) + 10 * cut))
        handler.end_headers()
        handler.wfile.write(body)
        if cut:
            handler.close_connection = True
        elif status == 200:
            with self._lock:
                self.answered[name] += 1


@contextmanager
def serve(script: Script) -> Iterator[Frontier]:
    """Run the endpoint until the block ends."""
    frontier = Frontier(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if not self.path.endswith("/v1/chat/completions"):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_error(404)
                return
            try:
                frontier.play(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    frontier.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield frontier
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
