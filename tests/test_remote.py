"""Checkpoints, bundles and stores at URLs, through fsspec: its in-memory file system stands for s3:// and gs://."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from rbridge.cli import run
from rbridge.scoring.hf import tempfile as hf_tempfile
from rbridge.store.remote import mirror
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import rbridge


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkpoint of two steps and a bundle, at URLs and here; downloads go below the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(hf_tempfile, "tempdir", str(tmp_path / "tmp"))
    build("gpt2", tmp_path / "step2")
    (tmp_path / "step2" / "rbridge.json").write_text('{"recipe": "r"}')
    line = {"benchmark": "mine", "problem_id": "1", "voice": "v", "question": "1?", "reasoning": "So 2."}
    (tmp_path / "t.jsonl").write_text(json.dumps(line))
    assert run(["traces", "import", str(tmp_path / "t.jsonl"), "-o", str(tmp_path / "bundle")]) == 0
    system = fsspec.filesystem("memory")
    for name in ("step2", "step10"):
        system.put(str(tmp_path / "step2") + "/", f"/bucket/{name}/", recursive=True)
    system.put(str(tmp_path / "bundle") + "/", "/bucket/bundle/", recursive=True)
    yield tmp_path
    system.rm("/bucket", recursive=True)


def test_everything_may_be_at_a_url(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scored as the folder is; another machine, without the mirror, finds all of it scored already."""
    given = ("--traces", "memory://bucket/bundle", "--shots", 0, "-o", "memory://bucket/runs", "--json")
    first = rbridge(capsys, "score", "memory://bucket/step*", *given)
    assert first.status == 0, first.err
    rows = first.document["runs"]
    assert [(row["checkpoint"], row["recipe"]) for row in rows] == [
        ("memory:///bucket/step2", "r"),
        ("memory:///bucket/step10", "r"),
    ]
    local = rbridge(
        capsys,
        "score",
        memory / "step2",
        "--traces",
        memory / "bundle",
        "--shots",
        0,
        "-o",
        memory / "r",
        "--json",
    )
    assert [row["metrics"] for row in rows] == [local.document["runs"][0]["metrics"]] * 2
    assert list((memory / "tmp").iterdir()) == []  # what was fetched is gone
    assert len(fsspec.filesystem("memory").glob("/bucket/runs/*/manifest.json")) == 2
    shutil.rmtree(mirror("memory://bucket/runs"))
    again = rbridge(capsys, "score", "memory://bucket/step*", *given)
    assert again.err.count("scored already") == 2
    assert again.out == first.out
    assert {found.manifest.labels.step for found in read_runs(mirror("memory://bucket/runs"))} == {2, 10}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("memory://bucket/nothing-*", "no folder matches"),
        ("memory://bucket/nothing", "cannot be reached .FileNotFoundError"),
        (
            "nowhere://bucket/x",
            "nowhere://bucket/x/rbridge.json: cannot be reached .ValueError: Protocol not known",
        ),
    ],
)
def test_a_url_that_leads_nowhere_is_one_line(
    memory: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    """Nothing matches, nothing is there, nobody speaks the protocol."""
    result = rbridge(
        capsys, "score", name, "--traces", memory / "bundle", "--shots", 0, "-o", memory / "r", "--json"
    )
    assert result.status == 1
    assert re.search(message, result.err.splitlines()[-1])
