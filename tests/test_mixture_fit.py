"""Linear regression on mixture weights: RegMix's published figure, and least squares by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rbridge.fit import NoFit, fit_linear
from tests.commands import rbridge

REGMIX = Path(__file__).parent / "data" / "regmix"
PILE_CC = "metric/the_pile_pile_cc_val_loss"


def test_regmix_1m_to_1b_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained on 512 runs of 1M parameters, tested on 64 of 1B: Spearman 87.66 on Pile-CC."""
    result = rbridge(
        capsys, "fit", REGMIX / "train_pile_loss_1m.csv", "--features", REGMIX / "train_mixture_1m.csv",
        "--target", PILE_CC, "--test", REGMIX / "test_pile_loss_1B.csv",
        "--test-features", REGMIX / "test_mixture_1B.csv", "-o", tmp_path / "mix.json", "--json",
    )  # fmt: skip
    (group,) = result.document["groups"]
    assert round(100 * group["test"]["spearman"], 2) == 87.66
    assert (group["n"], group["test"]["n"], len(group["coefficients"])) == (512, 64, 17)
    low, high = group["test"]["spearman_interval"]
    assert low < group["test"]["spearman"] < high
    (predicted,) = rbridge(
        capsys, "predict", tmp_path / "mix.json", REGMIX / "test_mixture_1B.csv", "--json"
    ).document["groups"]
    truth = {
        row.split(",")[0]: float(row.split(",")[9])
        for row in (REGMIX / "test_pile_loss_1B.csv").read_text().splitlines()[1:]
    }
    values = [(row["predicted"], truth[row["recipe"]]) for row in predicted["rows"]]
    assert stats.spearmanr(*zip(*values, strict=True)).statistic == pytest.approx(group["test"]["spearman"])
    assert all(row["interval"][0] < row["predicted"] < row["interval"][1] for row in predicted["rows"])


def test_a_regression_is_the_textbook_one() -> None:
    """Coefficients by numpy, prediction interval by the formula."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 3))
    target = 1 + features @ np.array([1.0, -2.0, 0.5]) + rng.normal(0, 0.2, 20)
    fit = fit_linear(features, target)
    design = np.column_stack([np.ones(20), features])
    solution, squares, *_ = np.linalg.lstsq(design, target, rcond=None)
    assert fit.coefficients == pytest.approx(solution[1:])
    new = np.array([[0.3, 0.1, -1.0]])
    row = np.concatenate([[1.0], new[0]])
    spread = np.sqrt(squares[0] / 16 * (1 + row @ np.linalg.inv(design.T @ design) @ row))
    assert fit(new)[0] == pytest.approx(row @ solution)
    half = fit.half_width(new, 0.9)
    assert half is not None
    assert half[0] == pytest.approx(stats.t.ppf(0.95, 16) * spread)


def test_weights_that_sum_to_one_give_the_smallest_solution() -> None:
    """Exactly dependent columns: predictions of the plain regression without one of them."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(4), size=30)
    target = weights @ np.array([1.0, 2.0, 3.0, 4.0]) + rng.normal(0, 0.1, 30)
    fit = fit_linear(weights, target)
    design = np.column_stack([np.ones(30), weights[:, :3]])
    assert fit(weights) == pytest.approx(design @ np.linalg.lstsq(design, target, rcond=None)[0])
    assert fit.freedom == 26
    assert fit.coefficients.sum() == pytest.approx(0, abs=1e-9)
    with pytest.raises(NoFit, match="constant target"):
        fit_linear(weights, np.ones(30))


def _tables(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(2)
    mix, obs = ["recipe,web,code"], ["recipe,benchmark,loss"]
    for i in range(12):
        web = rng.uniform()
        mix.append(f"r{i},{web},{1 - web}")
        obs += [f"r{i},math,{3 - web + rng.normal(0, 0.01)}", f"r{i},prose,{2 + web}"]
    (tmp_path / "mix.csv").write_text("\n".join([*mix, "r99,0.5,0.5"]))
    (tmp_path / "obs.csv").write_text("\n".join([*obs, "r77,math,1", "r3,prose,"]))
    return tmp_path / "obs.csv", tmp_path / "mix.csv"


def test_tables_are_joined_by_recipe_and_split_by_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows without partner or value are counted; folds' rank correlation by chance is nil and here is high."""
    obs, mix = _tables(tmp_path)
    arguments = ("fit", obs, "--features", mix, "--target", "loss")
    document = rbridge(capsys, *arguments, "-o", tmp_path / "f.json", "--json").document
    math, prose = document["groups"]
    assert (math["n"], math["num_dropped"], prose["n"], prose["num_dropped"]) == (12, 1, 12, 1)
    assert math["held_out"]["spearman"] > 0.9
    assert math["held_out"]["mae"] < math["held_out"]["null_mae"]
    assert math["coefficients"]["web"] - math["coefficients"]["code"] == pytest.approx(-1, abs=0.05)
    assert json.loads((tmp_path / "f.json").read_text())["kind"] == "mixture"
    table = rbridge(capsys, *arguments)
    assert "MAE of the mean" in table.out


def test_bad_mixtures_get_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No joining column, repeated recipes, other features, half a test."""
    obs, mix = _tables(tmp_path)
    bare = tmp_path / "bare.csv"
    bare.write_text("web,code\n1,0\n")
    twice = tmp_path / "twice.csv"
    twice.write_text("recipe,web\nr1,1\nr1,0\n")
    other = tmp_path / "other.csv"
    other.write_text("recipe,web,books\nr1,1,0\n")
    for arguments, message in (
        (["--features", bare], "no column recipe or index to join it"),
        (["--features", twice], "'r1' stands twice"),
        (["--features", mix, "--test", obs], "--test and --test-features go together"),
        (["--features", mix, "--test", obs, "--test-features", other], "features differ"),
        (["--features", mix, "--join", "name"], "no column 'name'"),
    ):
        result = rbridge(capsys, "fit", obs, "--target", "loss", *arguments)
        assert (result.status, result.out) == (1, "")
        assert message in result.err
