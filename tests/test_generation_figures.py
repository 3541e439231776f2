"""pass@k, shares with Wilson intervals, token edit distance, chance: held against enumeration and scipy."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from rbridge.errors import InputError
from rbridge.metric import lower_is_better, metric_named
from rbridge.metric.generation import chance_level, constant_answer, edit_distance, pass_at_k, share


@pytest.mark.parametrize("num_samples", [1, 2, 5, 7])
def test_pass_at_k_is_the_share_of_all_draws_with_a_right_one(num_samples: int) -> None:
    """Every subset of k of n samples is looked at."""
    for num_right, k in itertools.product(range(num_samples + 1), range(1, num_samples + 1)):
        draws = list(itertools.combinations([True] * num_right + [False] * (num_samples - num_right), k))
        expected = sum(map(any, draws)) / len(draws)
        assert pass_at_k(num_samples, num_right, k) == pytest.approx(expected, abs=1e-15)


def test_pass_at_k_is_unbiased() -> None:
    """Its mean over all outcomes of n = 6 samples is 1 - (1 - p)^k, p being the chance of one."""
    p, n = 0.3, 6
    for k in range(1, n + 1):
        mean = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
        assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (0, 1), (733, 1319)])
def test_the_interval_of_right_or_wrong_is_scipys(right: int, n: int) -> None:
    """Wilson's, at two levels; the standard error is that of a mean."""
    for level in (0.9, 0.95):
        found = share([1.0] * right + [0.0] * (n - right), level=level)
        expected = binomtest(right, n).proportion_ci(level, method="wilson")
        assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert found.value == right / n
    if n > 1:
        assert found.stderr == pytest.approx(math.sqrt(found.value * (1 - found.value) / (n - 1)))
    else:
        assert found.stderr is None


def test_means_over_samples_have_the_interval_of_their_standard_error() -> None:
    """Values of .4 and .6 vary less than right or wrong does: as many coin tosses as have that error."""
    values = [0.4, 0.6] * 50
    found = share(values, level=0.95)
    assert found.stderr == pytest.approx(0.1 / math.sqrt(99))
    tosses = 0.25 / found.stderr**2
    expected = binomtest(round(tosses / 2), round(tosses)).proportion_ci(0.95, method="wilson")
    assert found.interval == pytest.approx((expected.low, expected.high), abs=2e-3)
    assert found.interval[1] - found.interval[0] < 0.05


def _plain_distance(one: list[int], other: list[int]) -> int:
    """Levenshtein's recursion as a table of all prefixes."""
    table = [[i + j for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i, j in itertools.product(range(1, len(one) + 1), range(1, len(other) + 1)):
        table[i][j] = min(
            table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
        )
    return table[-1][-1]


@given(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), max_size=9))
@settings(max_examples=150, deadline=None)
def test_edit_distance_is_levenshteins(one: list[int], other: list[int]) -> None:
    """Against the plain table, empty sequences included; symmetric."""
    assert edit_distance(one, other) == _plain_distance(one, other) == edit_distance(other, one)


def test_chance_and_the_constant_answer() -> None:
    """By hand."""
    assert chance_level([4, 5, None]) == pytest.approx((0.25 + 0.2) / 3)
    assert constant_answer(["B", "A", "B", "C"]) == 0.5


@pytest.mark.parametrize(
    ("name", "direction"),
    [("accuracy", "higher"), ("pass@1", "higher"), ("pass@100", "higher"), ("mpca", "higher"),
     ("token_edit_distance", "lower"), ("token_edit_share", "lower")],
)  # fmt: skip
def test_no_metric_is_ranked_in_the_wrong_direction(name: str, direction: str) -> None:
    """The catalogue knows the direction and the unit, and refuses the other."""
    found = metric_named(name)
    assert found is not None
    assert found.direction == direction
    assert found.unit
    assert lower_is_better(name, lower=False, higher=False) == (direction == "lower")
    with pytest.raises(InputError, match=f"{direction} is better"):
        lower_is_better(name, lower=direction == "higher", higher=direction == "lower")


def test_pass_at_nothing_is_no_metric() -> None:
    """pass@0 and pass@x are a user's own columns."""
    assert metric_named("pass@0") is None
    assert metric_named("pass@x") is None
