"""rbridge evaluate end to end: figures by hand, kept replies, targets that rank and fit read, rankings."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rbridge.answers.evaluations import evaluation_row
from rbridge.evaluate import local
from rbridge.metric.generation import pass_at_k
from rbridge.scoring.checkpoints import expand, load_tokenizer
from rbridge.store.evaluations import EvaluationStore, Reply, read_evaluations
from tests.commands import rbridge
from tests.evaluating import NUM, evaluate, make_place
from tests.test_generation_figures import _plain_distance

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints and the problems."""
    return make_place(tmp_path_factory.mktemp("evaluate-command"))


# What the models "write" in the tests of figures: two right answers, a wrong one, an unreadable one, none at all.
SCRIPT = {
    "a": [" The answer is A.", " The answer is A.", " The answer is B.", " The answer is fire.", " No idea."]
    * 2,
    "b": [" The answer is A."] * 2 * NUM,
}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that write the script instead of their own text."""

    def replies(self: local.LocalGenerator, tasks: list, **_: object) -> list[list[Reply]]:
        script = SCRIPT[Path(self._name).name]
        return [
            [
                Reply(
                    task.problem.problem_id,
                    task.sample,
                    task.shots,
                    script[int(task.problem.problem_id) + task.sample],
                    "length" if task.problem.problem_id == "0" else "stop",
                    5,
                )
                for task in tasks
            ]
        ]

    monkeypatch.setattr(local.LocalGenerator, "replies", replies)


@pytest.mark.usefixtures("scripted")
def test_figures_are_those_of_the_replies(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Accuracy over what could be decided, error, interval, chance, null, and everything that was not plain."""
    result = evaluate(capsys, place, tmp_path / "runs")
    assert result.status == 0, result.err
    (row,) = result.document["evaluations"]
    # Problems 0 to 7 get A A B fire none A A B: fire is undecided, none is wrong.
    assert row["metrics"]["accuracy"]["mean"] == pytest.approx(4 / 7)
    assert row["metrics"]["accuracy"]["n"] == 7
    assert row["metrics"]["accuracy"]["stderr"] == pytest.approx((4 / 7 * 3 / 7 / 6) ** 0.5)
    low, high = row["metrics"]["accuracy"]["interval"]
    assert 0.2 < low < 4 / 7 < high < 0.9
    assert (row["num_problems"], row["num_replies"], row["num_truncated"]) == (8, 8, 1)
    assert (row["num_unanswered"], row["num_undecided"]) == (1, 1)
    assert [one["problem_id"] for one in row["undecided"]] == ["3"]
    assert row["accuracy_bounds"] == [4 / 8, 5 / 8]
    assert (row["chance"], row["constant_answer"]) == (0.25, 1.0)
    assert (row["recipe"], row["seed"], row["checker"]) == ("a", 0, "letter")
    assert row["answers_by_rule"] == {"closing": 7}
    tokenizer = load_tokenizer(expand([str(place / "a")])[0])
    gold = tokenizer.encode(" So it is.")
    distances = [_plain_distance(tokenizer.encode(text), gold) for text in SCRIPT["a"][:NUM]]
    assert row["metrics"]["token_edit_distance"]["mean"] == pytest.approx(sum(distances) / NUM)


@pytest.mark.usefixtures("scripted")
def test_targets_and_rankings(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The CSV is read by rank and fit as it is; the folder is ranked by accuracy and by TED."""
    targets = tmp_path / "targets.csv"
    result = evaluate(
        capsys, place, tmp_path / "runs", "--targets", targets, "--stage", "base", checkpoints="ab"
    )
    assert result.status == 0, result.err
    rows = {row["recipe"]: row for row in csv.DictReader(targets.read_text().splitlines())}
    assert float(rows["b"]["accuracy"]) == 1.0
    assert (rows["a"]["accuracy_n"], rows["a"]["stage"], rows["a"]["tokens"]) == ("7", "base", "1000")
    by_accuracy = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "accuracy", "--json")
    assert by_accuracy.status == 0, by_accuracy.err
    (group,) = by_accuracy.document["groups"]
    # The undecided problem is left out for both.
    assert [(one["recipe"], one["value"]) for one in group["order"]] == [
        ("b", 1.0),
        ("a", pytest.approx(4 / 7)),
    ]
    assert (group["n_items"], group["num_dropped"], group["direction"]) == (7, 1, "higher")
    held = rbridge(
        capsys, "rank", tmp_path / "runs", "--proxy", "token_edit_distance", "--targets", targets, "--target",
        "accuracy", "--json",
    )  # fmt: skip
    assert held.status == 0, held.err
    (group,) = held.document["groups"]
    assert group["direction"] == "lower"
    assert group["agreement"]["num_pairs"] == 1
    assert "states" in group["agreement"]["target_noise"]
    table = rbridge(capsys, "rank", targets, "--proxy", "token_edit_share", "--target", "accuracy", "--json")
    assert table.status == 0, table.err
    fitted = rbridge(
        capsys, "fit", targets, "--proxy", "token_edit_share", "--target", "accuracy", "--protocol", "paper",
        "--json",
    )  # fmt: skip
    assert fitted.status == 0, fitted.err
    assert fitted.document["groups"][0]["n"] == 2
    for name, option in (("accuracy", "--lower-is-better"), ("token_edit_distance", "--higher-is-better")):
        wrong = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", name, option)
        assert (wrong.status, "drop the option" in wrong.err) == (1, True)
    more = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "pass@3")
    assert (more.status, "--samples 3 or more" in more.err) == (1, True)


@pytest.mark.usefixtures("scripted")
def test_pass_at_k_is_over_the_samples(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three samples a problem; one undecided of three leaves two."""
    result = evaluate(
        capsys,
        place,
        tmp_path / "runs",
        "--samples",
        3,
        "--temperature",
        0.8,
        "--k",
        1,
        "--k",
        2,
        "--limit",
        4,
    )
    assert result.status == 0, result.err
    metrics = result.document["evaluations"][0]["metrics"]
    # Of problem p the samples are script[p : p + 3]: AAB, AB?, B?-, ?-A; right of decided: 2/3, 1/2, 0/2, 1/2.
    expected = [pass_at_k(3, 2, 2), pass_at_k(2, 1, 2), pass_at_k(2, 0, 2), pass_at_k(2, 1, 2)]
    assert metrics["pass@2"]["mean"] == pytest.approx(sum(expected) / 4)
    assert (
        metrics["accuracy"]["mean"]
        == metrics["pass@1"]["mean"]
        == pytest.approx((2 / 3 + 1 / 2 + 0 + 1 / 2) / 4)
    )
    assert result.document["evaluations"][0]["num_undecided"] == 3


def test_a_finished_evaluation_is_not_asked_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call loads no model; other settings are another evaluation; score runs do not mind it."""
    first = evaluate(capsys, place, tmp_path / "runs")
    assert first.status == 0, first.err
    (one,) = read_evaluations(tmp_path / "runs")
    assert [reply.problem_id for reply in one.replies()] == [str(number) for number in range(NUM)]
    assert evaluation_row(one, ks=(), level=0.9).num_replies == NUM

    def load(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded again")

    with monkeypatch.context() as patched:
        patched.setattr("rbridge.scoring.hf.load_model", load)
        second = evaluate(capsys, place, tmp_path / "runs")
    assert second.out == first.out
    assert "evaluated already" in second.err
    assert evaluate(capsys, place, tmp_path / "runs", "--limit", 3).status == 0
    assert len(read_evaluations(tmp_path / "runs")) == 2
    mixed = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "accuracy")
    assert (mixed.status, "differ in prompts" in mixed.err) == (1, True)


def test_a_table_and_one_line_for_each_mistake(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --json a table; what cannot be is refused before a model is loaded."""
    shown = rbridge(
        capsys, "evaluate", place / "a", "--benchmark", "mine", "--questions", place / "problems.jsonl",
        "--shots", 0, "--max-tokens", 4, "--limit", 2, "-o", tmp_path / "runs",
    )  # fmt: skip
    assert shown.status == 0, shown.err
    assert "accuracy" in shown.out
    assert "2 of 2" in shown.out  # a model of random weights never stops by itself here
    for options, said in (
        (["--samples", 2], "without a temperature"),
        (["--k", 2], "expected 1 to --samples 1"),
        (["--max-tokens", 0], "expected at least 1"),
        (["--chat"], "go with --endpoint"),
    ):
        result = evaluate(capsys, place, tmp_path / "other", *options)
        assert (result.status, said in result.err) == (1, True), result.err
    result = evaluate(capsys, place, tmp_path / "other", shots=5)
    assert (result.status, "worked examples" in result.err) == (1, True)
    assert not (tmp_path / "other").exists()


def test_a_kill_at_any_moment_costs_nothing_that_was_written(place: Path, tmp_path: Path) -> None:
    """Killed between batches, while a part is written, and before the end: the same command gives the same file."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killing_evaluate", str(place), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
    )
    found = json.loads(done.stdout.splitlines()[-1])
    whole = EvaluationStore(tmp_path / "whole")
    (expected,) = read_evaluations(whole.root)
    for name, case in found.items():
        assert case["again"] == 0, name
        (one,) = read_evaluations(tmp_path / name)
        assert one.replies() == expected.replies(), name
        assert not list((tmp_path / name).glob(".*")), name
        if name != "whole":
            assert case["killed"] == -9, name
            assert case["finished"] == 0, name
    assert found["in the third batch"]["kept"] == 2
    assert found["in the third batch"]["asked again"] == NUM - 2
