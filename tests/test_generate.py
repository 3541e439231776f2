"""rbridge traces generate against a real socket: what is asked, what it becomes, nothing wrong in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rbridge.store.bundles import read_bundle
from rbridge.traces.generate import series as series_module
from rbridge.traces.generate.ledger import ledger_path
from tests.commands import rbridge
from tests.frontier import Fault, completion, serve, tokens_of
from tests.generating import (
    NUM,
    command_line,
    generate,
    good_answer,
    question_text,
    set_environment,
    write_problems,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch)


def test_a_benchmark_is_asked_once_and_becomes_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greedy, in the paper's form, log-probabilities on; the bundle says whose they are and under what terms."""

    def script(question: str, _: int) -> dict[str, Any]:
        time.sleep(0.05)
        return good_answer(question)

    with serve(script) as frontier:
        terms = ("--licence", "Apache-2.0", "--allowed-use", "any, training included")
        result = generate(capsys, tmp_path, frontier.url, *terms)
        assert result.status == 0, result.err
        assert frontier.questions() == {question_text(number): 1 for number in range(NUM)}
        assert 1 < frontier.most_at_once <= 3
        request = frontier.requests[-1]
        assert (request["temperature"], request["logprobs"], request["top_p"]) == (0, True, 1)
        system, user = request["messages"]
        assert system["content"] == "You are a helpful assistant that solves reasoning problems."
        assert user["content"].startswith("What is ")
        assert '"reasoning"' in user["content"]
        again = generate(capsys, tmp_path, frontier.url)
        assert again.status == 0
        assert "complete, nothing to ask for" in again.err
        assert sum(frontier.questions().values()) == NUM
    bundle = read_bundle(tmp_path / "bundle")
    trace = bundle.trace("4")
    expected = good_answer(question_text(4))["choices"][0]
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
    with serve(good_answer) as frontier:
        assert generate(capsys, tmp_path, frontier.url, num=2).status == 0
        assert generate(capsys, tmp_path, frontier.url, "--limit", 3, num=4).status == 0
        assert frontier.questions() == {question_text(number): 1 for number in range(3)}
        assert generate(capsys, tmp_path, frontier.url, "--voice", "second", num=2).status == 0
        assert frontier.questions() == {question_text(0): 2, question_text(1): 2, question_text(2): 1}
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.manifest.voices == {"tiny": 3, "second": 2}
    assert [one.voice for one in bundle.manifest.generated] == ["second", "tiny"]


def test_another_model_or_wording_is_never_mixed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear line, and nothing is asked."""
    with serve(good_answer) as frontier:
        assert generate(capsys, tmp_path, frontier.url, num=1).status == 0
        asked = frontier.asked.total()
        other = generate(capsys, tmp_path, frontier.url, "--model", "huge", "--voice", "tiny", num=2)
        assert (other.status, other.err.count("\n")) == (1, 1)
        assert "asked with model 'tiny', now it is 'huge'" in other.err
        with monkeypatch.context() as patch:
            patch.setattr(series_module, "template_sha256", lambda _: "another")
            assert "asked with template_sha256" in generate(capsys, tmp_path, frontier.url, num=2).err
        arguments = command_line(tmp_path, frontier.url, num=1)
        write_problems(tmp_path, 1, question="What is 7 + 1?")
        changed = rbridge(capsys, *arguments)
        assert "mine/0 was asked with another question or prompt" in changed.err
        assert frontier.asked.total() == asked
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        (stranger / "file").touch()
        assert "exists already" in generate(capsys, tmp_path, frontier.url, "-o", stranger).err


def test_bad_replies_are_listed_skips_and_never_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Malformed once: a second try; twice: a skip; wrong tokens: a skip at once; with reasons in the manifest."""
    content = '{"reasoning": "So 1 é.", "final_answer": "1"}'

    def script(question: str, before: int) -> dict[str, Any] | Fault:
        match int(question.split()[2]):
            case 0:
                return completion("no", tokens_of("no")) if before == 0 else good_answer(question)
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
        result = generate(capsys, tmp_path, frontier.url)
        assert result.status == 0, result.err
        asked = [frontier.questions()[question_text(number)] for number in range(NUM)]
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
        assert generate(capsys, tmp_path, frontier.url).status == 0
        assert [frontier.questions()[question_text(number)] for number in range(NUM)] == [2, 2, 1, 1, 2, 2]


def test_a_reply_cut_off_by_max_tokens_is_asked_again_with_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy that the skip names works, and asks for nothing else."""

    def script(question: str, _: int) -> dict[str, Any] | Fault:
        if frontier.requests[-1]["max_tokens"] < 100 and "What is 1" in question:
            return completion('{"reasoning": "So', tokens_of('{"reasoning": "So'), finish_reason="length")
        return good_answer(question)

    with serve(script) as frontier:
        short = ("--max-tokens", 50, "--concurrency", 1)
        result = generate(capsys, tmp_path, frontier.url, *short, num=2)
        assert "a higher --max-tokens lets it end" in result.err
        assert generate(capsys, tmp_path, frontier.url, *short, num=2).status == 0
        assert frontier.questions() == {question_text(0): 1, question_text(1): 1}
        assert generate(capsys, tmp_path, frontier.url, "--max-tokens", 500, num=2).status == 0
        assert frontier.questions() == {question_text(0): 1, question_text(1): 2}
    assert read_bundle(tmp_path / "bundle").manifest.skipped == []


def test_one_writer_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs over one bundle would pay twice."""
    from rbridge.traces.generate.ledger import Ledger

    with serve(good_answer) as frontier:
        held = Ledger(ledger_path(tmp_path / "bundle"))
        result = generate(capsys, tmp_path, frontier.url)
        held.close()
        assert result.status == 1
        assert "another 'rbridge traces generate' may be writing it" in result.err
        assert frontier.asked.total() == 0
        ledger_path(tmp_path / "bundle").write_text(
            "no database at all, but long enough to be read as one " * 3
        )
        assert "no ledger of rbridge" in generate(capsys, tmp_path, frontier.url).err


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
        arguments = [str(one) for one in command_line(tmp_path, url, "--offline", num=1)]
        command = [sys.executable, "-c", probe, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()[-1] + done.stderr

    with serve(good_answer) as frontier:
        assert run(frontier.url).startswith("0 ['127.0.0.1']")
    refused = run("http://192.0.2.7:8000/v1")
    assert refused.startswith("1 []")
    assert "--offline: the endpoint 192.0.2.7 is not this machine" in refused
