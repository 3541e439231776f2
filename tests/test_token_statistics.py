"""Hits, rank, entropy and margin of predictions: from the engine to columns that are ranked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rbridge.metric import METRICS, metric_named, run_statistics, statistic_columns
from rbridge.records import ScoredTrace, TokenScores, TokenStatistics, TraceKey
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import rbridge


def scored(problem: str, token: list[int], p: list[float], rank: list[int]) -> ScoredTrace:
    """A trace with these tokens, probabilities and ranks; entropies 1, 2, ..., margins 0.5 and 0.25."""
    n = len(token)
    statistics = TokenStatistics(
        token=np.array(token),
        rank=np.array(rank),
        entropy=np.arange(1.0, n + 1),
        logit_margin=np.full(n, 0.5),
        probability_margin=np.full(n, 0.25),
    )
    at = np.arange(n)
    tokens = TokenScores(-np.log(np.array(p)), None, at, at + 1, n, statistics)
    return ScoredTrace(TraceKey("b", problem, "v"), 0, None, tokens)


def test_statistics_are_those_of_hand_arithmetic() -> None:
    """Two traces over the tokens 7 (three times) and 9 (once)."""
    first, second = run_statistics(
        [scored("0", [7, 9], [0.5, 0.25], [1, 4]), scored("1", [7, 7], [0.9, 0.1], [1, 6])]
    )
    assert first["top1_accuracy"] == 0.5
    assert first["top3_accuracy"] == 0.5
    assert first["top5_accuracy"] == 1.0
    assert first["token_rank"] == 2.5
    assert first["token_rank_by_frequency"] == pytest.approx((3 * 1 + 1 * 4) / 4)
    assert first["token_rank_by_rarity"] == pytest.approx((1 / 3 * 1 + 1 * 4) / (4 / 3))
    assert first["token_rank_by_entropy"] == pytest.approx((1 * 1 + 2 * 4) / 3)
    assert first["token_rank_by_p"] == pytest.approx((0.5 * 1 + 0.25 * 4) / 0.75)
    assert first["token_rank_by_1_p"] == pytest.approx((0.5 * 1 + 0.75 * 4) / 1.25)
    assert first["token_reciprocal_rank"] == pytest.approx(0.625)
    assert first["token_entropy"] == 1.5
    assert (first["token_logit_margin"], first["token_probability_margin"]) == (0.5, 0.25)
    assert first["token_probability"] == pytest.approx(0.375)
    assert second["token_rank_by_frequency"] == pytest.approx(3.5)


def test_a_trace_without_statistics_has_no_columns_and_a_weight_of_nothing_is_none() -> None:
    """No statistics: an empty row; tokens that were certain have no 1 - p to weigh by."""
    one = scored("0", [1], [1.0], [1])
    bare = ScoredTrace(
        one.key, 0, None, TokenScores(one.tokens.nll, None, one.tokens.start, one.tokens.end, 1)
    )
    rows = run_statistics([bare, one])
    assert rows[0] == {}
    assert rows[1]["token_rank_by_1_p"] is None
    assert run_statistics([bare]) == [{}]


def test_every_column_is_in_the_catalogue() -> None:
    """Each statistic, uniform and under five weightings, has a name of its own and a direction."""
    columns = statistic_columns()
    assert len(columns) == 10 * 6
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for name, direction, _, _ in columns:
        known = metric_named(name)
        assert known is not None
        assert known.direction == direction
    assert metric_named("token_rank_by_p").direction == "lower"
    assert metric_named("top3_accuracy").direction == "higher"


def test_statistics_go_from_score_to_show_and_rank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for, they are stored beside equal losses, shown and ranked; not asked for, rank says what to do."""
    rows = [
        {"benchmark": "m", "problem_id": str(i), "voice": "v", "question": f"{i}?", "reasoning": text}
        for i, text in enumerate(["So 2 + 3 = 5.", "First, we add. Then we multiply.", "An apple costs 2."])
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    rbridge(capsys, "traces", "import", tmp_path / "t.jsonl", "-o", tmp_path / "bundle")
    names = []
    for seed in (0, 1):
        folder = build("gpt2", tmp_path / f"m{seed}", seed=seed)
        (folder / "rbridge.json").write_text(json.dumps({"recipe": f"r{seed}"}))
        names.append(folder)
    asked = [*names, "--traces", tmp_path / "bundle", "--shots", 0, "--json"]
    assert rbridge(capsys, "score", *asked, "-o", tmp_path / "with", "--token-statistics").status == 0
    assert rbridge(capsys, "score", *asked, "-o", tmp_path / "without").status == 0
    for one, other in zip(read_runs(tmp_path / "with"), read_runs(tmp_path / "without"), strict=True):
        for ours, theirs in zip(one.scored(), other.scored(), strict=True):
            assert ours.tokens.nll == pytest.approx(theirs.tokens.nll, abs=5e-5)
            assert ours.tokens.statistics is not None
            assert theirs.tokens.statistics is None
            assert ours.tokens.statistics.rank.min() >= 1
    items = rbridge(capsys, "show", tmp_path / "with", "--items", "--json").lines
    assert all(0 <= item["top1_accuracy"] <= item["top5_accuracy"] <= 1 for item in items)
    ranked = rbridge(
        capsys, "rank", tmp_path / "with", "--proxy", "token_rank", "--by", "benchmark", "--json"
    )
    (group,) = ranked.document["groups"]
    values = [row["value"] for row in group["order"]]
    assert (group["direction"], values) == ("lower", sorted(values))
    means = {}
    for item in items:
        means.setdefault(item["recipe"], []).append(item["token_rank"])
    assert values == pytest.approx(sorted(float(np.mean(found)) for found in means.values()))
    refused = rbridge(capsys, "rank", tmp_path / "without", "--proxy", "token_rank", "--by", "benchmark")
    assert refused.status == 1
    assert "--token-statistics" in refused.err
