"""Private benchmarks: no word of a question in bundle or page, hashes that cannot be guessed, and no network."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from rbridge.cli import run
from rbridge.store.bundles import read_bundle
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import rbridge

# Words that stand nowhere else, so that a single one that leaks is found.
QUESTIONS = {"1": "How many zyxwords has a glibberish quuxbook?", "2": "Where do frobnitzes hibernate?"}
REASONING = {
    "1": "Every vorpalpage, and mimsyborogoves are ninety.",
    "2": "In a jubjubnest é, I think.",
}


def _words(texts: dict[str, str]) -> list[str]:
    words = [word.strip("?.,") for text in texts.values() for word in text.split()]
    return [word for word in words if len(word) > 9]


def _lines(*, choices: bool = False) -> str:
    lines = [
        {"benchmark": "secret", "problem_id": problem, "voice": "v", "question": QUESTIONS[problem],
         "reasoning": text, "pieces": [{"text": text, "logprob": -0.5}],
         **({"choices": ["gimblewabes", "slithytoves"]} if choices else {})}
        for problem, text in REASONING.items()
    ]  # fmt: skip
    return "\n".join(json.dumps(line) for line in lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, the questions in a file of their own, and the traces with and without them."""
    folder = tmp_path_factory.mktemp("private")
    build("gpt2", folder / "gpt2")
    (folder / "t.jsonl").write_text(_lines(choices=True))
    questions = [{"problem_id": key, "question": text, "answer": "5"} for key, text in QUESTIONS.items()]
    (folder / "q.jsonl").write_text("\n".join(json.dumps(line) for line in questions))
    (folder / "open.jsonl").write_text(_lines())
    assert run(["traces", "import", str(folder / "open.jsonl"), "-o", str(folder / "open")]) == 0
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "closed"), "--no-questions",
                "--question-key", str(folder / "key")]) == 0  # fmt: skip
    return folder


def test_no_word_of_a_question_is_in_the_bundle(place: Path) -> None:
    """Neither question nor options, in no column and not in the manifest; the key's file is its owner's alone."""
    table = pl.read_parquet(place / "closed" / "traces.parquet")
    everything = (
        json.dumps(table.drop("pieces", "other_weights").to_dicts())
        + (place / "closed" / "manifest.json").read_text()
    )
    assert not [word for word in [*_words(QUESTIONS), "gimblewabes"] if word in everything]
    assert "vorpalpage" in everything
    assert (place / "key").stat().st_mode & 0o777 == 0o600


def test_a_guess_cannot_be_tested_without_the_key(place: Path) -> None:
    """The hash is HMAC-SHA256 of the question's hash under the key; the plain one, and the key, are not there."""
    key = bytes.fromhex((place / "key").read_text())
    bundle = read_bundle(place / "closed")
    plain = hashlib.sha256(QUESTIONS["1"].encode()).hexdigest()
    expected = hmac.new(key, plain.encode(), "sha256").hexdigest()
    assert bundle.traces[0].question_sha256 == f"hmac-sha256:{expected}"
    held = json.dumps(pl.read_parquet(place / "closed" / "traces.parquet")["question_sha256"].to_list())
    held += (place / "closed" / "manifest.json").read_text()
    assert plain not in held
    assert key.hex() not in held


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> tuple[int, str]:
    done = rbridge(
        capsys, "score", place / "gpt2", "--traces", place / "closed", "--shots", 0, "-o", out, *more
    )
    return done.status, done.err


def test_scores_are_those_of_the_open_bundle(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the questions from their file, the proxy reads the same prompt to the byte."""
    status, err = _score(
        capsys, place, tmp_path / "a", "--questions", place / "q.jsonl", "--question-key", place / "key"
    )
    assert status == 0, err
    assert run(["score", str(place / "gpt2"), "--traces", str(place / "open"), "--shots", "0", "-o",
                str(tmp_path / "b")]) == 0  # fmt: skip
    closed, opened = read_runs(tmp_path / "a")[0].scored(), read_runs(tmp_path / "b")[0].scored()
    assert [one.tokens.nll.tolist() for one in closed] == [one.tokens.nll.tolist() for one in opened]


def test_a_wrong_key_or_question_is_told_apart(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No key, another key, no key at all in the file, another question under the id."""
    (tmp_path / "other").write_text("ab" * 32)
    (tmp_path / "none").write_text("secret")
    (tmp_path / "q.jsonl").write_text((place / "q.jsonl").read_text().replace("zyxwords", "words"))
    cases = [
        (place / "q.jsonl", (), "give --question-key FILE"),
        (place / "q.jsonl", ("--question-key", tmp_path / "other"), "not the key of"),
        (place / "q.jsonl", ("--question-key", tmp_path / "none"), "holds no question key"),
        (place / "q.jsonl", ("--question-key", tmp_path / "gone"), "cannot be read as a question key"),
        (tmp_path / "q.jsonl", ("--question-key", place / "key"), "another question under this problem_id"),
    ]
    for questions, more, message in cases:
        status, err = _score(capsys, place, tmp_path / "r", "--questions", questions, *more)
        assert (status, message in err, err.count("\n")) == (1, True, 1), err


def test_what_cannot_be_hidden_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt of a trace's own, no file for the key, a key without anything to hide; an old key serves again."""
    line = {**json.loads(_lines().splitlines()[0]), "prompt": "Q: how many?"}
    (tmp_path / "p.jsonl").write_text(json.dumps(line))
    command = ("traces", "import", place / "open.jsonl", "-o", tmp_path / "b")
    prompted = ("traces", "import", tmp_path / "p.jsonl", "-o", tmp_path / "b", "--no-questions")
    assert "has a prompt of its own" in rbridge(capsys, *prompted, "--question-key", place / "key").err
    assert "needs --question-key FILE" in rbridge(capsys, *command, "--no-questions").err
    assert "goes with --no-questions" in rbridge(capsys, *command, "--question-key", place / "key").err
    again = rbridge(capsys, *command, "--no-questions", "--question-key", place / "key")
    assert again.status == 0
    assert (
        read_bundle(tmp_path / "b").manifest.question_key
        == read_bundle(place / "closed").manifest.question_key
    )


def test_no_word_of_question_or_trace_is_on_the_page(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Report --no-text, heat-maps included; with the text the same words are there, so the search can fail."""
    assert run(["score", str(place / "gpt2"), "--traces", str(place / "open"), "--shots", "0", "-o",
                str(tmp_path / "runs")]) == 0  # fmt: skip
    command = ("report", tmp_path / "runs", "--traces", place / "open", "--heat", "1", "--heat", "2")
    for more, allowed in (((), True), (("--no-text",), False)):
        done = rbridge(capsys, *command, *more, "-o", tmp_path / "page.html")
        assert done.status == 0, done.err
        html = (tmp_path / "page.html").read_text()
        found = [word for word in _words(QUESTIONS) if word in html]
        assert bool(found) is allowed, found
        # Byte-level tokens cut words, so parts of them are looked for as well.
        parts = [part for word in _words(REASONING) for part in (word, word[:5], word[-5:]) if part in html]
        assert allowed or not parts, parts
        assert allowed or "<ruby" not in html


_GUARD = """
import json, sys
def watch(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        print("NETWORK", event, arguments[1:], file=sys.stderr)
sys.addaudithook(watch)
"""
_COMMANDS = """
from rbridge.cli import run
for command in json.loads(sys.argv[1]):
    print("STATUS", run(command), file=sys.stderr)
"""
_ONLINE = """
from huggingface_hub import HfApi
try:
    HfApi().model_info("team/proxy")
except Exception as error:
    print("STATUS", type(error).__name__, file=sys.stderr)
"""


def _guarded(code: str, *arguments: str, **environment: str) -> str:
    """What a process of its own, in which every use of a socket is written down, says on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", _GUARD + code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=True,
    )
    return done.stderr


def test_nothing_leaves_the_machine_offline(place: Path, tmp_path: Path, httpserver: HTTPServer) -> None:
    """Score and report touch no socket; a hub name is refused and no request reaches the hub, which one could."""
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.path)
        return Response("{}", status=404)

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    hub = {
        "HF_ENDPOINT": httpserver.url_for("").rstrip("/"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
    }
    runs, page = str(tmp_path / "runs"), str(tmp_path / "p.html")
    score = ["score", "--traces", str(place / "open"), "--shots", "0", "-o", runs, "--offline"]
    commands = [
        [*score, str(place / "gpt2")],
        ["report", runs, "-o", page, "--offline"],
        [*score, "team/proxy"],
    ]
    err = _guarded(_COMMANDS, json.dumps(commands), **hub)
    assert [line for line in err.splitlines() if line.startswith(("STATUS", "NETWORK"))] == [
        "STATUS 0",
        "STATUS 0",
        "STATUS 1",
    ], err
    assert asked == []
    # The same name without --offline: both the guard and the server see it.
    assert "NETWORK socket.connect" in _guarded(_ONLINE, **hub)
    assert asked


def test_whoever_connects_offline_is_refused() -> None:
    """The last wall: a library that does not heed its settings. Local sockets stay open."""
    code = (
        "import socket\nfrom rbridge.cli.offline import forbid_network\nforbid_network()\n"
        "one, other = socket.socketpair()\none.sendall(b'x')\nassert other.recv(1) == b'x'\n"
        "for attempt in (lambda: socket.create_connection(('127.0.0.1', 9)), lambda: socket.getaddrinfo('h', 1),\n"
        "                lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))):\n"
        "    try:\n        attempt()\n    except Exception as error:\n        print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("InputError --offline: a connection to ") for line in lines)
