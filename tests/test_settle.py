"""The statistics of stopping early: bounds that hold at all times, pairs and tops that are settled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.rank import Bands, difference_bounds, narrowed, needed_pairs, nothing_known, top_sets

LOOKS = (64, 96, 144, 216)


def _mixture(differences: np.ndarray, mean: float) -> float:
    """The e-process at one tested mean, written from its formula, without the skewness term."""
    n = len(differences)
    total, squares = (differences - mean).sum(), ((differences - mean) ** 2).sum()
    return float((1 + n / 5) ** -0.5 * np.exp(total**2 / (2 * squares) * n / (n + 5)))


@pytest.mark.parametrize("num", [40, 64, 500])
def test_bounds_are_where_the_mixture_reaches_one_over_the_error(num: int) -> None:
    """For differences without skewness the closed form solves the e-process."""
    half = np.random.default_rng(num).normal(size=num // 2)
    both = np.concatenate([half, -half]) + 0.3
    low, high = difference_bounds(both[None], np.ones((1, num), dtype=bool), error=0.01)
    assert _mixture(both, float(low[0])) == pytest.approx(100)
    assert _mixture(both, float(high[0])) == pytest.approx(100)
    assert low[0] + high[0] == pytest.approx(0.6)


def test_bounds_move_out_towards_the_longer_tail() -> None:
    """Johnson's term: mu3 c / (3 s^2 n) on one side, nothing on the other."""
    values = np.random.default_rng(0).exponential(size=(1, 200))
    known = np.ones(values.shape, dtype=bool)
    low, high = difference_bounds(values, known, error=0.05)
    mirrored_low, mirrored_high = difference_bounds(-values, known, error=0.05)
    c = 2 * (1 + 5 / 200) * np.log(np.sqrt(1 + 200 / 5) / 0.05)
    apart = values - values.mean()
    moved = (apart**3).mean() / (apart**2).mean() * c / 600
    assert (high + low)[0] - 2 * values.mean() == pytest.approx(moved)
    assert mirrored_low == pytest.approx(-high)
    assert mirrored_high == pytest.approx(-low)


def test_few_traces_say_nothing() -> None:
    """However far apart 8 differences are, the squares hold the same shift."""
    low, high = difference_bounds(
        np.full((1, 8), 5.0) + np.arange(8), np.ones((1, 8), dtype=bool), error=0.05
    )
    assert np.isneginf(low[0])
    assert np.isposinf(high[0])


def test_unknown_entries_are_not_looked_at() -> None:
    """The same bounds as from the known ones alone."""
    rng = np.random.default_rng(1)
    values, known = rng.normal(size=(1, 300)), rng.random((1, 300)) < 0.5
    few = values[known][None]
    assert np.array(difference_bounds(np.where(known, values, 1e9), known, error=0.05)) == pytest.approx(
        np.array(difference_bounds(few, np.ones(few.shape, dtype=bool), error=0.05))
    )


def _worlds(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of mean 0; each recipe's own, so that no difference need be symmetric."""
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "heavy":
        return rng.standard_t(3, size=shape)
    grown = rng.exponential(size=shape) - 1
    grown[0] = (
        rng.normal(size=shape[1:]) * 0.1
    )  # against a recipe that hardly varies, the others' skewness stays
    return grown


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
def test_no_statement_is_wrong_more_often_than_promised(kind: str) -> None:
    """100 studies of 5 recipes, some equal, looked at four times: family-wise error at most 5 %."""
    rng = np.random.default_rng(7)
    truth = np.array([0.0, 0.0, 0.0, 0.5, 1.0])
    wrong = told = 0
    for _ in range(100):
        values = truth[:, None] + _worlds(kind, rng, (5, LOOKS[-1]))
        bands = nothing_known(5)
        for num in LOOKS:
            known = np.broadcast_to(np.arange(LOOKS[-1]) < num, values.shape)
            bands = narrowed(bands, values, known, error=0.05, indifference=0.2)
        gap = np.subtract.outer(truth, truth)
        wrong += bool((bands.better & (gap >= 0)).any() or (bands.alike(0.2) & (abs(gap) > 0.2)).any())
        told += int(bands.better.sum())
    assert wrong <= 5
    assert told > 100 * 3  # and it does tell: the last from the first three


def _known(order: list[tuple[int, int]], num: int, alike: tuple[tuple[int, int], ...] = ()) -> Bands:
    """Bands in which the first of each pair is told better, and others are alike."""
    low, high = np.full((num, num), -np.inf), np.full((num, num), np.inf)
    for one, other in order:
        low[one, other], high[one, other] = -2, -1
        low[other, one], high[other, one] = 1, 2
    for one, other in alike:
        low[one, other] = low[other, one] = -0.1
        high[one, other] = high[other, one] = 0.1
    return Bands(low, high, np.isfinite(low) | np.eye(num, dtype=bool))


def test_the_top_is_settled_before_the_order() -> None:
    """0 and 1 beat 2 and 3: the two best are known, whoever of them is better."""
    bands = _known([(0, 2), (0, 3), (1, 2), (1, 3)], 4)
    found = top_sets(bands, indifference=0.0, top=2)
    assert found.inside.tolist() == [True, True, False, False]
    assert found.outside.tolist() == [False, False, True, True]
    assert not needed_pairs(bands, indifference=0.0, top=2).any()
    assert needed_pairs(bands, indifference=0.0).sum() == 4


def test_a_recipe_that_is_out_is_nobodys_rival() -> None:
    """3 is worse than 0 and 1; whether 2 beats 3 does not matter, whether 2 beats 0 or 1 does."""
    bands = _known([(0, 3), (1, 3)], 4)
    needed = needed_pairs(bands, indifference=0.0, top=2)
    assert not needed[3].any()
    assert needed[2].tolist() == [True, True, False, False]


def test_recipes_that_are_alike_share_the_border() -> None:
    """1 and 2 differ by less than the indifference: both are in and out, and nothing more is needed."""
    bands = _known([(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)], 4, alike=((1, 2),))
    found = top_sets(bands, indifference=0.1, top=2)
    assert found.inside.tolist() == [True, True, True, False]
    assert found.outside.tolist() == [False, True, True, True]
    assert not needed_pairs(bands, indifference=0.1, top=2).any()


@given(st.permutations(range(6)), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_top_that_is_told_is_the_true_one(order: list[int], top: int, seed: int) -> None:
    """Whatever part of the true order is known, nobody is put on the wrong side; all of it settles all."""
    rng = np.random.default_rng(seed)
    pairs = [(order[i], order[j]) for i in range(6) for j in range(i + 1, 6)]
    part = top_sets(_known([pair for pair in pairs if rng.random() < 0.6], 6), indifference=0.0, top=top)
    best = np.isin(np.arange(6), order[:top])
    assert not (part.inside & ~best).any()
    assert not (part.outside & best).any()
    whole = top_sets(_known(pairs, 6), indifference=0.0, top=top)
    assert (whole.inside == best).all()
    assert (whole.outside == ~best).all()
