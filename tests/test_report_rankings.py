"""Rankings, targets and comparisons on the page: intervals, ties and a rule that does not flatter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rbridge.answers.rank import RankQuestion, rank_groups
from rbridge.report import ComparisonRow, Gain, Page, build_page
from rbridge.report.comparison import comparison_sections, conclude, strongest_null
from rbridge.report.rankings import ranking_section, tied_text
from rbridge.report.scatter import agreement_sentence, scatter_section
from tests.reports import (
    DOSE,
    RECORDED,
    TARGETS,
    comparison_row,
    made_agreement,
    make_page,
    ranked,
    write_table,
)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page with every part on it."""
    return make_page(tmp_path_factory.mktemp("report"))


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
    assert any(
        line.startswith("Left out: 2 rows or items")
        for line in ranking_section(group, "exploratory").footnotes
    )


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
    without = replace(group, target="acc", targets={"a": 0.5}, agreement=made_agreement(None, pairs=0))
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
        ranked({"a": [1.0], "b": [2.0]}, tmp_path), target="acc", agreement=made_agreement(0.7, interval)
    )
    assert words in agreement_sentence(group)


def test_a_perfect_order_of_few_recipes_is_not_told_from_chance(tmp_path: Path) -> None:
    """Its interval has no width, and its p says that chance gives such an order too often."""
    perfect = made_agreement(1.0, (1.0, 1.0), p_value=2 / 24)
    group = replace(ranked({"a": [1.0], "b": [2.0]}, tmp_path), target="acc", agreement=perfect)
    assert "which with 8 recipes does not tell it from chance, see p); Kendall tau" in agreement_sentence(
        group
    )


# --- does the score earn its keep? ---


@pytest.mark.parametrize(
    ("rows", "shown", "words"),
    [
        ([comparison_row("r", "score", 0.8, gains=(Gain("dose", 0.15, (0.02, 0.3)),)), DOSE], True, "+0.15"),
        (
            [comparison_row("r", "score", 0.8, gains=(Gain("dose", 0.15, (0.0, 0.3)),)), DOSE],
            False,
            "which includes zero",
        ),
        (
            [comparison_row("r", "score", 0.8, gains=(Gain("dose", -0.15, (-0.3, -0.1)),)), DOSE],
            False,
            "below zero",
        ),
        (
            [comparison_row("r", "score", 0.8, gains=(Gain("dose", 0.15, None),)), DOSE],
            False,
            "no interval of their",
        ),
        ([comparison_row("r", "score", 0.8), DOSE], False, "no interval of their difference was computed"),
        (
            [
                comparison_row("r", "score", 0.8, gains=(Gain("weak", 0.2, (0.1, 0.3)),)),
                DOSE,
                comparison_row("weak", "null", 0.5),
            ],
            False,
            "strongest null, dose",
        ),
        ([comparison_row("r", "score", 0.8, (0.5, 0.9)), DOSE], False, "not shown above chance"),
        ([comparison_row("r", "score", 0.8, None), DOSE], False, "not shown above chance"),
        (
            [comparison_row("r", "score", 1.0, (1.0, 1.0), p_value=2 / 24), DOSE],
            False,
            "(p 0.083), which is not shown above chance",
        ),
        ([comparison_row("r", "score", 0.8)], False, "no null stands beside it on the same 28 pairs"),
        (
            [comparison_row("r", "score", 0.8), comparison_row("dose", "null", 0.6, pairs=21)],
            False,
            "on the same 28 pairs",
        ),
        ([comparison_row("r", "score", None), DOSE], False, "no decision accuracy (made up)"),
        ([DOSE, comparison_row("shuffled", "control", 0.9)], False, "no score stands in the table"),
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
    later = comparison_row("later", "score", 0.95, gains=(Gain("dose", 0.3, (0.2, 0.4)),))
    assert not conclude([comparison_row("first", "score", 0.7), later, DOSE]).shown
    assert strongest_null(later, [later, DOSE, comparison_row("best", "null", 0.7)]) == comparison_row(
        "best", "null", 0.7
    )


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
    rows = [comparison_row("r", "score", None), comparison_row("dose", "null", 0.6, pairs=21)]
    notes = " ".join(comparison_sections(rows)[0].footnotes)
    assert "different numbers of pairs" in notes
    assert "r: no Kendall tau, made up." in notes


def test_groups_are_concluded_apart() -> None:
    """A gain on one benchmark is no gain on another."""
    rows = [
        comparison_row("r", "score", 0.8, group="a", gains=(Gain("dose", 0.15, (0.02, 0.3)),)),
        replace(DOSE, group="a"),
        comparison_row("r", "score", 0.8, group="b"),
        replace(DOSE, group="b"),
    ]
    assert [(one.group, one.conclusion.shown) for one in comparison_sections(rows)] == [
        ("a", True),
        ("b", False),
    ]


def test_a_ranking_without_targets_shows_no_gain(tmp_path: Path) -> None:
    """Silence would read as a gain."""
    group = ranked({"a": [1.0, 2.0], "b": [3.0, 4.0]}, tmp_path)
    assert [remark.text for remark in build_page(title="t", now="n", groups=[group]).head.remarks] == [
        "No gain shown: without targets nothing tells whether the score ranks better than what is cheaper."
    ]


def test_a_ranking_without_nulls_shows_no_gain(tmp_path: Path) -> None:
    """Nor does one with targets, and nothing cheaper to hold against them."""
    group = replace(ranked({"a": [1.0, 2.0], "b": [3.0, 4.0]}, tmp_path), agreement=made_agreement(0.8))
    assert [remark.text for remark in build_page(title="t", now="n", groups=[group]).head.remarks][1:] == [
        "No gain shown: no null or control was given to stand beside the score."
    ]
