"""The score against the specification's worked example, a naive loop, and its own identities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rbridge.errors import InputError
from rbridge.metric import (
    METRICS,
    RUN_METRICS,
    lower_is_better,
    mean_over_traces,
    metric_means,
    minmax_weights,
    run_values,
    trace_values,
)
from rbridge.records import ScoredTrace, TokenScores, TraceKey
from tests.strategies import losses
from tests.test_align import GOLDEN_SPANS

weights = st.floats(min_value=0.0, max_value=1.0)
rows = st.integers(1, 30).flatmap(
    lambda n: st.tuples(st.lists(losses, min_size=n, max_size=n), st.lists(weights, min_size=n, max_size=n))
)


def _tokens(nll: list[float], weight: list[float] | None) -> TokenScores:
    n = len(nll)
    return TokenScores(
        nll=np.array(nll, dtype=np.float64),
        weight=None if weight is None else np.array(weight, dtype=np.float64),
        start=np.arange(n),
        end=np.arange(1, n + 1),
        num_bytes=n,
    )


def _scored(problem: str, nll: list[float], weight: list[float] | None, benchmark: str = "b") -> ScoredTrace:
    return ScoredTrace(
        TraceKey(benchmark, problem, "v"), 0, None if weight is None else "self", _tokens(nll, weight)
    )


def test_golden_values_come_out_to_nine_digits() -> None:
    """The specification's worked example."""
    pieces = [(-0.05, 2), (-0.2, 4), (-0.01, 4), (-0.001, 2), (-1.0, 2), (-2.0, 3), (-0.5, 3)]
    of_byte = [math.exp(logprob) for logprob, num_bytes in pieces for _ in range(num_bytes)]
    weight = [sum(of_byte[a:b]) / (b - a) for a, b in GOLDEN_SPANS]
    tokens = TokenScores(
        nll=np.array([2.0, 1.5, 0.25, 3.0, 0.125, 4.0, 2.5, 0.75]),
        weight=np.array(weight),
        start=np.array([a for a, _ in GOLDEN_SPANS]),
        end=np.array([b for _, b in GOLDEN_SPANS]),
        num_bytes=20,
    )
    values = trace_values(tokens, benchmark_range=(min(weight), max(weight)))
    assert values.rbridge == pytest.approx(0.864858013, abs=1e-9)
    assert values.rbridge_unnormalised == pytest.approx(1.121674016, abs=1e-9)
    assert values.rbridge_per_byte == pytest.approx(0.345943205, abs=1e-9)
    assert values.trace_nll == pytest.approx(1.765625, abs=1e-9)
    assert values.trace_bits_per_byte == pytest.approx(1.018903373, abs=1e-9)
    assert (values.num_tokens, values.num_bytes) == (8, 20)


@given(rows)
def test_values_equal_a_naive_loop(row: tuple[list[float], list[float]]) -> None:
    """Algorithm 1 written out: MinMax of the weights, times the loss, a plain mean."""
    nll, weight = row
    values = trace_values(_tokens(nll, weight), benchmark_range=(0.0, 1.0))
    low, high = min(weight), max(weight)
    what = [(w - low) / (high - low) if high - low >= 1e-6 else 1.0 for w in weight]
    n = len(nll)
    assert values.rbridge == pytest.approx(sum(a * b for a, b in zip(nll, what, strict=True)) / n, abs=1e-9)
    assert values.rbridge_unnormalised == pytest.approx(
        sum(a * b for a, b in zip(nll, weight, strict=True)) / n
    )
    assert values.rbridge_benchmark_minmax == pytest.approx(values.rbridge_unnormalised)
    assert values.rbridge_per_byte == pytest.approx(values.rbridge * n / n, abs=1e-12)
    assert values.trace_nll == pytest.approx(sum(nll) / n)
    assert values.trace_bits_per_byte == pytest.approx(sum(nll) / n / math.log(2))


@given(rows)
def test_the_identity_of_the_method_holds(row: tuple[list[float], list[float]]) -> None:
    """mean(nll * what) = (mean(nll * w) - m mean(nll)) / (M - m)."""
    nll, weight = row
    low, high = min(weight), max(weight)
    assume(high - low > 1e-3)
    values = trace_values(_tokens(nll, weight), benchmark_range=(low, high))
    assert values.rbridge_unnormalised is not None
    expected = (values.rbridge_unnormalised - low * values.trace_nll) / (high - low)
    assert values.rbridge == pytest.approx(expected, abs=1e-8)
    assert values.rbridge_benchmark_minmax == pytest.approx(values.rbridge)


@given(rows, st.floats(0.01, 1.0), st.floats(0.0, 0.5))
def test_minmax_ignores_scale_and_shift(row: tuple[list[float], list[float]], a: float, b: float) -> None:
    """A w + b gives the same MinMax as w."""
    _, weight = row
    w = np.array(weight)
    assume(np.ptp(w) > 1e-3)
    moved = a * w + b
    one = minmax_weights(w, float(w.min()), float(w.max()))
    other = minmax_weights(moved, float(moved.min()), float(moved.max()))
    assert one.min() == 0.0
    assert one.max() == 1.0
    assert other == pytest.approx(one, abs=1e-9)


@pytest.mark.parametrize(("spread_", "constant"), [(0.0, True), (9e-7, True), (1.1e-6, False)])
def test_weights_that_do_not_differ_are_all_one_and_flagged(spread_: float, constant: bool) -> None:
    """Below 1e-6 MinMax is undefined: the score is then the plain mean, and says so."""
    values = trace_values(_tokens([1.0, 3.0], [0.5, 0.5 + spread_]), benchmark_range=(0.0, 1.0))
    assert values.constant_weights is constant
    assert values.rbridge == pytest.approx(2.0 if constant else 1.5)


def test_shuffled_is_the_mean_over_all_orders() -> None:
    """Every permutation of four weights, one by one."""
    nll, weight = [1.0, 2.5, 0.5, 4.0], [0.1, 0.9, 0.4, 0.3]
    every = [
        trace_values(_tokens(nll, list(order)), benchmark_range=(0.0, 1.0)).rbridge
        for order in itertools.permutations(weight)
    ]
    found = trace_values(_tokens(nll, weight), benchmark_range=(0.0, 1.0)).rbridge_shuffled
    assert found == pytest.approx(np.mean(every))


def test_without_weights_only_plain_losses_have_values() -> None:
    """Missing is None, never 0 or 1."""
    values = trace_values(_tokens([1.0, 2.0], None))
    assert values.rbridge is None
    assert values.rbridge_benchmark_minmax is None
    assert values.rbridge_unnormalised is None
    assert values.rbridge_per_byte is None
    assert values.rbridge_shuffled is None
    assert values.trace_nll == 1.5


def test_benchmark_range_is_over_the_benchmarks_weighted_tokens() -> None:
    """Two traces of a benchmark share a range; another benchmark and unweighted traces do not enter."""
    first, second, other, bare = run_values(
        [
            _scored("1", [1.0, 1.0], [0.2, 0.4]),
            _scored("2", [1.0, 1.0], [0.6, 1.0]),
            _scored("3", [1.0, 1.0], [0.0, 1.0], benchmark="c"),
            _scored("4", [5.0], None),
        ]
    )
    assert first.rbridge_benchmark_minmax == pytest.approx((0.0 + 0.25) / 2)
    assert second.rbridge_benchmark_minmax == pytest.approx((0.5 + 1.0) / 2)
    assert other.rbridge_benchmark_minmax == pytest.approx(0.5)
    assert bare.rbridge_benchmark_minmax is None


def test_means_count_each_trace_once_and_leave_missing_ones_out() -> None:
    """A trace without weights counts for R^phi and not for rBridge."""
    means = metric_means(run_values([_scored("1", [1.0, 3.0], [0.0, 1.0]), _scored("2", [4.0], None)]))
    assert means["trace_nll"].mean == pytest.approx(3.0)
    assert means["trace_nll"].n == 2
    assert means["rbridge"].mean == pytest.approx(1.5)
    assert means["rbridge"].n == 1
    assert means["rbridge"].stderr is None


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50))
def test_standard_error_is_numpys(values: list[float]) -> None:
    """Sample standard deviation over the root of n."""
    found = mean_over_traces(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.stderr == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)


def test_every_metric_has_a_direction_and_names_are_unique() -> None:
    """The catalogue is complete for what a run gives."""
    assert {metric.direction for metric in METRICS} == {"lower", "higher"}
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert set(RUN_METRICS) <= {metric.name for metric in METRICS}


@pytest.mark.parametrize(
    ("column", "lower", "higher", "expected"),
    [("rbridge", False, False, True), ("accuracy", False, True, False), ("mine", True, False, True)],
)
def test_directions_are_known_or_told(column: str, lower: bool, higher: bool, expected: bool) -> None:
    """A known metric needs no telling; another must be told."""
    assert lower_is_better(column, lower=lower, higher=higher) is expected


@pytest.mark.parametrize(
    ("column", "lower", "higher", "message"),
    [
        ("rbridge", False, True, "of this metric lower is better"),
        ("accuracy", True, False, "of this metric higher is better"),
        ("mine", False, False, "direction unknown; add --lower-is-better or --higher-is-better"),
        ("mine", True, True, "give one"),
    ],
)
def test_a_wrong_or_missing_direction_is_refused(
    column: str, lower: bool, higher: bool, message: str
) -> None:
    """A metric cannot be ranked in the wrong direction."""
    with pytest.raises(InputError, match=message):
        lower_is_better(column, lower=lower, higher=higher)
