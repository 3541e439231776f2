"""Ranking against scipy, hand arithmetic and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from scipy.stats import t as t_distribution

from rbridge.rank import (
    Replicates,
    agreement,
    decision_accuracy,
    gain_interval,
    may_be_best,
    mean_covariance,
    one_seed_decision_accuracy,
    rank_recipes,
    resample_means,
    uneven_seed_noise,
)
from rbridge.rank.order import told_better, win_probability

vectors = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-5, 5), min_size=n, max_size=n).map(np.array)] * 2)
)


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _replicates(values: dict[str, list[list[float]]]) -> Replicates:
    return Replicates(
        recipes=tuple(name for name, rows in values.items() for _ in rows),
        seeds=tuple(str(seed) for rows in values.values() for seed in range(len(rows))),
        values=np.array([row for rows in values.values() for row in rows], dtype=np.float64),
    )


@given(vectors)
def test_decision_accuracy_is_a_count_over_pairs(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Each pair is right, wrong, or tied and worth a half."""
    proxy, target = (side.astype(np.float64) for side in pair)
    score = 0.0
    pairs = list(itertools.combinations(range(len(proxy)), 2))
    for i, j in pairs:
        product = (proxy[i] - proxy[j]) * (target[i] - target[j])
        score += 0.5 if product == 0 else float(product > 0)
    assert decision_accuracy(proxy, target) == pytest.approx(score / len(pairs))
    assert decision_accuracy(-proxy, target) == pytest.approx(1 - score / len(pairs))
    assert decision_accuracy(np.full(len(proxy), 3.0), target) == 0.5


@given(vectors)
def test_tau_is_scipys_and_a_constant_has_none(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Kendall's tau-b, and None with its reason where one side is constant."""
    proxy, target = (side.astype(np.float64) for side in pair)
    found = agreement(proxy, target, one_seed=None, num_seeds=0, rng=_rng(), resamples=100)
    if np.ptp(proxy) == 0 or np.ptp(target) == 0:
        assert found.kendall_tau is None
        assert found.reason == "constant"
    else:
        assert found.kendall_tau == pytest.approx(kendalltau(proxy, target).statistic)
    n = len(proxy)
    assert found.num_pairs == n * (n - 1) // 2
    ties = sum(proxy[i] == proxy[j] or target[i] == target[j] for i, j in itertools.combinations(range(n), 2))
    assert found.num_ties == ties


def test_without_ties_tau_is_twice_decision_accuracy_less_one() -> None:
    """The identity that ties would break."""
    rng = _rng()
    proxy, target = rng.normal(size=25), rng.normal(size=25)
    found = agreement(proxy, target, one_seed=None, num_seeds=0, rng=rng)
    assert found.kendall_tau == pytest.approx(2 * decision_accuracy(proxy, target) - 1)
    assert found.num_pairs == 300


@pytest.mark.parametrize(("num", "most"), [(4, 0), (5, 1 / 120), (6, 0.025)])
def test_of_all_orders_few_are_told_from_chance(num: int, most: float) -> None:
    """Every order of recipes without relation comes equally often: at 95 %, at most 1 in 40 lies on a side."""
    target = np.arange(num, dtype=np.float64)
    sides = [
        agreement(
            np.array(order, float), target, one_seed=None, num_seeds=0, rng=_rng(), resamples=200
        ).side_of_chance(0.95)
        for order in itertools.permutations(range(num))
    ]
    assert sides.count("above") == sides.count("below")
    assert sides.count("above") / len(sides) <= most
    assert ("above" in sides) is (num > 4)


def test_one_seed_accuracy_is_the_mean_over_seeds() -> None:
    """Two seeds, one of which has the order wrong."""
    replicates = _replicates({"a": [[1.0], [3.0]], "b": [[2.0], [2.0]]})
    target = np.array([2.0, 1.0])  # a is better; the metric is a loss
    assert one_seed_decision_accuracy(replicates, target, lower_is_better=True) == (0.5, 2)


def test_seeds_that_not_every_recipe_has_are_left_out() -> None:
    """Only common seeds make a ranking."""
    replicates = _replicates({"a": [[1.0], [3.0]], "b": [[2.0]]})
    assert one_seed_decision_accuracy(replicates, np.array([2.0, 1.0]), lower_is_better=True) == (1.0, 1)


def test_order_is_by_mean_with_ties_sharing_the_better_rank() -> None:
    """Best first in the metric's direction."""
    replicates = _replicates({"a": [[1.0, 3.0]], "b": [[0.0, 1.0]], "c": [[4.0, 0.0]]})
    order = rank_recipes(replicates, lower_is_better=True, rng=_rng()).order
    assert [(row.recipe, row.rank) for row in order] == [("b", 1), ("a", 2), ("c", 2)]
    order = rank_recipes(replicates, lower_is_better=False, rng=_rng()).order
    assert [(row.recipe, row.rank) for row in order] == [("a", 1), ("c", 1), ("b", 3)]


def test_one_value_a_recipe_has_no_interval_and_says_why() -> None:
    """Nothing can be resampled."""
    ranking = rank_recipes(_replicates({"a": [[1.0]], "b": [[2.0]]}), lower_is_better=True, rng=_rng())
    assert [row.reason for row in ranking.order] == ["no replicates"] * 2
    assert all(row.interval is None and row.rank_set is None for row in ranking.order)
    assert ranking.win_probability is None


def test_recipes_far_apart_are_told_apart_and_equal_ones_are_not() -> None:
    """Rank sets are tight where the data are clear and wide where they are not."""
    rng = np.random.default_rng(1)
    item = rng.normal(size=200)
    values = {
        "best": [(item + rng.normal(scale=0.1, size=200) - 1).tolist()],
        "twin": [(item + rng.normal(scale=0.1, size=200)).tolist()],
        "other": [(item + rng.normal(scale=0.1, size=200)).tolist()],
    }
    ranking = rank_recipes(_replicates(values), lower_is_better=True, rng=_rng())
    sets = {row.recipe: row.rank_set for row in ranking.order}
    assert sets == {"best": (1, 1), "twin": (2, 3), "other": (2, 3)}
    assert {row.recipe: row.tied_with for row in ranking.order}["twin"] == ("other",)
    # One seed: no probability across seeds is claimed.
    assert ranking.win_probability is None
    assert all(row.probability_best is None for row in ranking.order)
    twice = {
        name: [rows[0], (np.array(rows[0]) + rng.normal(scale=0.01)).tolist()]
        for name, rows in values.items()
    }
    wins = rank_recipes(_replicates(twice), lower_is_better=True, rng=_rng()).win_probability
    assert wins is not None
    assert wins + wins.T == pytest.approx(np.ones((3, 3)))
    assert wins[0, 1] == 1.0


def test_resampled_items_vary_as_the_mean_does() -> None:
    """Even at four items the variance of resampled means is s^2 / n."""
    values = np.random.default_rng(2).normal(size=(1, 4))
    drawn = resample_means(Replicates(("a",), ("0",), values), resamples=200_000, rng=_rng())[:, 0]
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * drawn.std() / 400)
    assert drawn.var() == pytest.approx(values.var(ddof=1) / 4, rel=0.02)


def test_resampled_seeds_vary_as_students_t_does() -> None:
    """Twenty recipes of two seeds, as far apart each: quantiles are the pooled t interval's."""
    middle = np.random.default_rng(2).normal(size=20)
    values = np.stack([middle - 0.5, middle + 0.5], axis=1).reshape(40, 1)
    names = tuple(str(i // 2) for i in range(40))
    replicates = Replicates(names, (None,) * 40, values)
    drawn = resample_means(replicates, resamples=200_000, rng=_rng())[:, 0]
    half = t_distribution.ppf(0.975, 20) * np.sqrt(0.5) / np.sqrt(2)  # s^2 = 1/2, 20 degrees of freedom
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(
        values[:2].mean() + np.array([-half, half]), abs=0.02
    )


def test_decision_accuracy_of_real_mixtures_is_the_published_one() -> None:
    """RegMix's 256 mixtures at 1M against 60M parameters: .946 to .984 over 13 validation losses."""
    small, large = (pl.read_csv(f"tests/data/regmix/test_pile_loss_{size}.csv") for size in ("1m", "60m"))
    found = [
        decision_accuracy(-small[loss].to_numpy(), -large[loss].to_numpy()) for loss in small.columns[1:]
    ]
    assert (len(found), round(min(found), 3), round(max(found), 3)) == (13, 0.946, 0.984)


def test_pairs_are_told_apart_by_the_largest_ratio_over_all_pairs() -> None:
    """Against numpy over all pairs at once; 70 recipes, more than are worked on at a time."""
    rng = _rng()
    values = rng.normal(size=(70, 40)) + np.linspace(0, 3, 70)[:, None]
    table = Replicates(tuple(map(str, range(70))), (None,) * 70, values)
    drawn, covariance = resample_means(table, resamples=300, rng=rng), mean_covariance(table, None)
    means = table.means()
    i, j = np.triu_indices(70, 1)
    error = np.sqrt((values[i] - values[j]).var(axis=1, ddof=1) / 40)
    largest = np.abs((drawn - means)[:, i] - (drawn - means)[:, j]) / error
    critical = np.quantile(largest.max(axis=1), 0.9)
    found = told_better(means, drawn, covariance, level=0.9)
    assert found[i, j].tolist() == (means[j] - means[i] > critical * error).tolist()
    assert found[j, i].tolist() == (means[i] - means[j] > critical * error).tolist()
    wins = win_probability(drawn, lower_is_better=True)
    assert wins[i, j] == pytest.approx((drawn[:, i] < drawn[:, j]).mean(axis=0))
    assert wins[j, i] == pytest.approx((drawn[:, i] > drawn[:, j]).mean(axis=0))
    assert np.diag(wins).tolist() == [0.5] * 70
    kept = may_be_best(means, drawn, covariance, level=0.9)
    naive = []
    for one in range(70):
        rest = np.arange(70) != one
        spread = np.sqrt((values[one] - values[rest]).var(axis=1, ddof=1) / 40)
        reach = ((drawn - means)[:, [one]] - (drawn - means)[:, rest]) / spread
        naive.append(bool(((means[one] - means[rest]) / spread).max() <= np.quantile(reach.max(axis=1), 0.9)))
    assert kept.tolist() == naive
    assert 1 < kept.sum() < 70


def test_rank_sets_hold_for_all_recipes_at_once() -> None:
    """Simulated with known order: all true ranks lie in their sets in about 95 % of studies."""
    truth = np.array([0.0, 0.0, 0.15, 0.3])
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        item = rng.normal(size=60)
        values = truth[:, None] + item + rng.normal(scale=0.5, size=(4, 60))
        ranking = rank_recipes(
            Replicates(("0", "1", "2", "3"), (None,) * 4, values),
            lower_is_better=True,
            rng=rng,
            resamples=400,
        )
        sets = {int(row.recipe): row.rank_set for row in ranking.order}
        # The two equal recipes may take rank 1 or 2 in any order, so both must stay possible.
        inside = [sets[0] is not None and sets[0][0] == 1 and sets[0][1] >= 2]
        inside += [sets[1] is not None and sets[1][0] == 1 and sets[1][1] >= 2]
        inside += [sets[i] is not None and sets[i][0] <= i + 1 <= sets[i][1] for i in (2, 3)]
        held += all(inside)
    assert held >= 182  # 95 % of 200 is 190; three standard errors below is 181


def test_intervals_at_two_seeds_cover_the_truth() -> None:
    """Eight recipes of two seeds each: 95 % intervals hold their true means 93 to 97 % of the time."""
    rng = np.random.default_rng(4)
    truth = np.repeat(np.linspace(0, 1, 8), 2)
    names = tuple(str(i // 2) for i in range(16))
    held = []
    for _ in range(300):
        values = (truth + rng.normal(scale=0.3, size=16))[:, None]
        drawn = resample_means(Replicates(names, ("0", "1") * 8, values), resamples=400, rng=rng)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        held.append((low <= truth[::2]) & (truth[::2] <= high))
    assert 0.93 <= np.mean(held) <= 0.97


def test_a_recipe_with_one_seed_is_lent_the_others_noise() -> None:
    """Its interval is root two times as wide as that of a recipe with two."""
    values = {str(i): [[i - 0.5], [i + 0.5]] for i in range(60)} | {"one": [[50.0]]}
    rows = {
        row.recipe: row for row in rank_recipes(_replicates(values), lower_is_better=True, rng=_rng()).order
    }
    widths = {name: row.interval[1] - row.interval[0] for name, row in rows.items() if row.interval}
    assert widths["one"] == pytest.approx(widths["0"] * 2**0.5, rel=0.1)


def test_a_gain_is_paired_over_recipes() -> None:
    """A proxy against itself gains nothing, surely; against noise it gains, with an interval above zero."""
    rng = _rng()
    target = rng.normal(size=40)
    good, noise = target + rng.normal(scale=0.2, size=40), rng.normal(size=40)
    assert gain_interval(good, good, target, rng=_rng()) == (0.0, (0.0, 0.0))
    difference, interval = gain_interval(good, noise, target, rng=_rng())
    assert difference == pytest.approx(decision_accuracy(good, target) - decision_accuracy(noise, target))
    assert interval is not None
    assert 0 < interval[0] < difference < interval[1]
    assert gain_interval(good[:3], noise[:3], target[:3], rng=_rng())[1] is None


def test_uneven_seed_noise_is_told_and_even_noise_is_not() -> None:
    """A recipe with ten times the noise is named in most studies; among alike ones a name is rare."""
    rng = _rng()
    named, falsely = 0, 0
    for _ in range(300):
        even = rng.normal(size=(8, 2, 1))
        falsely += bool(uneven_seed_noise(_replicates({str(i): even[i].tolist() for i in range(8)})))
        even[3] *= 30
        found = uneven_seed_noise(_replicates({str(i): even[i].tolist() for i in range(8)}))
        named += any(name == "3" for name, _ in found)
    assert falsely <= 10  # 1 % of 300 is 3
    assert named >= 200
