"""rbridge score end to end: resuming, labels, shots, batches and GGUF."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
)

from rbridge.scoring import hf
from rbridge.scoring.engine import Engine
from rbridge.store.runs import read_runs
from tests.commands import rbridge
from tests.ggufs import write_gguf
from tests.scoring import TEXTS, losses_of, make_place, score


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 and a Llama checkpoint and traces of an unknown benchmark."""
    return make_place(tmp_path_factory.mktemp("score"))


def test_the_shape_is_that_of_the_specification(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row per checkpoint, benchmark and voice, with mean and standard error."""
    result = score(capsys, place, tmp_path / "runs", place / "gpt2")
    assert result.status == 0
    (row,) = result.document["runs"]
    assert row["checkpoint"] == str(place / "gpt2")
    assert (row["recipe"], row["seed"], row["benchmark"]) == (None, None, "mine")
    assert (row["voice"], row["shots"], row["weight_source"]) == ("v", 0, "self")
    assert (row["num_scored"], row["num_skipped"], row["skipped"]) == (5, 0, [])
    assert set(row["metrics"]["rbridge"]) >= {"mean", "stderr"}
    items = rbridge(capsys, "show", tmp_path / "runs", "--items", "--json").lines
    assert [item["problem_id"] for item in items] == ["0", "1", "2", "3", "4"]
    mean = sum(item["rbridge"] for item in items) / 5
    assert row["metrics"]["rbridge"]["mean"] == pytest.approx(mean)


def test_a_finished_run_is_not_computed_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call loads no model."""
    first = score(capsys, place, tmp_path / "runs", place / "gpt2")

    def load(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded again")

    monkeypatch.setattr(hf, "load_model", load)
    second = score(capsys, place, tmp_path / "runs", place / "gpt2")
    assert second.out == first.out
    assert "scored already" in second.err


def test_two_checkpoints_never_share_a_run(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One weight changed, same name of the folder's end: another key."""
    shutil.copytree(place / "gpt2", tmp_path / "x" / "gpt2")
    weights = load_file(tmp_path / "x" / "gpt2" / "model.safetensors")
    weights["transformer.wte.weight"] = weights["transformer.wte.weight"] * 1.01
    save_file(weights, tmp_path / "x" / "gpt2" / "model.safetensors", metadata={"format": "pt"})
    score(capsys, place, tmp_path / "runs", place / "gpt2", tmp_path / "x" / "gpt2")
    one, other = read_runs(tmp_path / "runs")
    assert one.manifest.key != other.manifest.key
    assert one.scored()[0].tokens.nll.tolist() != other.scored()[0].tokens.nll.tolist()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_sweep_goes_on_where_it_stopped(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    interruption: BaseException,
) -> None:
    """Ctrl-C after two batches of the second checkpoint: same command, same numbers, none run twice."""
    both = (place / "gpt2", place / "llama", "--batch-tokens", 1)
    score(capsys, place, tmp_path / "whole", *both)
    real, seen = Engine.losses, []

    def stopping(self: Engine, batch: list) -> list:
        if batch[0].key.benchmark == "self-test":
            return real(self, batch)
        if len(seen) == 7:  # five batches of the first checkpoint, two of the second
            raise interruption
        seen.append([item.key.problem_id for item in batch])
        return real(self, batch)

    monkeypatch.setattr(Engine, "losses", stopping)
    stopped = score(capsys, place, tmp_path / "runs", *both)
    assert stopped.status == (130 if isinstance(interruption, KeyboardInterrupt) else 1)
    assert (
        stopped.err.splitlines()[-1].endswith("the same command goes on from there")
        or "is kept" in stopped.err
    )
    assert len(list((tmp_path / "runs").glob("*/manifest.json"))) == 1

    rest: list = []

    def counting(self: Engine, batch: list) -> list:
        rest.extend(item.key.problem_id for item in batch if item.key.benchmark != "self-test")
        return real(self, batch)

    monkeypatch.setattr(Engine, "losses", counting)
    assert score(capsys, place, tmp_path / "runs", *both).status == 0
    assert sorted(rest + [key for keys in seen[5:] for key in keys]) == ["0", "1", "2", "3", "4"]
    assert losses_of(tmp_path / "runs") == losses_of(tmp_path / "whole")
    assert not list((tmp_path / "runs").glob(".*"))


def test_kill_minus_nine_leaves_a_store_that_goes_on(place: Path, tmp_path: Path) -> None:
    """A process that dies without a word: the finished runs stand, the next call completes the rest."""
    command = [sys.executable, "-m", "rbridge", "score", str(place / "gpt2"), str(place / "llama")]
    command += ["--traces", str(place / "bundle"), "--shots", "0", "-o", str(tmp_path / "runs")]
    dying = f"""
import os, rbridge.cli, rbridge.scoring.hf as hf
real = hf.load_model
def load(checkpoint, **more):
    if checkpoint.name.endswith("llama"):
        os.kill(os.getpid(), 9)
    return real(checkpoint, **more)
hf.load_model = load
rbridge.cli.run({command[3:]!r})
"""
    died = subprocess.run([sys.executable, "-c", dying], capture_output=True, check=False)
    assert died.returncode == -9
    assert [run.manifest.checkpoint for run in read_runs(tmp_path / "runs")] == [str(place / "gpt2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_runs(tmp_path / "runs")) == 2


def test_labels_come_from_the_checkpoint_or_a_table(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """rbridge.json in the folder; a table wins over it, and relabels without scoring again."""
    shutil.copytree(place / "gpt2", tmp_path / "ckpt")
    (tmp_path / "ckpt" / "rbridge.json").write_text('{"recipe": "r", "seed": 1, "tokens": 1000, "other": 2}')
    (row,) = score(capsys, place, tmp_path / "runs", tmp_path / "ckpt").document["runs"]
    assert (row["recipe"], row["seed"]) == ("r", 1)
    (tmp_path / "l.csv").write_text(f"checkpoint,recipe,seed\n{tmp_path / 'ckpt'},q,2\n")
    (row,) = score(
        capsys, place, tmp_path / "runs", tmp_path / "ckpt", "--labels", tmp_path / "l.csv"
    ).document["runs"]
    assert (row["recipe"], row["seed"]) == ("q", 2)


def test_long_traces_are_skipped_and_shots_dropped_from_the_front(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GSM8K with five shots in a short context: fewer shots, recorded; a trace that cannot fit is skipped."""
    lines = [
        {"benchmark": "gsm8k", "problem_id": "a", "question": "One and one?", "reasoning": "It is two."},
        {"benchmark": "gsm8k", "problem_id": "b", "question": "One and one?", "reasoning": "two, " * 700},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rbridge(capsys, "traces", "import", tmp_path / "t.jsonl", "-o", tmp_path / "b")
    result = rbridge(
        capsys,
        "score",
        place / "gpt2",
        "--traces",
        tmp_path / "b",
        "--shots",
        5,
        "-o",
        tmp_path / "r",
        "--json",
    )
    rows = {row["shots"]: row for row in result.document["runs"]}
    assert rows[5]["skipped"] == [{"problem_id": "b", "reason": "too long"}]
    assert rows[5]["metrics"] == {}
    (kept,) = [shots for shots in rows if shots != 5]
    assert 0 < kept < 5  # GPT-2 here takes 640 tokens
    assert rows[kept]["num_scored"] == 1
    (tokens,) = {len(run.scored()) for run in read_runs(tmp_path / "r")}
    assert tokens == 1


def test_batches_change_nothing_beyond_rounding(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One by one against all at once: 5e-5 nats a token; the same command twice: every bit."""
    for out, budget in (("one", 1), ("all", 100_000), ("again", 100_000)):
        score(capsys, place, tmp_path / out, place / "gpt2", place / "llama", "--batch-tokens", budget)
    one, all_, again = (losses_of(tmp_path / out) for out in ("one", "all", "again"))
    assert all_ == again
    for key, losses in one.items():
        assert losses == pytest.approx(all_[key], abs=5e-5)


def test_gguf_files_are_read_by_transformers(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Llama written as GGUF scores as its folder does."""
    model = AutoModelForCausalLM.from_pretrained(place / "llama")
    write_gguf(tmp_path / "m.gguf", model, place / "llama", pre="llama-bpe")
    result = score(capsys, place, tmp_path / "runs", tmp_path / "m.gguf", place / "llama")
    assert result.status == 0, result.err
    losses = losses_of(tmp_path / "runs")
    for i in range(len(TEXTS)):
        assert losses[f"{tmp_path / 'm.gguf'}:{i}"] == pytest.approx(
            losses[f"{place / 'llama'}:{i}"], abs=5e-5
        )
