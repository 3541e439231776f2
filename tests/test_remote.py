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
from rbridge.scoring.fetch import tempfile as fetch_tempfile
from rbridge.store.remote import _version, mirror
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import Result, rbridge


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkpoint of two steps and a bundle, at URLs and here; downloads go below the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(fetch_tempfile, "tempdir", str(tmp_path / "tmp"))
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


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are copied from the in-memory file system, as they are."""
    names: list[str] = []
    system = type(fsspec.filesystem("memory"))
    real = system.get_file

    def counting(self: fsspec.AbstractFileSystem, path: str, *more: object, **options: object) -> None:
        names.append(path.rsplit("/", 1)[-1])
        return real(self, path, *more, **options)

    monkeypatch.setattr(system, "get_file", counting)
    return names


def _score(capsys: pytest.CaptureFixture[str], memory: Path, *names: str) -> Result:
    given = ("--traces", memory / "bundle", "--shots", 0, "-o", memory / "r", "--json")
    return rbridge(capsys, "score", *names, *given)


def test_what_is_scored_is_not_fetched_again(
    memory: Path, capsys: pytest.CaptureFixture[str], fetched: list[str]
) -> None:
    """A listing is enough; another bundle's traces need the weights, and find them where they were."""
    first = _score(capsys, memory, "memory://bucket/step*")
    assert fetched.count("model.safetensors") == 2
    fetched.clear()
    again = _score(capsys, memory, "memory://bucket/step*")
    assert (again.out, again.err.count("scored already"), fetched) == (first.out, 2, [])
    assert list((memory / "tmp").iterdir()) == []
    more = rbridge(
        capsys, "score", "memory://bucket/step2", "--traces", memory / "bundle", "--shots", 0, "-o", memory / "s",
        "--json",
    )  # fmt: skip
    assert more.document["runs"][0]["metrics"] == first.document["runs"][0]["metrics"]
    assert fetched.count("model.safetensors") == 1


def test_what_changed_is_fetched_again(
    memory: Path, capsys: pytest.CaptureFixture[str], fetched: list[str]
) -> None:
    """Other weights of the same size at the same URL get a run of their own; the same again, put anew, do not."""
    _score(capsys, memory, "memory://bucket/step2")
    build("gpt2", memory / "other", seed=1)
    system = fsspec.filesystem("memory")
    sizes = [system.size("/bucket/step2/model.safetensors")]
    for folder, num_runs in (("other", 2), ("step2", 2)):
        fetched.clear()
        system.put_file(str(memory / folder / "model.safetensors"), "/bucket/step2/model.safetensors")
        sizes.append(system.size("/bucket/step2/model.safetensors"))
        assert _score(capsys, memory, "memory://bucket/step2").status == 0
        assert fetched.count("model.safetensors") == 1
        assert len(read_runs(memory / "r")) == num_runs
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("damage", ["record", "kept", "record of a later format"])
def test_a_damaged_record_is_worth_nothing(
    memory: Path, capsys: pytest.CaptureFixture[str], fetched: list[str], damage: str
) -> None:
    """Then the checkpoint is fetched to be identified, as at first."""
    _score(capsys, memory, "memory://bucket/step2")
    cache = memory / "cache" / "rbridge" / "checkpoints"
    (record,) = cache.glob("*.json")
    if damage == "kept":
        for kept in (cache / "files").iterdir():
            kept.write_bytes(kept.read_bytes()[:-1])
    elif damage == "record":
        record.write_bytes(record.read_bytes()[:-9])
    else:
        record.write_text(json.dumps(json.loads(record.read_text()) | {"format_version": 99}))
    fetched.clear()
    assert "scored already" in _score(capsys, memory, "memory://bucket/step2").err
    assert fetched.count("model.safetensors") == 1
    fetched.clear()
    assert "scored already" in _score(capsys, memory, "memory://bucket/step2").err
    assert fetched == []  # the record stands again


def test_a_checkpoint_that_changes_while_it_is_fetched_is_refused(
    memory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files might be of two checkpoints."""
    system = fsspec.filesystem("memory")
    real = type(system).get_file

    def writing(self: fsspec.AbstractFileSystem, path: str, *more: object, **options: object) -> None:
        real(self, path, *more, **options)
        if path.endswith("config.json"):
            system.put_file(str(memory / "step2" / "model.safetensors"), "/bucket/step2/model.safetensors")

    monkeypatch.setattr(type(system), "get_file", writing)
    result = _score(capsys, memory, "memory://bucket/step2")
    assert result.status == 1
    assert "bucket/step2: changed while it was fetched" in result.err
    assert list((memory / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("listed", "version"),
    [
        # As s3fs, gcsfs, the hub's and the local file system list a file.
        ({"size": 5, "ETag": '"9a"', "LastModified": "2026-01-01"}, 'size=5 ETag="9a"'),
        ({"size": 5, "etag": "CJ", "md5Hash": "x=", "generation": "17", "updated": "t"},
         "size=5 etag=CJ md5Hash=x= generation=17"),
        ({"size": 5, "blob_id": "e69de2", "lfs": None, "last_commit": None}, "size=5 blob_id=e69de2"),
        ({"size": 5, "mtime": 12.5, "created": 11.0}, "size=5 mtime=12.5 created=11.0"),
        ({"size": 5}, None),
    ],
)  # fmt: skip
def test_a_version_is_an_etag_or_a_time_never_a_size_alone(listed: dict, version: str | None) -> None:
    """The time counts only where there is nothing better: a copy of the same bytes is the same."""
    assert _version(listed) == version


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
