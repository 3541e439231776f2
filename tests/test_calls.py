"""Pairs called with the score's bias counted in: against simulation, closed forms and hand counts."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import norm

from rbridge.rank.calls import Calls, calls, fit_bias, stated_probability


def simulated(bias: float, num: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences in score, their errors, and whether the target has the score's order, by the very model."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1, num) * 10  # so wide that the posterior of a true difference is flat
    error = rng.uniform(0.05, 0.3, num)
    difference = truth + rng.normal(0, np.hypot(error, bias))
    return difference, error, (np.sign(difference) * np.sign(truth) + 1) / 2


@pytest.mark.parametrize("bias", [0.5, 2.0])
def test_the_bias_of_a_simulation_is_found(bias: float):
    """From 20,000 pairs of which the target is known, the bias comes out to within 15 %."""
    assert fit_bias(*simulated(bias, 20_000, seed=1)) == pytest.approx(bias, rel=0.15)


def test_called_pairs_come_true_as_often_as_stated():
    """Learnt on one half and applied to the other, the pairs called at 90 % are right as often as they say."""
    difference, error, right = simulated(2.0, 20_000, seed=2)
    bias = fit_bias(difference[::2], error[::2], right[::2])
    stated = stated_probability(difference[1::2], error[1::2], bias)
    between = (stated >= 0.85) & (stated < 0.95)
    assert right[1::2][between].mean() == pytest.approx(stated[between].mean(), abs=0.03)


def test_a_score_that_knows_nothing_calls_nothing():
    """Where half or fewer of the pairs are right the bias is infinite and every probability one half."""
    difference, error = np.array([1.0, -2.0, 3.0, 0.5]), np.full(4, 0.1)
    bias = fit_bias(difference, error, np.array([1.0, 0.0, 0.0, 1.0]))
    assert math.isinf(bias)
    stated = stated_probability(difference, error, bias)
    assert (stated == 0.5).all()
    assert calls(stated, np.ones(4)) == Calls(0.9, 4, 0, 0.0)
    assert calls(stated, np.ones(4)).share_right is None
    assert math.isinf(fit_bias(np.zeros(0), np.zeros(0), np.zeros(0)))
    assert calls(np.zeros(0), np.zeros(0)).share_called is None


def test_stated_probability_by_hand():
    """3 and 4 make 5: a difference of 5 is one deviation; without noise all is certain, without difference a coin."""
    stated = stated_probability(np.array([-5.0]), np.array([3.0]), 4.0)
    assert stated[0] == pytest.approx(norm.cdf(1.0))
    assert stated_probability(np.array([1.0, 0.0]), np.zeros(2), 0.0).tolist() == [1.0, 0.5]


def test_ties_count_half():
    """A called pair that is tied in the target is half right."""
    found = calls(np.array([0.95, 0.9, 0.89]), np.array([0.5, 1.0, 1.0]))
    assert (found.num_called, found.num_right, found.share_right) == (2, 1.5, 0.75)
    assert found.share_called == pytest.approx(2 / 3)


@example([(1.0, 2.2e-309)], 0.0, 0.0)
@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 3)), min_size=1, max_size=20),
    st.floats(0, 5),
    st.floats(0, 5),
)
def test_more_bias_is_never_surer(pairs: list[tuple[float, float]], one: float, other: float):
    """Probabilities lie between one half and one and fall with the bias."""
    difference, error = (np.array(column) for column in zip(*pairs, strict=True))
    low, high = (stated_probability(difference, error, bias) for bias in sorted((one, other)))
    assert (low >= high - 1e-12).all()
    assert ((high >= 0.5) & (low <= 1)).all()
