"""Seed noise, its moderation and its blocks; variance components; what to buy next."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import polygamma

from rbridge.rank import Pilot, Replicates, components, pilot_of, rank_recipes, seed_noise
from rbridge.rank.seeds import scaled_f_prior, trigamma_inverse


def _study(
    rng: np.random.Generator,
    *,
    recipes: int,
    seeds: int,
    items: int,
    sd: dict[str, float],
    named: bool = False,
) -> tuple[Replicates, np.ndarray]:
    """A made-up study of the crossed model, and its true scores."""
    truth = sd["recipe"] * rng.normal(size=recipes)
    values = (
        truth[:, None, None]
        + sd["seed"] * rng.normal(size=(recipes, seeds, 1))
        + sd["problem"] * rng.normal(size=items)
        + sd["recipe_problem"] * rng.normal(size=(recipes, 1, items))
        + sd["residual"] * rng.normal(size=(recipes, seeds, items))
    )
    names = tuple(f"r{i}" for i in range(recipes) for _ in range(seeds))
    labels = tuple(str(s) if named else None for _ in range(recipes) for s in range(seeds))
    return Replicates(names, labels, values.reshape(recipes * seeds, items)), truth


def test_trigamma_is_inverted_over_its_whole_range() -> None:
    """From nearly no degrees of freedom to very many."""
    for x in (0.01, 0.3, 1.0, 7.5, 400.0):
        assert trigamma_inverse(float(polygamma(1, x))) == pytest.approx(x, rel=1e-8)


def test_the_prior_of_unequal_variances_is_found() -> None:
    """Planted: s0^2 = 2 and d0 = 6, 20,000 variances of 3 degrees of freedom each."""
    rng = np.random.default_rng(0)
    true = 2.0 * 6 / rng.chisquare(6, size=20_000)
    seen = true * rng.chisquare(3, size=20_000) / 3
    variance, freedom = scaled_f_prior(seen.tolist(), [3.0] * 20_000, 1.0)
    assert variance == pytest.approx(2.0, rel=0.03)
    assert freedom == pytest.approx(6.0, rel=0.1)


def test_variances_that_spread_by_chance_alone_are_pooled() -> None:
    """Then every recipe has the pooled variance, with the pool's degrees of freedom."""
    values = np.array([[0.0], [1.0]] * 5)
    found = seed_noise(Replicates(tuple("aabbccddee"), (None,) * 10, values))
    assert found is not None
    assert found.pooled
    assert found.variance.tolist() == [0.5] * 5
    assert found.freedom.tolist() == [5.0] * 5
    assert scaled_f_prior([1.0, 2.0], [1.0, 1.0], 1.5) == (1.5, math.inf)


def test_a_noisy_recipe_keeps_its_noise_and_the_quiet_ones_theirs() -> None:
    """Seeds of one recipe vary thirty times as much: pooling would give all the same."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(12, 3))
    values[4] *= 30
    names = tuple(f"r{i}" for i in range(12) for _ in range(3))
    found = seed_noise(Replicates(names, (None,) * 36, values.reshape(36, 1)))
    assert found is not None
    quiet = np.delete(found.variance, 4)
    assert not found.pooled
    assert found.variance[4] > 20 * quiet.max()
    assert ((found.freedom > 2) & (found.freedom <= 24)).all()


def test_an_effect_that_all_recipes_share_leaves_differences_alone() -> None:
    """Named common seeds are blocks: seed 1 is worse by 10 for every recipe, and the order stays sure."""
    rng = np.random.default_rng(2)
    replicates, _ = _study(
        rng, recipes=8, seeds=2, items=1, named=True,
        sd={"recipe": 0, "seed": 0.1, "problem": 0, "recipe_problem": 0, "residual": 0},
    )  # fmt: skip
    values = replicates.values + np.tile([0.0, 10.0], 8)[:, None] + np.repeat(np.arange(8), 2)[:, None]
    named = Replicates(replicates.recipes, replicates.seeds, values)
    nameless = Replicates(replicates.recipes, (None,) * 16, values)
    apart, mixed = (
        rank_recipes(table, lower_is_better=True, rng=np.random.default_rng(0)) for table in (named, nameless)
    )
    assert all(row.rank_set == (row.rank, row.rank) for row in apart.order)
    assert all(row.rank_set == (1, 8) for row in mixed.order)
    assert apart.noise is not None
    assert apart.noise.blocks
    # Each value's own interval still holds the common effect, with one degree of freedom.
    assert all(row.interval and row.interval[1] - row.interval[0] > 10 for row in apart.order)


def test_a_pilot_lends_its_noise_to_recipes_of_one_seed() -> None:
    """Width: 2 t(0.975, 5) s; and now a probability of being best may be given."""
    values = np.array([[0.0], [1.0]])
    pilot = Pilot(variance=0.04, freedom=5)
    ranking = rank_recipes(
        Replicates(("a", "b"), (None, None), values),
        lower_is_better=True, rng=np.random.default_rng(0), resamples=100_000, pilot=pilot,
    )  # fmt: skip
    low, high = ranking.order[0].interval or (0, 0)
    assert high - low == pytest.approx(2 * 2.5706 * 0.2, rel=0.02)  # t table: 2.571
    assert ranking.win_probability is not None
    assert pilot_of(Replicates(("a", "a"), (None, None), values)) == Pilot(0.5, 1)
    assert pilot_of(Replicates(("a", "b"), (None, None), values)) is None


def test_variance_components_are_found() -> None:
    """Planted standard deviations, 80 recipes of 3 seeds on 60 problems."""
    planted = {"recipe": 1.0, "seed": 0.6, "problem": 2.0, "recipe_problem": 0.8, "residual": 1.5}
    replicates, _ = _study(np.random.default_rng(3), recipes=80, seeds=3, items=60, sd=planted)
    noise = seed_noise(replicates)
    assert noise is not None
    found = components(replicates, seed_variance=float(noise.variance.mean()))
    for name, value in planted.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.2), name
    variance = 0.6**2 / 3 + 0.8**2 / 60 + 1.5**2 / 180
    assert found.noise == pytest.approx(math.sqrt(variance), rel=0.1)
    assert found.reliability == pytest.approx(1 / (1 + variance), abs=0.05)


def test_seeds_that_differ_by_rounding_alone_are_no_noise() -> None:
    """A count of a recipe's text is the same for every seed: there is no ratio of signal to noise."""
    values = np.array([[0.1], [0.1 + 1e-17], [0.1], [0.53], [0.53 * (1 + 2e-16)], [0.53]])
    replicates = Replicates(("a",) * 3 + ("b",) * 3, ("0", "1", "2") * 2, values)
    noise = seed_noise(replicates)
    found = components(replicates, seed_variance=None if noise is None else float(noise.variance.mean()))
    assert found.signal_to_noise is None
    assert found.recipe == pytest.approx(0.43 / math.sqrt(2))


@pytest.mark.parametrize(
    ("sd", "seeds", "buy"),
    [
        ({"recipe": 0.3, "seed": 1.0, "recipe_problem": 0.1, "residual": 0.1}, 2, "seeds"),
        ({"recipe": 0.3, "seed": 0.0, "recipe_problem": 3.0, "residual": 0.1}, 2, "traces"),
        ({"recipe": 9.0, "seed": 0.1, "recipe_problem": 0.1, "residual": 0.1}, 2, "recipes"),
        ({"recipe": 9.0, "seed": 0.1, "recipe_problem": 0.1, "residual": 0.1}, 1, "seeds"),
    ],
)
def test_what_to_buy_next_is_where_the_noise_is(sd: dict[str, float], seeds: int, buy: str) -> None:
    """Seeds, traces, or, where neither matters any more, recipes; seeds first while they are unknown."""
    replicates, _ = _study(
        np.random.default_rng(4), recipes=20, seeds=seeds, items=30, sd={"problem": 1.0, **sd}
    )
    noise = seed_noise(replicates)
    found = components(replicates, seed_variance=None if noise is None else float(noise.variance.mean()))
    assert found.buy == buy


def test_ninety_per_cent_intervals_hold_ninety_per_cent() -> None:
    """Simulated: 8 recipes, 3 seeds, 20 problems, every source on (bench/rank_coverage.py has ten designs)."""
    rng = np.random.default_rng(5)
    sd = {"recipe": 1.0, "seed": 0.5, "problem": 1.0, "recipe_problem": 1.0, "residual": 1.0}
    inside = []
    for _ in range(120):
        replicates, truth = _study(rng, recipes=8, seeds=3, items=20, sd=sd)
        # The sampled problems' common part moves all recipes alike: it belongs to the interval too.
        ranking = rank_recipes(replicates, lower_is_better=True, rng=rng, resamples=400, level=0.9)
        for row in ranking.order:
            assert row.interval is not None
            inside.append(row.interval[0] <= truth[int(row.recipe[1:])] <= row.interval[1])
    assert 0.87 <= np.mean(inside) <= 0.93
