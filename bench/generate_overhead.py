"""What `rbridge traces generate` itself costs: 10,000 problems through a fake endpoint on loopback.

    OMP_NUM_THREADS=1 .venv/bin/python bench/generate_overhead.py [PROBLEMS]

The endpoint runs in a process of its own and answers at once with replies of 300 tokens, top
log-probability included, as vLLM writes them. Printed: milliseconds an item of wall clock and of the
client's own CPU, asking and writing apart, peak memory of the client, and sizes on disk.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rbridge.benchmarks import Problem, ProblemSet
from rbridge.traces.generate import Key, Price, Settings, generate

TOKENS = 300


def body(question: str) -> bytes:
    """A reply of 300 tokens."""
    words = " ".join(f"step {number} of {question}" for number in range(60))
    content = json.dumps({"reasoning": words, "final_answer": "5"})
    size = -(-len(content) // TOKENS)
    cut = [content[at : at + size] for at in range(0, len(content), size)]
    tokens = [
        {"token": t, "logprob": -0.01 * (i % 50), "bytes": list(t.encode()),
         "top_logprobs": [{"token": t, "logprob": -0.01 * (i % 50), "bytes": list(t.encode())}]}
        for i, t in enumerate(cut)
    ]  # fmt: skip
    choice = {
        "message": {"role": "assistant", "content": content},
        "finish_reason": "stop",
        "logprobs": {"content": tokens},
    }
    usage = {"prompt_tokens": 150, "completion_tokens": len(tokens)}
    return json.dumps({"model": "fake", "choices": [choice], "usage": usage}).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers with one reply, its question's number written over a place holder of the same length."""

    protocol_version = "HTTP/1.1"
    ready = body("question 000000")

    def do_POST(self) -> None:
        """One chat completion."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.ready)))
        self.end_headers()
        assert request["logprobs"]
        self.wfile.write(self.ready)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def endpoint(port: object) -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    port.put(server.server_address[1])
    server.serve_forever()


def main(num: int) -> None:
    """Run it and print the figures."""
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(target=endpoint, args=(port,), daemon=True)
    server.start()
    problems = tuple(Problem("bench", f"{i:06d}", f"question {i:06d}", f"q{i}", "5") for i in range(num))
    settings = Settings(
        endpoint=f"http://127.0.0.1:{port.get()}/v1",
        model="fake",
        voice="fake",
        key=Key(None),
        price=Price("given", per_million=(1.0, 1.0)),
        concurrency=16,
    )
    asked: list[tuple[float, float]] = []

    def say(line: str) -> None:
        print(line, file=sys.stderr)
        if line.startswith("checking"):
            asked.append((time.monotonic(), time.process_time()))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = (time.monotonic(), time.process_time())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        outcome = generate(
            ProblemSet("bench", "made up", problems), settings, out, check=lambda *_: True, progress=say
        )
        ended = (time.monotonic(), time.process_time())
        assert outcome.manifest is not None
        assert outcome.manifest.counts == {"bench": num}
        sizes = {path.name: path.stat().st_size / 1e6 for path in Path(folder).rglob("*") if path.is_file()}
    server.terminate()
    for name, (a, b) in {"asking": (started, asked[0]), "checking and writing": (asked[0], ended)}.items():
        wall, cpu = ((b[clock] - a[clock]) / num * 1000 for clock in (0, 1))
        print(f"{name}: {wall:.2f} ms an item, {cpu:.2f} ms of CPU")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB, {before:.0f} MB of it before the run, load {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name} {size:.1f} MB" for name, size in sorted(sizes.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
