"""Before rbridge traces generate pays: keys that never show, and endpoints that are probed for their use."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rbridge.store.bundles import read_bundle
from rbridge.traces.generate.ledger import ledger_path
from tests.frontier import Fault, Frontier, completion, good_reply, serve, tokens_of
from tests.generating import (
    KEY,
    generate,
    good_answer,
    set_environment,
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch)


def _everything_written(tmp_path: Path) -> bytes:
    """All files, and the ledger's replies unpacked."""
    import zlib

    whole = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    with sqlite3.connect(ledger_path(tmp_path / "bundle")) as db:
        whole += b"".join(zlib.decompress(row[0]) for row in db.execute("SELECT reply FROM calls") if row[0])
    return whole


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
        return good_answer(question)

    with serve(script) as frontier:
        result = generate(capsys, tmp_path, frontier.url)
        assert all(headers["authorization"] == f"Bearer {KEY}" for headers in frontier.headers)
    assert "[key]" in result.err
    written = _everything_written(tmp_path)
    assert b"[key]" in written
    assert KEY.encode() not in written
    assert KEY not in result.err + result.out
    broken = generate(capsys, tmp_path, frontier.url, num=9)  # nobody listens there any more
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
    result = generate(capsys, tmp_path, url)
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert "--endpoint" in result.err
    assert KEY not in result.err


def test_a_named_key_variable_must_be_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is the one that is sent."""
    monkeypatch.setenv("OTHER_KEY", "other-secret")
    with serve(good_answer) as frontier:
        missing = generate(capsys, tmp_path, frontier.url, "--key-env", "NO_SUCH_KEY")
        assert "--key-env NO_SUCH_KEY: no such environment variable" in missing.err
        assert generate(capsys, tmp_path, frontier.url, "--key-env", "OTHER_KEY", num=1).status == 0
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
    with serve(good_answer) as frontier:
        _probe_with(frontier, monkeypatch, reply)
        result = generate(capsys, tmp_path, frontier.url)
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
    with serve(good_answer) as frontier:
        _probe_with(frontier, monkeypatch, reply)
        result = generate(capsys, tmp_path, frontier.url, num=1)
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
    with serve(good_answer) as frontier:
        monkeypatch.setattr(frontier, "probe", tempered)
        result = generate(capsys, tmp_path, frontier.url, num=1)
        assert "log-probabilities are not raw" in result.err
        assert read_bundle(tmp_path / "bundle").manifest.generated[0].logprobs_mode == "processed"
        sure = 0.0
        refused = generate(capsys, tmp_path, frontier.url, "-o", tmp_path / "other", num=1)
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

    with serve(good_answer) as frontier:
        bare = frontier.url.removesuffix("/v1")
        assert generate(capsys, tmp_path, bare, num=1).status == 0
        full = f"{frontier.url}/chat/completions"
        assert generate(capsys, tmp_path, full, num=2).status == 0
        usual = frontier.probe
        monkeypatch.setattr(frontier, "probe", picky)
        assert generate(capsys, tmp_path, frontier.url, num=3).status == 0
        assert "max_completion_tokens" in frontier.requests[-1]
        assert "max_tokens" not in frontier.requests[-1]
