"""The paper's protocol, against its published cells and a plain rewriting of it."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from rbridge.fit import NoFit, fit_paper
from rbridge.fit.folds import blocked, by_recipe, forward, kfold
from tests.commands import rbridge

PAPER = Path(__file__).parent.parent / "src" / "rbridge" / "paper" / "data"
RELATION = PAPER / "relation_1b_13b.csv"
# KFold(5, shuffle=True, random_state=42) of scikit-learn 1.9.1: test rows of each fold.
SKLEARN = {
    5: [[1], [4], [2], [0], [3]],
    7: [[0, 1], [2, 5], [4], [3], [6]],
    13: [[0, 9, 11], [2, 5, 8], [1, 4, 12], [7, 10], [3, 6]],
    15: [[0, 9, 11], [5, 8, 13], [1, 2, 14], [4, 7, 10], [3, 6, 12]],
    25: [[0, 8, 11, 16, 23], [1, 5, 9, 13, 22], [2, 3, 4, 12, 15], [17, 18, 20, 21, 24], [6, 7, 10, 14, 19]],
}


@pytest.mark.parametrize("num", SKLEARN)
def test_folds_are_those_of_scikit_learn(num: int) -> None:
    """Row by row, also where folds differ in size."""
    assert [np.flatnonzero(mask).tolist() for mask in kfold(num)] == SKLEARN[num]


@given(st.integers(5, 60))
def test_every_row_is_held_out_once(num: int) -> None:
    """Shuffled and blocked folds partition the rows; blocks are contiguous; forward folds never look back."""
    for masks in (list(kfold(num)), list(blocked(num))):
        assert (np.sum(masks, axis=0) == 1).all()
    for block in blocked(num):
        assert np.ptp(np.flatnonzero(block)) == block.sum() - 1
    for train, test in forward(max(num, 10)):
        assert np.flatnonzero(train).max() < np.flatnonzero(test).min()


@given(st.lists(st.sampled_from("abcdefg"), min_size=6).filter(lambda names: len(set(names)) > 1))
def test_recipes_are_held_out_whole(names: list[str]) -> None:
    """No recipe stands on both sides of a fold."""
    for test in by_recipe(names):
        held = {name for name, out in zip(names, test, strict=True) if out}
        assert held.isdisjoint({name for name, out in zip(names, test, strict=True) if not out})


def _naive(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The protocol as the method page states it, families one by one, least squares by the normal matrix."""
    r2s, maes = [], []
    for held in SKLEARN[len(x)]:
        train = [i for i in range(len(x)) if i not in held]
        tx, ty = x[train], y[train]
        curves = []
        for columns in (
            lambda z: [z, 1 + 0 * z],
            lambda z: [z * z, z, 1 + 0 * z],
            lambda z: [np.log(z + 1), 1 + 0 * z],
        ):
            with np.errstate(all="ignore"):
                design = np.stack(columns(tx), axis=1)
            if np.isfinite(design).all():
                coefficients = np.linalg.lstsq(design, ty, rcond=None)[0]
                curves.append(lambda z, c=coefficients, f=columns: np.stack(f(z), axis=1) @ c)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            p, _ = curve_fit(lambda z, a, b, c: a * np.exp(b * z) + c, tx, ty, p0=(1, 0.1, 0), maxfev=5000)
        curves.append(lambda z, p=p: p[0] * np.exp(p[1] * z) + p[2])
        scored = [(1 - np.sum((ty - f(tx)) ** 2) / np.sum((ty - ty.mean()) ** 2), f) for f in curves]
        best, curve = max(scored, key=lambda pair: pair[0])
        r2s.append(best)
        maes.append(np.mean(np.abs(y[held] - curve(x[held]))))
    return float(np.mean(r2s)), float(np.mean(maes))


@pytest.mark.parametrize("seed", range(4))
def test_the_protocol_is_the_stated_one(seed: int) -> None:
    """Fifteen rows of a noisy falling curve, x on both sides of -1."""
    rng = np.random.default_rng(seed)
    x = -np.sort(rng.uniform(0.4, 1.6, 15))
    y = 40 + 30 * np.exp(2 * x) + rng.normal(0, 1, 15)
    fit = fit_paper(x, y)
    assert (fit.train_r2, fit.test_mae) == pytest.approx(_naive(x, y), rel=1e-6)


def _published(metric: str) -> dict[str, tuple[float, float]]:
    with (PAPER / "published_cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        r["benchmark"]: (float(r["train_r2"]), float(r["test_mae"])) for r in rows if r["metric"] == metric
    }


def _fit(capsys: pytest.CaptureFixture[str], proxy: str, way: str, *more: object) -> dict:
    return rbridge(
        capsys, "fit", RELATION, "--proxy", proxy, way, "--target", "acc_13b_at_1b_tokens", "--order", "tokens_B",
        "--by", "benchmark", "--protocol", "paper", "--json", *more,
    ).document  # fmt: skip


def test_published_accuracy_cells_come_out(capsys: pytest.CaptureFixture[str]) -> None:
    """All six at 13B, and their means, to three decimals."""
    document = _fit(capsys, "acc_1b", "--higher-is-better")
    found = {g["group"]["benchmark"]: (g["train_r2"], g["test_mae"]) for g in document["groups"]}
    assert {k: (round(a, 3), round(b, 3)) for k, (a, b) in found.items()} == _published("acc")
    assert (round(document["mean"]["train_r2"], 3), round(document["mean"]["test_mae"], 3)) == (0.304, 3.709)


def test_published_rbridge_cells_come_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The four whose drawn data are the tabulated ones; the clock's null beside them: .870 and 1.34."""
    document = _fit(capsys, "rbridge_nll_1b", "--lower-is-better")
    found = {
        g["group"]["benchmark"]: (round(g["train_r2"], 3), round(g["test_mae"], 3))
        for g in document["groups"]
    }
    published = _published("rbridge")
    drawn = ("arc-c", "mmlu_pro_stem", "cqa", "humaneval")
    assert {k: found[k] for k in drawn} == {k: published[k] for k in drawn}
    assert (found["gsm8k"], found["math500"]) == ((0.949, 1.379), (0.868, 0.538))
    null = document["mean_nulls"]["ln_tokens"]
    assert (round(null["train_r2"], 3), round(null["test_mae"], 2)) == (0.870, 1.34)


def test_the_order_of_the_file_does_not_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are sorted before folds are made; `tokens` is the default clock."""
    head, *rows = RELATION.read_text().splitlines()
    path = tmp_path / "shuffled.csv"
    path.write_text("\n".join([head.replace("tokens_B", "tokens"), *reversed(rows)]))
    document = rbridge(
        capsys, "fit", path, "--proxy", "acc_1b", "--higher-is-better", "--target", "acc_13b_at_1b_tokens",
        "--protocol", "paper", "--json",
    ).document  # fmt: skip
    assert round(document["mean"]["test_mae"], 3) == 3.709


def test_the_best_curve_of_all_rows_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """GSM8K's rBridge quadratic, as numpy fits it."""
    (group,) = [
        g
        for g in _fit(capsys, "rbridge_nll_1b", "--lower-is-better")["groups"]
        if g["group"]["benchmark"] == "gsm8k"
    ]
    with RELATION.open() as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == "gsm8k"]
    x = -np.array([float(row["rbridge_nll_1b"]) for row in rows])
    y = np.array([float(row["acc_13b_at_1b_tokens"]) for row in rows])
    assert group["family"] == "quadratic"
    assert group["coefficients"] == pytest.approx(np.polyfit(x, y, 2).tolist())


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], "4 rows; 5 folds need 5"),
        ([1] * 6, [1, 2, 3, 4, 5, 6], "constant proxy"),
        ([1, 2, 3, 4, 5, 6], [1] * 6, "constant target"),
        ([1, 2, 3, 4, 5], [7, 9, 7, 7, 7], "fold 1: constant target"),
    ],
)
def test_what_cannot_be_fitted_says_why(x: list[float], y: list[float], reason: str) -> None:
    """Null with a reason, never NaN."""
    with pytest.raises(NoFit, match=reason):
        fit_paper(np.array(x, dtype=float), np.array(y, dtype=float))


@settings(max_examples=8)
@given(st.integers(0, 10_000))
@example(12)  # every x of a fold is 0
def test_rough_rows_never_give_nan(seed: int) -> None:
    """Repeated values, huge ranges and outliers: finite figures or a reason."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(0, 10 ** rng.uniform(-3, 3), 8), 1)
    y = np.round(rng.normal(0, 10 ** rng.uniform(-3, 3), 8), 1)
    try:
        fit = fit_paper(x, y)
    except NoFit:
        return
    assert np.isfinite([fit.train_r2, fit.test_mae, fit.r2, *fit.best.coefficients]).all()
