"""Fleets: shards of one list, merged, whatever died; the job files that ship."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from safetensors.torch import load_file, save_file

from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.fleet import parse_shard, take_shard
from rbridge.store.runs import TOKENS, RunStore, read_runs
from tests.checkpoints import build
from tests.commands import rbridge
from tests.test_store import manifest, scored

EXAMPLES = Path(__file__).parent.parent / "examples" / "fleet"


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
def test_shards_are_a_partition(count: int) -> None:
    """Together the list, and no checkpoint twice; sizes differ by one at most."""
    whole = [Checkpoint(str(i), str(i)) for i in range(23)]
    shards = [take_shard(whole, parse_shard(f"{i}/{count}")) for i in range(count)]
    assert sorted(int(one.name) for shard in shards for one in shard) == list(range(23))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("text", ["8/8", "1", "a/b", "-1/3", "0/0", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    """Counted from 0; the last of 8 is 7/8."""
    with pytest.raises(InputError, match="expected I/N with I from 0 to N - 1"):
        parse_shard(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six checkpoints that differ, four traces, and what three shards made of them."""
    folder = tmp_path_factory.mktemp("fleet")
    build("gpt2", folder / "step1")
    weights = load_file(folder / "step1" / "model.safetensors")
    for step in range(2, 7):
        shutil.copytree(folder / "step1", folder / f"step{step}")
        changed = {key: value * (1 + step / 100) for key, value in weights.items()}
        save_file(changed, folder / f"step{step}" / "model.safetensors", metadata={"format": "pt"})
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"{i}?",
            "reasoning": f"So {i}.",
        }
        for i in range(4)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    command = [sys.executable, "-m", "tests.sharding", folder / "bundle", folder, folder / "step*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "ends.json").write_text(done.stdout)
    return folder


def _rows(capsys: pytest.CaptureFixture[str], store: Path) -> str:
    return rbridge(capsys, "show", store, "--items", "--json").out


def test_shards_on_one_store_give_what_one_process_gives(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of three are killed in the middle and started again."""
    assert json.loads((place / "ends.json").read_text())["one store"] == [-9, 0, -9, 0, 0, 0]
    assert len(read_runs(place / "shared")) == 6
    assert _rows(capsys, place / "shared") == _rows(capsys, place / "whole")


def test_merged_shards_give_what_one_process_gives(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store each; merged twice, it is the same."""
    assert json.loads((place / "ends.json").read_text())["a store each"] == [-9, 0, -9, 0, 0, 0]
    own = [place / f"own-{i}" for i in range(3)]
    assert rbridge(capsys, "runs", "merge", *own, "-o", tmp_path / "all").err.endswith(
        "6 runs added, 0 were there already\n"
    )
    again = rbridge(capsys, "runs", "merge", *own, "-o", tmp_path / "all")
    assert again.err.endswith("0 runs added, 6 were there already\n")
    assert _rows(capsys, tmp_path / "all") == _rows(capsys, place / "whole")


def test_a_merge_of_one_key_with_other_numbers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something is wrong on one of the machines, and the line says which runs."""
    for name, value in (("a", 1.0), ("b", 1.001)):
        RunStore(tmp_path / name).finish(manifest(), [scored("1", [0.5, value])])
    result = rbridge(capsys, "runs", "merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all")
    assert result.status == 1
    assert "differs from" in result.err
    assert "by 0.001 nats" in result.err
    (kept,) = read_runs(tmp_path / "all")
    assert pl.read_parquet(kept.folder / TOKENS)["nll"].to_list() == [[0.5, 1.0]]


def _job_command(script: list[str], tmp_path: Path, env: dict[str, str]) -> list[str]:
    """What a job would have run: ``rbridge`` is a script that prints its arguments."""
    fake = tmp_path / "rbridge"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(script, env={"PATH": path, **env}, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_slurm_array_scores_its_shard(tmp_path: Path) -> None:
    """The numbers of --array are the shards, each once; one submitted again alone is the same shard."""
    script = EXAMPLES / "slurm.sbatch"
    (array,) = re.findall(r"^#SBATCH --array=(\d+)-(\d+)$", script.read_text(), re.MULTILINE)
    tasks = range(int(array[0]), int(array[1]) + 1)
    where = {"CHECKPOINTS": "/data/ckpt/*", "RUNS": "/data/runs"}
    given = [
        _job_command(["bash", str(script)], tmp_path, {**where, "SLURM_ARRAY_TASK_ID": str(task)})
        for task in tasks
    ]
    assert given[0][:-1] == ["score", "/data/ckpt/*", "--traces", "starter", "-o", "/data/runs", "--shard"]
    shards = [parse_shard(arguments[-1]) for arguments in given]
    assert shards == [(index, len(tasks)) for index in range(len(tasks))]

    again = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "1"}
    assert _job_command(["bash", str(script)], tmp_path, where | again)[-1] == given[3 - tasks[0]][-1]


def test_the_indexed_job_scores_its_shard(tmp_path: Path) -> None:
    """The number of shards is the number of completions."""
    job = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    container = job["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry["value"] for entry in container["env"]} | {"JOB_COMPLETION_INDEX": "5"}
    arguments = _job_command([*container["command"], *container["args"]], tmp_path, env)
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # backoffLimitPerIndex needs it
    volumes = {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert arguments[-2:] == ["--shard", f"5/{job['spec']['completions']}"]
    assert arguments[:2] == ["score", "allenai/OLMo-2-0425-1B@stage1-step*"]
