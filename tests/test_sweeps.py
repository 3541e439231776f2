"""Sweeps: names that tell step and tokens, hub revisions fetched ahead and dropped, open training folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.records import Labels
from rbridge.scoring.ahead import prepared_ahead
from rbridge.scoring.checkpoints import Checkpoint, expand
from rbridge.scoring.names import with_parsed
from rbridge.scoring.source import Ready
from rbridge.scoring.watch import watched
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import rbridge
from tests.hub import serve_hub


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 checkpoint and two traces."""
    folder = tmp_path_factory.mktemp("sweeps")
    build("gpt2", folder / "gpt2")
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"{i}?",
            "reasoning": f"So {i}.",
        }
        for i in range(2)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


@pytest.mark.parametrize(
    ("name", "step", "tokens"),
    [
        ("allenai/OLMo-2-0425-1B@stage1-step140000-tokens294B", 140_000, 294_000_000_000),
        ("allenai/OLMo-7B@step1000-tokens4B", 1000, 4_000_000_000),
        ("EleutherAI/pythia-160m@step143000", 143_000, None),
        ("runs/a/checkpoint-500", 500, None),
        ("runs/a/checkpoint-500/", 500, None),
        ("out/step12345-unsharded", 12_345, None),
        ("out/step12345-unsharded/hf", 12_345, None),
        ("out/iter_0005000", 5000, None),
        ("out/global_step20", 20, None),
        ("out/ckpt-10k-1.5B-tokens", 10_000, 1_500_000_000),
        # Steps of a later stage count from its own start; an owner or a model's name tells nothing.
        ("allenai/OLMo-2-0425-1B@stage2-ingredient1-step1000-tokens3B", None, None),
        ("allenai/step5-model@main", None, None),
        ("onestep2/final", None, None),
        ("ckpt/recipe-a", None, None),
        ("step1.5/x", None, None),
    ],
)
def test_step_and_tokens_are_read_off_the_name(name: str, step: int | None, tokens: int | None) -> None:
    """As OLMo, Pythia, the Trainer, Megatron and DeepSpeed name their checkpoints."""
    found = with_parsed(Labels(), name)
    assert (found.labels.step, found.labels.tokens) == (step, tokens)
    assert found.parsed == tuple(key for key, value in (("step", step), ("tokens", tokens)) if value)


def test_what_labels_say_wins_over_the_name() -> None:
    """Only what they leave open is parsed, and said to be."""
    found = with_parsed(Labels(recipe="r", step=7), "x/step9-tokens2B")
    assert found.labels == Labels(recipe="r", step=7, tokens=2_000_000_000)
    assert found.parsed == ("tokens",)


def test_globs_over_folders_are_sorted_by_number_and_must_match(tmp_path: Path) -> None:
    """Step 2 before step 10; a pattern that matches nothing is no hub name."""
    for step in (10, 2, 1):
        (tmp_path / f"step{step}").mkdir()
    names = [Path(checkpoint.name).name for checkpoint in expand([str(tmp_path / "step*")])]
    assert names == ["step1", "step2", "step10"]
    with pytest.raises(InputError, match="no folder and no file matches"):
        expand(["ckpt/nothing-*"])


def test_the_next_is_prepared_while_this_one_is_scored_and_two_stand_at_most() -> None:
    """The second is ready before the first is released; never a third."""
    standing: set[str] = set()
    most: list[int] = []
    second = threading.Event()

    def prepare(checkpoint: Checkpoint) -> Ready:
        standing.add(checkpoint.name)
        most.append(len(standing))
        if checkpoint.name == "1":
            second.set()
        if checkpoint.name == "2":
            raise InputError("2: no such model")
        none = lambda: None  # noqa: E731
        return Ready("w", "e", none, none, release=lambda: standing.discard(checkpoint.name))

    order = []
    for checkpoint, ready in prepared_ahead([Checkpoint(str(i), str(i)) for i in range(5)], prepare):
        if checkpoint.name == "0":
            assert second.wait(10)
        order.append((checkpoint.name, isinstance(ready, Ready)))
        if isinstance(ready, Ready):
            ready.release()
        else:
            standing.discard("2")
    assert order == [("0", True), ("1", True), ("2", False), ("3", True), ("4", True)]
    assert max(most) == 2


_TWICE = """
import sys
from rbridge.cli import run
assert run(sys.argv[1:]) == 0
print("---", flush=True)
print("---", file=sys.stderr, flush=True)
assert run([*sys.argv[1:], "--keep-downloads"]) == 0
"""


def test_hub_revisions_are_dropped_after_use_and_finished_ones_are_not_fetched_again(
    place: Path, tmp_path: Path, httpserver: HTTPServer
) -> None:
    """The real client on loopback: a name and a glob; the second time the hub's hashes say all is done."""
    fetched = serve_hub(httpserver, place / "gpt2", "team/proxy", ["step2-tokens1B", "step10-tokens5B"])
    done = subprocess.run(
        [sys.executable, "-c", _TWICE, "score", "team/proxy", "team/proxy@step*", "--traces", str(place / "bundle"),
         "--shots", "0", "-o", str(tmp_path / "runs"), "--json"],
        env={**os.environ, "HF_ENDPOINT": httpserver.url_for("").rstrip("/"), "HF_HOME": str(tmp_path / "hf"),
             "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("---\n")
    names = [row["checkpoint"] for row in json.loads(first)["runs"]]
    assert names == ["team/proxy", "team/proxy@step2-tokens1B", "team/proxy@step10-tokens5B"]
    last = {found.manifest.checkpoint: found.manifest for found in read_runs(tmp_path / "runs")}[names[2]]
    assert (last.labels.step, last.labels.tokens) == (10, 5_000_000_000)
    assert last.parsed_labels == ["step", "tokens"]
    assert second == first
    assert done.stderr.split("---")[1].count("scored already") == 3
    assert 1 <= fetched.count("model.safetensors") <= 3  # the first time only
    assert not list((tmp_path / "hf").glob("**/*.safetensors"))


def test_an_open_training_folder_is_followed(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One checkpoint is there, one is half written, one comes while the first is scored."""
    train = tmp_path / "train"
    shutil.copytree(place / "gpt2", train / "checkpoint-2")
    shutil.copytree(place / "gpt2", train / "checkpoint-3")
    (train / "checkpoint-3" / "model.safetensors").unlink()  # never gets whole
    shutil.copytree(place / "gpt2", tmp_path / "tmp")
    late = threading.Timer(1.0, (tmp_path / "tmp").rename, [train / "checkpoint-10"])
    late.start()
    result = rbridge(
        capsys, "score", train, "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "runs",
        "--watch", "--every", 0.05, "--until", 2, "--json",
    )  # fmt: skip
    late.join()
    assert result.status == 0, result.err
    names = [Path(row["checkpoint"]).name for row in result.document["runs"]]
    assert names == ["checkpoint-2", "checkpoint-10"]


def test_a_checkpoint_counts_only_when_it_is_whole_and_still(tmp_path: Path) -> None:
    """All shards that the index names, and the same sizes at two looks; a later change brings it again."""
    folder = tmp_path / "step1"

    def write(name: str, text: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    looks = [
        lambda: write("config.json", "{}"),
        lambda: write("model.safetensors.index.json", json.dumps(index)),
        lambda: write("model-00001-of-00002.safetensors", "x"),
        lambda: write("model-00002-of-00002.safetensors", "y"),
        lambda: write("model-00002-of-00002.safetensors", "yy"),
        lambda: None,  # still for the first time: given after this one
        lambda: write("tokenizer.json", "{}"),
        lambda: None,  # and again
        lambda: None,
    ]
    given: list[int] = []
    number = 0

    def sleep(_: float) -> None:
        nonlocal number
        if number == len(looks):
            raise KeyboardInterrupt
        looks[number]()
        number += 1

    for checkpoint in watched([str(tmp_path / "step*")], seconds=1.0, is_done=lambda: False, sleep=sleep):
        assert checkpoint.name == str(folder)
        given.append(number)
    assert given == [6, 8]


def test_until_without_watch_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would have no effect."""
    result = rbridge(
        capsys, "score", place / "gpt2", "--traces", place / "bundle", "-o", tmp_path / "r", "--until", 1
    )
    assert result.status == 1
    assert "--until ends --watch" in result.err
