"""A sweep tokenises the traces once a tokenizer, whatever the number of its checkpoints."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from rbridge.records import Trace, TraceKey
from rbridge.scoring import encodings
from rbridge.scoring.encodings import Encodings
from rbridge.scoring.tokenizer import ProxyTokenizer
from tests.checkpoints import build
from tests.scoring import TEXTS, losses_of, make_place, score
from tests.tokenizer_styles import gpt2_style, llama3_style


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces, and checkpoints of two families: three GPT-2 and one Llama."""
    folder = make_place(tmp_path_factory.mktemp("encodings"))
    for seed in (1, 2):
        build("gpt2", folder / f"gpt2-{seed}", seed=seed)
    return folder


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each text has been tokenised."""
    counted: Counter[str] = Counter()
    real = ProxyTokenizer.encode

    def counting(tokenizer: ProxyTokenizer, text: str) -> list[int]:
        counted[text] += 1
        return real(tokenizer, text)

    monkeypatch.setattr(ProxyTokenizer, "encode", counting)
    return counted


def test_each_text_is_tokenised_once_a_tokenizer(
    place: Path, tmp_path: Path, tokenised: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Three checkpoints of one tokenizer: once; one of another between them: twice; the losses are the same bits."""
    three = [place / name for name in ("gpt2", "gpt2-1", "gpt2-2")]
    assert score(capsys, place, tmp_path / "one", *three).status == 0
    assert len(tokenised) == 2 * len(TEXTS)  # prompts and traces
    assert set(tokenised.values()) == {1}
    tokenised.clear()
    mixed = [three[0], place / "llama", *three[1:]]
    assert score(capsys, place, tmp_path / "two", *mixed).status == 0
    assert len(tokenised) == 2 * len(TEXTS)
    assert set(tokenised.values()) == {2}
    for checkpoint in mixed:  # each in a sweep of its own, which has nothing to go by
        assert score(capsys, place, tmp_path / "apart", checkpoint).status == 0
    apart, two = losses_of(tmp_path / "apart"), losses_of(tmp_path / "two")
    assert two == apart
    assert losses_of(tmp_path / "one") == {name: apart[name] for name in losses_of(tmp_path / "one")}


def test_a_context_of_another_length_is_encoded_for_itself(
    place: Path, tmp_path: Path, tokenised: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same tokenizer behind a context of 64 tokens: what does not fit is skipped there, and only there."""
    build("short", tmp_path / "short")
    for file in place.joinpath("gpt2").glob("tokenizer*"):
        shutil.copy(file, tmp_path / "short")
    result = score(capsys, place, tmp_path / "runs", place / "gpt2", tmp_path / "short", place / "gpt2-1")
    assert [run["num_skipped"] for run in result.document["runs"]] == [0, 1, 0]
    assert set(tokenised.values()) == {2}


def test_only_the_latest_tokenizers_are_kept(
    monkeypatch: pytest.MonkeyPatch, tokenised: Counter[str]
) -> None:
    """With room for one, going to and fro tokenises each time; the numbers do not change."""
    monkeypatch.setattr(encodings, "KEPT", 1)
    trace = Trace(TraceKey("b", "1", "v"), "So 2 + 3.", prompt="Q?")
    kept = Encodings([trace], 0, None)
    gpt2, llama = (ProxyTokenizer(style(), where="t") for style in (gpt2_style, llama3_style))
    first = kept.of(gpt2, None)
    assert kept.of(gpt2, None) is first
    kept.of(llama, None)
    again = kept.of(gpt2, None)
    assert again is not first
    assert [item.ids for item in again[0]] == [item.ids for item in first[0]]
    assert set(tokenised.values()) == {3}
