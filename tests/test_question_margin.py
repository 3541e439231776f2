"""The question margin against float64, by hand, and its abstention; gold and generic text beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.cli import run
from rbridge.metric.margin import QuestionReading, margins, own_voice
from rbridge.rank import Replicates, proxy_too_small, seed_agreement
from rbridge.records import Labels, TraceKey
from rbridge.store.readings import read_question_readings, write_question_readings
from rbridge.store.runs import RunStore, read_runs
from tests.checkpoints import build
from tests.commands import rbridge
from tests.test_store import manifest, scored

QUESTIONS = {
    "a": "What is 2 + 3?",
    "b": "What is 20 + 3?",
    "c": "And 4?",
    "d": "What is 7 + 8 + 9 + 10?",
    "e": "2 + 2?",
}
REASONING = "So 2 + 3 = 5, and 40 is é 5."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 and a bundle of five problems, one of them in two voices."""
    folder = tmp_path_factory.mktemp("margin")
    build("gpt2", folder / "gpt2")
    lines = [
        {"benchmark": "mine", "problem_id": name, "voice": "v", "question": text, "reasoning": REASONING,
         "answer": "The sum is 5", "correct": name != "e"}
        for name, text in QUESTIONS.items()
    ]  # fmt: skip
    lines.append({**lines[0], "voice": "w", "reasoning": "Another way to 5."})
    (folder / "traces.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "traces.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


def _oracle(folder: Path, question: str | None, reasoning: str) -> tuple[np.ndarray, np.ndarray]:
    """Losses of the reasoning behind a question, and of its number tokens among all number tokens, in float64."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "gpt2")
    model = AutoModelForCausalLM.from_pretrained(folder / "gpt2", dtype=torch.float64).eval()
    before = "Text:" if question is None else f"Question: {question}\nAnswer:"
    prompt = tokenizer.encode(before, add_special_tokens=False)
    trace = tokenizer.encode(f" {reasoning}", add_special_tokens=False)
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *trace]])).logits[0]
    texts = {index: tokenizer.decode([index]) for index in range(len(tokenizer))}
    numbers = [index for index, text in texts.items() if re.fullmatch(r" *[0-9]+ *", text)]
    every, among = [], []
    for place, token in enumerate(trace):
        if place == 0 and texts[token] == " ":
            continue  # the separator alone is fed, not scored
        row = logits[len(prompt) + place - 1]
        every.append(float(torch.logsumexp(row, 0) - row[token]))
        if token in numbers:
            among.append(float(torch.logsumexp(row[numbers], 0) - row[token]))
    return np.array(every), np.array(among)


def test_margins_are_those_of_float64(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right and nearest other questions, all tokens and numbers alone, from the stored raw losses."""
    arguments = ("score", place / "gpt2", "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "runs")
    assert rbridge(capsys, *arguments, "--margin", "--json").status == 0
    # By bytes: a 14, b 15, c 6, d 23, e 6: four others each, so all of them here.
    right, right_numbers = _oracle(place, QUESTIONS["a"], REASONING)
    others = [_oracle(place, QUESTIONS[name], REASONING) for name in "bcde"]
    documents = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "question_margin", "--json").document
    assert documents["groups"][0]["direction"] == "higher"
    table = pl.read_parquet(next((tmp_path / "runs").glob("*/other_questions.parquet")))
    rows = {(row["problem_id"], row["voice"], row["asked"]): row for row in table.iter_rows(named=True)}
    assert np.abs(np.array(rows["a", "v", "a"]["nll"]) - right).max() < 5e-5
    assert np.abs(np.array(rows["a", "v", "a"]["number_nll"]) - right_numbers).max() < 5e-5
    assert len(right_numbers) >= 4
    (found,) = [m for m in _margins(tmp_path / "runs") if m.key == TraceKey("mine", "a", "v")]
    assert found.num_others == 4
    assert found.all_tokens == pytest.approx(np.mean([o.mean() for o, _ in others]) - right.mean(), abs=2e-5)
    assert found.numbers == pytest.approx(
        np.mean([n.mean() for _, n in others]) - right_numbers.mean(), abs=2e-5
    )
    expected_bits = np.mean([o.sum() for o, _ in others]) / np.log(2) / len(REASONING.encode())
    assert found.other_bits == pytest.approx(expected_bits, abs=2e-5)
    # A finished reading is not made again, and a run without one says what to do.
    again = rbridge(capsys, *arguments, "--margin", "--json")
    assert "other_questions" not in again.err
    (bare,) = read_runs(tmp_path / "runs")
    (bare.folder / "other_questions.parquet").unlink()
    refused = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "question_margin")
    assert (refused.status, "again with --margin" in refused.err) == (1, True)


def _margins(runs: Path) -> list:
    return [m for one in read_runs(runs) for m in margins(read_question_readings(one.folder) or [])]


def test_the_nearest_questions_are_those_nearest_in_bytes() -> None:
    """Ties by problem_id, equal questions left out, four at most."""
    from rbridge.records import Trace
    from rbridge.scoring.other_question import nearest_questions

    texts = {
        "p": "x" * 10,
        "same": "x" * 10,
        "u": "y" * 12,
        "t": "z" * 8,
        "far": "w" * 90,
        "v": "é" * 6,
        "w": "q" * 11,
    }
    traces = [Trace(TraceKey("mine", name, "v"), "r", question=text) for name, text in texts.items()]
    found = nearest_questions(traces)
    assert [trace.key.problem_id for trace in found["mine", "p"]] == ["w", "t", "u", "v"]


def _reading(problem: str, asked: str, nll: list[float], voice: str = "v") -> QuestionReading:
    return QuestionReading(
        TraceKey("gsm8k", problem, voice), 0, asked, np.array(nll), np.array([0]), np.array(nll[:1]), 4
    )


def test_the_own_voice_is_picked_on_the_other_half() -> None:
    """Voice a is likelier behind other questions on problems 1 and 3, b on 2 and 4: each reads the other half's."""
    readings = []
    for problem in ("1", "2", "3", "4"):
        likely = "a" if problem in "13" else "b"
        for voice in "ab":
            style = 1.0 if voice == likely else 2.0
            value = {"a": 0.1, "b": 0.2}[voice]
            readings += [
                _reading(problem, problem, [style - value] * 2, voice),
                _reading(problem, "x", [style] * 2, voice),
            ]
    found = {m.key.problem_id: (m.key.voice, m.all_tokens) for m in own_voice(margins(readings))}
    assert found == {
        problem: (voice, pytest.approx({"a": 0.1, "b": 0.2}[voice]))
        for problem, voice in {"1": "b", "3": "b", "2": "a", "4": "a"}.items()
    }
    assert own_voice(margins([reading for reading in readings if reading.key.voice == "a"])) == []


def test_a_margin_abstains_where_seeds_disagree_or_pairs_are_close() -> None:
    """Mean tau of -1 between two seeds; and three recipes within one standard error."""
    names, seeds = ("a", "a", "b", "b", "c", "c"), ("0", "1") * 3
    against = Replicates(names, seeds, np.array([[1.0], [3.0], [2.0], [2.0], [3.0], [1.0]]))
    assert seed_agreement(against) == pytest.approx(-1.0)
    assert (proxy_too_small(against, None) or "").startswith("proxy too small: seeds' orders")
    alike = Replicates(names, seeds, np.array([[1.0], [1.1], [2.0], [2.1], [3.0], [3.1]]))
    assert proxy_too_small(alike, np.eye(3) * 0.01) is None
    assert "of the pairs differ by under 2" in (proxy_too_small(alike, np.eye(3)) or "")


def test_an_abstaining_margin_has_no_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Null ranks with the reason, in the JSON; dashes in the table."""
    store = RunStore(tmp_path / "runs")
    rng = np.random.default_rng(0)
    for number, (recipe, seed) in enumerate([(r, s) for r in "abc" for s in (0, 1)]):
        facts = {"labels": Labels(recipe=recipe, seed=seed)}
        kept = store.finish(manifest(str(number) * 64, f"{recipe}{seed}", **facts), [scored("1", [1.0])])
        readings = [
            _reading(problem, asked, rng.normal(2.0, 0.5, size=2).tolist())
            for problem in "12345"
            for asked in (problem, "x")
        ]
        write_question_readings(kept.folder, readings, key="k")
    arguments = ("rank", tmp_path / "runs", "--proxy", "question_margin_numbers")
    (group,) = rbridge(capsys, *arguments, "--json").document["groups"]
    assert group["abstain"].startswith("proxy too small")
    assert all(row["rank"] is None and row["rank_set"] is None for row in group["order"])
    assert all(row["reason"] == group["abstain"] for row in group["order"])
    assert "so no rank is given" in rbridge(capsys, *arguments).out


def test_gold_and_generic_texts_are_read_with_the_same_proxy(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bits a byte of the checked answers, and of a plain text, against float64."""
    text = tmp_path / "plain.txt"
    text.write_text("Each of the three  friends\nhas three apples.")
    arguments = ("score", place / "gpt2", "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "runs")
    assert rbridge(capsys, *arguments, "--gold", "--generic", text, "--json").status == 0
    losses = [_oracle(place, QUESTIONS[name], "The sum is 5")[0].sum() for name in "abcd"]  # e was wrong
    (group,) = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "gold_bits_per_byte", "--json").document[
        "groups"
    ]
    assert group["n_items"] == 4
    assert group["order"][0]["value"] == pytest.approx(np.mean(losses) / np.log(2) / 12, abs=2e-5)
    (group,) = rbridge(
        capsys, "rank", tmp_path / "runs", "--proxy", "generic_bits_per_byte", "--json"
    ).document["groups"]
    plain = "Each of the three friends has three apples."
    losses, _ = _oracle(place, None, plain)
    assert group["order"][0]["value"] == pytest.approx(losses.sum() / np.log(2) / len(plain), abs=2e-5)


def test_what_cannot_be_read_is_refused_in_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A generic text that is not there; the run itself is kept."""
    arguments = ("score", place / "gpt2", "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "runs")
    result = rbridge(capsys, *arguments, "--generic", tmp_path / "none.txt")
    assert result.status == 1
    assert "none.txt: cannot be read as UTF-8 text" in result.err
    assert len(read_runs(tmp_path / "runs")) == 1


@pytest.mark.parametrize(
    "kind",
    ["llama2", "neox", "gemma2", "cohere", "granite", "opt", "bloom", "mamba", "qwen3-moe", "longrope"],
)
def test_every_architecture_reads_a_trace_as_the_engine_does(
    kind: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind its own question, one by one, whatever caps or scales the logits: the engine's losses again."""
    build(kind, tmp_path / kind)
    result = rbridge(
        capsys, "score", tmp_path / kind, "--traces", place / "bundle", "--shots", 0, "--margin",
        "-o", tmp_path / "runs", "--json",
    )  # fmt: skip
    (found,) = read_runs(tmp_path / "runs")
    own = {one.key: one for one in read_question_readings(found.folder) or [] if one.right}
    assert len(own) == found.manifest.num_scored > 0, result.err
    for one in found.scored():
        assert np.abs(own[one.key].nll - one.tokens.nll).max() < 5e-5
