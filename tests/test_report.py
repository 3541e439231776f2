"""The page as data: verdicts, figures with what they rest on, and a rule that does not flatter."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.answers.rank import RankedGroup, RankQuestion, rank_groups, rank_runs
from rbridge.rank import Agreement
from rbridge.records import Labels, ScoredTrace, TokenScores, Trace, TraceKey
from rbridge.report import ComparisonRow, Gain, Page, RecordedTargets, build_page, heat_map
from rbridge.report.comparison import comparison_sections, conclude, strongest_null
from rbridge.report.head import head, page_verdict
from rbridge.report.provenance import REFUSED
from rbridge.report.rankings import ranking_section, ranking_verdict, tied_text
from rbridge.report.scatter import agreement_sentence, scatter_section
from rbridge.report.scores import whose_weights
from rbridge.report.text import bracket, digits_for, fixed, glyphs, p_text, signed, visible
from rbridge.store.bundles import Bundle, WeightModel, read_bundle, write_bundle
from rbridge.store.runs import Run, RunManifest, RunStore, SkipRow, read_runs
from tests.strategies import texts

REASONING = "Okay. 7 + 7 = 14. So 14 - 5 = 9."
QUESTION = "Finn has 7 stamps, doubles, gives 5. How many?"
RECIPES = {"good": 0.3, "fair": 0.6, "twin": 0.6, "poor": 1.2, "worst": 1.6}
TARGETS = {"good": 0.8, "fair": 0.6, "twin": 0.55, "poor": 0.3, "worst": 0.2}
RECORDED = RecordedTargets(
    "accuracy of 283k-parameter models", "rbridge miniature targets", "2026-11-20", 2, 300
)


def make_traces(benchmark: str, count: int, reasoning: str = REASONING) -> list[Trace]:
    """Traces of one benchmark, all with the same words."""
    return [
        Trace(TraceKey(benchmark, str(n), "writer"), reasoning, question=QUESTION, weight_source="self")
        for n in range(count)
    ]


def score_trace(trace: Trace, loss: float, rng: np.random.Generator, *, weighed: bool = True) -> ScoredTrace:
    """A trace as a proxy of that mean loss might have read it, in tokens of up to four bytes."""
    num_bytes = len(trace.reasoning.encode())
    edges = np.append(np.arange(0, num_bytes, 4), num_bytes)
    num = len(edges) - 1
    tokens = TokenScores(
        nll=loss * rng.uniform(0.8, 1.2, num),
        weight=rng.beta(4, 1, num) if weighed else None,
        start=edges[:-1],
        end=edges[1:],
        num_bytes=num_bytes,
    )
    return ScoredTrace(trace.key, 0, trace.weight_source if weighed else None, tokens)


def make_manifest(checkpoint: str, bundle: Bundle, **facts: object) -> RunManifest:
    """A manifest of made-up facts about a run on that bundle."""
    known = {
        "key": checkpoint.encode().hex().ljust(64, "0"),
        "checkpoint": checkpoint,
        "revision": None,
        "weights_sha256": "ab" * 32,
        "tokenizer_sha256": "cd" * 32,
        "architecture": "X",
        "parameters": 47_136,
        "context_length": 128,
        "dtype": "float32",
        "device": "cpu",
        "threads": 2,
        "prefix_ids": [],
        "bundle": str(bundle.path),
        "bundle_sha256": bundle.manifest.content_sha256,
        "weight_sources": ["self"],
        "question_sources": {"sums": "bundle"},
        "shots": 0,
        "limit": None,
        "benchmarks": ["sums"],
        "num_scored": len(bundle.traces),
        "skipped": [],
        "versions": {"python": "3.11.7"},
        "created": "2026-11-24T00:10:00+00:00",
        "seconds": 1.25,
        "max_probe_difference": 2.4e-7,
    }
    return RunManifest.model_validate({**known, **facts})


def make_bundle(path: Path, traces: list[Trace], **facts: object) -> Bundle:
    """A bundle on disk, read back."""
    write_bundle(path, traces, **facts)
    return read_bundle(path)


def make_runs(
    root: Path, bundle: Bundle, recipes: dict[str, float], *, seeds: int = 2, weighed: bool = True
) -> tuple[Run, ...]:
    """Runs of every recipe and seed on a bundle, written by the store and read back."""
    rng = np.random.default_rng(7)
    store = RunStore(root)
    for recipe, loss in recipes.items():
        for seed in range(seeds):
            scored = [score_trace(trace, loss, rng, weighed=weighed) for trace in bundle.traces]
            labels = Labels(recipe=recipe, seed=seed, size="p32", tokens=150_000)
            store.finish(make_manifest(f"{recipe}-s{seed}", bundle, labels=labels), scored)
    return read_runs(root)


def write_table(path: Path, columns: list[str], rows: list[list[object]]) -> Path:
    """A CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def make_page(root: Path, *, show_text: bool = True) -> Page:
    """A page with every part on it: five recipes of two seeds, targets, nulls, a heat-map."""
    traces = make_traces("sums", 12)
    bundle = make_bundle(root / "bundle", traces, name="sums-12")
    runs = make_runs(root / "runs", bundle, RECIPES)
    targets = write_table(root / "targets.csv", ["recipe", "acc"], [[*pair] for pair in TARGETS.items()])
    ranked = {
        metric: rank_runs(runs, RankQuestion(root / "runs", proxy=metric, target="acc", targets=targets))[0]
        for metric in ("rbridge", "trace_nll")
    }
    observations = write_table(
        root / "dose.csv",
        ["recipe", "dose", "acc"],
        [[recipe, dose, TARGETS[recipe]] for recipe, dose in zip(RECIPES, (5, 4, 4, 1, 2), strict=True)],
    )
    dose = rank_groups(RankQuestion(observations, proxy="dose", higher=True, target="acc", by=()))[0]
    rows = [
        ComparisonRow.of(ranked["rbridge"], kind="score", gains=(Gain("dose", 0.05, (-0.2, 0.3)),)),
        ComparisonRow.of(ranked["trace_nll"], kind="control"),
        replace(ComparisonRow.of(dose, kind="null", meaning="trace-like tokens"), group="sums"),
    ]
    scored = {one.key: one for one in runs[0].scored()}
    return build_page(
        title="Five recipes",
        now="2026-11-24",
        groups=[ranked["rbridge"]],
        comparison=rows,
        runs=runs,
        bundles=[bundle],
        heatmaps=[heat_map(traces[0], scored[traces[0].key], checkpoint="fair-s0")],
        recorded_targets=RECORDED,
        show_text=show_text,
    )


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page with every part on it."""
    return make_page(tmp_path_factory.mktemp("report"))


def ranked(values: dict[str, list[float]], tmp_path: Path, **question: object) -> RankedGroup:
    """A ranking of a table: recipes with a value for each seed, lower is better."""
    rows = [[name, seed, value] for name, seeds in values.items() for seed, value in enumerate(seeds)]
    table = write_table(tmp_path / "table.csv", ["recipe", "seed", "loss"], rows)
    return rank_groups(RankQuestion(table, proxy="loss", lower=True, by=(), **question))[0]


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
    assert [row.with_leader for row in ranking_section(some).rows] == [True, True, False, False]
    every = ranked({"a": [1.0, 2.0], "b": [1.1, 2.1]}, tmp_path)
    assert ranking_verdict(every).startswith("No recipe leads: a has the best loss of 2, but none")


def test_no_confidence_is_claimed_without_replicates(tmp_path: Path) -> None:
    """One row a recipe: the reason stands where the confidence would."""
    group = ranked({"a": [1.0], "b": [2.0]}, tmp_path)
    assert ranking_verdict(group) == (
        "a has the best loss of 2 recipes, but no confidence can be given: no replicates."
    )
    section = ranking_section(group)
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
        replace(led[0], target="acc", agreement=_agreement(share, interval))
        for share, interval in ((0.8, (0.6, 0.9)), (0.6, (0.4, 0.8)))
    )
    rows = [
        replace(row, group=group, gains=(Gain("dose", 0.1, (low, 0.2)),)) if row.kind == "score" else
        replace(row, group=group)
        for group, low in (("x", 0.05), ("y", -0.1))
        for row in (_row("r", "score", 0.8), _DOSE)
    ]  # fmt: skip
    target, nulls = head([good, bad], comparison_sections(rows), ()).remarks
    assert target.text == (
        "Decision accuracy from 0.60 to 0.80 over 2 rankings with a target (chance 0.5); "
        "its interval lies above chance in 1 of them."
    )
    assert nulls.text == "Gain shown in 1 of 2 comparisons: x; no gain shown for y."
    none = comparison_sections([replace(row, gains=()) for row in rows])
    assert head([], none, ()).remarks[0].text == "No gain shown in any of 2 comparisons."
    missing = replace(bad, agreement=_agreement(None))
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


# --- rankings and targets ---


def test_every_ranking_row_has_interval_ranks_seeds_and_target(page: Page) -> None:
    """What a sceptic looks for on each line, and n, direction and level on the table."""
    (section,) = page.rankings
    assert (section.title, section.direction, section.num_items, section.level) == ("sums", "lower", 12, 0.95)
    assert section.unit == "nats/token"
    for row in section.rows:
        assert row.interval is not None
        assert row.interval[0] <= row.value <= row.interval[1]
        assert row.num_seeds == 2
        assert row.target == TARGETS[row.recipe]
    assert section.rows[0].recipe == "good"
    assert [row.with_leader for row in section.rows] == [True, False, False, False, False]
    notes = " ".join(section.footnotes)
    assert "2\u202f000 paired resamples of items and seeds" in notes
    assert "No row or item was left out." in notes


def test_what_was_left_out_is_counted(tmp_path: Path) -> None:
    """A dropped row is said, with its number."""
    table = write_table(
        tmp_path / "t.csv", ["recipe", "loss"], [["a", 1.0], ["b", 2.0], ["c", ""], ["d", ""]]
    )
    (group,) = rank_groups(RankQuestion(table, proxy="loss", lower=True, by=()))
    assert any(line.startswith("Left out: 2 rows or items") for line in ranking_section(group).footnotes)


@pytest.mark.parametrize(
    ("tied", "others", "expected"),
    [
        ("", "bcd", "none"),
        ("b", "b", "b"),
        ("bcd", "bcd", "all 3 others"),
        ("bc", "bcdef", "b, c"),
        ("bcde", "bcdef", "all but f"),
        ("bcde", "bcdefg", "all but f and g"),
        ("bcdfh", "bcdefghi", "ranks 2–4, 6, 8"),
    ],
)
def test_ties_are_named_in_few_words(tied: str, others: str, expected: str, tmp_path: Path) -> None:
    """Names while they are few, ranks where they are many, never a bare count."""
    values = {name: [float(place)] for place, name in enumerate(f"a{others}")}
    order = ranked(values, tmp_path).ranking.order
    assert tied_text(replace(order[0], tied_with=tuple(tied)), order) == expected


def test_the_scatter_holds_score_interval_and_target(page: Page) -> None:
    """One point a recipe; recorded targets come with the command that makes them again."""
    (section,) = page.scatters
    assert {point.recipe: point.target for point in section.points} == TARGETS
    assert all(point.interval is not None for point in section.points)
    assert (section.agreement.num_pairs, section.level, section.recorded) == (10, 0.95, RECORDED)
    assert page.provenance.recorded == RECORDED
    assert section.verdict.startswith("rbridge puts ")
    assert "(chance 50\u202f%; 95\u202f% interval [" in section.verdict
    assert "Kendall tau 0." in section.verdict


def test_recipes_without_target_are_named(tmp_path: Path) -> None:
    """They are left out of the scatter, not out of the ranking."""
    group = ranked({"a": [1.0, 2.0], "b": [3.0, 4.0]}, tmp_path)
    without = replace(group, target="acc", targets={"a": 0.5}, agreement=_agreement(None, pairs=0))
    section = scatter_section(without, None)
    assert section is not None
    assert [point.recipe for point in section.points] == ["a"]
    assert section.without_target == ("b",)
    assert section.verdict == "No agreement with acc can be computed: made up."
    assert scatter_section(group, None) is None


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.6, 0.9), "lies above chance"),
        ((0.4, 0.9), "includes chance"),
        ((0.5, 0.9), "includes chance"),
        ((0.1, 0.4), "lies below chance"),
        (None, "no interval below four recipes"),
    ],
)
def test_agreement_is_read_beside_chance(
    interval: tuple[float, float] | None, words: str, tmp_path: Path
) -> None:
    """A share of pairs alone says nothing."""
    group = replace(
        ranked({"a": [1.0], "b": [2.0]}, tmp_path), target="acc", agreement=_agreement(0.7, interval)
    )
    assert words in agreement_sentence(group)


# --- does the score earn its keep? ---


def _agreement(
    accuracy: float | None, interval: tuple[float, float] | None = (0.6, 0.9), *, pairs: int = 28
) -> Agreement:
    return Agreement(
        decision_accuracy=accuracy,
        interval=interval,
        kendall_tau=0.5,
        p_value=0.04,
        num_recipes=8,
        num_pairs=pairs,
        num_ties=0,
        one_seed=0.7,
        num_seeds=2,
        reason=None if accuracy is not None else "made up",
    )


def _row(
    name: str,
    kind: str,
    accuracy: float | None,
    interval: tuple[float, float] | None = (0.6, 0.9),
    **more: object,
) -> ComparisonRow:
    pairs = more.pop("pairs", 28)
    found = _agreement(accuracy, interval, pairs=pairs)
    return ComparisonRow(name, "", kind, lower_is_better=True, agreement=found, **more)


_DOSE = _row("dose", "null", 0.65)


@pytest.mark.parametrize(
    ("rows", "shown", "words"),
    [
        ([_row("r", "score", 0.8, gains=(Gain("dose", 0.15, (0.02, 0.3)),)), _DOSE], True, "+0.15"),
        (
            [_row("r", "score", 0.8, gains=(Gain("dose", 0.15, (0.0, 0.3)),)), _DOSE],
            False,
            "which includes zero",
        ),
        ([_row("r", "score", 0.8, gains=(Gain("dose", -0.15, (-0.3, -0.1)),)), _DOSE], False, "below zero"),
        ([_row("r", "score", 0.8, gains=(Gain("dose", 0.15, None),)), _DOSE], False, "no interval of their"),
        ([_row("r", "score", 0.8), _DOSE], False, "no interval of their difference was computed"),
        (
            [
                _row("r", "score", 0.8, gains=(Gain("weak", 0.2, (0.1, 0.3)),)),
                _DOSE,
                _row("weak", "null", 0.5),
            ],
            False,
            "strongest null, dose",
        ),
        ([_row("r", "score", 0.8, (0.5, 0.9)), _DOSE], False, "not above chance"),
        ([_row("r", "score", 0.8, None), _DOSE], False, "not above chance"),
        ([_row("r", "score", 0.8)], False, "no null stands beside it on the same 28 pairs"),
        ([_row("r", "score", 0.8), _row("dose", "null", 0.6, pairs=21)], False, "on the same 28 pairs"),
        ([_row("r", "score", None), _DOSE], False, "no decision accuracy (made up)"),
        ([_DOSE, _row("shuffled", "control", 0.9)], False, "no score stands in the table"),
    ],
)
def test_a_gain_is_never_assumed(rows: list[ComparisonRow], shown: bool, words: str) -> None:
    """Only an interval above zero over the strongest null, by a score above chance, is a gain."""
    conclusion = conclude(rows)
    assert conclusion.shown is shown
    assert words in conclusion.why
    assert conclusion.text.startswith("Gain shown: " if shown else "No gain shown: ")


def test_the_first_score_is_on_trial_not_the_best() -> None:
    """Picking the winner after the fact would need no better score."""
    later = _row("later", "score", 0.95, gains=(Gain("dose", 0.3, (0.2, 0.4)),))
    assert not conclude([_row("first", "score", 0.7), later, _DOSE]).shown
    assert strongest_null(later, [later, _DOSE, _row("best", "null", 0.7)]) == _row("best", "null", 0.7)


def test_comparison_rows_keep_direction_n_and_level(page: Page) -> None:
    """The table's rows are those of the rankings, in the order given."""
    (section,) = page.comparisons
    assert [(row.name, row.kind, row.direction) for row in section.rows] == [
        ("rbridge", "score", "lower"),
        ("trace_nll", "control", "lower"),
        ("dose", "null", "higher"),
    ]
    assert {row.agreement.num_pairs for row in section.rows} == {10}
    assert [gain.reading for _, gain in section.gains] == ["no gain shown: includes zero"]
    assert page.head.remarks[1].text == section.conclusion.text


def test_rows_on_other_pairs_and_without_tau_are_pointed_out() -> None:
    """A reader must not compare what does not compare."""
    rows = [_row("r", "score", None), _row("dose", "null", 0.6, pairs=21)]
    notes = " ".join(comparison_sections(rows)[0].footnotes)
    assert "different numbers of pairs" in notes
    assert "r: no Kendall tau, made up." in notes


def test_groups_are_concluded_apart() -> None:
    """A gain on one benchmark is no gain on another."""
    rows = [
        _row("r", "score", 0.8, group="a", gains=(Gain("dose", 0.15, (0.02, 0.3)),)),
        replace(_DOSE, group="a"),
        _row("r", "score", 0.8, group="b"),
        replace(_DOSE, group="b"),
    ]
    assert [(one.group, one.conclusion.shown) for one in comparison_sections(rows)] == [
        ("a", True),
        ("b", False),
    ]


def test_a_ranking_without_nulls_shows_no_gain(tmp_path: Path) -> None:
    """Silence would read as a gain."""
    page = build_page(title="t", now="n", groups=[ranked({"a": [1.0, 2.0], "b": [3.0, 4.0]}, tmp_path)])
    assert [remark.text for remark in page.head.remarks] == [
        "No gain shown: no null or control was given to stand beside the score."
    ]


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


# --- text ---


@given(texts)
def test_visible_text_is_legal_and_says_the_same_twice(text: str) -> None:
    """Nothing is left that reorders, hides, or makes vl-convert abort the process."""
    shown = visible(text)
    assert visible(shown) == shown
    assert not set(shown) & {chr(code) for code in (*range(9), 11, 12, *range(14, 32), 0x7F, 0xFFFE, 0xFFFF)}
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff"
    )


@given(st.characters())
def test_every_character_is_drawn_by_one_glyph_or_written_out(char: str) -> None:
    """No character vanishes."""
    drawn = glyphs(char)
    assert len(drawn) == 1
    assert char in drawn[0].text


def test_a_lone_surrogate_can_be_written() -> None:
    """A name from the command line may hold undecodable bytes."""
    assert visible("a\udc80").encode() == "a⟨U+DC80⟩".encode()


def test_figures_are_never_nan() -> None:
    """A missing figure is a dash, a broken one an error."""
    with pytest.raises(ValueError, match="must not reach the page"):
        fixed(float("nan"), 2)
    assert (fixed(None, 2), bracket(None, 2), p_text(None)) == ("–", "–", "–")
    assert (signed(0.004, 2), signed(-0.25, 2), signed(0.25, 1), signed(None, 2)) == (
        "0.00",
        "−0.25",
        "+0.2",
        "–",
    )
    assert (p_text(0.0), p_text(0.061)) == ("< 0.001", "0.061")


@pytest.mark.parametrize(
    ("values", "intervals", "digits"),
    [
        ([1.0, 2.0], [(0.9, 1.2), (1.8, 2.1)], 3),
        ([1.0, 2.0], [(0.999, 1.002), None], 4),
        ([1.0, 1.05], [None, None], 3),
        ([1.0, 1.0], [None, None], 4),
        ([], [], 4),
        ([1.0], [(1.0, 1.0)], 4),
        ([0.0, 1e-12], [None, None], 6),
    ],
)
def test_decimals_follow_the_intervals(
    values: list[float], intervals: list[tuple[float, float] | None], digits: int
) -> None:
    """Two figures of the interval, neither noise nor a column of equal numbers."""
    assert digits_for(values, intervals) == digits
