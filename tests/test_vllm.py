"""vLLM's offline interface as a source, on a stand-in made from its documented classes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rbridge.cli import run
from rbridge.scoring import vllm_offline
from rbridge.store.runs import read_runs
from tests import fake_vllm
from tests.checkpoints import build
from tests.commands import Result, rbridge
from tests.fake_vllm import Logprob, RequestOutput


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama checkpoint, whose tokenizer puts a BOS, one of a short context, and three traces."""
    folder = tmp_path_factory.mktemp("vllm")
    build("llama3", folder / "llama")
    build("short", folder / "short")
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"{i}?",
            "reasoning": "So 2 é. " * (1 + 9 * i),
        }
        for i in range(3)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> list[fake_vllm.LLM]:
    """The stand-in; the list fills with the models that it loads."""
    monkeypatch.setitem(sys.modules, "vllm", fake_vllm)
    loaded: list[fake_vllm.LLM] = []
    real = fake_vllm.LLM

    def load(**options: object) -> fake_vllm.LLM:
        loaded.append(real(**options))
        return loaded[-1]

    monkeypatch.setattr(fake_vllm, "LLM", load)
    return loaded


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(capsys, "score", *more, "--traces", place / "bundle", "--shots", 0, "-o", out, "--json")


def test_it_scores_as_transformers_do(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], vllm: list[fake_vllm.LLM]
) -> None:
    """The same losses under another key; no prefix is cached, nothing is tokenised, no pickle is loaded."""
    result = _score(capsys, place, tmp_path / "vllm", place / "llama", "--engine", "vllm")
    assert result.status == 0, result.err
    assert result.err.splitlines()[0].endswith("llama (vllm)")
    assert _score(capsys, place, tmp_path / "folder", place / "llama").status == 0
    (one,), (other,) = read_runs(tmp_path / "vllm"), read_runs(tmp_path / "folder")
    for mine, theirs in zip(one.scored(), other.scored(), strict=True):
        assert mine.tokens.nll == pytest.approx(theirs.tokens.nll, abs=5e-5)
    assert one.manifest.key != other.manifest.key
    assert (one.manifest.engine, one.manifest.ways) == ("vllm", {"vllm": "0.33.0"})
    for name in ("weights_sha256", "architecture", "parameters", "prefix_ids"):
        assert getattr(one.manifest, name) == getattr(other.manifest, name)
    assert one.manifest.context_length == other.manifest.context_length - 1  # one token is generated
    (model,) = vllm
    assert (model.enable_prefix_caching, model.skip_tokenizer_init, model.load_format, model.dtype) == (
        False, True, "safetensors", "float32",
    )  # fmt: skip
    again = _score(capsys, place, tmp_path / "vllm", place / "llama", "--engine", "vllm")
    assert "scored already" in again.err
    assert len(vllm) == 1


@pytest.mark.usefixtures("vllm")
def test_what_half_precision_moves_is_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against transformers in float32 on the CPU."""
    given = (place / "llama", "--engine", "vllm", "--dtype", "bfloat16")
    result = _score(capsys, place, tmp_path / "runs", *given)
    assert result.status == 0, result.err
    (found,) = read_runs(tmp_path / "runs")
    assert 0 < found.manifest.half_error.token_rms < 0.1


@pytest.mark.usefixtures("vllm")
def test_what_does_not_fit_is_skipped(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A context of 64 holds 63 of ours and the token that vLLM generates."""
    result = _score(capsys, place, tmp_path / "runs", place / "short", "--engine", "vllm")
    assert result.status == 0, result.err
    (row,) = result.document["runs"]
    assert (row["num_scored"], {skip["reason"] for skip in row["skipped"]}) == (1, {"too long"})


def _first_missing(output: RequestOutput) -> RequestOutput:
    return replace(output, prompt_logprobs=output.prompt_logprobs[1:])


def _nothing_asked(output: RequestOutput) -> RequestOutput:
    return replace(output, prompt_logprobs=None)


def _shifted(output: RequestOutput) -> RequestOutput:
    values = [next(iter(entry.values())) for entry in output.prompt_logprobs[1:]]
    ids = output.prompt_token_ids[1:]
    late = [{token: value} for token, value in zip(ids, [values[0], *values[:-1]], strict=True)]
    return replace(output, prompt_logprobs=[None, *late])


def _only_likeliest(output: RequestOutput) -> RequestOutput:
    rows = [None, *({-1: Logprob(-0.1, 1)} for _ in output.prompt_logprobs[1:])]
    return replace(output, prompt_logprobs=rows)


def _bos_added(output: RequestOutput) -> RequestOutput:
    return replace(output, prompt_token_ids=[1, *output.prompt_token_ids])


def _impossible(output: RequestOutput) -> RequestOutput:
    last = {output.prompt_token_ids[-1]: Logprob(float("-inf"), None)}
    return replace(output, prompt_logprobs=[*output.prompt_logprobs[:-1], last])


@pytest.mark.usefixtures("vllm")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_first_missing, "24 prompt tokens went in, values of 23 came out"),
        (_nothing_asked, "24 prompt tokens went in, values of 0 came out"),
        (_shifted, "differ from the reference by"),
        (_only_likeliest, "gives None as the log-probability of a token"),
        (_bos_added, "answers 1 sequences of other token ids than the 1 that were asked"),
        (_impossible, "gives -inf as the log-probability of a token"),
    ],
)
def test_an_answer_that_would_give_wrong_scores_is_refused(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[RequestOutput], RequestOutput],
    message: str,
) -> None:
    """Nothing is stored."""
    monkeypatch.setattr(fake_vllm, "SPOIL", [spoil])
    result = _score(capsys, place, tmp_path / "runs", place / "llama", "--engine", "vllm")
    assert result.status == 1
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert re.search(message, error), error
    assert not list(tmp_path.glob("runs/**/*.parquet"))


def test_what_does_not_go_with_vllm_is_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is missing, a GGUF file, options that it cannot serve."""
    (place / "m.gguf").write_bytes(b"")
    given = {
        "does not go with --endpoint": ("p", "--endpoint", "http://127.0.0.1:9/v1", "--tokenizer", "t"),
        "do not go with --engine vllm": (place / "llama", "--token-statistics"),
        "--device does not go with --engine vllm": (place / "llama", "--device", "cuda"),
        r"pip install 'rbridge\[vllm\]'": (place / "llama",),
    }
    with monkeypatch.context() as without:
        without.setattr(vllm_offline, "find_spec", lambda _: None)
        for message, more in given.items():
            result = _score(capsys, place, tmp_path / "runs", *more, "--engine", "vllm")
            assert result.status == 1
            assert re.search(message, result.err), result.err
    monkeypatch.setitem(sys.modules, "vllm", fake_vllm)
    result = _score(capsys, place, tmp_path / "runs", place / "m.gguf", "--engine", "vllm")
    assert "a GGUF file; --engine vllm reads folders and hub names" in result.err
