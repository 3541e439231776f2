"""rbridge fit and predict from tables: shapes, drops, stages, nulls, transfer, and one-line errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rbridge.cli import run
from tests.commands import Result, rbridge

FIT = ("--proxy", "loss", "--lower-is-better", "--target", "acc")


def _csv(tmp_path: Path, text: str, name: str = "obs.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def _run_rows(num: int = 10, seed: int = 0, recipe: str = "a") -> list[str]:
    """Checkpoints of one run: loss falls and accuracy rises with tokens."""
    rng = np.random.default_rng(seed)
    loss = 0.9 - 0.03 * np.arange(num) + rng.normal(0, 0.005, num)
    accuracy = 100 - 80 * loss + rng.normal(0, 1, num)
    return [f"{recipe},gsm8k,{(i + 1) * 250},{loss[i]},{accuracy[i]},nanotok" for i in range(num)]


HEAD = "recipe,benchmark,tokens,loss,acc,tokenizer"


@pytest.fixture(name="obs", scope="module")
def _obs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _csv(tmp_path_factory.mktemp("obs"), "\n".join([HEAD, *_run_rows()]))


@pytest.fixture(name="fit", scope="module")
def _fit(tmp_path_factory: pytest.TempPathFactory, obs: Path) -> Path:
    path = tmp_path_factory.mktemp("fit") / "fit.json"
    assert run(["fit", str(obs), *FIT, "-o", str(path)]) == 0
    return path


def test_the_default_fit_has_all_its_parts(fit: Path) -> None:
    """Shape, folds, nulls, skill with its interval, checks of one run, rule and bounds."""
    document = json.loads(fit.read_text())
    assert document["format_version"] == 1
    (group,) = document["groups"]
    assert group["group"] == {"benchmark": "gsm8k"}
    assert (group["n"], len(group["folds"]), len(group["forward"]["folds"])) == (10, 5, 3)
    assert set(group["nulls"]) == {"mean", "ln_tokens", "6nd"}
    assert {"family", "train_r2", "test_mae"} <= set(group["folds"][0])
    assert group["skill"]["null"] in group["nulls"]
    low, high = group["skill"]["interval"]
    assert low <= group["skill"]["value"] <= high
    assert group["skill"]["value"] == pytest.approx(
        1 - group["test_mae"] / group["nulls"][group["skill"]["null"]]["test_mae"]
    )
    assert set(group["checks"]) == {"detrended", "first_differences"}
    assert group["bounds"] == [0.0, 100.0]
    assert "blocked folds" in group["fold_rule"]
    assert document["mean"]["n_groups"] == 1


def test_a_prediction_holds_its_interval_and_flags_extrapolation(
    tmp_path: Path, fit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In range near the line; outside flagged, wider, within bounds; another recipe has no interval."""
    new = _csv(
        tmp_path,
        "recipe,benchmark,loss,acc\na,gsm8k,0.75,40\na,gsm8k,0.2,\nb,gsm8k,0.75,41\na,gsm8k,,\n",
        "n.csv",
    )
    (group,) = rbridge(capsys, "predict", fit, new, "--target", "acc", "--json").document["groups"]
    inside, outside, other = group["rows"]
    assert abs(inside["predicted"] - 40) < 2
    assert inside["interval"][0] < inside["predicted"] < inside["interval"][1]
    assert (inside["extrapolated"], outside["extrapolated"]) == (False, True)
    assert np.diff(outside["interval"]) > np.diff(inside["interval"])
    assert outside["interval"][1] <= 100
    assert (other["interval"], other["reason"]) == (None, "another recipe than the fit's: use --transfer")
    assert other["predicted"] == inside["predicted"]
    assert (group["n_truth"], group["num_dropped"], group["num_extrapolated"]) == (2, 1, 1)
    assert group["mae"] == pytest.approx(
        np.mean([abs(40 - inside["predicted"]), abs(41 - inside["predicted"])])
    )


def _others(num: int, tokenizer: str = "nanotok") -> str:
    rng = np.random.default_rng(1)
    rows = [
        f"r{i},gsm8k,{0.72 + 0.01 * i},{100 - 80 * (0.72 + 0.01 * i) + 3 + rng.normal(0, 1)},{tokenizer}"
        for i in range(num)
    ]
    return "\n".join(["recipe,benchmark,loss,acc,tokenizer", *rows])


def test_a_transfer_is_not_identified_below_six_recipes(
    tmp_path: Path, fit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five: null with the reason. Eight: each interval from the other seven, by hand."""
    few = _csv(tmp_path, _others(5), "few.csv")
    (group,) = rbridge(capsys, "predict", fit, few, "--transfer", "--target", "acc", "--json").document[
        "groups"
    ]
    assert {row["interval"] for row in group["rows"]} == {None}
    assert "not identified: 5 recipes" in group["rows"][0]["reason"]
    many = _csv(tmp_path, _others(8), "many.csv")
    (group,) = rbridge(capsys, "predict", fit, many, "--transfer", "--target", "acc", "--json").document[
        "groups"
    ]
    errors = np.array([row["truth"] - row["predicted"] for row in group["rows"]])
    rest = errors[1:]
    half = stats.t.ppf(0.95, 6) * rest.std(ddof=1) * np.sqrt(1 + 1 / 7)
    middle = group["rows"][0]["predicted"] + rest.mean()
    assert group["rows"][0]["interval"] == pytest.approx([middle - half, middle + half])
    assert group["bias"] == pytest.approx(errors.mean())
    assert group["agreement"]["num_pairs"] == 28
    assert group["agreement"]["decision_accuracy"] > 0.5


def test_a_transfer_across_tokenizers_is_refused(
    tmp_path: Path, fit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And where they are not named, the reader is told."""
    other = _csv(tmp_path, _others(6, "megatok"), "other.csv")
    result = rbridge(capsys, "predict", fit, other, "--transfer", "--json")
    assert (result.status, result.out) == (1, "")
    assert "scores under megatok, but the fit's under nanotok" in result.err
    unnamed = _csv(tmp_path, "recipe,benchmark,loss\nb,gsm8k,0.7\n", "u.csv")
    (group,) = rbridge(capsys, "predict", fit, unnamed, "--transfer", "--json").document["groups"]
    assert any("tokenizers are not known to match" in note for note in group["notes"])


def test_the_papers_fit_predicts_without_interval(
    tmp_path: Path, obs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its curve at the negated score; why there is no interval."""
    rbridge(capsys, "fit", obs, *FIT, "--protocol", "paper", "-o", tmp_path / "paper.json")
    (fitted,) = json.loads((tmp_path / "paper.json").read_text())["groups"]
    assert set(fitted["nulls"]) == {"ln_tokens", "6nd"}
    new = _csv(tmp_path, "benchmark,loss\ngsm8k,0.7\n", "n.csv")
    (group,) = rbridge(capsys, "predict", tmp_path / "paper.json", new, "--json").document["groups"]
    (row,) = group["rows"]
    assert row["interval"] is None
    assert "paper's protocol" in row["reason"]
    assert abs(row["predicted"] - 44) < 3


def test_recipes_of_several_rows_are_held_out_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seven recipes of two: an interval for an eighth; with four recipes none."""

    def table(num: int) -> str:
        return "\n".join([HEAD, *[row for i in range(num) for row in _run_rows(2, seed=i, recipe=f"r{i}")]])

    new = _csv(tmp_path, "recipe,benchmark,loss\nnew,gsm8k,0.88\n", "n.csv")
    for num, identified in ((7, True), (4, False)):
        obs = _csv(tmp_path, table(num))
        document = rbridge(capsys, "fit", obs, *FIT, "-o", tmp_path / "f.json", "--json").document
        assert "whole recipes" in document["groups"][0]["fold_rule"]
        assert document["groups"][0]["checks"] == {}
        (group,) = rbridge(capsys, "predict", tmp_path / "f.json", new, "--json").document["groups"]
        assert (group["rows"][0]["interval"] is not None) == identified


def test_groups_that_cannot_be_fitted_stand_with_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few rows, a constant proxy, a constant target; empty cells counted; no clock, no clock null."""
    rows = ["benchmark,x,y", *[f"few,{i},{i}" for i in range(3)], *[f"flat,1,{i}" for i in range(6)]]
    rows += [*[f"same,{i},7" for i in range(6)], "few,,3", "few,3,"]
    for protocol in ("paper", "default"):
        document = rbridge(
            capsys, "fit", _csv(tmp_path, "\n".join(rows)), "--proxy", "x", "--higher-is-better", "--target", "y",
            "--protocol", protocol, "--json",
        ).document  # fmt: skip
        found = {g["group"]["benchmark"]: g for g in document["groups"]}
        assert {g["train_r2"] for g in found.values()} == {None}
        assert found["few"]["reason"].startswith("3 rows; 5 folds")
        assert "constant proxy" in found["flat"]["reason"]
        assert "constant target" in found["same"]["reason"]
        assert found["few"]["num_dropped"] == 2
        assert found["few"]["nulls"]["ln_tokens"]["reason"] == "no column of tokens: name it with --order"
        assert document["mean"]["train_r2"] is None


def test_stages_are_never_mixed_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Base and SFT rows: an error, one of them, or both apart; rank honours the same."""
    lines = ["recipe,benchmark,stage,x,y"]
    lines += [
        f"r{i},b,{stage},{i},{i * i if stage == 'base' else -i}"
        for i in range(6)
        for stage in ("base", "sft")
    ]
    obs = _csv(tmp_path, "\n".join(lines))
    arguments = ("--proxy", "x", "--higher-is-better", "--target", "y", "--json")
    paper = (*arguments, "--protocol", "paper")
    mixed = rbridge(capsys, "fit", obs, *paper)
    assert "rows of several stages (base, sft); add --stage NAME or --by stage" in mixed.err
    (one,) = rbridge(capsys, "fit", obs, *paper, "--stage", "sft").document["groups"]
    assert (one["n"], one["family"]) == (6, "linear")
    assert len(rbridge(capsys, "fit", obs, *paper, "--by", "benchmark,stage").document["groups"]) == 2
    assert "no row of stage 'rl'" in rbridge(capsys, "fit", obs, *paper, "--stage", "rl").err
    accuracies = [
        rbridge(capsys, "rank", obs, *arguments, "--stage", stage).document["groups"][0]["agreement"][
            "decision_accuracy"
        ]
        for stage in ("base", "sft")
    ]
    assert accuracies == [1.0, 0.0]


def test_a_column_of_the_users_is_a_null_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Generic-text loss beside the clock, in the same folds: here it is the target itself."""
    rows = ["tokens,x,y,generic", *[f"{i + 1},{(i * 7) % 10},{i * i},{i * i}" for i in range(10)]]
    document = rbridge(
        capsys, "fit", _csv(tmp_path, "\n".join(rows)), "--proxy", "x", "--higher-is-better", "--target", "y",
        "--null", "generic", "--json",
    ).document  # fmt: skip
    (group,) = document["groups"]
    assert group["nulls"]["generic"]["test_mae"] < 1e-6
    assert group["skill"]["null"] == "generic"


def _error(capsys: pytest.CaptureFixture[str], *arguments: object) -> Result:
    result = rbridge(capsys, *arguments)
    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    return result


def test_bad_questions_get_one_line(
    tmp_path: Path, obs: Path, fit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and what to do."""
    for arguments, message in (
        (["fit", obs, "--proxy", "loss", "--target", "acc"], "loss: direction unknown"),
        (["fit", obs, "--target", "acc"], "--proxy COLUMN is missing"),
        (["fit", obs, *FIT, "--protocol", "mine"], "expected paper or default"),
        (["fit", obs, *FIT, "--order", "step"], "no column 'step'"),
        (["fit", obs, *FIT, "--bounds", "0", "10"], "lies outside"),
        (["fit", obs, *FIT, "--test", obs], "go with --features"),
        (["predict", tmp_path / "none.json", obs], "none.json: no such file"),
        (["predict", obs, obs], "obs.csv: not a fit"),
        (
            ["predict", fit, _csv(tmp_path, "benchmark,loss\narc,1\n", "n.csv")],
            "has no fit of arc; it has gsm8k",
        ),
        (["predict", fit, _csv(tmp_path, "benchmark,x\narc,1\n", "m.csv")], "no column 'loss'"),
    ):
        assert message in _error(capsys, *arguments).err


def test_a_fit_that_was_tampered_with_is_not_believed(
    tmp_path: Path, fit: Path, obs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rows no longer give its curve; a newer format is refused."""
    document: dict[str, Any] = json.loads(fit.read_text())
    document["groups"][0]["coefficients"][0] += 1
    changed = _csv(tmp_path, json.dumps(document), "changed.json")
    assert "fit again with this version" in _error(capsys, "predict", changed, obs).err
    newer = _csv(tmp_path, json.dumps(document | {"format_version": 2}), "newer.json")
    assert "format 2; this rbridge reads up to 1" in _error(capsys, "predict", newer, obs).err


def test_tables_say_what_their_figures_rest_on(
    obs: Path, fit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """n, nulls, direction and interval on the page; rule and checks beside it."""
    result = rbridge(capsys, "fit", obs, *FIT)
    assert "lower is better" in result.out
    assert "null ln_tokens" in result.out
    assert "90% interval" in result.out
    assert "blocked folds" in result.err
    assert "first differences: r = " in result.err
    predicted = rbridge(capsys, "predict", fit, obs, "--target", "acc")
    assert "90% interval" in predicted.out
    assert "MAE" in predicted.err
