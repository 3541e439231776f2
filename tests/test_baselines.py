"""Baselines out of the proxies' log-probabilities, against float64 and by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.cli import run
from rbridge.metric import metric_named
from rbridge.metric.options import CLOZE_METRICS, Spoken, by_problem, cloze
from tests.checkpoints import build
from tests.commands import Result, rbridge

OPTIONS = ["an apple", "three", "3 apples are left"]


def _option(nll: float, tokens: int = 1, *, gold: bool = False) -> Spoken:
    return Spoken("b", "1", "", "option", gold, 0, nll, tokens, 1, 1)


def test_cloze_baselines_by_hand() -> None:
    """Probabilities .5 (two tokens), .25 (gold, one) and .125 (three)."""
    options = [_option(math.log(2), 2), _option(math.log(4), 1, gold=True), _option(math.log(8), 3)]
    assert cloze(options, "accuracy", "") == 0.0
    assert cloze(options, "probability", "") == pytest.approx(0.25)
    assert cloze(options, "total_probability", "") == pytest.approx(0.875)
    assert cloze(options, "normalised_probability", "") == pytest.approx(0.25 / 0.875)
    assert cloze(options, "margin", "") == pytest.approx(math.log(0.5))
    # Per token, before exp: .5^(1/2), .25, .125^(1/3) = .5
    assert cloze(options, "total_probability", "_per_token") == pytest.approx(0.5**0.5 + 0.25 + 0.5)
    assert cloze(options, "margin", "_per_token") == pytest.approx(math.log(0.25) - math.log(0.5) / 2)


def test_a_tie_is_drawn_by_lot_and_a_problem_without_a_gold_option_has_none() -> None:
    """Two equally likely options: half a point. No gold, or one option: no value."""
    assert cloze([_option(1.0, gold=True), _option(1.0)], "accuracy", "") == 0.5
    assert by_problem([_option(1.0), _option(2.0)]) == {}
    assert by_problem([_option(1.0, gold=True)]) == {}


def test_every_baseline_has_one_direction() -> None:
    """In the catalogue: higher for cloze, lower for losses."""
    directions = {name: found.direction for name in CLOZE_METRICS if (found := metric_named(name))}
    assert directions == dict.fromkeys(CLOZE_METRICS, "higher")
    assert len(CLOZE_METRICS) == 20
    for name in ("gold_label_nll", "trace_and_answer_nll", "answer_given_trace_nll"):
        found = metric_named(name)
        assert found is not None
        assert found.direction == "lower"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2, a bundle of one problem, and the file that knows its options."""
    folder = tmp_path_factory.mktemp("baselines")
    build("gpt2", folder / "gpt2")
    line = {
        "benchmark": "mine",
        "problem_id": "1",
        "voice": "v",
        "question": "What is left?",
        "reasoning": "So 2 + 1.",
    }
    (folder / "traces.jsonl").write_text(json.dumps(line))
    problem = {"problem_id": "1", "question": "What is left?", "answer": "C", "choices": OPTIONS}
    (folder / "questions.jsonl").write_text(json.dumps(problem))
    assert run(["traces", "import", str(folder / "traces.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


def _loss(folder: Path, prompt: str, text: str) -> tuple[float, int]:
    """Sum of -ln p of a text behind a prompt, in float64, and its tokens; a lone separator is not counted."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "gpt2")
    model = AutoModelForCausalLM.from_pretrained(folder / "gpt2", dtype=torch.float64).eval()
    before, ids = tokenizer.encode(prompt), tokenizer.encode(f" {text}")
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.tensor([[*before, *ids]])).logits[0], dim=-1)
    first = 1 if tokenizer.decode([ids[0]]) == " " else 0
    losses = [-float(logprobs[len(before) + place - 1, ids[place]]) for place in range(first, len(ids))]
    return math.fsum(losses), len(losses)


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(
        capsys, "score", place / "gpt2", "--traces", place / "bundle", "--shots", 0, "-o", out, "--baselines",
        "--json", *more,
    )  # fmt: skip


def test_baselines_are_those_of_float64(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line: options, label, trace and answer, answer given the trace."""
    scored = _score(capsys, place, tmp_path / "runs", "--questions", place / "questions.jsonl")
    assert scored.status == 0
    listed = scored.document["runs"][0]["metrics"]
    prompt = "Question: What is left?\nAnswer:"
    logprob = np.array([-_loss(place, prompt, option)[0] for option in OPTIONS])
    size = np.array([len(option) for option in OPTIONS])
    label, tokens = _loss(place, prompt, "C")
    closed, closed_tokens = _loss(place, prompt, "So 2 + 1. The answer is C.")
    expected = {
        "cloze_accuracy": float(logprob.argmax() == 2),
        "cloze_probability": np.exp(logprob[2]),
        "cloze_normalised_probability": np.exp(logprob[2]) / np.exp(logprob).sum(),
        "cloze_margin": logprob[2] - logprob[:2].max(),
        "cloze_margin_per_byte": logprob[2] / size[2] - (logprob / size)[:2].max(),
        "cloze_total_probability_per_character": np.exp(logprob / size).sum(),
        "gold_label_nll": label / tokens,
        "mpca": np.exp(-label),
        "trace_and_answer_nll": closed / closed_tokens,
        "answer_given_trace_nll": _loss(place, f"{prompt} So 2 + 1. The answer is", "C")[0],
    }
    for name, value in expected.items():
        found = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", name, "--json")
        assert found.status == 0, found.err
        assert found.document["groups"][0]["order"][0]["value"] == pytest.approx(
            value, rel=1e-4, abs=1e-12
        ), name
        assert listed[name]["mean"] == pytest.approx(value, rel=1e-4, abs=1e-12), name


def test_without_a_gold_answer_there_is_none(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line; a wrong direction and a missing reading are refused too."""
    result = _score(capsys, place, tmp_path / "runs")
    assert (result.status, "none of the problems has a gold answer" in result.err) == (1, True)
    unread = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "cloze_margin")
    assert (unread.status, "again with --baselines" in unread.err) == (1, True)
    turned = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "cloze_margin", "--lower-is-better")
    assert (turned.status, "higher is better" in turned.err) == (1, True)
