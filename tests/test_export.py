"""rbridge export: mixtures, scores and weights joined; what has no partner is an error that lists it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.commands import Result, rbridge

MIX = "recipe,web,code\na,0.5,0.5\nb,0.9,0.1\nc,0.2,0.8\n"
LOSS = {"a": (1.0, 1.2), "b": (2.0, 2.4), "c": (3.0, 3.2)}


def write(folder: Path, mix: str = MIX, *, seeds: int = 2, benchmarks: str = "x") -> None:
    """Tables of mixtures and of losses, two seeds a recipe."""
    (folder / "mix.csv").write_text(mix)
    rows = [
        f"{recipe},{seed},{benchmark},{values[seed] + number}"
        for number, benchmark in enumerate(benchmarks)
        for recipe, values in LOSS.items()
        for seed in range(seeds)
    ]
    (folder / "obs.csv").write_text("\n".join(["recipe,seed,benchmark,loss", *rows, ""]))


def export(capsys: pytest.CaptureFixture[str], folder: Path, to: str, *more: object) -> Result:
    """Run ``rbridge export``."""
    return rbridge(
        capsys, "export", folder / "obs.csv", folder / "out.csv", "--mixtures", folder / "mix.csv", "--to", to,
        "--proxy", "loss", "--lower-is-better", *more,
    )  # fmt: skip


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_regmix_has_an_index_and_both_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Means over seeds by hand; weights are one over the variance; the pair that RegMix reads shares its index."""
    write(tmp_path)
    result = export(capsys, tmp_path, "regmix")
    assert result.status == 0, result.err
    joined = table(tmp_path / "out.csv")
    assert [row["recipe"] for row in joined] == ["a", "b", "c"]
    assert [float(row["metric/loss"]) for row in joined] == pytest.approx([1.1, 2.2, 3.1])
    assert [(row["web"], row["code"]) for row in joined] == [("0.5", "0.5"), ("0.9", "0.1"), ("0.2", "0.8")]
    for row in joined:
        assert float(row["metric/loss_weight"]) == pytest.approx(1 / float(row["metric/loss_variance"]))
        assert row["metric/loss_seeds"] == "2"
    # Two seeds .2, .4, .2 apart: the pooled variance of one seed, and so of a mean of two, lies between theirs.
    of_one = [np.var(values, ddof=1) for values in LOSS.values()]
    assert all(min(of_one) / 2 <= float(row["metric/loss_variance"]) <= max(of_one) / 2 for row in joined)
    mixture, target = table(tmp_path / "out.mixture.csv"), table(tmp_path / "out.target.csv")
    assert [list(row) for row in mixture[:1]] == [["index", "web", "code"]]
    assert [list(row) for row in target[:1]] == [["index", "metric/loss"]]
    assert [row["index"] for row in mixture] == [row["index"] for row in target] == ["1", "2", "3"]
    # fit --features joins the pair as it is.
    fitted = rbridge(
        capsys, "fit", tmp_path / "out.target.csv", "--features", tmp_path / "out.mixture.csv", "--target",
        "metric/loss", "--json",
    )  # fmt: skip
    assert fitted.status == 0, fitted.err
    assert fitted.document["groups"][0]["n"] == 3


def test_olmix_has_runs_and_a_column_a_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ratios hold domains alone and metrics hold metrics alone, beside run, name and index."""
    write(tmp_path, benchmarks="xy")
    assert export(capsys, tmp_path, "olmix").status == 0
    ratios, metrics = table(tmp_path / "out.ratios.csv"), table(tmp_path / "out.metrics.csv")
    assert list(ratios[0]) == ["run", "name", "index", "web", "code"]
    assert list(metrics[0]) == ["run", "name", "index", "x/loss", "y/loss"]
    assert [row["run"] for row in ratios] == [row["run"] for row in metrics] == ["a", "b", "c"]
    assert float(metrics[2]["y/loss"]) == pytest.approx(4.1)


def test_without_seeds_or_traces_there_is_no_weight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One value a recipe says nothing of its noise: empty cells, and the table says so."""
    write(tmp_path, seeds=1)
    result = export(capsys, tmp_path, "regmix")
    assert result.status == 0
    assert "not known" in result.out
    assert {row["metric/loss_weight"] for row in table(tmp_path / "out.csv")} == {""}


def test_a_missing_partner_is_a_listed_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides are listed, nothing is written; with --skip-missing they are left out and told."""
    write(tmp_path, MIX.replace("c,0.2,0.8", "d,0.2,0.8"))
    result = export(capsys, tmp_path, "regmix")
    assert result.status == 1
    assert "no mixture" in result.err
    assert "(c)" in result.err
    assert "(d)" in result.err
    assert not (tmp_path / "out.csv").exists()
    skipped = export(capsys, tmp_path, "regmix", "--skip-missing")
    assert skipped.status == 0
    assert "left out c" in skipped.err
    assert [row["recipe"] for row in table(tmp_path / "out.csv")] == ["a", "b"]


def test_what_is_no_mixture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight below 0, a row of zeros."""
    for bad in ("a,-0.5,1.5", "a,0,0"):
        write(tmp_path, MIX.replace("a,0.5,0.5", bad))
        result = export(capsys, tmp_path, "regmix")
        assert (result.status, "0 or more" in result.err) == (1, True)
