"""Nothing wrong is ever stored as right, whatever dies, fills up, vanishes or changes in the middle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.scoring import fetch, hf
from rbridge.scoring.source import Source
from rbridge.store.runs import TOKENS, RunStore, read_runs
from tests.checkpoints import build
from tests.commands import Result, rbridge
from tests.killing import MOMENTS
from tests.test_store import scored


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 checkpoint and six traces."""
    folder = tmp_path_factory.mktemp("faults")
    build("gpt2", folder / "gpt2")
    texts = [f"So {i} + {i} = {2 * i}, and then some more words. " * (i + 1) for i in range(6)]
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"What is {i}?",
            "reasoning": text,
            "pieces": [{"text": text[:5], "logprob": -0.5}, {"text": text[5:], "logprob": -0.1}],
        }
        for i, text in enumerate(texts)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(capsys, "score", *more, "--traces", place / "bundle", "--shots", 0, "-o", out, "--json")


def _losses(out: Path) -> dict[str, list[float]]:
    return {one.key.problem_id: one.tokens.nll.tolist() for found in read_runs(out) for one in found.scored()}


@pytest.fixture(scope="module")
def killed(place: Path) -> dict[str, Any]:
    """What became of scoring processes that were killed, starved of disk, or two on one store."""
    command = [sys.executable, "-m", "tests.killing", place / "gpt2", place / "bundle", place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_same_command_gives_every_bit(
    place: Path, killed: dict[str, Any], moment: str
) -> None:
    """Dead in a batch, in a write, in the middle of finishing: same numbers, no litter."""
    whole_already = moment == "before the batches are dropped"
    assert killed[moment] == {"killed": -9, "finished": int(whole_already), "again": 0}
    assert _losses(place / moment) == _losses(place / "whole")
    assert list((place / moment).glob(".*")) == []


def test_a_full_disk_keeps_nothing_wrong(place: Path, killed: dict[str, Any]) -> None:
    """No file may grow beyond 1,500 bytes: one line and status 1; with room again, every bit."""
    assert killed["full disk"] == {"full": 1, "finished": 0, "again": 0}
    assert _losses(place / "full disk") == _losses(place / "whole")
    assert "File too large; what is finished is kept" in (place / "full disk.log").read_text()


def test_two_processes_on_one_store_keep_one_run_and_readers_see_it_whole(
    place: Path, killed: dict[str, Any]
) -> None:
    """Both end well, one run stands with the numbers of one alone, a reader never sees half of it."""
    assert killed["two at once"] == {"both": [0, 0], "reader": 0}
    assert len(read_runs(place / "two at once")) == 1
    assert _losses(place / "two at once") == _losses(place / "whole")
    assert list((place / "two at once").glob(".*")) == []


def test_a_checkpoint_that_is_gone_fails_alone(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between being hashed and being loaded: one line, the others are scored."""
    shutil.copytree(place / "gpt2", tmp_path / "gone")
    real = fetch.identify

    def vanishing(checkpoint: hf.Checkpoint) -> tuple:
        found = real(checkpoint)
        if checkpoint.name.endswith("gone"):
            shutil.rmtree(tmp_path / "gone")
        return found

    monkeypatch.setattr(fetch, "identify", vanishing)
    result = _score(capsys, place, tmp_path / "runs", tmp_path / "gone", place / "gpt2")
    assert result.status == 1
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert str(tmp_path / "gone") in error
    assert [row["checkpoint"] for row in result.document["runs"]] == [str(place / "gpt2")]


def test_weights_that_change_while_they_are_scored_are_not_kept(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer writes over the file after it was hashed: the numbers belong to neither, so none stays."""
    shutil.copytree(place / "gpt2", tmp_path / "last")
    file = tmp_path / "last" / "model.safetensors"
    real = hf.open_source

    def overwriting(checkpoint: hf.Checkpoint, **more: Any) -> Source:
        weights = load_file(file)
        file.unlink()
        save_file({k: v * 1.01 for k, v in weights.items()}, file, metadata={"format": "pt"})
        return real(checkpoint, **more)

    monkeypatch.setattr(hf, "open_source", overwriting)
    result = _score(capsys, place, tmp_path / "runs", tmp_path / "last")
    assert result.status == 1
    assert "model.safetensors changed while it was being scored; nothing of it is kept" in result.err
    assert list((tmp_path / "runs").glob("**/*.parquet")) == []


def test_a_nan_that_only_one_trace_meets_is_never_stored(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """NaN at a position that the self-test does not reach and some traces do: refused before anything is scored."""
    shutil.copytree(place / "gpt2", tmp_path / "nan")
    weights = load_file(tmp_path / "nan" / "model.safetensors")
    position = weights["transformer.wpe.weight"]
    position[60] = float("nan")  # the self-test's sequences are shorter
    save_file(weights, tmp_path / "nan" / "model.safetensors", metadata={"format": "pt"})
    result = _score(capsys, place, tmp_path / "runs", tmp_path / "nan", "--batch-tokens", 1)
    assert result.status == 1
    assert "expected finite weights" in result.err
    assert not list((tmp_path / "runs").glob("*/manifest.json"))


def test_the_store_itself_refuses_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    """Whatever the source."""
    with pytest.raises(InputError, match="a loss is not finite"):
        RunStore(tmp_path).append("k" * 64, [scored("1", [0.5, float("inf")])])
    assert not list(tmp_path.glob("**/*.parquet"))


def test_verify_finds_that_numbers_hold(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """K items of every run, scored again in other batches."""
    _score(capsys, place, tmp_path / "runs", place / "gpt2", "--batch-tokens", 1)
    result = _score(capsys, place, tmp_path / "runs", "--verify", 4)
    assert result.status == 0, result.err
    (row,) = result.document["verified"]
    assert (row["checkpoint"], row["num_items"], row["holds"]) == (str(place / "gpt2"), 4, True)
    assert 0 <= row["max_difference"] <= row["tolerance"] == 5e-5


def test_verify_finds_a_token_that_does_not_hold(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One loss of each trace moved by 1e-3 nats: exit 1, and by how much."""
    _score(capsys, place, tmp_path / "runs", place / "gpt2")
    (found,) = read_runs(tmp_path / "runs")
    table = pl.read_parquet(found.folder / TOKENS)
    moved = [[*row[:-1], row[-1] + 1e-3] for row in table["nll"].to_list()]
    table.with_columns(pl.Series("nll", moved, dtype=pl.List(pl.Float32))).write_parquet(
        found.folder / TOKENS
    )
    result = _score(capsys, place, tmp_path / "runs", "--verify", 2)
    assert result.status == 1
    assert result.document["verified"][0]["max_difference"] == pytest.approx(1e-3, abs=6e-5)
    assert "a token's loss differs by 0.001 nats, more than 5e-05" in result.err


def test_verify_refuses_other_weights_and_unscored_names(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder holds another model by now; a name that was never scored."""
    shutil.copytree(place / "gpt2", tmp_path / "ckpt")
    _score(capsys, place, tmp_path / "runs", tmp_path / "ckpt")
    weights = load_file(tmp_path / "ckpt" / "model.safetensors")
    changed = {key: value * np.float32(1.001) for key, value in weights.items()}
    save_file(changed, tmp_path / "ckpt" / "model.safetensors", metadata={"format": "pt"})
    result = _score(capsys, place, tmp_path / "runs", "--verify", 1)
    assert result.status == 1
    assert "holds other weights than those" in result.err
    result = _score(capsys, place, tmp_path / "runs", place / "gpt2", "--verify", 1)
    assert "has no run of" in result.err
