"""Bundles and runs on disk: whole or not at all, checked when read."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from rbridge.errors import InputError
from rbridge.records import Labels, Pieces, ScoredTrace, TokenScores, Trace, TraceKey
from rbridge.store import files
from rbridge.store.bundles import MANIFEST, content_sha256, read_bundle, write_bundle
from rbridge.store.files import new_folder, write_json
from rbridge.store.labels import parse_columns, read_labels
from rbridge.store.runs import Run, RunManifest, RunStore, read_runs
from rbridge.store.streaming import rewrite_bundle


def _trace(problem: str, *, weighed: bool = True) -> Trace:
    pieces = Pieces((b"a", b"\xc3", b"\xa9"), np.array([-0.1, -0.0123456789012345, 0.0]))
    return Trace(
        TraceKey("gsm8k", problem, "v"),
        "aé",
        question="q",
        choices=("x", "y"),
        reasoning_span=None,
        pieces=pieces if weighed else None,
        weight_source="self" if weighed else None,
        correct=True,
    )


def manifest(key: str = "0" * 64, checkpoint: str = "ckpt/a", **other: object) -> RunManifest:
    """A manifest with made-up facts."""
    facts = {
        "key": key,
        "checkpoint": checkpoint,
        "revision": None,
        "weights_sha256": "w",
        "tokenizer_sha256": "t",
        "architecture": "X",
        "parameters": 1,
        "context_length": None,
        "dtype": "float32",
        "device": "cpu",
        "threads": 1,
        "prefix_ids": [],
        "bundle": "b",
        "bundle_sha256": "s",
        "weight_sources": ["self"],
        "question_sources": {},
        "shots": 0,
        "limit": None,
        "benchmarks": ["gsm8k"],
        "num_scored": 1,
        "skipped": [],
        "versions": {},
        "created": "2026-01-01",
        "seconds": 1.0,
        "max_probe_difference": 0.0,
    }
    return RunManifest.model_validate({**facts, **other})


def scored(problem: str, nll: list[float], weight: list[float] | None = None, shots: int = 0) -> ScoredTrace:
    """A trace scored with these losses."""
    n = len(nll)
    tokens = TokenScores(
        nll=np.array(nll, dtype=np.float64),
        weight=None if weight is None else np.array(weight, dtype=np.float64),
        start=np.arange(n),
        end=np.arange(1, n + 1),
        num_bytes=n,
    )
    return ScoredTrace(TraceKey("gsm8k", problem, "v"), shots, None if weight is None else "self", tokens)


def test_a_bundle_comes_back_as_it_went(tmp_path: Path) -> None:
    """Bytes and log-probabilities to the last bit, None as None."""
    traces = [_trace("1"), _trace("2", weighed=False)]
    write_bundle(tmp_path / "b", traces, licence="ours", note="n")
    bundle = read_bundle(tmp_path / "b")
    first, second = bundle.traces
    assert first.pieces is not None
    assert traces[0].pieces is not None
    assert first.pieces.spelled == traces[0].pieces.spelled
    assert first.pieces.logprobs.tolist() == traces[0].pieces.logprobs.tolist()
    assert second == traces[1]
    assert bundle.manifest.counts == {"gsm8k": 2}
    assert bundle.manifest.weight_sources == {"self": 1, "none": 1}
    assert bundle.manifest.content_sha256 == content_sha256(reversed(traces))


def test_an_empty_or_repeating_bundle_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """No traces, or one key twice."""
    with pytest.raises(InputError, match="no traces to write"):
        write_bundle(tmp_path / "b", [])
    with pytest.raises(InputError, match="gsm8k/1/v comes twice"):
        write_bundle(tmp_path / "b", [_trace("1"), _trace("1")])
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_never_written_over(tmp_path: Path) -> None:
    """What was collected once may have cost money."""
    write_bundle(tmp_path / "b", [_trace("1")])
    with pytest.raises(InputError, match="exists already"):
        write_bundle(tmp_path / "b", [_trace("2")])
    assert [trace.key.problem_id for trace in read_bundle(tmp_path / "b").traces] == ["1"]


def _newer(bundle: Path) -> None:
    document = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**document, "format_version": 3}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_newer, "format 3 is newer than this rbridge reads .up to 2.: pip install -U rbridge"),
        (lambda b: (b / MANIFEST).write_text("{"), "not a manifest of rbridge"),
        (lambda b: (b / MANIFEST).write_text("[]"), "not a manifest of rbridge"),
        (lambda b: (b / MANIFEST).unlink(), "no trace bundle there"),
        (lambda b: (b / "traces.parquet").unlink(), "the bundle is incomplete"),
        (lambda b: (b / "traces.parquet").write_bytes(b"PAR1"), "does not match its manifest's SHA-256"),
    ],
)
def test_a_damaged_or_newer_bundle_is_refused(tmp_path: Path, damage: object, message: str) -> None:
    """One line that says what is wrong and what to do."""
    write_bundle(tmp_path / "b", [_trace("1")])
    assert callable(damage)
    damage(tmp_path / "b")
    with pytest.raises(InputError, match=message):
        read_bundle(tmp_path / "b")


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither the folder nor its scratch."""

    def fail() -> None:
        with new_folder(tmp_path / "f") as scratch:
            (scratch / "x").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of a write costs the new content only."""
    write_json(tmp_path / "m.json", {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(tmp_path / "m.json", {"a": 2})
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_nan_is_never_written(tmp_path: Path) -> None:
    """A missing number is null with a reason, or it is a bug."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"a": float("nan")})


def test_a_run_comes_back_and_its_partials_go(tmp_path: Path) -> None:
    """Batches kept on the way are read back, and dropped once the run is whole."""
    store = RunStore(tmp_path)
    one, two = scored("1", [0.5, 1.25], [0.1, 0.9]), scored("2", [2.0])
    store.append("k" * 64, [one])
    store.append("k" * 64, [two])
    assert [s.key.problem_id for s in store.partial("k" * 64)] == ["1", "2"]
    assert store.finished("k" * 64, "ckpt/a") is None
    run = store.finish(manifest("k" * 64), [one, two])
    assert store.partial("k" * 64) == ()
    assert store.finished("k" * 64, "ckpt/a") == run
    back = run.scored()
    assert back[0].tokens.nll.tolist() == [0.5, 1.25]
    assert back[0].tokens.weight is not None
    assert back[0].tokens.weight.tolist() == [0.1, 0.9]
    assert back[1].tokens.weight is None
    assert [path.name for path in tmp_path.iterdir()] == [f"ckpt-a-{'k' * 12}"]


def test_runs_are_read_from_their_folder_or_by_themselves(tmp_path: Path) -> None:
    """A folder of runs, or one run in it; anything else is refused."""
    store = RunStore(tmp_path)
    run = store.finish(manifest("a" * 64), [scored("1", [1.0])])
    store.finish(manifest("b" * 64, "ckpt/b"), [scored("1", [1.0])])
    assert [found.manifest.checkpoint for found in read_runs(tmp_path)] == ["ckpt/a", "ckpt/b"]
    assert read_runs(run.folder) == (Run(run.folder, run.manifest),)
    with pytest.raises(InputError, match="no score runs there"):
        read_runs(tmp_path / "nowhere")


def test_relabelling_keeps_the_numbers(tmp_path: Path) -> None:
    """Labels say what a checkpoint is; they are no part of its score."""
    store = RunStore(tmp_path)
    run = store.finish(manifest(), [scored("1", [1.0])])
    store.relabel(run, Labels(recipe="r", seed=3))
    (found,) = read_runs(tmp_path)
    assert found.manifest.labels == Labels(recipe="r", seed=3)
    assert found.scored()[0].tokens.nll.tolist() == [1.0]


def test_labels_are_read_by_checkpoint(tmp_path: Path) -> None:
    """Empty cells are unknown, numbers are numbers."""
    (tmp_path / "l.csv").write_text("checkpoint,recipe,seed,tokens,other\nckpt/a/,x,1,,z\nckpt/b,y,,1000,\n")
    assert read_labels(tmp_path / "l.csv") == {
        "ckpt/a": Labels(recipe="x", seed=1),
        "ckpt/b": Labels(recipe="y", tokens=1000),
    }


def test_labels_come_from_a_manifest_or_a_trackers_export(tmp_path: Path) -> None:
    """JSON by checkpoint or as a list; a W&B export with columns of its own names."""
    expected = {"ckpt/a": Labels(recipe="x", tokens=1000, schedule="wsd", learning_rate=3e-4)}
    labels = {"recipe": "x", "tokens": 1000, "schedule": "wsd", "learning_rate": 3e-4}
    (tmp_path / "a.json").write_text(json.dumps({"ckpt/a": labels}))
    (tmp_path / "b.json").write_text(json.dumps([{"checkpoint": "ckpt/a/", **labels, "notes": "x"}]))
    (tmp_path / "wandb.csv").write_text(
        '"Name","State","data_mix","lr","lr_schedule","tokens_seen"\n"ckpt/a","finished","x","0.0003","wsd","1000"\n'
    )
    columns = [
        "checkpoint=Name",
        "recipe=data_mix",
        "learning_rate=lr",
        "schedule=lr_schedule",
        "tokens=tokens_seen",
    ]
    assert read_labels(tmp_path / "a.json") == expected
    assert read_labels(tmp_path / "b.json") == expected
    assert read_labels(tmp_path / "wandb.csv", parse_columns(columns)) == expected


def test_columns_that_are_none_are_refused(tmp_path: Path) -> None:
    """A label that does not exist, and a column that the file has not."""
    with pytest.raises(InputError, match="expected LABEL=COLUMN, with LABEL one of checkpoint, recipe"):
        parse_columns(["name=x"])
    (tmp_path / "l.csv").write_text("Name,mix\na,1\n")
    with pytest.raises(InputError, match=r"l.csv:2: no column 'data'; it has Name, mix"):
        read_labels(tmp_path / "l.csv", {"checkpoint": "Name", "recipe": "data"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("checkpoint,seed\na,1\na/,2\n", ":3: checkpoint a comes twice"),
        ("name,seed\na,1\n", "no column 'checkpoint'"),
        ("checkpoint,seed\na,one\n", ":2: seed: Input should be a valid int"),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """With the line and the column."""
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / "l.csv")


def test_a_bundle_written_trace_by_trace_is_the_same_as_one_written_at_once(tmp_path: Path) -> None:
    """More traces than a chunk holds; rewritten in place, and nothing is left beside it."""
    traces = [
        Trace(
            TraceKey("b", f"{number:04d}", "v"),
            f"So {number} é",
            question="q",
            pieces=Pieces((f"So {number} ".encode(), b"\xc3", b"\xa9"), np.array([-0.5, -number / 7, 0.0])),
            weight_source="self",
        )
        for number in range(300)
    ]
    write_bundle(tmp_path / "whole", traces)
    for part in (traces[:1], traces):
        manifest = rewrite_bundle(tmp_path / "stream", iter(part), generated=[], terms={}, skipped=[])
    whole, stream = read_bundle(tmp_path / "whole"), read_bundle(tmp_path / "stream")
    assert content_sha256(stream.traces) == content_sha256(traces) == manifest.content_sha256
    assert manifest.content_sha256 == whole.manifest.content_sha256
    assert (manifest.counts, manifest.voices, manifest.weight_sources) == (
        {"b": 300},
        {"v": 300},
        {"self": 300},
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stream", "whole"]
    with pytest.raises(InputError, match="no traces to write"):
        rewrite_bundle(tmp_path / "stream", iter([]), generated=[], terms={}, skipped=[])
    assert len(read_bundle(tmp_path / "stream").traces) == 300
