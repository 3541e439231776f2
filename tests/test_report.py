"""The page as data: verdicts, scores and provenance, figures with what they rest on."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rbridge.records import Labels
from rbridge.report import Gain, Page, build_page
from rbridge.report.comparison import comparison_sections
from rbridge.report.head import head, page_verdict
from rbridge.report.provenance import REFUSED
from rbridge.report.rankings import ranking_section, ranking_verdict
from rbridge.report.scores import whose_weights
from rbridge.store.bundles import WeightModel
from rbridge.store.runs import RunStore, SkipRow, read_runs
from tests.reports import (
    DOSE,
    RECIPES,
    comparison_row,
    made_agreement,
    make_bundle,
    make_manifest,
    make_page,
    make_runs,
    make_traces,
    ranked,
    score_trace,
)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page with every part on it."""
    return make_page(tmp_path_factory.mktemp("report"))


# --- the head ---


def test_the_verdict_names_leader_ties_confidence_and_what_it_rests_on(page: Page) -> None:
    """One sentence that can be quoted without the page."""
    assert page.head.verdict == (
        "good leads all 4 other recipes by rbridge, told apart from each at 95\u202f% confidence, "
        "on 12 shared traces and 2 seeds a recipe."
    )


def test_a_tied_leader_is_said_to_be_tied(tmp_path: Path) -> None:
    """Who cannot be told apart is named; where nobody can, nobody leads."""
    some = ranked({"a": [1.0, 1.1], "b": [1.05, 1.12], "c": [9.0, 9.1], "d": [9.4, 9.5]}, tmp_path)
    assert ranking_verdict(some).startswith("a leads 4 recipes by loss, but b cannot be told apart from it")
    assert "on one value a seed and 2 seeds a recipe." in ranking_verdict(some)
    assert [row.with_leader for row in ranking_section(some, "exploratory").rows] == [
        True,
        True,
        False,
        False,
    ]
    every = ranked({"a": [1.0, 2.0], "b": [1.1, 2.1]}, tmp_path)
    assert ranking_verdict(every).startswith("No recipe leads: a has the best loss of 2, but none")


def test_no_confidence_is_claimed_without_replicates(tmp_path: Path) -> None:
    """One row a recipe: the reason stands where the confidence would."""
    group = ranked({"a": [1.0], "b": [2.0]}, tmp_path)
    assert ranking_verdict(group) == (
        "a has the best loss of 2 recipes, but no confidence can be given: no replicates."
    )
    section = ranking_section(group, "exploratory")
    assert [(row.interval, row.rank_set, row.tied, row.with_leader) for row in section.rows] == [
        (None, None, "–", None)
    ] * 2
    assert section.footnotes[0].startswith("No replicates")


def test_equal_values_share_the_lead_and_one_recipe_leads_nothing(tmp_path: Path) -> None:
    """Neither gets a winner out of row order."""
    assert ranking_verdict(ranked({"a": [1.0], "b": [1.0], "c": [2.0]}, tmp_path)).startswith(
        "a and b share the best loss of 3 recipes"
    )
    assert "nothing to rank" in ranking_verdict(ranked({"a": [1.0, 2.0]}, tmp_path))


def test_several_rankings_are_summed_up(tmp_path: Path) -> None:
    """Leaders are counted, and the clear ones among them."""
    clear = ranked({"a": [1.0, 1.01], "b": [5.0, 5.01]}, tmp_path)
    tied = ranked({"b": [1.0, 2.0], "a": [1.1, 2.1]}, tmp_path)
    assert page_verdict([clear, clear, tied], []) == (
        "Of 3 rankings, a leads 2 and b leads 1; in 2 of them the leader is told apart from every other "
        "recipe at 95\u202f% confidence."
    )


def test_many_rankings_stay_one_sentence(tmp_path: Path) -> None:
    """Four leaders are not listed, nor a remark for every benchmark."""
    led = [ranked({name: [1.0], "z": [2.0]}, tmp_path) for name in "abcd"]
    assert page_verdict(led, []).startswith("Of 4 rankings, each has another leader; in none of them")
    assert "a leads 2 and 3 other recipes lead the rest" in page_verdict([*led, led[0]], [])
    good, bad = (
        replace(led[0], target="acc", agreement=made_agreement(share, interval))
        for share, interval in ((0.8, (0.6, 0.9)), (0.6, (0.4, 0.8)))
    )
    rows = [
        replace(row, group=group, gains=(Gain("dose", 0.1, (low, 0.2)),)) if row.kind == "score" else
        replace(row, group=group)
        for group, low in (("x", 0.05), ("y", -0.1))
        for row in (comparison_row("r", "score", 0.8), DOSE)
    ]  # fmt: skip
    target, nulls = head([good, bad], comparison_sections(rows), ()).remarks
    assert target.text == (
        "Decision accuracy from 0.60 to 0.80 over 2 rankings with a target (chance 0.5); "
        "it lies above chance, by interval and p, in 1 of them."
    )
    assert nulls.text == "Gain shown in 1 of 2 comparisons: x; no gain shown for y."
    none = comparison_sections([replace(row, gains=()) for row in rows])
    assert head([], none, ()).remarks[0].text == "No gain shown in any of 2 comparisons."
    missing = replace(bad, agreement=made_agreement(None))
    assert head([missing, missing], none, ()).remarks[0].text == "No decision accuracy can be computed."


def test_one_run_is_described_and_not_ranked(tmp_path: Path) -> None:
    """Scores, what was run and whose weights, without any winner."""
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 3) + make_traces("words", 2))
    run = RunStore(tmp_path / "runs").finish(
        make_manifest("real/model", bundle, weight_sources=["Qwen", "none"]),
        [score_trace(trace, 1.0, np.random.default_rng(0)) for trace in bundle.traces],
    )
    page = build_page(title="t", now="n", runs=[run], bundles=[bundle])
    assert page.head.verdict == "1 checkpoint scored on 5 traces of 2 benchmarks; nothing is ranked."
    assert [remark.text for remark in page.head.remarks] == [
        "Weights are Qwen's, not the writer's own; some traces have no weights."
    ]
    (line,) = page.head.materials
    assert (line.num_recipes, line.num_seeds, line.benchmarks) == (0, None, ("sums", "words"))
    assert (page.rankings, page.scatters, page.comparisons, page.heatmaps) == ((), (), (), ())


def test_sizes_and_steps_are_no_seeds(tmp_path: Path) -> None:
    """Two seeds at two sizes with two checkpoints each are two seeds a recipe, not eight."""
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 2))
    store = RunStore(tmp_path / "runs")
    for size, seed, step in itertools.product(("p1", "p2"), (0, 1), (10, 20)):
        labels = Labels(recipe="a", size=size, seed=seed, step=step)
        rng = np.random.default_rng(0)
        store.finish(
            make_manifest(f"a-{size}-{seed}-{step}", bundle, labels=labels),
            [score_trace(trace, 1.0, rng) for trace in bundle.traces],
        )
    page = build_page(title="t", now="n", runs=read_runs(tmp_path / "runs"), bundles=[bundle])
    (line,) = page.head.materials
    assert (line.num_checkpoints, line.num_recipes, line.num_seeds) == (8, 1, (2, 2))


def test_an_empty_page_says_so() -> None:
    """No data is no error and no claim."""
    page = build_page(title="t", now="n")
    assert page.head.verdict == "No run and no ranking stands on this page."
    assert page.head.remarks == ()


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["self"], "weights are the writer's own"),
        (["none"], "no weights: trace losses only, no rBridge score"),
        (["Q", "self"], "weights are Q's, not the writer's own; weights are the writer's own"),
        (["A", "B"], "weights are A and B's, not the writer's own"),
    ],
)
def test_it_is_said_whose_weights_they_are(sources: list[str], expected: str) -> None:
    """Teacher-forced confidence is never passed off as the writer's."""
    assert whose_weights(sources) == expected


# --- scores and provenance ---


def test_scores_are_means_over_traces_with_errors(page: Page) -> None:
    """Each cell is the mean and standard error that the traces give by hand."""
    (table,) = page.scores
    assert table.metrics == ("rbridge", "trace_nll", "trace_bits_per_byte")
    assert len(table.rows) == 10
    for row in table.rows:
        assert row.num_scored == row.means["trace_nll"].n == 12
        loss = RECIPES[row.recipe or ""]
        assert row.means["trace_nll"].mean == pytest.approx(loss, rel=0.1)
        assert row.means["trace_nll"].stderr is not None
        # bits per byte = nats per token * tokens / (bytes ln 2); tokens of four bytes
        bits = row.means["trace_nll"].mean * 8 / (32 * math.log(2))
        assert row.means["trace_bits_per_byte"].mean == pytest.approx(bits)


def test_runs_of_two_bundles_stand_in_two_tables(tmp_path: Path) -> None:
    """Scores on other traces do not compare; a bundle that is not at hand goes by its folder."""
    bundles = [make_bundle(tmp_path / name, make_traces(name, 2)) for name in ("one", "two")]
    runs = [
        run
        for bundle in bundles
        for run in make_runs(tmp_path / f"runs-{bundle.path.name}", bundle, {"a": 1.0}, seeds=1)
    ]
    page = build_page(title="t", now="n", runs=runs, bundles=bundles[:1])
    assert [table.bundle for table in page.scores] == ["one", "two"]
    assert [line.num_scored for line in page.head.materials] == [2, 2]


def test_traces_without_weights_have_losses_only(tmp_path: Path) -> None:
    """No rBridge column, and the page says why."""
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 1))
    runs = make_runs(tmp_path / "runs", bundle, {"a": 1.0}, seeds=1, weighed=False)
    (table,) = build_page(title="t", now="n", runs=runs, bundles=[bundle]).scores
    assert table.metrics == ("trace_nll", "trace_bits_per_byte")
    assert "No rbridge: the traces have no weights." in table.footnotes
    assert "A single trace has no standard error." in table.footnotes


@pytest.mark.parametrize("show_text", [True, False])
def test_skips_are_listed_with_their_reasons(tmp_path: Path, show_text: bool) -> None:
    """Counted per run, listed one by one; without text a refusal quotes no byte of the trace."""
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 2))
    quoting = "tokens stop spelling the text at byte 3: text has b'secret'"
    skipped = [
        SkipRow(benchmark="sums", problem_id="1", voice="writer", reason=quoting, refused=True),
        SkipRow(benchmark="words", problem_id="9", voice="writer", reason="too long"),
    ]
    scored = [score_trace(bundle.traces[0], 1.0, np.random.default_rng(0))]
    run = RunStore(tmp_path / "runs").finish(make_manifest("a", bundle, skipped=skipped), scored)
    page = build_page(title="t", now="n", runs=[run], bundles=[bundle], show_text=show_text)
    first = quoting if show_text else REFUSED
    assert page.provenance.runs[0].skipped == {first: 1, "too long": 1}
    assert page.provenance.runs[0].num_skipped == 2
    assert [(line.problem_id, line.reason) for line in page.provenance.skips] == [
        ("1", first),
        ("9", "too long"),
    ]
    assert [(row.benchmark, row.num_scored, row.num_skipped) for row in page.scores[0].rows] == [
        ("sums", 1, 1),
        ("words", 0, 1),
    ]
    assert any("Where n is 0" in line for line in page.scores[0].footnotes)


def test_constant_weights_are_counted(tmp_path: Path) -> None:
    """A trace on which MinMax is undefined is not passed over in silence."""
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 1))
    one = score_trace(bundle.traces[0], 1.0, np.random.default_rng(0))
    flat = replace(one, tokens=replace(one.tokens, weight=np.full(len(one.tokens.nll), 0.5)))
    run = RunStore(tmp_path / "runs").finish(make_manifest("a", bundle), [flat])
    (table,) = build_page(title="t", now="n", runs=[run]).scores
    assert any("MinMax is undefined on 1 scored trace" in line for line in table.footnotes)


def test_provenance_names_hashes_versions_and_weight_models(tmp_path: Path) -> None:
    """What a figure can be traced to."""
    model = WeightModel(
        name="Qwen",
        sha256="9f" * 32,
        dtype="bfloat16",
        date="2026-11-20",
        shots=0,
        engine="hf",
        note="forced",
    )
    bundle = make_bundle(tmp_path / "b", make_traces("sums", 2), weight_models=[model], licence="CC0")
    runs = make_runs(tmp_path / "runs", bundle, {"a": 1.0, "b": 2.0}, seeds=1)
    other = replace(runs[1], manifest=runs[1].manifest.model_copy(update={"versions": {"python": "3.12"}}))
    found = build_page(title="t", now="today", runs=[runs[0], other], bundles=[bundle]).provenance
    assert found.versions == (("python", "3.11.7, 3.12"),)
    assert found.question_sources == (("sums", "bundle"),)
    assert (found.runs[0].weights_sha256, found.runs[0].bundle) == ("ab" * 32, "b")
    assert (found.runs[0].parameters, found.runs[0].tokens, found.runs[0].num_scored) == (47_136, 150_000, 2)
    (row,) = found.bundles
    assert (row.licence, row.weight_sources) == ("CC0", {"the writer itself": 2})
    assert (row.weight_models[0].name, row.weight_models[0].note) == ("Qwen", "forced")
    assert found.now == "today"
