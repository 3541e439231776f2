"""Who may be best, shrunken scores, and the regret of choosing the best observed recipe."""

from __future__ import annotations

import numpy as np
import pytest

from rbridge.rank import Replicates, known_noise, may_be_best, mean_noise, posterior_draws, rank_recipes
from rbridge.rank.seeds import seed_noise


def test_the_best_is_kept_and_the_set_is_no_wider_than_the_rank_sets() -> None:
    """Simulated: the truly best of five stays in 90 % of studies or more; others are excluded."""
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 0.05, 0.3, 0.6, 0.9])
    kept, sizes, leaders = 0, 0, 0
    for _ in range(200):
        values = truth[:, None] + rng.normal(size=60) + rng.normal(scale=0.6, size=(5, 60))
        ranking = rank_recipes(
            Replicates(tuple("abcde"), (None,) * 5, values),
            lower_is_better=True, rng=rng, resamples=300, level=0.9,
        )  # fmt: skip
        best = {row.recipe for row in ranking.order if row.may_be_best}
        kept += "a" in best
        sizes += len(best)
        leaders += sum(row.rank_set is not None and row.rank_set[0] == 1 for row in ranking.order)
    assert kept >= 0.87 * 200
    assert sizes <= leaders
    assert sizes < 4 * 200


def test_a_difference_that_never_varies_excludes() -> None:
    """Equal columns but for a constant: no error, so any difference is sure, and none is not."""
    means = np.array([0.0, 1.0, 0.0])
    drawn = means + np.random.default_rng(0).normal(size=(50, 1))
    assert may_be_best(means, drawn, np.ones((3, 3)), level=0.95).tolist() == [True, False, True]


def test_shrunken_scores_are_the_textbook_posterior_means() -> None:
    """With 1,500 recipes the spread is known: t^2 / (t^2 + s^2) of each deviation is believed."""
    rng = np.random.default_rng(1)
    truth = rng.normal(scale=1.0, size=1500)
    seen = truth + rng.normal(scale=0.5, size=1500)
    found = posterior_draws(seen, known_noise(np.full(1500, 0.25)), draws=400, rng=rng).mean(axis=0)
    expected = seen.mean() + (seen - seen.mean()) * (1 / 1.25)
    assert np.abs(found - expected).mean() < 0.06


def test_promised_regret_is_what_is_paid() -> None:
    """Simulated: 25 recipes as noisy as they are different; the winner is flattered, and said to be."""
    rng = np.random.default_rng(2)
    promised, paid, flattered, curse = [], [], [], []
    for _ in range(600):
        truth = rng.normal(size=25)
        seen = truth + rng.normal(size=25)
        drawn = posterior_draws(seen, known_noise(np.ones(25)), draws=200, rng=rng)
        chosen = int(seen.argmin())
        promised.append((drawn[:, chosen] - drawn.min(axis=1)).mean())
        paid.append(truth[chosen] - truth.min())
        flattered.append(drawn[:, chosen].mean() - seen[chosen])
        curse.append(truth[chosen] - seen[chosen])
    assert np.mean(promised) == pytest.approx(np.mean(paid), rel=0.12)
    assert np.mean(flattered) == pytest.approx(np.mean(curse), rel=0.12)
    assert np.mean(curse) > 0.5


def test_reversing_a_metric_changes_signs_and_nothing_else() -> None:
    """Higher is better of the negated values: the same choice, regret and probabilities."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(12, 5)) + np.repeat(np.arange(4.0), 3)[:, None]
    names = tuple(f"{i // 3}" for i in range(12))
    one, other = (
        rank_recipes(
            Replicates(names, (None,) * 12, sign * values), lower_is_better=sign > 0,
            rng=np.random.default_rng(0), resamples=20_000,
        )
        for sign in (1.0, -1.0)
    )  # fmt: skip
    assert one.regret is not None
    assert other.regret is not None
    assert one.regret.recipe == other.regret.recipe
    assert one.regret.expected == pytest.approx(other.regret.expected, abs=0.02)
    for row, back in zip(one.order, other.order, strict=True):
        assert row.recipe == back.recipe
        assert row.shrunken == pytest.approx(-(back.shrunken or 0.0), abs=0.05)
        assert row.probability_best == pytest.approx(back.probability_best, abs=0.02)


def test_exactly_equal_recipes_share_the_probability_of_being_best() -> None:
    """Four that are the same without noise: a quarter each, not four certainties."""
    values = np.ones((8, 1))
    ranking = rank_recipes(
        Replicates(tuple("aabbccdd"), (None,) * 8, values), lower_is_better=True, rng=np.random.default_rng(0)
    )
    assert [row.probability_best for row in ranking.order] == pytest.approx([0.25] * 4)


def _seeds(values: np.ndarray) -> Replicates:
    """A table of recipes by seeds with nothing but means."""
    recipes, seeds = values.shape
    return Replicates(
        tuple(f"r{i}" for i in range(recipes) for _ in range(seeds)),
        (None,) * values.size, values.reshape(-1, 1),
    )  # fmt: skip


def test_regret_promised_from_few_seeds_is_what_is_paid() -> None:
    """Simulated: eight recipes of two seeds, as noisy as they are different. Noise taken for known promises less."""
    rng = np.random.default_rng(4)
    promised, known, plugged = [], [], []
    for _ in range(60):
        truth = rng.normal(size=8)
        replicates = _seeds(truth[:, None] + rng.normal(size=(8, 2)))
        means, noise = replicates.means(), seed_noise(replicates)
        assert noise is not None
        chosen = int(means.argmin())
        # Where the noise is known, regret promised is regret paid (above), and scatters less.
        for found, believed in (
            (promised, mean_noise(replicates, noise)),
            (known, known_noise(np.full(8, 0.5))),
            (plugged, known_noise(noise.variance / 2)),
        ):
            drawn = posterior_draws(means, believed, draws=200, rng=rng)
            found.append((drawn[:, chosen] - drawn.min(axis=1)).mean())
    assert np.mean(promised) == pytest.approx(np.mean(known), rel=0.12)
    assert np.mean(plugged) < np.mean(promised)


def test_noise_of_the_means_has_the_variance_of_a_seed_variance() -> None:
    """Alike seeds: mean over cells is the pooled variance, over the seeds; items add their own."""
    rng = np.random.default_rng(5)
    replicates = _seeds(rng.normal(size=(40, 3)))
    noise = seed_noise(replicates)
    found = mean_noise(replicates, noise)
    assert noise is not None
    assert found.cell_weight.sum() == pytest.approx(1.0)
    mean = found.cell_weight @ (found.place_weight @ found.variance)
    assert mean.mean() == pytest.approx(noise.squares.sum() / noise.own_freedom.sum() / 3, rel=0.06)
    items = Replicates(("a", "b", "c"), (None,) * 3, rng.normal(size=(3, 4000)) + rng.normal(size=4000))
    assert mean_noise(items, None).variance[0, 0] * 4000 == pytest.approx([1.0] * 3, rel=0.08)
