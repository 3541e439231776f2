"""rbridge evaluate --endpoint: completions and chat, resuming, refusals, truncation; over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from rbridge.store.evaluations import read_evaluations
from tests.commands import Result, rbridge
from tests.generating import KEY, set_environment, write_problems

NUM = 6


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and no waits between tries."""
    set_environment(monkeypatch)


def question_in(request: Request) -> int:
    """The number of the problem that a request asks for."""
    body = json.loads(request.data)
    text = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    return int(text.rpartition("What is ")[2].split()[0])


def answered(reply: Callable[[int], tuple[str, str]], asked: list[dict]) -> Callable[[Request], Response]:
    """A handler that writes ``reply(number)``: text and finish reason."""

    def handle(request: Request) -> Response:
        body = json.loads(request.data)
        asked.append(body)
        number = question_in(request)
        text, finish = reply(number)
        if finish == "refuse":
            return Response(json.dumps({"error": {"message": "not this one"}}), status=400)
        if finish == "fail":
            return Response("{}", status=500)
        said = {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
        document = {
            "id": "c",
            "object": "x",
            "model": "tiny",
            "choices": [{"index": 0, "finish_reason": finish, **said}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 4},
        }
        return Response(json.dumps(document), content_type="application/json")

    return handle


def evaluate(capsys: pytest.CaptureFixture[str], tmp_path: Path, server: HTTPServer, *more: object) -> Result:
    """Run ``rbridge evaluate`` on six sums."""
    return rbridge(
        capsys, "evaluate", "tiny", "--endpoint", server.url_for("/v1"), "--benchmark", "mine", "--questions",
        write_problems(tmp_path, NUM), "--shots", 0, "-o", tmp_path / "runs", "--json", *more,
    )  # fmt: skip


def right_but_two(number: int) -> tuple[str, str]:
    """Right answers that run on, one wrong, one cut off."""
    if number == 4:
        return " It is. The answer is 9.", "stop"
    if number == 5:
        return " Let me think about", "length"
    return f" Add one. The answer is {number + 1}.\n\nQuestion: What is 7 + 1?\nAnswer: 8", "stop"


def test_completions_get_the_same_prompt_and_are_cut_here(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a proxy reads is sent; a server that ignores stops does not matter; figures by hand."""
    asked: list[dict] = []
    httpserver.expect_request("/v1/completions").respond_with_handler(answered(right_but_two, asked))
    result = evaluate(capsys, tmp_path, httpserver)
    assert result.status == 0, result.err
    assert min(one["prompt"] for one in asked) == "Question: What is 0 + 1, in €?\nAnswer:"
    assert all(one["stop"] == ["\nQuestion:", "\nQ:"] and one["temperature"] == 0 for one in asked)
    (row,) = result.document["evaluations"]
    assert (row["metrics"]["accuracy"]["mean"], row["metrics"]["accuracy"]["n"]) == (4 / 6, 6)
    assert (row["num_truncated"], row["num_unanswered"], row["num_undecided"]) == (1, 1, 0)
    assert (row["engine"], row["chance"]) == ("completions", 0.0)
    assert "token_edit_distance" not in row["metrics"]  # no tokenizer here: absent, not 0
    (one,) = read_evaluations(tmp_path / "runs")
    assert one.replies()[0].text == " Add one. The answer is 1.\n"
    assert KEY not in "".join(path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*.json"))


def test_a_run_that_failed_goes_on_where_it_stopped(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came is kept and not asked again; a refused problem is a listed skip."""
    asked: list[dict] = []
    broken = [True]

    def reply(number: int) -> tuple[str, str]:
        if number == 2:
            return "", "refuse"
        if broken[0] and number >= 3:
            return "", "fail"
        return right_but_two(number)

    httpserver.expect_request("/v1/completions").respond_with_handler(answered(reply, asked))
    first = evaluate(capsys, tmp_path, httpserver, "--concurrency", 1)
    assert (first.status, "what came is kept" in first.err) == (1, True)
    assert first.document["evaluations"] == []
    broken[0] = False
    asked.clear()
    second = evaluate(capsys, tmp_path, httpserver)
    assert second.status == 0, second.err
    assert len(asked) == 4  # 2, 3, 4, 5
    (row,) = second.document["evaluations"]
    assert [one["problem_id"] for one in row["skipped"]] == ["2"]
    assert "not this one" in row["skipped"][0]["reason"]
    assert (row["metrics"]["accuracy"]["n"], row["metrics"]["accuracy"]["mean"]) == (5, 3 / 5)
    asked.clear()
    third = evaluate(capsys, tmp_path, httpserver)
    assert (third.out, asked) == (second.out, [])


def test_a_chat_is_told_the_form_and_its_last_answer_counts(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No stops are sent; samples have seeds of their own; pass@k is over them."""
    asked: list[dict] = []
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(
        answered(lambda number: (f"The answer is 77? No. The answer is {number + 1}.", "stop"), asked)
    )
    result = evaluate(capsys, tmp_path, httpserver, "--chat", "--samples", 2, "--temperature", 0.5, "--k", 2)
    assert result.status == 0, result.err
    assert result.document["evaluations"][0]["metrics"]["pass@2"]["mean"] == 1.0
    prompt = asked[0]["messages"][0]["content"]
    assert prompt.endswith("End with the answer in exactly this form: The answer is <answer>.")
    assert not prompt.endswith("Answer:")
    assert all("stop" not in one for one in asked)
    assert len({one["seed"] for one in asked}) == 2 * NUM


def test_a_wrong_address_or_key_stops_at_once(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to look at, without the key."""
    result = evaluate(capsys, tmp_path, httpserver, "--max-cost", 1)
    assert (result.status, "--price-in" in result.err) == (1, True)
    httpserver.expect_request("/v1/completions").respond_with_data(f"no {KEY}", status=401)
    result = evaluate(capsys, tmp_path, httpserver, "--concurrency", 1)
    assert result.status == 1
    assert "check --endpoint" in result.err
    assert KEY not in result.err
