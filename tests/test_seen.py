"""Twins' traces, the gap to them, and rankings that are refused for what their recipes have seen."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rbridge.benchmarks import renumber, twin_traces
from rbridge.errors import InputError
from rbridge.miniature.world import draw_problem, standard_chain, stream
from rbridge.rank import Replicates
from rbridge.rank.seen import outlier_p_values, seen_problems
from rbridge.records import Labels, Trace, TraceKey
from rbridge.store.runs import RunStore, read_runs
from rbridge.study.answer import Answer, answer, declare
from rbridge.study.build import build_graph
from rbridge.study.ledger import Ledger
from rbridge.study.read import read_study
from rbridge.study.results import Results
from tests.commands import rbridge
from tests.reports import make_bundle, make_manifest, score_trace
from tests.studies import write_study

EQUATION = re.compile(r"(\d+) ([-+]) (\d+) = (\d+)")


def small_world(count: int, name: str = "twins") -> list[Trace]:
    """Traces of the miniature's world, in its standard style."""
    rng = stream(name)
    problems = [draw_problem(rng, split="traces") for _ in range(count)]
    return [
        Trace(TraceKey("sums", str(at), "writer"), standard_chain(one, rng).reasoning, question=one.question)
        for at, one in enumerate(problems)
    ]


def test_twins_keep_words_and_arithmetic() -> None:
    """Every equation holds, the words are the same, the running total goes on, numbers stay in their range."""
    traces = small_world(40)
    made = twin_traces(traces, seed=0)
    assert len(made.twins) >= 36
    by_id = {trace.key.problem_id: trace for trace in traces}
    for twin in made.twins:
        original = by_id[twin.key.problem_id.removesuffix("-twin1")]
        assert re.sub(r"\d+", "#", twin.reasoning) == re.sub(r"\d+", "#", original.reasoning)
        assert re.sub(r"\d+", "#", twin.question or "") == re.sub(r"\d+", "#", original.question or "")
        assert twin.question != original.question
        start = int(re.findall(r"\d+", twin.question or "")[0])
        for left, sign, right, result in EQUATION.findall(twin.reasoning):
            assert int(left) == start  # the total before
            start = int(left) + int(right) if sign == "+" else int(left) - int(right)
            assert int(result) == start
            assert 1 <= start <= 24
    assert twin_traces(traces, seed=0) == made
    assert twin_traces(traces, seed=1) != made


def test_a_choice_of_answers_has_no_twin() -> None:
    """Its options would still hold the numbers of before."""
    trace = dataclasses.replace(small_world(1)[0], choices=("3", "4"))
    made = twin_traces([trace])
    assert (made.twins, made.missing) == ((), ((trace.key, "its options hold numbers of their own"),))


@pytest.mark.parametrize(
    ("question", "reasoning", "expected"),
    [
        ("Has 12 and 5?", "12 + 5 = 18.", "an equation does not hold: 17 = 18"),
        ("Has 12 and 5?", "12 + 5 = 17, and 31 more.", "a number comes from nowhere: 31"),
        ("Has 12 and 5?", "So 12 and 5.", "no equation is spelt out"),
        ("How many?", "1 + 1 = 2.", "no number of the question may be changed"),
        (
            "def area(a, b):\n    area(12, 5) == 60",
            "Say 12 * 5 = 60.",
            "the question is code, whose examples no equation spells out",
        ),
    ],
)
def test_without_a_certain_way_a_trace_has_no_twin(question: str, reasoning: str, expected: str) -> None:
    """Each with its reason."""
    assert renumber(question, reasoning, np.random.default_rng(0), {}) == expected


def test_chains_units_and_percent_are_walked() -> None:
    """By hand: c = a + b, d = 20 % of c; the 7 of a week stays."""
    question = "Ann has 50 pens and 100 more each week. What is 20% of them?"
    reasoning = "50 pens + 100 pens = 150 pens. 20% * 150 = 30. Over 7 days: 30 × 7 = 210."
    made = [renumber(question, reasoning, np.random.default_rng(seed), {}) for seed in range(5)]
    texts = [one[1] for one in made if not isinstance(one, str)]
    assert texts
    for text in texts:
        one, two, both, share, again, part, days, same, seven, all_days = map(int, re.findall(r"\d+", text))
        assert (one + two, both * share, part * 7) == (both, part * 100, all_days)
        assert (again, same, days, seven) == (both, part, 7, 7)


def gaps(rng: np.random.Generator, recipes: int, leaked: int, size: float) -> Replicates:
    """Gaps on 60 problems: what all share, what each recipe likes, and what having seen adds."""
    shared = rng.normal(0.1, 0.3, 60)
    values = [
        shared + rng.normal(0, 0.02) + rng.normal(0, 0.2, 60) + (size if at < leaked else 0.0)
        for at in range(recipes)
    ]
    return Replicates(tuple(f"r{at}" for at in range(recipes)), ("0",) * recipes, np.array(values))


def test_clean_recipes_are_not_called_and_leaked_ones_are() -> None:
    """Over made-up studies: any clean recipe called in at most 5 %; two of seven leaked are both found."""
    rng = np.random.default_rng(0)
    false, found = 0, 0
    for _ in range(60):
        false += any(gap.seen for gap in seen_problems(gaps(rng, 6, 0, 0.0), rng=rng, resamples=100))
        called = {
            gap.recipe for gap in seen_problems(gaps(rng, 7, 2, 0.6), rng=rng, resamples=100) if gap.seen
        }
        found += called == {"r0", "r1"}
    assert false <= 6  # of 60 at 5 %: seven or more have a chance of .03
    assert found >= 50


def test_p_values_are_uniform_at_most_without_outliers() -> None:
    """The smallest of all recipes' is below .1 in at most a tenth of the sets, whatever the spread."""
    rng = np.random.default_rng(1)
    smallest = [outlier_p_values(rng.normal(3, 7, 5), rng, simulated=500).min() for _ in range(300)]
    assert np.mean(np.array(smallest) < 0.1) < 0.1 + 2.6 * np.sqrt(0.09 / 300)


def test_two_recipes_call_nobody() -> None:
    """With a reason, not with a silent pass."""
    found = seen_problems(gaps(np.random.default_rng(0), 2, 1, 5.0), rng=np.random.default_rng(0))
    assert [gap.seen for gap in found] == [None, None]
    assert "fewer than 3 recipes" in (found[0].reason or "")


@pytest.fixture
def leaky_runs(tmp_path: Path) -> Path:
    """Runs of six recipes on problems and twins; ``leaked`` finds the problems far easier, twins not."""
    traces = small_world(20)
    twins = twin_traces(traces).twins
    bundle = make_bundle(tmp_path / "bundle", [*traces, *twins])
    rng = np.random.default_rng(3)
    store = RunStore(tmp_path / "runs")
    for name in ("a", "b", "c", "d", "e", "leaked"):
        scored = [
            score_trace(
                dataclasses.replace(trace, weight_source=None),
                0.3 if name == "leaked" and "twin" not in trace.key.problem_id else 1.0,
                rng,
                weighed=False,
            )
            for trace in bundle.traces
        ]
        store.finish(make_manifest(name, bundle, labels=Labels(recipe=name, seed=0, size="50k")), scored)
    return tmp_path / "runs"


def test_seen_calls_the_recipe_that_saw_the_problems(
    leaky_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its gap is the loss that it saves; the others' are none; and the ranking says so and can be refused."""
    result = rbridge(capsys, "seen", leaky_runs, "--json")
    (group,) = result.document["groups"]
    first, *others = group["recipes"]
    assert (first["recipe"], first["seen"]) == ("leaked", True)
    # 0.7 nats a token of four bytes is 0.25 bits a byte; a shorter last token moves it a little.
    assert first["gap"] == pytest.approx(0.7 / np.log(2) / 4, rel=0.1)
    assert first["interval"][0] < first["gap"] < first["interval"][1]
    assert not any(row["seen"] for row in others)
    rank = rbridge(capsys, "rank", leaky_runs, "--proxy", "trace_nll", "--json")
    assert rank.document["groups"][0]["twins"]["recipes"][0]["recipe"] == "leaked"
    assert rank.document["groups"][0]["contamination"] is None
    # Twins stand aside: the loss on the problems alone, .3 for the one and 1 for the others.
    values = {row["recipe"]: row["value"] for row in rank.document["groups"][0]["order"]}
    assert values["leaked"] == pytest.approx(0.3, rel=0.05)
    assert values["a"] == pytest.approx(1.0, rel=0.05)
    refused = rbridge(capsys, "rank", leaky_runs, "--proxy", "trace_nll", "--refuse-contaminated", "0.01")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith("refused: leaked has seen the problems")
    assert refused.err.count("\n") == 1


def test_two_recipes_with_twins_cannot_pass(leaky_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing shows how clean ones lie apart, so a ranking that must be clean is not given."""
    for run in read_runs(leaky_runs):
        if run.manifest.labels.recipe not in ("a", "leaked"):
            shutil.rmtree(run.folder)
    ranked = ("rank", leaky_runs, "--proxy", "trace_nll")
    assert "fewer than 3 recipes" in rbridge(capsys, *ranked).out
    refused = rbridge(capsys, *ranked, "--refuse-contaminated", "0")
    assert (refused.status, "nothing tells what the recipes have seen" in refused.err) == (1, True)


def test_a_study_refuses_a_recipe_that_has_seen_the_problems(
    leaky_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it says how much it allows; else it shows the gaps."""
    monkeypatch.setattr("rbridge.study.answer.scored", lambda _: tuple(read_runs(leaky_runs)))

    def asked(**changes: Any) -> Answer:
        study = read_study(write_study(tmp_path / "study", **changes))
        graph, ledger = build_graph(study), Ledger(study.out)
        declare(study, ledger, graph, now=datetime(2026, 11, 23, tzinfo=UTC))  # before the runs
        return answer(Results(study, graph, ledger, {}))

    wanted = {"metric": "trace_nll", "decision": "train the first", "margin": 0.01}
    with pytest.raises(InputError, match=r"refused: .*leaked has seen the problems"):
        asked(declaration=wanted, contamination={"refuse_above": 0.5})
    (known,) = asked(declaration=wanted).known
    assert any(line.startswith("twins: leaked scores") for line in known.lines())


def checked(counts: dict[str, tuple[int, str]]) -> str:
    """What ``rbridge recipes check --json`` prints, as far as a ranking reads it."""
    rows = {
        name: {
            "source": f"{name}-web", "benchmark": "sums", "what": "traces",
            "contaminated": {"num": num, "n": 100, "value": num / 100, "interval": [0.0, 0.5]},
            "judged": {
                "verdict": verdict, "leaked": None if verdict == "cannot tell" else num / 100,
                "interval": None if verdict == "cannot tell" else [0.0, 0.5], "why": "",
            },
        }
        for name, (num, verdict) in counts.items()
    }  # fmt: skip
    return json.dumps({"recipes": {name: {**row, "every": [row]} for name, row in rows.items()}})


def test_a_ranking_is_refused_for_what_its_sources_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with recipe, source and share; what cannot be told is shown; what was not checked does not pass."""
    table = tmp_path / "obs.csv"
    table.write_text("recipe,benchmark,loss\na,sums,1\nb,sums,2\nc,sums,3\n")
    file = tmp_path / "check.json"
    ranked = ("rank", table, "--proxy", "loss", "--lower-is-better", "--contamination", file)
    file.write_text(checked({"a": (0, "none"), "b": (97, "cannot tell"), "c": (10, "found")}))
    shown = rbridge(capsys, *ranked)
    assert "contamination: a: 0/100 traces of sums in a-web (none" in shown.out
    assert "contamination: b: 97/100 traces of sums in b-web (cannot tell)" in shown.out
    refused = rbridge(capsys, *ranked, "--refuse-contaminated", "0.05")
    assert (refused.status, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert "refused: c: 10/100 traces of sums in c-web (found, 0.100 [0.000, 0.500] put there)" in refused.err
    assert rbridge(capsys, *ranked, "--refuse-contaminated", "0.1").status == 0
    file.write_text(checked({"a": (0, "none"), "b": (0, "none")}))
    assert "c was not checked on sums" in rbridge(capsys, *ranked, "--refuse-contaminated", "0.1").err
    unknown = rbridge(capsys, *ranked[:-2], "--refuse-contaminated", "0.1")
    assert (unknown.status, "nothing tells" in unknown.err) == (1, True)
    file.write_text("{}")
    assert "expected what rbridge recipes check --json prints" in rbridge(capsys, *ranked).err


def test_the_page_shows_what_each_recipe_has_seen(
    leaky_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A document among the runs is read without being named; a refused page is not written."""
    names = ("a", "b", "c", "d", "e", "leaked")
    (leaky_runs / "contamination.json").write_text(checked(dict.fromkeys(names, (0, "none"))))
    page = leaky_runs.parent / "page.html"
    assert rbridge(capsys, "report", leaky_runs, "-o", page, "--proxy", "trace_nll").status == 0
    text = page.read_text()
    assert all(f"Contamination: {name}: 0/100 traces of sums" in text for name in names)
    assert "Twins: leaked scores" in text
    page.unlink()
    command = ("report", leaky_runs, "-o", page, "--proxy", "trace_nll", "--refuse-contaminated", "0.5")
    assert rbridge(capsys, *command).status == 1
    assert not page.exists()
