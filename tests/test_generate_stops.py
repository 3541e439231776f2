"""Faults, kills and caps on the way of rbridge traces generate: nothing lost, nothing paid twice."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rbridge.store.bundles import read_bundle
from rbridge.traces.generate.ledger import ledger_path
from tests.frontier import PROBE, Fault, serve
from tests.generating import (
    NUM,
    command_line,
    generate,
    good_answer,
    question_text,
    set_environment,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch)


@contextmanager
def _started(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "rbridge", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_faults_on_the_way_are_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """429, 500, 503, a cut body, a closed connection and a slow reply; then the reply counts once."""
    faults = {
        0: Fault(429, {"Retry-After": "1"}),
        1: Fault(500),
        2: Fault(0, body=b'{"choices": [{"mess'),
        3: Fault(503, body=b"<html>busy</html>"),
        4: Fault(408),
        5: Fault(200, body=b"{}", delay=3.0),
    }

    def script(question: str, before: int) -> dict[str, Any] | Fault:
        number = int(question.split()[2])
        return faults[number] if before == 0 else good_answer(question)

    with serve(script) as frontier:
        result = generate(capsys, tmp_path, frontier.url, "--timeout", 2)
        assert result.status == 0, result.err
        assert set(frontier.questions().values()) == {2}
        times = [
            at
            for at, request in zip(frontier.times, frontier.requests, strict=True)
            if "What is 0" in request["messages"][-1]["content"]
        ]
        assert times[1] - times[0] >= 1.0  # Retry-After
    assert read_bundle(tmp_path / "bundle").manifest.counts == {"mine": NUM}


def test_an_endpoint_that_goes_down_ends_the_run_and_the_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came is in the bundle; a wrong key stops at once."""
    down = True

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        return (
            Fault(401, body=b'{"error": {"message": "bad key"}}')
            if down and frontier.asked.total() > 5
            else good_answer(question)
        )

    with serve(script) as frontier:
        result = generate(capsys, tmp_path, frontier.url, "--concurrency", 1)
        assert result.status == 1
        assert result.err.splitlines()[-1].startswith("error: ")
        assert "4 of 6 problems are still without a reply" in result.err
        assert "401 Unauthorized: bad key: is the key right? It is read from OPENAI_API_KEY" in result.err
        bundle = read_bundle(tmp_path / "bundle")
        assert bundle.manifest.counts == {"mine": 2}
        assert bundle.manifest.generated[0].num_missing == 4
        down = False
        assert generate(capsys, tmp_path, frontier.url).status == 0
        assert frontier.answered == {PROBE: 6, **{question_text(number): 1 for number in range(NUM)}}


def test_a_kill_at_any_moment_costs_at_most_what_was_under_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill -9 three times in the middle; replies that came are never asked for again."""
    num, concurrency = 40, 4

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        time.sleep(0.02)
        return good_answer(question)

    with serve(script) as frontier:
        arguments = [
            str(one) for one in command_line(tmp_path, frontier.url, "--concurrency", concurrency, num=num)
        ]
        kills = 2
        for round_ in range(kills):
            with _started(arguments) as process:
                _wait_for(process, lambda wanted=(round_ + 1) * 12: len(frontier.questions()) >= wanted)
                process.kill()
        result = generate(capsys, tmp_path, frontier.url, "--concurrency", concurrency, num=num)
        assert result.status == 0, result.err
        asked = frontier.questions()
    assert set(asked) == {question_text(number) for number in range(num)}
    assert sum(asked.values()) - num <= kills * concurrency
    bundle = read_bundle(tmp_path / "bundle")
    assert len(bundle.traces) == num
    # Whatever was sent and not kept is told.
    assert bundle.manifest.generated[0].num_calls + kills * concurrency >= frontier.asked.total()


def test_a_reply_that_was_kept_is_used_whatever_the_limit_is_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a kill between the reply and the note of what it came to, and between the reply and its price."""
    with serve(good_answer) as frontier:
        priced = ("--price-in", 1, "--price-out", 1)
        assert generate(capsys, tmp_path, frontier.url, *priced, num=2).status == 0
        with sqlite3.connect(ledger_path(tmp_path / "bundle")) as db:
            db.execute("DELETE FROM items")
            db.execute("UPDATE calls SET cost = worst, tokens_in = NULL WHERE problem_id = '1'")
        db.close()
        assert generate(capsys, tmp_path, frontier.url, *priced, "--max-tokens", 9000, num=2).status == 0
        assert frontier.questions() == {question_text(0): 1, question_text(1): 1}
    made = read_bundle(tmp_path / "bundle").manifest.generated[0]
    assert made.num_traces == 2
    # A million tokens for a dollar, in or out: the second run's three probes, and nothing else, are new.
    assert made.cost_usd == pytest.approx((made.prompt_tokens + made.completion_tokens) / 1e6, abs=2e-6)
    assert made.prompt_tokens == 120 * (2 + 3 + 3)


def test_ctrl_c_stops_in_one_line_and_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 130, no traceback, no half a bundle."""

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        time.sleep(0.05)
        return good_answer(question)

    with serve(script) as frontier:
        arguments = [str(one) for one in command_line(tmp_path, frontier.url, "--concurrency", 2, num=20)]
        with _started(arguments) as process:
            _wait_for(process, lambda: len(frontier.questions()) >= 5)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.decode().splitlines()[-1].startswith("stopped; what is finished is kept")
        assert b"Traceback" not in err
        assert not (tmp_path / "bundle").exists()
        assert generate(capsys, tmp_path, frontier.url, num=20).status == 0
        assert sum(frontier.questions().values()) <= 20 + 2
    assert len(read_bundle(tmp_path / "bundle").traces) == 20


def test_the_cap_is_never_passed_and_the_command_goes_on_under_a_higher_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the server bills, summed by the server, stays under it at every moment."""
    price = ("--price-in", 100.0, "--price-out", 1000.0, "--max-tokens", 60)

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        time.sleep(0.02)
        reply = good_answer(question)
        reply["usage"] = {"prompt_tokens": 200, "completion_tokens": 60}  # the worst case
        return reply

    def billed() -> float:
        return sum(frontier.questions().values()) * (200 * 100 + 60 * 1000) / 1e6

    with serve(script) as frontier:
        result = generate(capsys, tmp_path, frontier.url, *price, "--max-cost", 0.5, "--concurrency", 4)
        assert result.status == 1
        assert "--max-cost 0.5 does not cover it" in result.err
        assert 0 < billed() <= 0.5
        assert 0 < len(frontier.questions()) < NUM
        spent = read_bundle(tmp_path / "bundle").manifest.generated[0].cost_usd
        assert spent is not None
        assert spent <= 0.5
        # The cap is the bundle's: the same command asks for nothing more.
        asked = frontier.asked.total()
        assert generate(capsys, tmp_path, frontier.url, *price, "--max-cost", 0.5).status == 1
        assert frontier.asked.total() == asked
        assert generate(capsys, tmp_path, frontier.url, *price, "--max-cost", 50).status == 0
        assert sum(frontier.questions().values()) == NUM


def test_a_lost_reply_counts_as_paid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut connections may have been billed: under a cap they are counted at their worst case."""

    def script(question: str, before: int) -> dict[str, Any] | Fault:
        return Fault(0, body=b"{") if before < 2 else good_answer(question)

    price = ("--price-in", 0, "--price-out", 1_000, "--max-tokens", 100)
    with serve(script) as frontier:
        result = generate(capsys, tmp_path, frontier.url, *price, "--max-cost", 0.45, num=1)
        assert result.status == 0, result.err
        # 0.1 a lost try, twice; the tokens of three probes' replies and of the reply.
        manifest = read_bundle(tmp_path / "bundle").manifest.generated[0]
        assert manifest.cost_usd == pytest.approx(0.2 + manifest.completion_tokens / 1000)
        ledger_path(tmp_path / "bundle").unlink()
        capped = generate(
            capsys, tmp_path, frontier.url, *price, "--max-cost", 0.25, "-o", tmp_path / "other", num=1
        )
        assert capped.status == 0  # nothing is cut this time


def test_a_cap_needs_a_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that genai-prices does not know; a model that it knows has an estimate before."""
    with serve(good_answer) as frontier:
        result = generate(capsys, tmp_path, frontier.url, "--max-cost", 1)
        assert (result.status, result.err.count("\n")) == (1, 1)
        assert "the price of tiny is not known: give --price-in and --price-out" in result.err
        assert frontier.asked.total() == 0
        assert "expected both" in generate(capsys, tmp_path, frontier.url, "--price-in", 1).err
        known = generate(capsys, tmp_path, frontier.url, "--model", "gpt-4o", "--max-cost", 1)
        assert known.status == 0
        assert "gpt-4o at openai, genai-prices" in known.err
        assert "about $0.03, at most $0.12" in known.err
    # 9 calls of 120 tokens at $2.50, and what they wrote at $10 a million.
    made = read_bundle(tmp_path / "bundle").manifest.generated[0]
    assert made.cost_usd == pytest.approx((120 * 9 * 2.5 + made.completion_tokens * 10) / 1e6, abs=1e-6)
