"""rbridge rank on CSVs and on runs: the shapes, the counts, the refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from rbridge.records import Labels
from rbridge.store.runs import RunStore
from tests.commands import Result, rbridge
from tests.test_store import manifest, scored


def _csv(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "obs.csv"
    file.write_text(text)
    return file


def test_a_csv_without_replicates_gives_an_order_without_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shape of interfaces.md, key by key."""
    file = _csv(tmp_path, "recipe,benchmark,loss,acc\na,gsm8k,1.0,30\nb,gsm8k,2.0,20\nc,gsm8k,3.0,25\n")
    result = rbridge(
        capsys,
        "rank",
        file,
        "--proxy",
        "loss",
        "--lower-is-better",
        "--target",
        "acc",
        "--by",
        "benchmark",
        "--json",
    )
    assert result.status == 0
    assert result.document["format_version"] == 1
    (group,) = result.document["groups"]
    assert group["group"] == {"benchmark": "gsm8k"}
    assert (group["proxy"], group["direction"], group["n_recipes"]) == ("loss", "lower", 3)
    assert [(row["recipe"], row["value"], row["rank"]) for row in group["order"]] == [
        ("a", 1.0, 1),
        ("b", 2.0, 2),
        ("c", 3.0, 3),
    ]
    assert all(row["interval"] is None and row["reason"] == "no replicates" for row in group["order"])
    agreement = group["agreement"]
    assert agreement["decision_accuracy"] == pytest.approx(2 / 3)
    assert agreement["kendall_tau"] == pytest.approx(kendalltau([-1, -2, -3], [30, 20, 25]).statistic)
    assert (agreement["num_pairs"], agreement["num_ties"]) == (3, 0)


def test_seeds_are_averaged_first_and_single_seeds_stand_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seed 0 has the pair right, seed 1 wrong; their mean has it right."""
    file = _csv(tmp_path, "recipe,seed,m,t\na,0,5,1\na,1,1,1\nb,0,1,0\nb,1,2,0\n")
    result = rbridge(
        capsys, "rank", file, "--proxy", "m", "--higher-is-better", "--target", "t", "--by", "", "--json"
    )
    (group,) = result.document["groups"]
    assert group["group"] == {}
    assert [row["value"] for row in group["order"]] == [3.0, 1.5]
    assert group["agreement"]["decision_accuracy"] == 1.0
    assert group["agreement"]["one_seed_decision_accuracy"] == 0.5
    low, high = group["order"][0]["interval"]
    # Two degrees of freedom: wider than the two seeds themselves.
    assert low < 1
    assert high > 5
    assert group["resampled"] == ["seeds"]


def test_ties_count_half_and_a_constant_has_no_tau(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A constant proxy has decision accuracy exactly one half."""
    file = _csv(tmp_path, "recipe,m,t\na,1,1\nb,1,2\nc,1,3\nd,1,3\n")
    result = rbridge(
        capsys, "rank", file, "--proxy", "m", "--higher-is-better", "--target", "t", "--by", "", "--json"
    )
    agreement = result.document["groups"][0]["agreement"]
    assert agreement["decision_accuracy"] == 0.5
    assert agreement["kendall_tau"] is None
    assert agreement["reason"] == "constant"
    assert agreement["num_ties"] == 6


def test_reversing_a_metric_gives_one_minus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ties on board."""
    rng = np.random.default_rng(0)
    rows = "".join(f"r{i},{rng.integers(6)},{rng.integers(6)}\n" for i in range(12))
    file = _csv(tmp_path, f"recipe,m,t\n{rows}")
    found = [
        rbridge(capsys, "rank", file, "--proxy", "m", way, "--target", "t", "--by", "", "--json").document
        for way in ("--higher-is-better", "--lower-is-better")
    ]
    one, other = [document["groups"][0]["agreement"]["decision_accuracy"] for document in found]
    assert one + other == pytest.approx(1.0)


def test_a_lower_target_is_turned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Loss against loss."""
    file = _csv(tmp_path, "recipe,m,t\na,1,1\nb,2,2\n")
    result = rbridge(
        capsys, "rank", file, "--proxy", "m", "--lower-is-better", "--target", "t", "--target-lower-is-better",
        "--by", "", "--json",
    )  # fmt: skip
    assert result.document["groups"][0]["agreement"]["decision_accuracy"] == 1.0


def test_an_empty_cell_drops_its_row_and_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Groups apart, counts apart."""
    file = _csv(tmp_path, "recipe,benchmark,m\na,x,1\nb,x,\nc,x,3\na,y,1\nb,y,2\n")
    result = rbridge(capsys, "rank", file, "--proxy", "m", "--higher-is-better", "--json")
    assert [
        (g["group"]["benchmark"], g["n_recipes"], g["num_dropped"]) for g in result.document["groups"]
    ] == [
        ("x", 2, 1),
        ("y", 2, 0),
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("recipe,m\na,1\n", ["--proxy", "m"], "m: direction unknown"),
        ("recipe,rbridge\na,1\n", ["--higher-is-better"], "rbridge: of this metric lower is better"),
        ("recipe,m\na,x\n", ["--proxy", "m", "--lower-is-better"], "obs.csv:2: m is 'x'; expected a number"),
        (
            "recipe,m\na,inf\n",
            ["--proxy", "m", "--lower-is-better"],
            "obs.csv:2: m is inf; expected a finite number",
        ),
        (
            "recipe,m\na,nan\n",
            ["--proxy", "m", "--lower-is-better"],
            "obs.csv:2: m is nan; expected a finite number",
        ),
        ("m\n1\n", ["--proxy", "m", "--lower-is-better"], "no column 'recipe'; it has m"),
        ("recipe,m\na,1\n", ["--proxy", "k", "--lower-is-better"], "no column 'k'; it has recipe, m"),
        ("", ["--proxy", "m", "--lower-is-better"], "empty"),
        ("recipe,m\n", ["--proxy", "m", "--lower-is-better"], "holds no rows"),
        (
            "recipe,benchmark,m\na,g,\nb,g,\n",
            ["--proxy", "m", "--lower-is-better"],
            "every one of its 2 rows has an empty cell",
        ),
        (
            "recipe,m\na,1\n",
            ["--proxy", "m", "--lower-is-better", "--resamples", "5"],
            "--resamples must be at least",
        ),
    ],
)
def test_bad_tables_get_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], message: str
) -> None:
    """Exit 1, the place and the remedy."""
    result = rbridge(capsys, "rank", _csv(tmp_path, text), *arguments, "--by", "", "--json")
    assert (result.status, result.out) == (1, "")
    assert message in result.err
    assert result.err.count("\n") == 1


def _runs(tmp_path: Path, **change: dict[str, object]) -> Path:
    """Two recipes of two seeds on three traces; recipe a loses less."""
    store = RunStore(tmp_path / "runs")
    for number, (recipe, seed) in enumerate([("a", 0), ("a", 1), ("b", 0), ("b", 1)]):
        nll = 1.0 if recipe == "a" else 2.0
        traces = [scored(str(i), [nll + 0.1 * seed + i, 0.5], [0.9, 0.1]) for i in range(3)]
        facts = {"labels": Labels(recipe=recipe, seed=seed), **change.get(f"{recipe}{seed}", {})}
        store.finish(manifest(f"{number}" * 64, f"ckpt/{recipe}{seed}", **facts), traces)
    return tmp_path / "runs"


def _rank(capsys: pytest.CaptureFixture[str], runs: Path, *more: str) -> Result:
    return rbridge(capsys, "rank", runs, "--json", *more)


def test_runs_are_ranked_over_traces_and_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Means over both, intervals from both, the difference between recipes told."""
    (group,) = _rank(capsys, _runs(tmp_path)).document["groups"]
    assert [row["recipe"] for row in group["order"]] == ["a", "b"]
    # loss of the one token whose MinMax weight is 1, halved: mean over i of (1 + .05 + i) / 2
    assert group["order"][0]["value"] == pytest.approx((1.05 + 1) / 2)
    assert group["order"][0]["rank_set"] == [1, 1]
    assert group["n_items"] == 3
    assert group["resampled"] == ["items", "seeds"]
    assert group["win_probability"]["a"]["b"] > 0.99


def test_only_items_that_all_runs_scored_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing in one run, or read with other shots: left out of all, and counted."""
    store = RunStore(tmp_path / "runs")
    store.finish(manifest("a" * 64, "a"), [scored("1", [1.0]), scored("2", [1.0]), scored("3", [9.0])])
    store.finish(
        manifest("b" * 64, "b"), [scored("1", [2.0]), scored("2", [2.0]), scored("3", [0.0], shots=5)]
    )
    (group,) = _rank(capsys, tmp_path / "runs", "--proxy", "trace_nll").document["groups"]
    assert (group["n_items"], group["num_dropped"]) == (2, 2)
    assert [row["value"] for row in group["order"]] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b0": {"bundle_sha256": "other"}}, "differ in traces"),
        ({"b0": {"dtype": "bfloat16"}}, "differ in dtype"),
        ({"b0": {"tokenizer_sha256": "other"}}, "rank them by rbridge_per_byte or trace_bits_per_byte"),
        ({"b0": {"labels": Labels(recipe="a", seed=0)}}, "are both recipe 'a', seed 0"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, dict[str, object]], message: str
) -> None:
    """Bundle, dtype, tokenizer, twins."""
    result = _rank(capsys, _runs(tmp_path, **change))
    assert result.status == 1
    assert message in result.err


def test_per_byte_metrics_compare_across_tokenizers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes are the same under every tokenizer."""
    runs = _runs(tmp_path, b0={"tokenizer_sha256": "other"})
    assert _rank(capsys, runs, "--proxy", "trace_bits_per_byte").status == 0


def test_formats_are_told_apart_by_bytes_across_tokenizers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One recipe's tokens hold four times the bytes and lose four times as much each: its format is the same."""
    store = RunStore(tmp_path / "runs")
    text_losses = {"short": [0.5] * 8, "long": [2.0] * 2, "other": [2.5] * 8}
    for name, losses in text_losses.items():
        facts = {"tokenizer_sha256": str(len(losses)) * 64, "labels": Labels(recipe=name)}
        trace = scored("1", losses)
        store.finish(
            manifest(name[0] * 64, name, **facts),
            [replace(trace, tokens=replace(trace.tokens, num_bytes=16))],
        )
    (group,) = _rank(capsys, tmp_path / "runs", "--proxy", "trace_bits_per_byte").document["groups"]
    (note,) = [note for note in group["notes"] if "another format" in note]
    assert note.startswith("in another format than the traces (a step of 1 nat a token or more): other;")


def test_targets_come_from_a_table_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By recipe and benchmark, seeds averaged; a recipe without one stays in the order."""
    file = tmp_path / "targets.csv"
    file.write_text("recipe,benchmark,accuracy\na,gsm8k,0.5\na,gsm8k,0.7\nb,gsm8k,0.4\n")
    runs = _runs(tmp_path)
    result = _rank(capsys, runs, "--targets", str(file), "--target", "accuracy")
    (group,) = result.document["groups"]
    assert [row["target"] for row in group["order"]] == [pytest.approx(0.6), 0.4]
    assert group["agreement"]["decision_accuracy"] == 1.0
    assert "give both --targets" in _rank(capsys, runs, "--target", "accuracy").err


def test_the_table_says_what_its_figures_rest_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """n, level, what was resampled, direction."""
    result = rbridge(capsys, "rank", _runs(tmp_path))
    assert "2 recipes by rbridge (lower is better)" in result.out
    assert "2000 paired resamples of items and seeds (3 items)" in result.out


def test_one_seed_is_conditional_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Traces are not seeds."""
    store = RunStore(tmp_path / "runs")
    for name in ("a", "b"):
        store.finish(manifest(name * 64, name), [scored("1", [1.0]), scored("2", [2.0])])
    (group,) = _rank(capsys, tmp_path / "runs", "--proxy", "trace_nll").document["groups"]
    assert "conditional on these checkpoints" in group["notes"][0]


def test_late_checkpoints_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of steps 1, 9, 10 the last two by number; without --last all three are rows of the recipe."""
    file = _csv(tmp_path, "recipe,step,m\na,9,2\na,10,4\na,1,90\nb,1,5\nb,9,5\nb,10,7\n")
    arguments = ("rank", file, "--proxy", "m", "--lower-is-better", "--by", "", "--json")
    (group,) = rbridge(capsys, *arguments, "--last", "2").document["groups"]
    assert [(row["recipe"], row["value"], row["num_seeds"]) for row in group["order"]] == [
        ("a", 3.0, 1),
        ("b", 6.0, 1),
    ]
    bare = rbridge(capsys, "rank", _csv(tmp_path, "recipe,m\na,1\n"), *arguments[2:], "--last", "2")
    assert (bare.status, "needs a column 'step'" in bare.err) == (1, True)


def test_late_checkpoints_of_runs_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps of one seed are refused as twins without it."""
    store = RunStore(tmp_path / "runs")
    for number, (recipe, step, loss) in enumerate(
        [("a", 1, 9.0), ("a", 2, 1.0), ("a", 3, 2.0), ("b", 3, 4.0)]
    ):
        facts = {"labels": Labels(recipe=recipe, seed=0, step=step)}
        store.finish(manifest(str(number) * 64, f"{recipe}{step}", **facts), [scored("1", [loss])])
    runs = tmp_path / "runs"
    (group,) = _rank(capsys, runs, "--proxy", "trace_nll", "--last", "2").document["groups"]
    assert [(row["recipe"], row["value"]) for row in group["order"]] == [("a", 1.5), ("b", 4.0)]
    assert "average late checkpoints with --last K" in _rank(capsys, runs, "--proxy", "trace_nll").err


def test_a_pilot_gives_one_seed_rankings_their_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the verdict is conditional and no probability is given; with it both change."""
    file = _csv(tmp_path, "recipe,m\na,1\nb,2\n")
    pilot = tmp_path / "pilot.csv"
    pilot.write_text("recipe,seed,m\nx,0,1.0\nx,1,1.1\ny,0,3.0\ny,1,3.1\n")
    arguments = ("rank", file, "--proxy", "m", "--lower-is-better", "--by", "", "--json")
    (bare,) = rbridge(capsys, *arguments).document["groups"]
    assert "win_probability" not in bare
    assert bare["selection"] is None
    (group,) = rbridge(capsys, *arguments, "--pilot", pilot).document["groups"]
    assert group["resampled"] == ["seeds"]
    assert group["win_probability"]["a"]["b"] > 0.9
    assert "pilot's, 2 degrees of freedom" in group["notes"][0]
    lonely = rbridge(capsys, *arguments, "--pilot", file)
    assert (lonely.status, "no recipe has two seeds" in lonely.err) == (1, True)


def test_target_noise_comes_from_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From problems: sqrt(p (1 - p) / n) is .05 at .5 of 100, so .5 and .52 are unresolved."""
    file = _csv(tmp_path, "recipe,m,t,t_n\na,1,0.5,100\nb,2,0.52,100\nc,3,0.9,100\n")
    arguments = ("rank", file, "--proxy", "m", "--higher-is-better", "--target", "t", "--by", "", "--json")
    found = rbridge(capsys, *arguments).document["groups"][0]["agreement"]
    assert found["num_resolved"] == 2
    assert "binomial" in found["target_noise"]
    assert 0.5 < found["ceiling"] < 1
    assert (
        rbridge(capsys, *arguments, "--resolve", "0").document["groups"][0]["agreement"]["num_resolved"] == 3
    )
    file = _csv(tmp_path, "recipe,m,t,t_stderr\na,1,0.5,0.001\nb,2,0.52,0.001\n")
    stated = rbridge(capsys, *arguments).document["groups"][0]["agreement"]
    assert (stated["num_resolved"], stated["target_noise"]) == (1, "standard errors as the table states them")
    file = _csv(tmp_path, "recipe,seed,m,t\na,0,1,0.5\na,1,1,0.7\nb,0,2,0.52\nb,1,2,0.72\n")
    seeds = rbridge(capsys, *arguments).document["groups"][0]["agreement"]
    assert (seeds["num_resolved"], "seeds, pooled, 2 degrees" in seeds["target_noise"]) == (0, True)


def test_benchmarks_are_ranked_alone_together_and_without_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The combined ranking stands beside the groups, with its rule."""
    text = "recipe,benchmark,seed,m,t\n" + "".join(
        f"{recipe},{benchmark},{seed},{value + shift + 0.01 * seed},{target}\n"
        for benchmark, shift in (("x", 0), ("y", 5), ("z", 9))
        for recipe, value, target in (("a", 1.0, 0.9), ("b", 2.0, 0.5), ("c", 3.0, 0.7))
        for seed in (0, 1)
    )
    arguments = (_csv(tmp_path, text), "--proxy", "m", "--lower-is-better", "--target", "t")
    document = rbridge(capsys, "rank", *arguments, "--json").document
    assert [group["group"]["benchmark"] for group in document["groups"]] == ["x", "y", "z"]
    (whole,) = document["combined"]
    assert whole["benchmarks"] == ["x", "y", "z"]
    assert [row["recipe"] for row in whole["order"]] == ["a", "b", "c"]
    assert whole["direction"] == "higher"
    assert whole["rule"].startswith("mean over benchmarks of z-scores")
    assert [left["best"] for left in whole["leave_one_out"]] == ["a"] * 3
    assert whole["agreement"]["decision_accuracy"] == pytest.approx(2 / 3)
    text_out = rbridge(capsys, "rank", *arguments).out
    assert "without y: a leads, tau 1.00 with all" in text_out
    assert "cannot be excluded as best (95%): a" in text_out
    assert "buy next: recipes" in text_out
