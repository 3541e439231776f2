"""What a check measures, on cases that were planted by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.quality import (
    LEAKS,
    check_traces,
    clustered_share,
    contained,
    leaks,
    near_duplicates,
    quantiles,
    reasoning_pieces,
    share,
    shingles,
    weight_profile,
)
from rbridge.quality.pieces import half_weight_tokens
from rbridge.records import Pieces, Trace, TraceKey, Weights
from rbridge.store.bundles import SkippedTrace, write_bundle
from tests.commands import rbridge


def _trace(problem: str, reasoning: str, **more: object) -> Trace:
    fields: dict[str, object] = {"question": f"Question {problem}?", **more}
    return Trace(TraceKey("mine", problem, str(fields.pop("voice", "v"))), reasoning, **fields)  # pyrefly: ignore


def _pieces(*both: tuple[str, float]) -> Pieces:
    spelled = tuple(text.encode() for text, _ in both)
    return Pieces(spelled, np.log(np.array([value for _, value in both])))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("So 2 + 3 = 5.", ()),
        ('{"reasoning": "So", "final_answer": 5', ("final_answer",)),
        (r"So \boxed{5}", (r"\boxed",)),
        ("So 5\n#### 26", ("####",)),
        ("A heading\n### 26", ()),
        ("So B.\nAnswer: B", ("Answer:",)),
        ("So B.\n**Final answer:** B", ("Answer:",)),
        ("The answer: B or C?", ()),
        ("It is five. The answer is 5.", ("ends: answer is",)),
        ("The answer is not known yet, so we go on.\nThen 5.", ()),
        ("That fits option (C).", ("ends: option",)),
        ("Option B is out. So it rains.", ()),
    ],
)
def test_leaks_are_found_where_they_were_planted(text: str, found: tuple[str, ...]) -> None:
    """The form of an answer, in each of its guises, and texts that only look like it."""
    assert leaks(text) == found


def test_shares_carry_wilsons_interval() -> None:
    """By the formula, written out: centre (p + z²/2n) / (1 + z²/n)."""
    z, p, n = 1.959963984540054, 0.9, 10
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    found = share(9, 10)
    assert (found.value, found.n) == (0.9, 10)
    assert found.interval == pytest.approx((centre - half, centre + half))


def test_shares_of_tokens_know_that_traces_are_clusters() -> None:
    """Copies of one trace's tokens say no more than the trace: the interval does not shrink with its length."""
    short = clustered_share([1, 0, 1, 1, 0, 1], [2] * 6)
    long = clustered_share([100, 0, 100, 100, 0, 100], [200] * 6)
    assert short.interval == pytest.approx(long.interval)
    assert clustered_share([3], [4]).interval is None
    assert clustered_share([], []).value is None


def test_clustered_intervals_hold_the_truth() -> None:
    """Simulation: 60 traces whose own shares vary; at 95 % between 92 and 98 of a hundred hold .5."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        lengths = rng.integers(5, 60, size=60)
        nums = rng.binomial(lengths, rng.beta(2, 2, size=60))
        interval = clustered_share(nums.tolist(), lengths.tolist()).interval
        assert interval is not None
        held += interval[0] <= 0.5 <= interval[1]
    assert 0.92 <= held / 400 <= 0.98


def test_quantiles_are_numpys() -> None:
    """Linear interpolation; none of nothing."""
    found = quantiles([4.0, 1.0, 2.0])
    assert found is not None
    assert (found.n, found.low, found.median, found.high) == (3, 1.0, 2.0, 4.0)
    assert found.q05 == pytest.approx(1.1)
    assert quantiles([]) is None


@pytest.mark.parametrize(
    ("weights", "tokens"),
    [([1.0] * 4, 2), ([1.0, 0.0, 0.0], 1), ([0.5, 0.3, 0.2], 1), ([0.4, 0.3, 0.3], 2), ([0.0, 0.0], 0)],
)
def test_half_the_weight_is_carried_by_the_heaviest(weights: list[float], tokens: int) -> None:
    """By hand: the fewest tokens whose sum reaches half."""
    assert half_weight_tokens(np.array(weights)) == tokens


def test_a_profile_counts_sure_and_constant_traces() -> None:
    """0.99 itself is not above it; a range of 1e-7 is none; a trace of one token is constant."""
    profile = weight_profile(
        [np.array([0.99, 0.991, 1.0, 0.1]), np.array([0.5, 0.5 + 1e-7]), np.array([0.3])]
    )
    assert (profile.sure.num, profile.sure.n, profile.exactly_one.num) == (2, 7, 1)
    assert profile.constant == (1, 2)
    assert profile.half is not None
    assert profile.half.n == 3


def test_pieces_of_the_reasoning_alone_are_counted() -> None:
    """The JSON wrapper's tokens are no part of R; one that holds its first byte is."""
    reply = '{"reasoning": "So 5.", "final_answer": "5"}'
    pieces = _pieces(
        ('{"reasoning": "So', 0.5), (" 5", 0.25), (".", 0.75), ('", "final_answer": "5"}', 0.125)
    )
    found = reasoning_pieces(_trace("1", "So 5.", reply=reply, pieces=pieces, weight_source="self"))
    assert found is not None
    assert found.tolist() == pytest.approx([0.5, 0.25, 0.75])


_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12).map(" ".join)


@given(st.lists(_WORDS, max_size=8), st.sampled_from([0.3, 0.5, 0.7, 0.8, 1.0]))
def test_near_duplicates_are_all_pairs_above_the_threshold(texts: list[str], threshold: float) -> None:
    """Against the plain double loop over all pairs."""
    sets = [shingles(text, 2) for text in texts]
    expected = []
    for (i, one), (j, other) in itertools.combinations(enumerate(sets), 2):
        union = len(one | other)
        if union and len(one & other) / union >= threshold:
            expected.append((i, j, len(one & other) / union))
    assert near_duplicates(sets, threshold) == expected


def test_containment_is_a_share_of_the_text() -> None:
    """Not of the reference: a long solution does not hide a short copy."""
    text, reference = shingles("one two three four five six"), shingles("zero one two three four five seven")
    assert contained(text, reference) == 0.5
    assert contained(frozenset(), reference) is None


def _bundle() -> list[Trace]:
    first = "First we add two and three to get five, and then we stop here."
    sure = _pieces((first[:5], 0.999), (first[5:], 0.2))
    return [
        _trace("1", first, correct=True, pieces=sure, weight_source="self", question="Add 2 and 3."),
        _trace("2", f"{first} Yes.", correct=False, question="Add 20 and 3."),
        _trace("3", "Quite another text.\nAnswer: 5", correct=None, question="What is it?"),
        _trace(
            "3",
            "The same problem in other words altogether.",
            voice="w",
            correct=True,
            question="What is it?",
        ),
    ]


def test_every_planted_fault_of_a_bundle_is_counted() -> None:
    """Right answers, near-duplicates, leaks, copies, twins by number, constant weights by source."""
    traces = _bundle()
    constant = _pieces(*[(char, 0.5) for char in traces[0].reasoning])
    traces[0] = Trace(**{**vars(traces[0]), "other_weights": (Weights("Q", constant),)})
    (found,) = check_traces(
        traces,
        solutions={("mine", "1"): "First we add two and three to get five.", ("mine", "9"): "x"},
        twins={("mine", "2"): "1", ("mine", "3"): "77", ("other", "3"): "1"},
    )
    assert (found.num_traces, found.num_problems, dict(found.voices)) == (4, 3, {"v": 3, "w": 1})
    assert (found.correct.num, found.correct.n, found.num_unchecked) == (2, 3, 1)
    assert [(str(a), str(b)) for a, b, _ in found.duplicates] == [("mine/1/v", "mine/2/v")]
    assert (found.duplicated.num, found.duplicated.n) == (2, 4)
    assert found.leaks["Answer:"][0].num == 1
    assert str(found.leaks["Answer:"][1]) == "mine/3/v"
    assert sum(one.num for one, _ in found.leaks.values()) == 1
    assert found.overlap is not None
    assert (found.overlap.copied.num, found.overlap.copied.n) == (0, 1)
    # 16 words and marks make 12 runs of five; the solution has the first five of them.
    assert found.overlap.quantiles.median == pytest.approx(5 / 12)
    assert found.twins.declared == (("2", "1"),)
    assert (found.twins.originals.num, found.twins.copies.num, found.twins.copies.n) == (1, 0, 1)
    assert found.twins.found == (("1", "2"),)
    assert [(one.source, len(one.constant)) for one in found.sources] == [("self", 0), ("Q", 1)]
    assert found.num_unweighed == 3


def test_the_command_prints_every_figure_with_its_n(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON without NaN for machines, tables for people, skips of the import, and a reason where a figure lacks."""
    write_bundle(
        tmp_path / "b", _bundle(), licence="CC0", skipped=[SkippedTrace(place="f.jsonl:3", reason="not JSON")]
    )
    document = rbridge(capsys, "traces", "check", tmp_path / "b", "--json").document
    (one,) = document["benchmarks"]
    assert one["correct"]["n"] == 3
    assert one["overlap"] is None
    assert "give --questions" in one["overlap_reason"]
    assert set(one["leaks"]) == set(LEAKS)
    assert document["skipped"] == [{"place": "f.jsonl:3", "reason": "not JSON"}]
    assert document["weights"] == "weights are the writer's own; some traces have no weights"
    shown = rbridge(capsys, "traces", "check", tmp_path / "b")
    assert "weights are the writer's own" in shown.out
    assert "licence CC0" in shown.out
    assert "f.jsonl:3: not JSON" in shown.err
    assert "mine/1/v and mine/2/v are near-duplicates" in shown.err


def test_gold_solutions_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By problem; a trace whose problem has none does not count."""
    write_bundle(tmp_path / "b", _bundle())
    line = {"problem_id": "1", "question": "Add 2 and 3.", "answer": "5", "solution": _bundle()[0].reasoning}
    (tmp_path / "q.jsonl").write_text(json.dumps(line))
    found = rbridge(capsys, "traces", "check", tmp_path / "b", "--questions", tmp_path / "q.jsonl", "--json")
    (one,) = found.document["benchmarks"]
    assert (one["overlap"]["copied"]["num"], one["overlap"]["copied"]["n"]) == (1, 1)
