"""FLOPs, frontiers and savings, against hand arithmetic, the paper's printed factors, and naive loops."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.compute import (
    DATADECIDE,
    Architecture,
    Point,
    RecipeScores,
    decision_points,
    pareto_frontier,
    saving_intervals,
    savings,
    training_flops,
)
from tests.commands import rbridge

PAPER = Path(__file__).parent.parent / "src" / "rbridge" / "paper" / "data"


def test_flops_by_hand() -> None:
    """A toy of 100 parameters, 30 of them embedding, 2 layers of width 4, sequences of 8, 10 tokens."""
    shape = Architecture(embedding_parameters=30.0, layers=2, width=4, context=8)
    assert training_flops(100.0, 10.0) == 6 * 100 * 10
    assert training_flops(100.0, 10.0, convention="non-embedding", architecture=shape) == 6 * 70 * 10
    attention = training_flops(100.0, 10.0, convention="attention", architecture=shape)
    assert attention == (6 * 100 + 12 * 2 * 4 * 8) * 10


@pytest.mark.parametrize("convention", ["non-embedding", "attention", "8nd"])
def test_a_convention_without_its_facts_is_refused(convention: str) -> None:
    """Never a silent 6ND."""
    with pytest.raises(ValueError, match=r"needs|is none of"):
        training_flops(100.0, 10.0, convention=convention)


def test_the_ladder_is_data_decides() -> None:
    """Fourteen sizes, all at about a hundred tokens a parameter."""
    assert len(DATADECIDE) == 14
    assert [rung.size for rung in DATADECIDE][::13] == ["4M", "1B"]
    assert all(80 < rung.tokens / rung.parameters < 120 for rung in DATADECIDE)


_POINTS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda p: Point("m", float(p[0]), float(p[1]))),
    min_size=1,
)


@given(_POINTS)
def test_a_frontier_is_what_nothing_dominates(points: list[Point]) -> None:
    """By the definition, point against point."""
    naive = {
        p
        for p in points
        if not any(
            (q.flops <= p.flops and q.value > p.value) or (q.flops < p.flops and q.value >= p.value)
            for q in points
        )
    }
    found = pareto_frontier(points)
    assert set(found) == naive
    assert list(found) == sorted(naive, key=lambda p: p.flops)


def test_a_saving_is_read_between_two_points() -> None:
    """Half-way in value is the geometric mean of the FLOPs; outside there is none."""
    points = [
        Point("other", 1e2, 50.0),
        Point("third", 1e4, 70.0),
        Point("other", 1e5, 60.0),  # dominated by the third metric
        Point("mine", 1.0, 40.0),
        Point("mine", 10.0, 60.0),
        Point("mine", 20.0, 70.0),
        Point("mine", 30.0, 71.0),
    ]
    found = savings(points, "mine")
    assert [one.saving for one in found] == [None, pytest.approx(1e3 / 10), pytest.approx(1e4 / 20), None]
    assert "below" in str(found[0].reason)
    assert "above" in str(found[3].reason)


def test_the_papers_factors_come_out(capsys: pytest.CaptureFixture[str]) -> None:
    """100.2x to 733.4x, as printed in the paper."""
    result = rbridge(
        capsys, "compute", "savings", PAPER / "pareto_decision_accuracy.csv", "--method", "rBridge", "--metric",
        "metric", "--flops", "flops", "--value", "decision_accuracy", "--json",
    )  # fmt: skip
    points = result.document["points"]
    assert [f"{point['saving']:.1f}x" for point in points] == [
        "201.2x",
        "733.4x",
        "160.6x",
        "115.1x",
        "100.2x",
    ]
    assert points[0]["flops"] == pytest.approx(1.94e15, rel=1e-3)
    assert points[0]["alternative_flops"] == pytest.approx(3.90e17, rel=1e-3)
    assert all(
        point["interval"] is None and point["interval_reason"] == "no per-recipe data" for point in points
    )


def test_the_papers_frontier_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Every point that the paper draws, and no other (two FLOPs are rounded otherwise in the eighth digit)."""
    ours, drawn = [
        {
            (p["metric"], f"{p['flops']:.6e}", p["value"])
            for p in rbridge(capsys, "compute", "frontier", PAPER / name, "--json").document["points"]
        }
        for name in ("pareto_decision_accuracy.csv", "pareto_decision_accuracy_frontier.csv")
    ]
    assert ours == drawn
    assert len(ours) == 54


def _recipes(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, dict[str, float]]:
    """Eight recipes, two metrics at two checkpoints each: loss is good and cheap, accuracy is noise."""
    truth = {f"r{i}": float(value) for i, value in enumerate(rng.permutation(8))}
    lines = ["metric,flops,recipe,score,target"]
    for metric, flops, noise in (
        ("loss", 1e3, 0.3),
        ("loss", 1e5, 0.1),
        ("other", 1e4, 9.0),
        ("other", 1e6, 0.2),
    ):
        for recipe, value in truth.items():
            score = value + rng.normal(0, noise)
            lines.append(f"{metric},{flops},{recipe},{-score if metric == 'loss' else score},{value}")
    path = tmp_path / "recipes.csv"
    path.write_text("\n".join(lines))
    return path, truth


def test_per_recipe_scores_give_decisions_and_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Decision accuracy as a loop counts it; the interval holds the saving."""
    path, truth = _recipes(tmp_path, np.random.default_rng(3))
    result = rbridge(
        capsys, "compute", "savings", path, "--method", "loss", "--score", "score", "--target", "target",
        "--lower-is-better", "loss", "--json",
    )  # fmt: skip
    document = result.document
    assert document["n_recipes"] == 8
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    first = {row[2]: -float(row[3]) for row in rows if row[:2] == ["loss", "1000.0"]}
    right = [(first[a] > first[b]) == (truth[a] > truth[b]) for a, b in combinations(truth, 2)]
    assert document["points"][0]["value"] == pytest.approx(np.mean(right))
    told = [point for point in document["points"] if point["saving"] is not None]
    assert told
    for point in told:
        low, high = point["interval"]
        assert low is None or low <= point["saving"]
        assert high is None or high >= point["saving"]


@given(st.integers(0, 50))
def test_resampled_decisions_are_those_of_the_drawn_recipes(seed: int) -> None:
    """One resample, done naively: recipes repeated, pairs of copies left out, both frontiers refitted."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(5).astype(float)
    scores = [
        RecipeScores(name, flops, rng.normal(size=5))
        for name, flops in (("m", 1.0), ("m", 2.0), ("o", 3.0), ("o", 9.0))
    ]
    (low, high), *_ = saving_intervals(scores, target, "m", rng=np.random.default_rng(seed), resamples=1)
    counts = np.random.default_rng(seed).multinomial(5, np.full(5, 0.2), size=1)[0]
    drawn = [i for i in range(5) for _ in range(counts[i])]
    pairs = [(a, b) for a, b in combinations(drawn, 2) if a != b]
    points = [
        Point(
            s.metric,
            s.flops,
            np.mean([(s.values[a] > s.values[b]) == (target[a] > target[b]) for a, b in pairs]),
        )
        for s in scores
    ]
    cheapest = min(p.flops for p in pareto_frontier(decision_points(scores, target)) if p.metric == "m")
    value = next(p.value for p in points if p.metric == "m" and p.flops == cheapest)
    others = sorted(
        {p.flops: p.value for p in pareto_frontier([p for p in points if p.metric == "o"])}.items()
    )
    values = [v for _, v in others]
    if value < values[0] or value > values[-1]:
        expected = None
    else:
        expected = math.exp(np.interp(value, values, [math.log(f) for f, _ in others])) / cheapest
    assert low == high == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("metric,flops,decision_accuracy\na,1,2\n", ["--method", "b"], "no row has metric 'b'; it has a"),
        (
            "metric,flops,decision_accuracy\na,0,2\n",
            ["--method", "a"],
            "points.csv:2: flops is 0; expected a positive",
        ),
        ("metric,decision_accuracy\na,2\n", ["--method", "a"], "no column 'flops'"),
        ("metric,flops,recipe,s\na,1,r,2\n", ["--method", "a", "--score", "s"], "--score needs --target"),
        (
            "metric,flops,recipe,s,t\na,1,r,2,1\na,1,q,2,3\nb,2,r,2,1\n",
            ["--method", "a", "--score", "s", "--target", "t"],
            "b at 2 FLOPs has 1 of 2 recipes",
        ),
    ],
)
def test_bad_points_get_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], message: str
) -> None:
    """Exit 1, the place and what was expected."""
    path = tmp_path / "points.csv"
    path.write_text(text)
    result = rbridge(capsys, "compute", "savings", path, *arguments, "--json")
    assert (result.status, result.out) == (1, "")
    assert message in result.err


def test_a_method_alone_has_no_saving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Null with the reason, not one."""
    path = tmp_path / "points.csv"
    path.write_text("metric,flops,decision_accuracy\na,1,2\n")
    (point,) = rbridge(capsys, "compute", "savings", path, "--method", "a", "--json").document["points"]
    assert (point["saving"], point["alternative_flops"], point["reason"]) == (None, None, "no other metric")


def test_the_command_counts_flops(capsys: pytest.CaptureFixture[str]) -> None:
    """6ND of DataDecide's smallest run, its whole ladder, and a convention that lacks its facts."""
    one = rbridge(capsys, "compute", "flops", "--parameters", "3.7e6", "--tokens", "87.3e6", "--json")
    assert one.document["rows"][0]["flops"] == pytest.approx(6 * 3.7e6 * 87.3e6)
    ladder = rbridge(capsys, "compute", "flops", "--ladder", "--json").document["rows"]
    assert ladder[-1]["flops"] == pytest.approx(6 * 1176.8e6 * 100e9)
    bare = rbridge(
        capsys, "compute", "flops", "--parameters", "1", "--tokens", "1", "--convention", "attention"
    )
    assert (bare.status, "needs layers" in bare.err) == (1, True)
