"""fit with targets in a table of their own, and fit and predict on score runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rbridge.answers.scores import score_rows
from rbridge.records import Labels
from rbridge.store.runs import RunStore, read_runs
from tests.commands import rbridge
from tests.reports import make_bundle, make_manifest, make_traces, score_trace, write_table

FIT = ("--proxy", "loss", "--lower-is-better", "--target", "acc", "--protocol", "paper")


def test_targets_of_another_table_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same fit as from one table: seeds of a target averaged, columns and rows in another order."""
    rng = np.random.default_rng(0)
    loss = 1 - 0.05 * np.arange(10) + rng.normal(0, 0.01, 10)
    acc = 90 - 60 * loss + rng.normal(0, 1, 10)
    names = [f"r{i}" for i in range(10)]
    rows = [["gsm8k", one, name] for one, name in zip(loss, names, strict=True)]
    scores = write_table(tmp_path / "scores.csv", ["benchmark", "loss", "recipe"], rows)
    apart = [
        [value + step, step, name, "gsm8k"]
        for value, name in zip(acc, names, strict=True)
        for step in (1, -1)
    ]
    targets = write_table(tmp_path / "t.csv", ["acc", "seed", "recipe", "benchmark"], apart[::-1])
    together = write_table(
        tmp_path / "one.csv", ["acc", "benchmark", "loss", "recipe"],
        [[value, *row] for value, row in zip(acc, rows, strict=True)],
    )  # fmt: skip
    found = rbridge(capsys, "fit", scores, *FIT, "--targets", targets, "--json").document["groups"]
    expected = rbridge(capsys, "fit", together, *FIT, "--json").document["groups"]
    assert found[0]["test_mae"] == pytest.approx(expected[0]["test_mae"], abs=1e-9)
    assert found[0]["train_r2"] == pytest.approx(expected[0]["train_r2"], abs=1e-9)


def test_checkpoints_of_one_run_are_joined_by_their_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row by row, as numbers: 250 and 250.0 are one; a checkpoint without a target is dropped and counted."""
    tokens = [250 * (i + 1) for i in range(9)]
    scores = write_table(tmp_path / "s.csv", ["tokens", "loss"], [[t, 1 - t / 5000] for t in tokens])
    targets = write_table(tmp_path / "t.csv", ["tokens", "acc"], [[float(t), t / 50] for t in tokens[:8]])
    (group,) = rbridge(capsys, "fit", scores, *FIT, "--targets", targets, "--json").document["groups"]
    assert (group["n"], group["num_dropped"]) == (8, 1)
    assert group["test_mae"] == pytest.approx(0.0, abs=1e-6)


def test_stages_of_targets_are_never_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rank and fit: one line where several stages stand and none is named, the right values where one is."""
    rows = [[f"r{i}", stage, 10.0 * i * sign] for i in range(8) for stage, sign in (("base", 1), ("sft", -1))]
    targets = write_table(tmp_path / "t.csv", ["recipe", "stage", "acc"], rows)
    scores = write_table(tmp_path / "s.csv", ["recipe", "loss"], [[f"r{i}", 9.0 - i] for i in range(8)])
    done = rbridge(capsys, "fit", scores, *FIT, "--targets", targets)
    assert done.status == 1
    assert "rows of several stages (base, sft); add --stage NAME" in done.err
    (group,) = rbridge(
        capsys, "fit", scores, *FIT, "--targets", targets, "--stage", "sft", "--json"
    ).document["groups"]
    assert group["points"]["target"] == [-10.0 * i for i in range(8)]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Seven recipes on one benchmark."""
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 4))
    rng, store = np.random.default_rng(3), RunStore(tmp_path / "runs")
    for place in range(7):
        labels = Labels(recipe=f"r{place}", seed=0, tokens=1000)
        scored = [score_trace(trace, 0.5 + 0.2 * place, rng) for trace in bundle.traces]
        store.finish(make_manifest(f"r{place}", bundle, labels=labels), scored)
    return tmp_path / "runs"


def test_fit_and_predict_take_score_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run's mean is what show says, and predict gives the fitted line at it."""
    targets = write_table(
        runs.parent / "t.csv", ["recipe", "benchmark", "stage", "acc"],
        [[f"r{i}", "sums", stage, 80.0 - 8 * i + bend] for i in range(7) for stage, bend in (("base", 0), ("rl", 9))],
    )  # fmt: skip
    both = ("--proxy", "rbridge", "--target", "acc", "--targets", targets)
    ranked = rbridge(capsys, "rank", runs, *both, "--stage", "base", "--json").document["groups"][0]
    assert {row["recipe"]: row["target"] for row in ranked["order"]} == {
        f"r{i}": 80.0 - 8 * i for i in range(7)
    }
    assert "several stages" in rbridge(capsys, "rank", runs, *both).err
    assert "add --targets" in rbridge(capsys, "fit", runs, "--proxy", "rbridge", "--target", "acc").err
    out = runs.parent / "fit.json"
    assert rbridge(capsys, "fit", runs, *both, "--stage", "base", "-o", out).status == 0
    (group,) = json.loads(out.read_text())["groups"]
    store = read_runs(runs)
    means = {
        run.manifest.labels.recipe: score_rows(run, run.scored())[0].means["rbridge"].mean for run in store
    }
    assert sorted(group["points"]["proxy"]) == pytest.approx(sorted(means.values()), abs=1e-12)
    (told,) = rbridge(capsys, "predict", out, runs, "--json").document["groups"]
    assert len(told["rows"]) == 7
    for row in told["rows"]:
        assert row["x"] == pytest.approx(means[row["recipe"]], abs=1e-12)
        assert row["predicted"] == pytest.approx(80.0 - 8 * int(row["recipe"][1:]), abs=9.0)
