"""rbridge traces generate against a real socket, with faults: nothing lost, nothing paid twice, nothing wrong."""

from __future__ import annotations

import json
import os
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
from rbridge.traces.generate import series as series_module
from rbridge.traces.generate.ledger import ledger_path
from tests.commands import Result, rbridge
from tests.frontier import PROBE, Fault, Frontier, completion, good_reply, serve, tokens_of

KEY = "sk-test-3c1f9a0b7d"
NUM = 6


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # The SDK's waits between tries, without the waiting; Retry-After has a test of its own.
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)


def _question(number: int) -> str:
    return f"What is {number} + 1, in €?"


def _problems(folder: Path, num: int = NUM, **changes: Any) -> Path:
    file = folder / "problems.jsonl"
    lines = [
        {"problem_id": str(number), "question": _question(number), "answer": str(number + 1), **changes}
        for number in range(num)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def _good(question: str, _: int = 0) -> dict[str, Any]:
    number = int(question.split()[2])
    # The last answers are wrong, and kept.
    return good_reply(
        f"From {question}\nwe get \\frac{{{number}}}1 + 1 é.", str(number + 1 if number < 4 else 0)
    )


def _arguments(tmp_path: Path, url: str, *more: object, num: int = NUM) -> list[object]:
    """A command line; what ``more`` gives stands in place of what stands here."""
    options = {
        "--benchmark": "mine",
        "--problems": _problems(tmp_path, num),
        "--endpoint": url,
        "--model": "tiny",
        "-o": tmp_path / "bundle",
        "--concurrency": 3,
    }
    flags = [one for one in more if one == "--offline"]
    pairs = [one for one in more if one != "--offline"]
    options |= dict(zip(pairs[::2], pairs[1::2], strict=True))
    return ["traces", "generate", *flags, *(part for pair in options.items() for part in pair)]


def _run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, *more: object, num: int = NUM
) -> Result:
    return rbridge(capsys, *_arguments(tmp_path, url, *more, num=num))


def _everything_written(tmp_path: Path) -> bytes:
    """All files, and the ledger's replies unpacked."""
    import zlib

    whole = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    with sqlite3.connect(ledger_path(tmp_path / "bundle")) as db:
        whole += b"".join(zlib.decompress(row[0]) for row in db.execute("SELECT reply FROM calls") if row[0])
    return whole


def test_a_benchmark_is_asked_once_and_becomes_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greedy, in the paper's form, log-probabilities on; the bundle says whose they are and under what terms."""

    def script(question: str, _: int) -> dict[str, Any]:
        time.sleep(0.05)
        return _good(question)

    with serve(script) as frontier:
        terms = ("--licence", "Apache-2.0", "--allowed-use", "any, training included")
        result = _run(capsys, tmp_path, frontier.url, *terms)
        assert result.status == 0, result.err
        assert frontier.questions() == {_question(number): 1 for number in range(NUM)}
        assert 1 < frontier.most_at_once <= 3
        request = frontier.requests[-1]
        assert (request["temperature"], request["logprobs"], request["top_p"]) == (0, True, 1)
        system, user = request["messages"]
        assert system["content"] == "You are a helpful assistant that solves reasoning problems."
        assert user["content"].startswith("What is ")
        assert '"reasoning"' in user["content"]
        again = _run(capsys, tmp_path, frontier.url)
        assert again.status == 0
        assert "complete, nothing to ask for" in again.err
        assert sum(frontier.questions().values()) == NUM
    bundle = read_bundle(tmp_path / "bundle")
    trace = bundle.trace("4")
    expected = _good(_question(4))["choices"][0]
    assert trace.reply == expected["message"]["content"]
    assert trace.reasoning == json.loads(trace.reply)["reasoning"]
    assert trace.pieces is not None
    assert trace.pieces.logprobs.tolist() == [one["logprob"] for one in expected["logprobs"]["content"]]
    assert (trace.weight_source, trace.answer, trace.correct) == ("self", "0", False)
    assert [one.correct for one in bundle.traces] == [True] * 4 + [False] * 2
    (made,) = bundle.manifest.generated
    assert (made.model, made.voice, made.temperature, made.logprobs_mode) == ("tiny", "tiny", 0.0, "raw")
    assert (made.num_problems, made.num_traces, made.num_correct, made.num_wrong) == (6, 6, 4, 2)
    assert made.prompt_tokens == 120 * (NUM + 3)
    assert made.cost_usd is None
    assert made.hosts == [frontier.url.split("/")[2]]
    stated = bundle.manifest.terms["tiny"]
    assert (stated.licence, stated.use) == ("Apache-2.0", "any, training included")
    assert "Apache-2.0" in result.out
    shown = rbridge(capsys, "traces", "show", tmp_path / "bundle", "4")
    assert "weights are the writer's own" in shown.out


def test_more_problems_later_ask_for_the_new_ones_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And another voice stands beside the first."""
    with serve(_good) as frontier:
        assert _run(capsys, tmp_path, frontier.url, num=2).status == 0
        assert _run(capsys, tmp_path, frontier.url, "--limit", 3, num=4).status == 0
        assert frontier.questions() == {_question(number): 1 for number in range(3)}
        assert _run(capsys, tmp_path, frontier.url, "--voice", "second", num=2).status == 0
        assert frontier.questions() == {_question(0): 2, _question(1): 2, _question(2): 1}
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.manifest.voices == {"tiny": 3, "second": 2}
    assert [one.voice for one in bundle.manifest.generated] == ["second", "tiny"]


def test_another_model_or_wording_is_never_mixed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear line, and nothing is asked."""
    with serve(_good) as frontier:
        assert _run(capsys, tmp_path, frontier.url, num=1).status == 0
        asked = frontier.asked.total()
        other = _run(capsys, tmp_path, frontier.url, "--model", "huge", "--voice", "tiny", num=2)
        assert (other.status, other.err.count("\n")) == (1, 1)
        assert "asked with model 'tiny', now it is 'huge'" in other.err
        with monkeypatch.context() as patch:
            patch.setattr(series_module, "template_sha256", lambda _: "another")
            assert "asked with template_sha256" in _run(capsys, tmp_path, frontier.url, num=2).err
        arguments = _arguments(tmp_path, frontier.url, num=1)
        _problems(tmp_path, 1, question="What is 7 + 1?")
        changed = rbridge(capsys, *arguments)
        assert "mine/0 was asked with another question or prompt" in changed.err
        assert frontier.asked.total() == asked
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        (stranger / "file").touch()
        assert "exists already" in _run(capsys, tmp_path, frontier.url, "-o", stranger).err


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
        return faults[number] if before == 0 else _good(question)

    with serve(script) as frontier:
        result = _run(capsys, tmp_path, frontier.url, "--timeout", 2)
        assert result.status == 0, result.err
        assert set(frontier.questions().values()) == {2}
        times = [
            at
            for at, request in zip(frontier.times, frontier.requests, strict=True)
            if "What is 0" in request["messages"][-1]["content"]
        ]
        assert times[1] - times[0] >= 1.0  # Retry-After
    assert read_bundle(tmp_path / "bundle").manifest.counts == {"mine": NUM}


def test_bad_replies_are_listed_skips_and_never_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Malformed once: a second try; twice: a skip; wrong tokens: a skip at once; with reasons in the manifest."""
    content = '{"reasoning": "So 1 é.", "final_answer": "1"}'

    def script(question: str, before: int) -> dict[str, Any] | Fault:
        match int(question.split()[2]):
            case 0:
                return completion("no", tokens_of("no")) if before == 0 else _good(question)
            case 1:
                return completion("no", tokens_of("no"))
            case 2:
                return completion(content, None)
            case 3:
                return completion(content, [{**tokens_of(content)[0], "bytes": [0]}, *tokens_of(content)[1:]])
            case 4:
                return Fault(400, body=b'{"error": {"message": "context length exceeded"}}')
        return completion(None, None)

    with serve(script) as frontier:
        result = _run(capsys, tmp_path, frontier.url)
        assert result.status == 0, result.err
        asked = [frontier.questions()[_question(number)] for number in range(NUM)]
        assert asked == [2, 2, 1, 1, 1, 2]
        manifest = read_bundle(tmp_path / "bundle").manifest
        reasons = {skip.place: skip.reason for skip in manifest.skipped}
        assert list(reasons) == [f"mine/{number}/tiny" for number in (1, 2, 3, 4, 5)]
        assert "no JSON object" in reasons["mine/1/tiny"]
        assert "no log-probabilities" in reasons["mine/2/tiny"]
        assert "stop spelling the text at byte 0" in reasons["mine/3/tiny"]
        assert "400 Bad Request: context length exceeded" in reasons["mine/4/tiny"]
        assert "the reply is empty" in reasons["mine/5/tiny"]
        assert manifest.counts == {"mine": 1}
        (made,) = manifest.generated
        assert (made.num_skipped, made.num_missing) == (5, 0)
        # A refused request was not paid and may be asked again; nothing else is.
        assert _run(capsys, tmp_path, frontier.url).status == 0
        assert [frontier.questions()[_question(number)] for number in range(NUM)] == [2, 2, 1, 1, 2, 2]


def test_a_reply_cut_off_by_max_tokens_is_asked_again_with_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy that the skip names works, and asks for nothing else."""

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        if frontier.requests[-1]["max_tokens"] < 100 and "What is 1" in question:
            return completion('{"reasoning": "So', tokens_of('{"reasoning": "So'), finish_reason="length")
        return _good(question)

    with serve(script) as frontier:
        short = ("--max-tokens", 50, "--concurrency", 1)
        result = _run(capsys, tmp_path, frontier.url, *short, num=2)
        assert "a higher --max-tokens lets it end" in result.err
        assert _run(capsys, tmp_path, frontier.url, *short, num=2).status == 0
        assert frontier.questions() == {_question(0): 1, _question(1): 1}
        assert _run(capsys, tmp_path, frontier.url, "--max-tokens", 500, num=2).status == 0
        assert frontier.questions() == {_question(0): 1, _question(1): 2}
    assert read_bundle(tmp_path / "bundle").manifest.skipped == []


def test_an_endpoint_that_goes_down_ends_the_run_and_the_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came is in the bundle; a wrong key stops at once."""
    down = True

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        return (
            Fault(401, body=b'{"error": {"message": "bad key"}}')
            if down and frontier.asked.total() > 5
            else _good(question)
        )

    with serve(script) as frontier:
        result = _run(capsys, tmp_path, frontier.url, "--concurrency", 1)
        assert result.status == 1
        assert result.err.splitlines()[-1].startswith("error: ")
        assert "4 of 6 problems are still without a reply" in result.err
        assert "401 Unauthorized: bad key: is the key right? It is read from OPENAI_API_KEY" in result.err
        bundle = read_bundle(tmp_path / "bundle")
        assert bundle.manifest.counts == {"mine": 2}
        assert bundle.manifest.generated[0].num_missing == 4
        down = False
        assert _run(capsys, tmp_path, frontier.url).status == 0
        assert frontier.answered == {PROBE: 6, **{_question(number): 1 for number in range(NUM)}}


def test_a_kill_at_any_moment_costs_at_most_what_was_under_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill -9 three times in the middle; replies that came are never asked for again."""
    num, concurrency = 40, 4

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        time.sleep(0.02)
        return _good(question)

    with serve(script) as frontier:
        arguments = [
            str(one) for one in _arguments(tmp_path, frontier.url, "--concurrency", concurrency, num=num)
        ]
        kills = 2
        for round_ in range(kills):
            with _started(arguments) as process:
                _wait_for(process, lambda wanted=(round_ + 1) * 12: len(frontier.questions()) >= wanted)
                process.kill()
        result = _run(capsys, tmp_path, frontier.url, "--concurrency", concurrency, num=num)
        assert result.status == 0, result.err
        asked = frontier.questions()
    assert set(asked) == {_question(number) for number in range(num)}
    assert sum(asked.values()) - num <= kills * concurrency
    bundle = read_bundle(tmp_path / "bundle")
    assert len(bundle.traces) == num
    # Whatever was sent and not kept is told.
    assert bundle.manifest.generated[0].num_calls + kills * concurrency >= frontier.asked.total()


def test_a_reply_that_was_kept_is_used_whatever_the_limit_is_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a kill between the reply and the note of what it came to, and between the reply and its price."""
    with serve(_good) as frontier:
        priced = ("--price-in", 1, "--price-out", 1)
        assert _run(capsys, tmp_path, frontier.url, *priced, num=2).status == 0
        with sqlite3.connect(ledger_path(tmp_path / "bundle")) as db:
            db.execute("DELETE FROM items")
            db.execute("UPDATE calls SET cost = worst, tokens_in = NULL WHERE problem_id = '1'")
        db.close()
        assert _run(capsys, tmp_path, frontier.url, *priced, "--max-tokens", 9000, num=2).status == 0
        assert frontier.questions() == {_question(0): 1, _question(1): 1}
    made = read_bundle(tmp_path / "bundle").manifest.generated[0]
    assert made.num_traces == 2
    # A million tokens for a dollar, in or out: the second run's three probes, and nothing else, are new.
    assert made.cost_usd == pytest.approx((made.prompt_tokens + made.completion_tokens) / 1e6, abs=2e-6)
    assert made.prompt_tokens == 120 * (2 + 3 + 3)


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


def test_ctrl_c_stops_in_one_line_and_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 130, no traceback, no half a bundle."""

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        time.sleep(0.05)
        return _good(question)

    with serve(script) as frontier:
        arguments = [str(one) for one in _arguments(tmp_path, frontier.url, "--concurrency", 2, num=20)]
        with _started(arguments) as process:
            _wait_for(process, lambda: len(frontier.questions()) >= 5)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.decode().splitlines()[-1].startswith("stopped; what is finished is kept")
        assert b"Traceback" not in err
        assert not (tmp_path / "bundle").exists()
        assert _run(capsys, tmp_path, frontier.url, num=20).status == 0
        assert sum(frontier.questions().values()) <= 20 + 2
    assert len(read_bundle(tmp_path / "bundle").traces) == 20


def test_the_cap_is_never_passed_and_the_command_goes_on_under_a_higher_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the server bills, summed by the server, stays under it at every moment."""
    price = ("--price-in", 100.0, "--price-out", 1000.0, "--max-tokens", 60)

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        time.sleep(0.02)
        reply = _good(question)
        reply["usage"] = {"prompt_tokens": 200, "completion_tokens": 60}  # the worst case
        return reply

    def billed() -> float:
        return sum(frontier.questions().values()) * (200 * 100 + 60 * 1000) / 1e6

    with serve(script) as frontier:
        result = _run(capsys, tmp_path, frontier.url, *price, "--max-cost", 0.5, "--concurrency", 4)
        assert result.status == 1
        assert "--max-cost 0.5 does not cover it" in result.err
        assert 0 < billed() <= 0.5
        assert 0 < len(frontier.questions()) < NUM
        spent = read_bundle(tmp_path / "bundle").manifest.generated[0].cost_usd
        assert spent is not None
        assert spent <= 0.5
        # The cap is the bundle's: the same command asks for nothing more.
        asked = frontier.asked.total()
        assert _run(capsys, tmp_path, frontier.url, *price, "--max-cost", 0.5).status == 1
        assert frontier.asked.total() == asked
        assert _run(capsys, tmp_path, frontier.url, *price, "--max-cost", 50).status == 0
        assert sum(frontier.questions().values()) == NUM


def test_a_lost_reply_counts_as_paid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut connections may have been billed: under a cap they are counted at their worst case."""

    def script(question: str, before: int) -> dict[str, Any] | Fault:
        return Fault(0, body=b"{") if before < 2 else _good(question)

    price = ("--price-in", 0, "--price-out", 1_000, "--max-tokens", 100)
    with serve(script) as frontier:
        result = _run(capsys, tmp_path, frontier.url, *price, "--max-cost", 0.45, num=1)
        assert result.status == 0, result.err
        # 0.1 a lost try, twice; the tokens of three probes' replies and of the reply.
        manifest = read_bundle(tmp_path / "bundle").manifest.generated[0]
        assert manifest.cost_usd == pytest.approx(0.2 + manifest.completion_tokens / 1000)
        ledger_path(tmp_path / "bundle").unlink()
        capped = _run(
            capsys, tmp_path, frontier.url, *price, "--max-cost", 0.25, "-o", tmp_path / "other", num=1
        )
        assert capped.status == 0  # nothing is cut this time


def test_a_cap_needs_a_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that genai-prices does not know; a model that it knows has an estimate before."""
    with serve(_good) as frontier:
        result = _run(capsys, tmp_path, frontier.url, "--max-cost", 1)
        assert (result.status, result.err.count("\n")) == (1, 1)
        assert "the price of tiny is not known: give --price-in and --price-out" in result.err
        assert frontier.asked.total() == 0
        assert "expected both" in _run(capsys, tmp_path, frontier.url, "--price-in", 1).err
        known = _run(capsys, tmp_path, frontier.url, "--model", "gpt-4o", "--max-cost", 1)
        assert known.status == 0
        assert "gpt-4o at openai, genai-prices" in known.err
        assert "about $0.03, at most $0.12" in known.err
    # 9 calls of 120 tokens at $2.50, and what they wrote at $10 a million.
    made = read_bundle(tmp_path / "bundle").manifest.generated[0]
    assert made.cost_usd == pytest.approx((120 * 9 * 2.5 + made.completion_tokens * 10) / 1e6, abs=1e-6)


def test_the_key_is_in_no_file_line_or_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where a server echoes the header, in an error or in a reply."""

    def script(question: str, before: int) -> dict[str, Any] | Fault:
        echo = f"Authorization: Bearer {KEY}"
        match int(question.split()[2]), before:
            case 0, _:
                return good_reply(f"{echo} so 1", "1")
            case 1, _:
                return Fault(400, body=json.dumps({"error": {"message": echo}}).encode())
            case 2, _:
                return Fault(200, body=echo.encode())
            case 3, 0:
                return Fault(500, body=echo.encode(), headers={"X-Echo": echo})
        return _good(question)

    with serve(script) as frontier:
        result = _run(capsys, tmp_path, frontier.url)
        assert all(headers["authorization"] == f"Bearer {KEY}" for headers in frontier.headers)
    assert "[key]" in result.err
    written = _everything_written(tmp_path)
    assert b"[key]" in written
    assert KEY.encode() not in written
    assert KEY not in result.err + result.out
    broken = _run(capsys, tmp_path, frontier.url, num=9)  # nobody listens there any more
    assert broken.status == 1
    assert KEY not in broken.err


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{KEY}@127.0.0.1:1/v1",
        f"http://127.0.0.1:1/v1?api_key={KEY}",
        f"ftp://{KEY}.org",
        f"127.0.0.1:1/{KEY}",
        f"http://[{KEY}/v1",
    ],
)
def test_a_key_in_the_url_is_refused_and_not_shown(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys come from the environment only."""
    result = _run(capsys, tmp_path, url)
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert "--endpoint" in result.err
    assert KEY not in result.err


def test_a_named_key_variable_must_be_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is the one that is sent."""
    monkeypatch.setenv("OTHER_KEY", "other-secret")
    with serve(_good) as frontier:
        missing = _run(capsys, tmp_path, frontier.url, "--key-env", "NO_SUCH_KEY")
        assert "--key-env NO_SUCH_KEY: no such environment variable" in missing.err
        assert _run(capsys, tmp_path, frontier.url, "--key-env", "OTHER_KEY", num=1).status == 0
        assert {headers["authorization"] for headers in frontier.headers} == {"Bearer other-secret"}


def _probe_with(frontier: Frontier, monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    usual = frontier.probe
    monkeypatch.setattr(
        frontier, "probe", lambda request: usual(request) if request["max_tokens"] == 1 else reply
    )


CONTENT = '{"reasoning": "3 and 7", "final_answer": "10"}'
SURE = [{**token, "logprob": 0.0} for token in tokens_of(CONTENT)]
HIDDEN = tokens_of("<think>Hm.</think>")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (completion(CONTENT, None), "gives no log-probabilities for scripted-1: take another endpoint"),
        (completion(CONTENT, tokens_of(CONTENT)[1:]), "stop spelling the text at byte 0"),
        (completion(CONTENT, tokens_of("Hm. ") + tokens_of(CONTENT)), "that are no span of thinking"),
        (completion(CONTENT, [{**SURE[0], "logprob": None}, *SURE[1:]]), "has no log-probability"),
        (
            Fault(403, body=b'{"error": {"message": "You are not allowed to request logprobs"}}'),
            "traces weigh",
        ),
        (Fault(404, body=b'{"error": {"message": "no model tiny"}}'), "has the endpoint a model 'tiny'"),
        (Fault(200, body=b"<html></html>"), "expected an OpenAI-compatible chat endpoint"),
    ],
)
def test_an_endpoint_of_no_use_is_refused_before_anything_is_paid(
    reply: Any,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line with the remedy; no problem is asked."""
    with serve(_good) as frontier:
        _probe_with(frontier, monkeypatch, reply)
        result = _run(capsys, tmp_path, frontier.url)
        assert (result.status, result.err.count("\n")) == (1, 1), result.err
        assert message in result.err
        assert frontier.questions() == {}
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (completion(CONTENT, SURE), "16 tokens in a row have a probability of exactly 1"),
        (
            completion(CONTENT, HIDDEN + tokens_of(CONTENT)),
            "a span of thinking hides in the log-probabilities (18 bytes",
        ),
        (completion("10", tokens_of("10")), "was not the JSON object that was asked for"),
        (
            completion(CONTENT, [{**one, "top_logprobs": [{"logprob": 0.0}], "logprob": -2} for one in SURE]),
            "16 of the probe's 16 tokens are not the likeliest",
        ),
    ],
)
def test_what_a_reader_should_know_is_flagged(
    reply: Any,
    note: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On stderr and in the manifest."""
    with serve(_good) as frontier:
        _probe_with(frontier, monkeypatch, reply)
        result = _run(capsys, tmp_path, frontier.url, num=1)
        assert result.status == 0, result.err
    assert note in result.err
    assert any(note in flag for flag in read_bundle(tmp_path / "bundle").manifest.generated[0].flags)


def test_processed_probabilities_are_told_from_raw_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that divides by the temperature: flagged; one whose temperature 0 leaves only ones: refused."""

    def tempered(request: dict[str, Any]) -> dict[str, Any]:
        scale = 1.0 if request["temperature"] == 1 else 20.0
        top = [{"logprob": (-1.0 - number / 2) * scale} for number in range(5)]
        content = "Rome" if request["max_tokens"] == 1 else CONTENT
        tokens = [{**token, "logprob": sure, "top_logprobs": top} for token in tokens_of(content)]
        return completion(content, tokens)

    sure = -0.1
    with serve(_good) as frontier:
        monkeypatch.setattr(frontier, "probe", tempered)
        result = _run(capsys, tmp_path, frontier.url, num=1)
        assert "log-probabilities are not raw" in result.err
        assert read_bundle(tmp_path / "bundle").manifest.generated[0].logprobs_mode == "processed"
        sure = 0.0
        refused = _run(capsys, tmp_path, frontier.url, "-o", tmp_path / "other", num=1)
        assert refused.status == 1
        assert "all 16 probabilities of the probe are exactly 1" in refused.err
        assert "--logprobs-mode raw_logprobs" in refused.err


def test_the_url_may_lack_its_v1_and_the_server_may_want_another_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are found out by the probe."""

    def picky(request: dict[str, Any]) -> dict[str, Any] | Fault:
        if "max_completion_tokens" in request:
            return usual(request)
        return Fault(400, body=b'{"error": {"message": "Unsupported parameter: use max_completion_tokens"}}')

    with serve(_good) as frontier:
        bare = frontier.url.removesuffix("/v1")
        assert _run(capsys, tmp_path, bare, num=1).status == 0
        full = f"{frontier.url}/chat/completions"
        assert _run(capsys, tmp_path, full, num=2).status == 0
        usual = frontier.probe
        monkeypatch.setattr(frontier, "probe", picky)
        assert _run(capsys, tmp_path, frontier.url, num=3).status == 0
        assert "max_completion_tokens" in frontier.requests[-1]
        assert "max_tokens" not in frontier.requests[-1]


def test_one_writer_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs over one bundle would pay twice."""
    from rbridge.traces.generate.ledger import Ledger

    with serve(_good) as frontier:
        held = Ledger(ledger_path(tmp_path / "bundle"))
        result = _run(capsys, tmp_path, frontier.url)
        held.close()
        assert result.status == 1
        assert "another 'rbridge traces generate' may be writing it" in result.err
        assert frontier.asked.total() == 0
        ledger_path(tmp_path / "bundle").write_text(
            "no database at all, but long enough to be read as one " * 3
        )
        assert "no ledger of rbridge" in _run(capsys, tmp_path, frontier.url).err


def test_offline_stays_on_this_machine(tmp_path: Path) -> None:
    """An audit hook of the test's own sees every connection; a proxy in the environment is not used."""
    probe = (
        "import sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append(args[1][0]) if event == 'socket.connect' else None)\n"
        "from rbridge.cli import run\n"
        "status = run(sys.argv[1:])\n"
        "print(status, sorted(set(seen)))\n"
    )
    environment = {**os.environ, "HTTP_PROXY": "http://192.0.2.1:9", "ALL_PROXY": "http://192.0.2.1:9"}

    def run(url: str) -> str:
        arguments = [str(one) for one in _arguments(tmp_path, url, "--offline", num=1)]
        command = [sys.executable, "-c", probe, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()[-1] + done.stderr

    with serve(_good) as frontier:
        assert run(frontier.url).startswith("0 ['127.0.0.1']")
    refused = run("http://192.0.2.7:8000/v1")
    assert refused.startswith("1 []")
    assert "--offline: the endpoint 192.0.2.7 is not this machine" in refused
