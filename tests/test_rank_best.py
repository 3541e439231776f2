"""Who may be best, shrunken scores, and the regret of choosing the best observed recipe."""

from __future__ import annotations

import numpy as np
import pytest

from rbridge.rank import Replicates, may_be_best, posterior_draws, rank_recipes


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
    found = posterior_draws(seen, np.eye(1500) * 0.25, draws=400, rng=rng).mean(axis=0)
    expected = seen.mean() + (seen - seen.mean()) * (1 / 1.25)
    assert np.abs(found - expected).mean() < 0.06
    # What all recipes share says nothing of their differences.
    shared = posterior_draws(seen[:40], np.eye(40) * 0.25 + 100.0, draws=4000, rng=rng).mean(axis=0)
    alone = posterior_draws(seen[:40], np.eye(40) * 0.25, draws=4000, rng=rng).mean(axis=0)
    assert np.abs((shared - shared.mean()) - (alone - alone.mean())).max() < 0.08


def test_promised_regret_is_what_is_paid() -> None:
    """Simulated: 25 recipes as noisy as they are different; the winner is flattered, and said to be."""
    rng = np.random.default_rng(2)
    promised, paid, flattered, curse = [], [], [], []
    for _ in range(1500):
        truth = rng.normal(size=25)
        seen = truth + rng.normal(size=25)
        drawn = posterior_draws(seen, np.eye(25), draws=200, rng=rng)
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
