"""What stands beside a ranking: nulls and gains, the margin, the style flag, declarations."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rbridge.metric.margin import QuestionReading
from rbridge.rank.style import style
from rbridge.records import Labels, TraceKey
from rbridge.store.declarations import write_declaration
from rbridge.store.readings import GOLD, write_question_readings, write_table
from rbridge.store.runs import RunStore
from tests.commands import rbridge
from tests.test_store import manifest, scored

RECIPES = "abcdefgh"


def _runs(tmp_path: Path, *, led_by_style: bool, created: str = "2026-03-01") -> Path:
    """Eight recipes, two seeds: losses, losses behind other questions, gold losses; skill falls from a to h."""
    store = RunStore(tmp_path / "runs")
    rng = np.random.default_rng(0)
    for number, recipe in enumerate(RECIPES):
        skill, distance = 1.0 - 0.1 * number, (number * 3) % 8
        spread = 1.0 if led_by_style else 0.01
        for seed in (0, 1):
            other = 3.0 + spread * distance + 0.005 * rng.normal()
            facts = {"labels": Labels(recipe=recipe, seed=seed), "created": created}
            loss = other - skill
            kept = store.finish(
                manifest(f"{number}{seed}" * 32, f"{recipe}{seed}", **facts),
                [scored(str(i), [loss + 0.01 * i, loss], [0.9, 0.5]) for i in range(3)],
            )
            losses = [
                (str(i), asked, value)
                for i in range(3)
                for asked, value in ((str(i), loss + 0.01 * i), ("x", other + 0.02 * i))
            ]
            readings = [
                QuestionReading(
                    TraceKey("gsm8k", problem, "v"),
                    0,
                    asked,
                    np.full(2, value),
                    np.zeros(0, int),
                    np.zeros(0),
                    2,
                )
                for problem, asked, value in losses
            ]
            write_question_readings(kept.folder, readings, key="k")
            gold = {
                "benchmark": "gsm8k",
                "problem_id": "0",
                "shots": 0,
                "num_bytes": 2,
                "nll": [float(7 - number)],
            }
            write_table(kept.folder, GOLD, [gold], key="k")
    return tmp_path / "runs"


def _targets(tmp_path: Path) -> Path:
    file = tmp_path / "targets.csv"
    rows = [f"{recipe},gsm8k,{0.9 - 0.1 * number}" for number, recipe in enumerate(RECIPES)]
    file.write_text("recipe,benchmark,acc\n" + "\n".join(rows) + "\n")
    return file


def _group(capsys: pytest.CaptureFixture[str], runs: Path, *more: object) -> dict:
    result = rbridge(capsys, "rank", runs, "--proxy", "trace_nll", "--json", *more)
    assert result.status == 0, result.err
    return result.document["groups"][0]


def test_everything_that_runs_hold_stands_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Margin, controls and gold, each with its direction, order and tau with the ranking."""
    group = _group(capsys, _runs(tmp_path, led_by_style=False))
    beside = {row["proxy"]: row for row in group["beside"]}
    assert list(beside) == [
        "question_margin",
        "other_question_bits_per_byte",
        "rbridge_shuffled",
        "rbridge_inverted",
        "gold_bits_per_byte",
    ]
    assert beside["question_margin"]["direction"] == "higher"
    assert beside["question_margin"]["values"]["a"] == pytest.approx(1.0 + 0.005 * 2 / 2 * 1, abs=0.02)
    assert beside["question_margin"]["kendall_tau"] > 0.9
    # Gold losses fall from a to h: the opposite order.
    assert beside["gold_bits_per_byte"]["kendall_tau"] < -0.9
    assert group["headline"]["gain_shown"] is False
    assert "no targets" in group["headline"]["text"]


def test_a_gain_is_shown_only_over_every_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over gold losses in the wrong order it is; beside a null that ranks as well it is not."""
    runs, targets = _runs(tmp_path, led_by_style=False), _targets(tmp_path)
    arguments = ("--targets", targets, "--target", "acc")
    group = _group(capsys, runs, *arguments)
    gold = next(row for row in group["beside"] if row["proxy"] == "gold_bits_per_byte")
    assert group["agreement"]["decision_accuracy"] == pytest.approx(1.0, abs=0.1)
    assert gold["decision_accuracy"] == 0.0
    assert gold["gain"] == pytest.approx(group["agreement"]["decision_accuracy"])
    assert gold["gain_interval"][0] > 0
    assert group["headline"]["gain_shown"] is True
    null = tmp_path / "null.csv"
    rows = [f"{recipe},gsm8k,{number}" for number, recipe in enumerate(RECIPES)]
    null.write_text("recipe,benchmark,null_bits_per_byte\n" + "\n".join(rows) + "\n")
    group = _group(capsys, runs, *arguments, "--null", null)
    assert group["headline"]["gain_shown"] is False
    assert group["headline"]["text"].startswith("no gain shown over null_bits_per_byte")
    page = tmp_path / "page.html"
    rbridge(capsys, "report", runs, "--proxy", "trace_nll", *arguments, "--null", null, "-o", page)
    html = page.read_text()
    assert "No gain shown" in html
    assert "null_bits_per_byte" in html
    assert "question_margin beside it: a, b, c" in html or "Question_margin beside it: a, b, c" in html


@pytest.mark.parametrize(("num", "words"), [(4, "no gain shown: not above chance"), (5, "gain shown over k")])
def test_a_perfect_order_of_four_recipes_shows_nothing(
    num: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chance gives it to one order in 24, and to one in 120 of five."""
    file = tmp_path / "obs.csv"
    rows = [f"{recipe},{number},1,{number}" for number, recipe in enumerate(RECIPES[:num])]
    file.write_text("recipe,m,k,t\n" + "\n".join(rows) + "\n")
    result = rbridge(
        capsys, "rank", file, "--proxy", "m", "--higher-is-better", "--target", "t", "--by", "",
        "--beside", "k:higher", "--json",
    )  # fmt: skip
    [group] = result.document["groups"]
    assert group["agreement"]["decision_accuracy"] == 1.0
    assert group["headline"]["text"].startswith(words)


def test_columns_of_a_table_stand_beside_as_nulls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the direction that is said; a constant has no tau and exactly half of the pairs."""
    file = tmp_path / "obs.csv"
    rows = [f"{recipe},{number},{8 - number},1,{number}" for number, recipe in enumerate(RECIPES)]
    file.write_text("recipe,m,n,k,t\n" + "\n".join(rows) + "\n")
    arguments = ("rank", file, "--proxy", "m", "--higher-is-better", "--target", "t", "--by", "")
    result = rbridge(capsys, *arguments, "--beside", "n:lower", "--beside", "k:higher", "--json")
    same, constant = result.document["groups"][0]["beside"]
    assert (same["kendall_tau"], same["gain"], same["gain_interval"]) == (pytest.approx(1.0), 0.0, [0.0, 0.0])
    assert (constant["kendall_tau"], constant["gain"]) == (None, 0.5)
    assert result.document["groups"][0]["headline"]["gain_shown"] is False
    text = rbridge(capsys, *arguments, "--beside", "n:lower").out
    assert text.startswith("m: no gain shown over n")
    bad = rbridge(capsys, *arguments, "--beside", "n:up")
    assert (bad.status, "expected COLUMN:lower or COLUMN:higher" in bad.err) == (1, True)


def test_tokens_trained_are_a_null_for_checkpoints_of_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where lengths differ; not where all are alike."""
    store = RunStore(tmp_path / "runs")
    for number, tokens in enumerate([100, 200, 400]):
        facts = {"labels": Labels(tokens=tokens)}
        store.finish(manifest(str(number) * 64, f"step{number}", **facts), [scored("1", [3.0 - number])])
    group = _group(capsys, tmp_path / "runs")
    clock = {row["proxy"]: row for row in group["beside"]}
    assert clock["ln_tokens"]["values"] == pytest.approx({f"step{i}": np.log(100 * 2**i) for i in range(3)})
    assert clock["flops_6nd"]["values"]["step0"] == 600.0
    assert clock["ln_tokens"]["kendall_tau"] == pytest.approx(1.0)


def test_an_order_that_follows_style_is_flagged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Planted both ways (bench/style.py has rates)."""
    led = _group(capsys, _runs(tmp_path / "led", led_by_style=True))["style"]
    honest = _group(capsys, _runs(tmp_path / "honest", led_by_style=False))["style"]
    assert (led["flag"], honest["flag"]) == (True, False)
    assert led["with_style"] > led["with_margin"]
    assert "it may follow style" in led["reasons"][0]


def test_voices_that_disagree_are_flagged_and_nothing_measured_is_no_flag() -> None:
    """Orders by two voices with tau -1; no reading at all: None, which is not False."""
    proxy = np.arange(5.0)
    voices = np.stack([proxy, -proxy])
    found = style(proxy, other_question=None, margin=None, too_small=False, voices=voices)
    assert (found.flag, found.between_voices) == (True, pytest.approx(-1.0))
    alike = style(proxy, other_question=None, margin=None, too_small=False, voices=np.stack([proxy, proxy]))
    assert alike.flag is False
    assert style(proxy, other_question=None, margin=None, too_small=False, voices=None).flag is None
    small = style(proxy, other_question=proxy, margin=-proxy, too_small=True, voices=None)
    assert "too small" in small.reasons[0]


def test_single_voices_noise_is_not_taken_for_style() -> None:
    """Planted: eight recipes, three noisy voices. Styles a third as far apart as skills seldom flag, three times do."""
    rng = np.random.default_rng(11)

    def flagged(spread: float) -> float:
        flags = []
        for _ in range(80):
            distance = spread * rng.normal(size=(3, 8))
            right = distance - rng.normal(size=8) + 0.3 * rng.normal(size=(3, 8))
            other = distance + 0.3 * rng.normal(size=(3, 8))
            found = style(
                -right.mean(axis=0), other_question=-other.mean(axis=0), margin=(other - right).mean(axis=0),
                too_small=False, voices=-right,
            )  # fmt: skip
            flags.append(bool(found.flag))
        return float(np.mean(flags))

    assert flagged(1 / 3) <= 0.1
    assert flagged(3.0) >= 0.92


def _declare(path: Path, when: str, metric: str = "trace_nll") -> Path:
    write_declaration(
        path, metric=metric, benchmarks=["gsm8k"], decision="train the first", margin=0.15,
        now=datetime.fromisoformat(when).replace(tzinfo=UTC),
    )  # fmt: skip
    return path


def test_tables_say_declared_or_exploratory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the number of metrics looked at; another metric than the declared one is exploratory."""
    runs = _runs(tmp_path, led_by_style=False)
    early = _declare(tmp_path / "early.json", "2026-02-01")
    found = _group(capsys, runs, "--declaration", early)["declaration"]
    assert (found["declared"], found["num_metrics"]) == (True, 6)
    assert found["within_margin"] == ["a", "b"]
    assert "train the first; 6 metrics looked at" in found["text"]
    other = _declare(tmp_path / "other.json", "2026-02-01", metric="rbridge")
    found = _group(capsys, runs, "--declaration", other)["declaration"]
    assert (found["declared"], found["within_margin"]) == (False, None)
    assert _group(capsys, runs)["declaration"]["text"] == "exploratory; 6 metrics looked at"
    assert "exploratory; 6 metrics looked at" in rbridge(capsys, "rank", runs, "--proxy", "trace_nll").out


def test_a_declaration_comes_first_and_is_never_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Younger than a score, edited, or overwritten: refused."""
    runs = _runs(tmp_path, led_by_style=False)
    late = _declare(tmp_path / "late.json", "2026-03-02")
    refused = rbridge(capsys, "rank", runs, "--proxy", "trace_nll", "--declaration", late)
    assert (refused.status, "a declaration comes before the first score" in refused.err) == (1, True)
    document = json.loads(late.read_text())
    late.write_text(json.dumps({**document, "margin": 9.0}))
    edited = rbridge(capsys, "rank", runs, "--proxy", "trace_nll", "--declaration", late)
    assert (edited.status, "its hash differs" in edited.err) == (1, True)
    arguments = ("declare", "--metric", "rbridge", "--benchmarks", "x,y", "--decision", "d", "--margin", 0.1)
    assert rbridge(capsys, *arguments, "-o", tmp_path / "new.json").status == 0
    assert json.loads((tmp_path / "new.json").read_text())["benchmarks"] == ["x", "y"]
    again = rbridge(capsys, *arguments, "-o", tmp_path / "new.json")
    assert (again.status, "never changed" in again.err) == (1, True)
