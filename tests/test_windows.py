"""Long traces in declared windows: every token once, the question in front, the same text for every tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.cli import run
from rbridge.scoring.engine import Engine
from rbridge.scoring.windows import Window, window_parts
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import Result, rbridge

QUESTION = "How long is it?"
LONG = " ".join(f"Step {i}: {i} times {i + 1} is {i * (i + 1)}, é." for i in range(30))
SHORT = "It is short."


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 40), st.integers(1, 40))
def test_every_token_is_scored_once_behind_enough_context(lengths: list[int], one: int, other: int) -> None:
    """Over any tokens, window and stride: a partition, and N - M bytes of context, up to the token that is cut."""
    size, stride = max(one, other), min(one, other)
    end = np.cumsum(lengths)
    start, num_bytes = end - np.array(lengths), int(end[-1])
    parts = window_parts(start, num_bytes, Window(size, stride))
    assert [at for part in parts for at in range(part.first, part.last)] == list(range(len(lengths)))
    for part in parts:
        assert part.context <= part.first
        # No token begins a window's size or more behind the window's beginning.
        assert start[part.last - 1] - start[part.context] < size
        for at in range(part.first, part.last):
            known = start[at] - (start[part.context] if part.context else 0)
            longest = max(lengths)
            assert part.context == 0 or known > size - stride - longest
    if num_bytes <= size:
        assert len(parts) == 1


def test_two_tokenizers_read_the_same_text() -> None:
    """The limits are bytes: single bytes and words of four are given the same context, up to a token."""
    fine, coarse = np.arange(400), np.arange(0, 400, 4)
    one, other = (window_parts(start, 400, Window(100, 40)) for start in (fine, coarse))
    assert [(fine[p.context], fine[p.first]) for p in one] == [
        (coarse[p.context], coarse[p.first]) for p in other
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 with a short context, and a bundle of a long and a short trace."""
    folder = tmp_path_factory.mktemp("windows")
    build("gpt2", folder / "gpt2")
    lines = [
        {"benchmark": "mine", "problem_id": name, "voice": "v", "question": QUESTION, "reasoning": text,
         "pieces": [{"text": text[:9], "logprob": -0.5}, {"text": text[9:], "logprob": -0.1}]}
        for name, text in (("long", LONG), ("short", SHORT))
    ]  # fmt: skip
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(capsys, "score", place / "gpt2", "--traces", place / "bundle", "--shots", 0, "-o", out, "--json",
                   *more)  # fmt: skip


def _naive(place: Path, size: int, stride: int) -> list[float]:
    """Losses of the long trace by hand: window after window through the bare model."""
    tokenizer: Any = AutoTokenizer.from_pretrained(place / "gpt2")
    model: Any = AutoModelForCausalLM.from_pretrained(place / "gpt2").eval()
    prompt = tokenizer.encode(f"Question: {QUESTION}\nAnswer:", add_special_tokens=False)
    tokens = tokenizer.encode(f" {LONG}", add_special_tokens=False)
    spelled = [len(token) for token in tokenizer.convert_ids_to_tokens(tokens)]  # byte-level: a char a byte
    begins = np.maximum(np.cumsum(spelled) - np.array(spelled) - 1, 0)
    total = len(LONG.encode())
    losses: list[float] = []
    low, number = 0, 0
    while low < total:
        high = size if number == 0 else low + stride
        context = [t for t, at in zip(tokens, begins, strict=True) if number * stride <= at < low]
        scored = [t for t, at in zip(tokens, begins, strict=True) if low <= at < high]
        ids = torch.tensor([[*prompt, *context, *scored]])
        with torch.no_grad():
            logs = torch.log_softmax(model(ids).logits[0].double(), dim=-1)
        for offset, token in enumerate(scored):
            losses.append(-float(logs[len(prompt) + len(context) + offset - 1, token]))
        low, number = high, number + 1
    return losses


def test_a_windowed_score_is_the_naive_one(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a plain loop; the short trace is read whole; both say how they were read."""
    result = _score(capsys, place, tmp_path / "runs", "--window", 120, "--stride", 50)
    assert result.status == 0, result.err
    (found,) = read_runs(tmp_path / "runs")
    long, short = found.scored()
    assert (str(long.key), long.window, short.window) == ("mine/long/v", (120, 50), None)
    assert long.tokens.nll == pytest.approx(_naive(place, 120, 50), abs=5e-5)
    assert (int(long.tokens.start[0]), int(long.tokens.end[-1])) == (0, len(LONG.encode()))
    assert long.tokens.end[:-1].tolist() == long.tokens.start[1:].tolist()
    assert long.tokens.weight is not None
    assert long.tokens.weight[[0, -1]] == pytest.approx(np.exp([-0.5, -0.1]))
    items = rbridge(capsys, "show", tmp_path / "runs", "--items", "--json").lines
    assert [item["window"] for item in items] == [[120, 50], None]


def test_a_window_as_long_as_the_trace_changes_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit: nothing is cut, and nothing says that it was."""
    _score(capsys, place, tmp_path / "a")
    _score(capsys, place, tmp_path / "b", "--window", 100_000)
    one, other = (read_runs(tmp_path / name)[0].scored() for name in "ab")
    assert [found.tokens.nll.tolist() for found in one] == [found.tokens.nll.tolist() for found in other]
    assert [found.window for found in other] == [None, None]


def test_what_does_not_fit_is_skipped_with_its_reason(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without windows as too long; with a window that is too wide, with its tokens. Never cut in silence."""
    config = json.loads((place / "gpt2" / "config.json").read_text())
    few = tmp_path / "few"
    few.mkdir()
    for file in (place / "gpt2").iterdir():
        (few / file.name).write_bytes(file.read_bytes())
    model: Any = AutoModelForCausalLM.from_pretrained(place / "gpt2")
    model.transformer.wpe.weight.data = model.transformer.wpe.weight.data[:96]
    model.config.n_positions = model.config.max_position_embeddings = 96
    model.transformer.wpe.num_embeddings = 96
    model.save_pretrained(few)
    assert config["n_positions"] > 96
    reasons = []
    for more in ((), ("--window", 600), ("--window", 90, "--stride", 40)):
        done = rbridge(capsys, "score", few, "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "r",
                       "--json", *more)  # fmt: skip
        (row,) = done.document["runs"]
        reasons.append([skip["reason"] for skip in row["skipped"]])
    assert reasons[0] == ["too long"]
    assert reasons[1][0].startswith("too long: a window of 600 bytes is ")
    assert reasons[2] == []


def test_an_interrupted_windowed_run_goes_on(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a trace: the windows that were scored are not scored again, and the bits are the same."""
    more = ("--window", 120, "--stride", 50, "--batch-tokens", 1)
    _score(capsys, place, tmp_path / "whole", *more)
    real, seen = Engine.losses, []

    def stopping(self: Engine, batch: list) -> list:
        if batch[0].key.benchmark == "self-test":
            return real(self, batch)
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(batch[0].key)
        return real(self, batch)

    monkeypatch.setattr(Engine, "losses", stopping)
    assert _score(capsys, place, tmp_path / "runs", *more).status == 130
    monkeypatch.setattr(Engine, "losses", real)
    resumed = _score(capsys, place, tmp_path / "runs", *more)
    assert "going on after 4 of" in resumed.err
    whole, again = (read_runs(tmp_path / name)[0].scored() for name in ("whole", "runs"))
    assert [found.tokens.nll.tolist() for found in whole] == [found.tokens.nll.tolist() for found in again]


def test_items_of_unlike_windows_are_not_compared(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The long trace drops out where one run read it whole; equal windows compare, and the table says so."""
    build("llama3", tmp_path / "llama")
    _score(capsys, place, tmp_path / "runs", "--window", 120, "--stride", 50)
    command = ("score", tmp_path / "llama", "--traces", place / "bundle", "--shots", 0, "-o")
    rank = ("--proxy", "rbridge_per_byte", "--json")
    assert rbridge(capsys, *command, tmp_path / "runs", "--window", 120, "--stride", 50).status == 0
    (group,) = rbridge(capsys, "rank", tmp_path / "runs", *rank).document["groups"]
    assert (group["n_items"], group["num_dropped"]) == (2, 0)
    assert "1 of 2 traces were read in windows of 120 bytes, 50 new in each" in group["notes"]
    _score(capsys, place, tmp_path / "mixed", "--window", 120, "--stride", 50)
    assert rbridge(capsys, *command, tmp_path / "mixed").status == 0
    (group,) = rbridge(capsys, "rank", tmp_path / "mixed", *rank).document["groups"]
    assert (group["n_items"], group["num_dropped"]) == (1, 2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--window", 0), "0 < stride <= window"),
        (("--window", 10, "--stride", 20), "0 < stride <= window"),
        (("--stride", 20), "--stride goes with --window"),
    ],
)
def test_a_window_that_is_none_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[object, ...], message: str
) -> None:
    """Before anything is scored."""
    refused = _score(capsys, place, tmp_path / "r", *more)
    assert (refused.status, message in refused.err) == (1, True), refused.err
