"""Pairs called for the target: against a naive integral, simulation and hand counts."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, rankdata

from rbridge.rank import calls, in_format, relation, target_probability


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks, of mean square 1."""
    found = norm.ppf((rankdata(values) - 0.5) / len(values))
    return found / np.sqrt(np.mean(found**2))


def naive(
    score: np.ndarray, target: np.ndarray, known: np.ndarray, pair: tuple[int, int], gap: float
) -> float:
    """The probability of one pair from its definition, on a grid, without the pair's own targets."""
    one, other = pair
    least = gap / np.std(target[known])
    x, y = normal_scores(score), np.full(len(score), np.inf)
    y[known] = normal_scores(target[known])
    teachers = [k for k in range(len(score)) if known[k] and k not in (one, other)]
    r = (np.arange(2000) + 0.5) / 2000
    rest = np.sqrt(1 - r * r)
    likelihood = np.prod([norm.pdf(y[k], r * x[k], rest) for k in teachers], axis=0)
    mean, sd = r * (x[one] - x[other]), np.sqrt(2) * rest
    above = np.sum(likelihood * norm.sf(least, mean, sd))
    below = np.sum(likelihood * norm.cdf(-least, mean, sd))
    return float(above / (above + below))


@pytest.mark.parametrize("gap", [0.0, 0.8])
def test_every_pair_is_learnt_from_the_others_alone(gap: float):
    """The matrix is the naive integral pair by pair, with targets that are known for some recipes only."""
    rng = np.random.default_rng(3)
    score = rng.normal(size=7)
    target = score + 0.5 * rng.normal(size=7)
    known = np.array([True, True, False, True, True, True, True])
    stated = target_probability(score, target, known, gap=gap)
    assert stated is not None
    for pair in ((0, 1), (0, 2), (3, 6)):
        assert stated[pair] == pytest.approx(naive(score, target, known, pair, gap), abs=2e-3)


def study(rng: np.random.Generator, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Twenty scores, on a scale that one recipe stretches, and their targets."""
    hidden = rng.normal(size=20)
    return np.exp(3 * hidden), correlation * hidden + np.sqrt(1 - correlation**2) * rng.normal(size=20)


@pytest.mark.parametrize(
    ("correlation", "gap", "least_called"), [(0.7, 0.0, 0.1), (0.7, 0.5, 0.4), (0.95, 0.0, 0.6)]
)
def test_one_called_pair_in_ten_is_wrong(correlation: float, gap: float, least_called: float):
    """Over 100 studies, 86 to 95 % of the called pairs whose targets differ by the gap have the target's order."""
    rng = np.random.default_rng(4)
    known = np.ones(20, dtype=bool)
    held = called = right = 0.0
    for _ in range(100):
        score, target = study(rng, correlation)
        seen = np.abs(target[:, None] - target[None, :]) >= gap
        stated = target_probability(score, target, known, gap=gap)
        assert stated is not None
        found = calls(stated, target, known, counted=seen, rng=rng, resamples=100)
        held, called, right = held + found.num_held, called + found.num_held_called, right + found.num_right
    assert 0.86 <= right / called <= 0.95
    assert called / held >= least_called


def test_a_score_that_knows_nothing_calls_next_to_nothing():
    """Over 100 studies under 1 % of the pairs are called, and the correlation's interval reaches down to 0."""
    rng = np.random.default_rng(5)
    known = np.ones(20, dtype=bool)
    called, low = 0, []
    for _ in range(100):
        score, target = study(rng, 0.0)
        stated = target_probability(score, target, known)
        assert stated is not None
        called += calls(stated, target, known, rng=rng, resamples=100).num_called
        low.append(relation(score, target, known).interval[0])
    assert called < 0.01 * 100 * 190
    assert np.median(low) < 0.05


def test_the_relation_finds_the_correlation():
    """Its median is near the true one with 500 recipes, and its interval holds it."""
    rng = np.random.default_rng(6)
    hidden = rng.normal(size=500)
    found = relation(hidden, 0.6 * hidden + 0.8 * rng.normal(size=500), np.ones(500, dtype=bool))
    assert found.correlation == pytest.approx(0.6, abs=0.08)
    assert found.interval[0] <= 0.6 <= found.interval[1]


def test_too_few_targets_say_nothing():
    """A pair needs three other recipes with targets."""
    score = np.arange(8.0)
    assert target_probability(score, score, np.arange(8) < 4) is None
    assert target_probability(score, score, np.arange(8) < 5) is not None


def test_the_surest_pairs_are_called_by_hand():
    """Of .99, .95, .80 and three of .5 the first three have a mean of .913; a tie in the target is half right."""
    stated = np.full((4, 4), 0.5)
    for one, other, value in ((0, 1, 0.99), (0, 2, 0.95), (3, 1, 0.80)):
        stated[one, other], stated[other, one] = value, 1 - value
    target = np.array([3.0, 1.0, 3.0, 2.0])
    found = calls(stated, target, np.ones(4, dtype=bool), rng=np.random.default_rng(0))
    assert (found.num_pairs, found.num_called, found.num_held_called) == (6, 3, 3)
    assert found.num_right == 2.5
    assert found.share_right == pytest.approx(2.5 / 3)
    both = calls(stated, np.array([3.0, 1.0, 2.0, 2.0]), np.ones(4, dtype=bool), rng=np.random.default_rng(0))
    assert (both.num_right, both.num_held_called) == (3.0, 3)
    exact = binomtest(3, 3).proportion_ci(0.9, "exact")
    assert both.right_interval == pytest.approx((exact.low, exact.high))
    unresolved = ~np.eye(4, dtype=bool)
    unresolved[0, 2] = unresolved[2, 0] = False
    held = calls(stated, target, np.ones(4, dtype=bool), counted=unresolved, rng=np.random.default_rng(0))
    assert (held.num_held, held.num_held_called, held.num_right) == (5, 2, 2.0)
    none = calls(np.full((4, 4), 0.5), target, np.ones(4, dtype=bool), rng=np.random.default_rng(0))
    assert (none.num_called, none.share_right, none.right_interval) == (0, None, None)


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.booleans()), min_size=5, max_size=12),
    st.floats(0, 1e6),
)
@example([(0.0, 0.0, True)] * 4 + [(1.0, 2.2e-309, True)], 1.0)
def test_probabilities_follow_the_score(rows: list[tuple[float, float, bool]], gap: float):
    """The better score never has less than one half, both orders of a pair make one, and a scale changes nothing."""
    score, target, more = (np.array(column) for column in zip(*rows, strict=True))
    known = more.astype(bool) | (np.arange(len(score)) < 5)
    stated = target_probability(score, target, known, gap=gap)
    assert stated is not None
    assert stated + stated.T == pytest.approx(np.ones_like(stated))
    better = score[:, None] >= score[None, :]
    assert (stated[better] >= 0.5 - 1e-12).all()
    doubled = target_probability(2 * score, target, known, gap=gap)
    assert doubled is not None
    assert doubled == pytest.approx(stated)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=12))
def test_the_format_ends_at_the_first_wide_step(losses: list[float]):
    """Inside every step is under a nat; the next recipe, if any, is a nat or more away; order does not matter."""
    values = np.array(losses)
    inside = in_format(values)
    near, far = np.sort(values[inside]), values[~inside]
    assert (np.diff(near) < 1).all()
    assert not len(far) or far.min() - near[-1] >= 1
    assert (in_format(values[::-1])[::-1] == inside).all()
