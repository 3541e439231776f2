"""Orders held against targets: unresolved pairs, ceiling, calibration, regret, top k, combination."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, zscore

from rbridge.rank import (
    Replicates,
    apart_from_ties,
    ceiling,
    combine,
    concordance,
    decision_accuracy,
    decisions,
    leave_one_out,
    rank_recipes,
    resample_means,
    resolved,
)
from rbridge.rank.decisions import Decisions


def _held(proxy: list[float], target: list[float], **other: object) -> Decisions:
    settings: dict[str, object] = {"error": None, "apart": None, "stated": None, "z": 2.0}
    return decisions(
        np.array(proxy), np.array(target), rng=np.random.default_rng(0), resamples=200, level=0.9,
        **{**settings, **other},  # type: ignore[arg-type]
    )  # fmt: skip


def test_pairs_closer_than_the_rule_are_left_out() -> None:
    """Z = 2, error .1 each: the border is 2 x sqrt(.02) = .283."""
    target, error = np.array([0.0, 0.2, 0.5]), np.full(3, 0.1)
    assert resolved(target, error, 2.0).tolist() == [
        [False, False, True],
        [False, False, True],
        [True, True, False],
    ]
    found = _held([1.0, 0.0, 2.0], [0.0, 0.2, 0.5], error=error)
    assert found.num_resolved == 2
    assert found.resolved_accuracy == 1.0  # the one wrong pair is unresolved


def test_equal_targets_are_never_resolved() -> None:
    """Even where the errors are zero."""
    assert not resolved(np.array([1.0, 1.0]), np.zeros(2), 0.0)[0, 1]


def test_the_ceiling_is_what_the_true_order_reaches() -> None:
    """Simulated: decision accuracy of the truth against noisy targets, and the ceiling read off them."""
    rng = np.random.default_rng(1)
    reached, promised = [], []
    for _ in range(300):
        truth = rng.normal(size=15)
        error = np.full(15, 0.6)
        measured = truth + rng.normal(scale=0.6, size=15)
        reached.append(decision_accuracy(truth, measured))
        promised.append(ceiling(measured, error))
    assert np.mean(promised) == pytest.approx(np.mean(reached), abs=0.015)
    assert ceiling(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == 1.0
    assert ceiling(np.array([1.0, 1.1]), np.array([5.0, 5.0])) == 0.5


def test_stated_probabilities_are_held_against_what_came() -> None:
    """Three pairs by hand: .9 right, .7 wrong, .6 right."""
    stated = np.array([[0.5, 0.9, 0.3], [0.1, 0.5, 0.6], [0.7, 0.4, 0.5]])
    found = _held([3.0, 2.0, 1.0], [3.0, 2.0, 1.0], stated=stated)
    assert found.brier == pytest.approx((0.1**2 + 0.7**2 + 0.4**2) / 3)
    assert [(b.low, b.stated, b.found, b.num_pairs) for b in found.bins] == [
        (0.6, 0.6, 1.0, 1),
        (0.7, 0.7, 0.0, 1),
        (0.9, 0.9, 1.0, 1),
    ]


def test_a_coin_is_right_half_the_time_whatever_the_rows_order() -> None:
    """Three pairs at .5: found is .5, forwards and backwards."""
    for targets in ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]):
        found = _held([1.0] * 3, targets, stated=np.full((3, 3), 0.5))
        assert [(b.stated, b.found, b.num_pairs) for b in found.bins] == [(0.5, 0.5, 3)]


def test_regret_and_top_k_by_hand() -> None:
    """The first by score is third by target; of the top 3 of either, two are common."""
    found = _held([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [0.7, 0.9, 0.8, 0.1, 0.2, 0.0])
    assert found.regret == pytest.approx(0.2)
    assert found.regret_null == pytest.approx(0.9 - 2.7 / 6)
    assert [(top.k, top.recall) for top in found.top] == [(1, 0.0), (3, 1.0)]
    assert [top.null for top in found.top] == pytest.approx([1 / 6, 0.5])
    # A score that is constant picks by lot.
    lot = _held([1.0] * 6, [0.7, 0.9, 0.8, 0.1, 0.2, 0.0])
    assert lot.regret == pytest.approx(lot.regret_null)
    assert [top.recall for top in lot.top] == pytest.approx([1 / 6, 0.5])


def test_decided_pairs_are_those_not_tied() -> None:
    """a-c and b-c are told apart, one of them rightly."""
    apart = apart_from_ties(["a", "b", "c"], [["b"], ["a"], []])
    found = _held([3.0, 2.0, 1.0], [3.0, 1.0, 2.0], apart=apart)
    assert (found.num_decided, found.share_decided) == (2, pytest.approx(2 / 3))
    assert found.decided_accuracy == 0.5


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([1, 3, 10_000]), st.sampled_from([2, 900]))
def test_pairs_of_many_orders_are_counted_at_once(seed: int, recipes: int, kinds: int, targets: int) -> None:
    """Counting pairs gives the same decision accuracy, scipy the same tau-b, with ties on both sides or none."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(kinds, size=(5, recipes)).astype(float)
    target = rng.integers(targets, size=recipes).astype(float)
    found = concordance(drawn, target)
    assert found.decision_accuracy == pytest.approx(
        [decision_accuracy(row, target) for row in drawn], abs=1e-12
    )
    if np.ptp(target) and np.ptp(drawn, axis=1).all():
        assert found.kendall_tau == pytest.approx(
            [kendalltau(row, target).statistic for row in drawn], abs=1e-12
        )
    else:
        assert found.kendall_tau is None


def test_a_hundred_orders_and_more_are_counted_in_their_order() -> None:
    """250 orders of 70 recipes, against scipy: no row is lost where they are counted in blocks."""
    rng = np.random.default_rng(5)
    drawn, target = rng.normal(size=(250, 70)), rng.normal(size=70)
    expected = [kendalltau(row, target).statistic for row in drawn]
    assert concordance(drawn, target).kendall_tau == pytest.approx(expected, abs=1e-12)


def _table(values: dict[str, list[float]]) -> Replicates:
    return Replicates(tuple(values), (None,) * len(values), np.array(list(values.values())))


def test_benchmarks_are_combined_by_mean_z_score() -> None:
    """Against scipy's z-scores; a loss is turned; the benchmark with more items counts no more."""
    loss = {"a": [1.0, 2.0, 3.0], "b": [2.0, 2.0, 2.5], "c": [5.0, 4.0, 3.0]}
    accuracy = {"c": [0.2], "a": [0.5], "b": [0.9]}
    whole = combine({"x": (_table(loss), True), "y": (_table(accuracy), False)})
    assert whole is not None
    one = -zscore([np.mean(v) for v in loss.values()], ddof=1)
    other = zscore([0.5, 0.9, 0.2], ddof=1)
    assert whole.names == ("a", "b", "c")
    assert whole.means() == pytest.approx((one + other) / 2)


def test_a_recipe_that_one_benchmark_lacks_is_left_out() -> None:
    """And what cannot be combined is not."""
    three = _table({"a": [1.0], "b": [2.0], "c": [3.0]})
    two = _table({"a": [1.0], "b": [3.0]})
    whole = combine({"x": (three, True), "y": (two, True)})
    assert whole is not None
    assert whole.names == ("a", "b")
    assert combine({"x": (three, True)}) is None
    assert combine({"x": (three, True), "y": (_table({"a": [1.0], "b": [1.0]}), True)}) is None


def test_leaving_a_benchmark_out_shows_who_carried_the_order() -> None:
    """B leads by one benchmark alone, of three."""
    plain = _table({"a": [1.0], "b": [2.0], "c": [3.0]})
    odd = _table({"a": [2.0], "b": [-50.0], "c": [3.0]})
    tables = {"x": (plain, True), "y": (plain, True), "z": (odd, True)}
    found = {one.benchmark: one for one in leave_one_out(tables)}
    assert found["z"].best == "a"
    assert found["z"].kendall_tau == pytest.approx(1.0)
    assert leave_one_out({"x": (plain, True), "y": (plain, True)}) == ()


def test_items_are_resampled_within_their_benchmark() -> None:
    """Variance of the combined mean: the sum of the strata's own, none from between them."""
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(size=(1, 10)), 100 + rng.normal(size=(1, 5))], axis=1)
    replicates = Replicates(("a",), (None,), values, (0,) * 10 + (1,) * 5)
    drawn = resample_means(replicates, resamples=100_000, rng=rng)[:, 0]
    expected = (10 / 15) ** 2 * values[0, :10].var(ddof=1) / 10 + (5 / 15) ** 2 * values[0, 10:].var(
        ddof=1
    ) / 5
    assert drawn.var() == pytest.approx(expected, rel=0.03)


def test_a_constant_score_decides_nothing_and_is_right_half_the_time() -> None:
    """Decision accuracy .5 on all pairs, on resolved pairs, and under every resample."""
    target = np.array([0.1, 0.4, 0.9, 0.5])
    found = _held([2.0] * 4, target.tolist(), error=np.full(4, 0.01))
    assert found.resolved_accuracy == 0.5
    assert concordance(np.ones((3, 4)), target).decision_accuracy.tolist() == [0.5] * 3
    ranking = rank_recipes(
        Replicates(tuple("abcd"), (None,) * 4, np.ones((4, 6))),
        lower_is_better=True, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert all(len(row.tied_with or ()) == 3 and row.may_be_best for row in ranking.order)
