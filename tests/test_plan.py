"""The plan: two-stage search against closed forms, allocation against integrals, the command against both."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from rbridge.errors import InputError
from rbridge.plan import (
    Belief,
    Correlation,
    Costs,
    beliefs,
    correlation_from_accuracy,
    halving_schedule,
    knowledge_gain,
    pilot_correlation,
    seeds_to_separate,
    traces_to_separate,
    two_stage,
)
from tests.commands import rbridge

_COSTS = Costs(stage1=1.0, stage2=10.0, target=1000.0)


def _search(num_recipes: int, rho1: float, rho2: float, **rest: float) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(0)
    found = two_stage(num_recipes, Correlation(rho1), Correlation(rho2), _COSTS, rng=rng, **rest)
    return [(choice.best_survives, choice.best_chosen, choice.regret) for choice in found.choices]


def test_a_blind_stage_keeps_the_best_with_chance_k_over_n() -> None:
    """Correlation 0 in stage 1: k of N; a perfect stage 2 then finds the best of the k."""
    for kept, (survives, chosen, _) in enumerate(_search(8, 0.0, 1.0), start=1):
        assert survives == pytest.approx(kept / 8, abs=0.01)
        # Keeping one recipe leaves stage 2 nothing to choose.
        assert chosen == pytest.approx(survives, abs=1e-12)


def test_a_perfect_stage_keeps_the_best_always() -> None:
    """Correlation 1: no regret for any k."""
    assert _search(8, 1.0, 0.3) == [(1.0, 1.0, 0.0)] * 8


def test_two_recipes_follow_sheppards_formula() -> None:
    """With N = 2 and k = 1 the chance is the decision accuracy, 1/2 + arcsin(rho) / pi."""
    for accuracy in (0.5, 0.6, 0.78, 0.95):
        rho = correlation_from_accuracy(accuracy).value
        assert math.asin(rho) / math.pi + 0.5 == pytest.approx(accuracy)
        assert _search(2, rho, 0.9)[0][0] == pytest.approx(accuracy, abs=0.01)


def test_regret_of_a_blind_choice_is_the_mean_of_the_largest_normal() -> None:
    """N = 5: 1.16296 (Tippett 1925); the null stands beside every search."""
    found = two_stage(5, Correlation(0.0), Correlation(0.0), _COSTS, rng=np.random.default_rng(1))
    assert found.random_regret == pytest.approx(1.16296, abs=1e-5)
    assert found.choices[0].regret == pytest.approx(1.16296, abs=0.02)


def test_a_naive_search_in_every_world_gives_the_same_shares() -> None:
    """The vectorised search against plain loops over worlds, recipes and k, other random numbers."""
    rho1, rho2, shared, num, worlds = 0.6, 0.85, 0.5, 6, 2500
    rng = np.random.default_rng(3)
    # Regression of t on (s1, s2): inverse of their covariance matrix times their covariances with t.
    between = rho1 * rho2 + shared * math.sqrt((1 - rho1**2) * (1 - rho2**2))
    slope = np.linalg.solve([[1, between], [between, 1]], [rho1, rho2])
    survives, chosen, regret = np.zeros(num), np.zeros(num), np.zeros(num)
    for _ in range(worlds):
        target = rng.normal(size=num)
        error = rng.multivariate_normal([0, 0], [[1, shared], [shared, 1]], size=num)
        scores = np.array([rho1, rho2]) * target[:, None] + np.sqrt([1 - rho1**2, 1 - rho2**2]) * error
        for kept in range(1, num + 1):
            left = sorted(range(num), key=lambda recipe: -scores[recipe, 0])[:kept]
            pick = max(left, key=lambda recipe: float(scores[recipe] @ slope))
            best = int(target.argmax())
            survives[kept - 1] += best in left
            chosen[kept - 1] += pick == best
            regret[kept - 1] += target[best] - target[pick]
    found = np.array(_search(num, rho1, rho2, shared_error=shared))
    assert found == pytest.approx(np.stack([survives, chosen, regret], axis=1) / worlds, abs=0.03)


def test_costs_are_those_of_the_paper() -> None:
    """N C1 + k C2 + Ct against N Ct; keeping one recipe needs no stage 2."""
    assert _COSTS.search(25, 4) == 25 + 40 + 1000
    assert _COSTS.search(25, 1) == 25 + 1000
    found = two_stage(25, Correlation(0.7), Correlation(0.9), _COSTS, rng=np.random.default_rng(0))
    assert found.choices[3].saving == pytest.approx(25 * 1000 / 1065)
    kept = found.choices[found.recommended - 1]
    assert kept.best_survives >= 0.9 > found.choices[found.recommended - 2].best_survives


def test_a_pilot_gives_intervals_and_they_narrow_with_recipes() -> None:
    """More recipes in the pilot, less doubt about the chance that the best survives."""
    widths = []
    for recipes in (8, 60):
        found = two_stage(
            10, Correlation(0.7, recipes), Correlation(0.9, recipes), _COSTS, rng=np.random.default_rng(0)
        )
        low, high = found.choices[2].best_survives_interval or (0, 0)
        assert low < found.choices[2].best_survives < high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_a_pilots_interval_holds_the_true_correlation() -> None:
    """Over 400 pilots of 12 recipes, the 90 % range of draws holds the correlation in 85 to 95 %."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        target = rng.normal(size=12)
        score = 0.7 * target + math.sqrt(1 - 0.7**2) * rng.normal(size=12)
        low, high = np.quantile(pilot_correlation(score, target).draws(400, rng), [0.05, 0.95])
        held += low <= 0.7 <= high
    assert 0.85 <= held / 400 <= 0.95


def test_a_pilot_of_a_perfect_order_is_not_taken_for_certainty() -> None:
    """Eight recipes in the right order leave doubt; a constant target or four recipes say nothing."""
    found = pilot_correlation(np.arange(8.0), np.arange(8.0) ** 3)
    assert 0.9 < found.value < 1
    with pytest.raises(InputError, match="4 recipes"):
        pilot_correlation(np.arange(4.0), np.arange(4.0))
    with pytest.raises(InputError, match="same for every recipe"):
        pilot_correlation(np.arange(6.0), np.ones(6))


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.floats(0.1, 3), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_the_gain_is_the_expected_rise_of_the_best_mean(means: list[float], sd: float, which: int) -> None:
    """Against numerical integration over what one more seed may show."""
    row = which % len(means)
    believed = [Belief(mean, 0.5 + index, 1) for index, mean in enumerate(means)]
    moved = believed[row].variance / math.sqrt(believed[row].variance + sd**2)
    others = max(mean for index, mean in enumerate(means) if index != row)
    kink = (others - means[row]) / moved

    def rise(z: float) -> float:
        return (max(others, means[row] + moved * z) - max(means)) * norm.pdf(z)

    expected = sum(
        quad(rise, low, high, epsabs=1e-12)[0]
        for low, high in ((-12, np.clip(kink, -12, 12)), (np.clip(kink, -12, 12), 12))
    )
    assert knowledge_gain(believed, seed_variance=sd**2)[row] == pytest.approx(expected, abs=1e-8)


def test_beliefs_are_the_normal_posterior() -> None:
    """Hand arithmetic: means 1 and 5, two seeds each, seed variance 2, so error 1 and variance between 7."""
    found, variance = beliefs([np.array([0.0, 2.0]), np.array([4.0, 6.0])])
    assert variance == 2.0
    assert [one.mean for one in found] == pytest.approx([3 - 2 * 7 / 8, 3 + 2 * 7 / 8])
    assert [one.variance for one in found] == pytest.approx([7 / 8, 7 / 8])
    with pytest.raises(InputError, match="one seed"):
        beliefs([np.array([1.0]), np.array([2.0])])


def test_choosing_the_next_proxy_by_gain_needs_a_third_of_the_runs() -> None:
    """100 choices among 12 recipes: 40 runs by gain leave no more regret than 120 in equal shares."""
    rng, sd = np.random.default_rng(0), 1.0
    by_gain, equal = [], []
    for _ in range(100):
        truth = rng.normal(size=12)
        equal.append(_regret(truth, truth + sd * rng.normal(size=12) / math.sqrt(10)))
        total, count = np.zeros(12), np.zeros(12)
        for _ in range(40):
            variance = 1 / (1 + count / sd**2)
            mean = variance * total / sd**2
            believed = [Belief(m, v, 0) for m, v in zip(mean, variance, strict=True)]
            row = int(np.argmax(knowledge_gain(believed, seed_variance=sd**2)))
            total[row] += truth[row] + sd * rng.normal()
            count[row] += 1
        by_gain.append(_regret(truth, total / (1 + count)))
    difference = np.array(by_gain) - equal
    assert difference.mean() < 2 * difference.std() / math.sqrt(100)
    assert np.mean(by_gain) < 0.1


def _regret(truth: np.ndarray, seen: np.ndarray) -> float:
    return float(truth.max() - truth[int(np.argmax(seen))])


def test_halving_spends_its_budget_in_equal_rounds() -> None:
    """Within the budget, each round at most its share; too little is refused."""
    for recipes, budget in ((25, 125), (7, 100), (2, 9)):
        rounds = halving_schedule(recipes, budget)
        assert rounds[0].recipes == recipes
        assert sum(one.recipes * one.seeds for one in rounds) <= budget
        assert math.ceil(rounds[-1].recipes / 2) == 1
    with pytest.raises(InputError, match="125 or more"):
        halving_schedule(25, 100)


def test_counts_to_separate_have_the_power_that_they_promise() -> None:
    """A simulated z test at the counts given finds the difference in 80 % of cases, and with one fewer in less."""
    seeds = seeds_to_separate(0.5, seed_variance=0.3, trace_variance=2.0, num_traces=400).needed
    assert seeds is not None
    traces = traces_to_separate(0.5, seed_variance=0.01, trace_variance=2.0, num_seeds=3.0).needed
    assert traces is not None
    for variance in (2 * 0.3 / seeds + 2.0 / 400, 2 * 0.01 / 3 + 2.0 / traces):
        sd = math.sqrt(variance)
        power = norm.sf(norm.ppf(0.975) - 0.5 / sd)
        assert 0.8 <= power < 0.86
    hopeless = seeds_to_separate(0.5, seed_variance=0.3, trace_variance=20.0, num_traces=10)
    assert hopeless.needed is None
    assert "add traces" in str(hopeless.reason)


def _table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["recipe,seed,benchmark,loss,accuracy"]
    for recipe in range(8):
        for seed in range(2):
            loss = 1 + recipe / 10 + 0.1 * rng.normal()
            lines.append(f"r{recipe},{seed},gsm8k,{loss},{80 - recipe}")
    file = tmp_path / "obs.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_plan_next_names_the_recipe_whose_seed_is_worth_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The leader and its rival gain most, the last gains nothing; seeds needed are there, traces say why not."""
    file = _table(tmp_path)
    result = rbridge(
        capsys, "plan", "next", file, "--proxy", "loss", "--lower-is-better", "--budget", "40", "--json"
    )
    assert result.status == 0
    (group,) = result.document["groups"]
    assert (group["leader"], group["direction"], group["n_recipes"]) == ("r0", "lower", 8)
    assert group["train_next"] in ("r0", "r1")
    assert group["order"][-1]["gain"] < 1e-3 * group["order"][0]["gain"]
    rival = next(row for row in group["order"] if row["recipe"] == "r1")
    assert rival["seeds_needed"]["needed"] >= 1
    assert "single traces" in rival["traces_needed"]["reason"]
    assert group["halving"][0] == {"recipes": 8, "seeds": 1}


def test_plan_search_reads_a_pilot_or_stated_accuracies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pilot brings intervals and the target's spread; stated accuracies come back as they were."""
    costs = ("--stage1", "3.7Mx0.4B", "--stage2", "6e20", "--target-cost", "7Bx1T", "--worlds", "4000")
    stated = rbridge(
        capsys, "plan", "search", "--recipes", "25", *costs, "--stage1-accuracy", "0.78",
        "--stage2-accuracy", "0.9", "--json",
    )  # fmt: skip
    assert stated.status == 0
    assert stated.document["stage1"]["decision_accuracy"] == pytest.approx(0.78)
    assert stated.document["choices"][0]["flops"] == pytest.approx(25 * 6 * 3.7e6 * 4e8 + 6 * 7e9 * 1e12)
    assert stated.document["choices"][0]["best_survives_interval"] is None
    pilot = rbridge(
        capsys, "plan", "search", "--recipes", "25", *costs, "--pilot", _table(tmp_path), "--stage1-column",
        "loss", "--lower", "loss", "--target", "accuracy", "--stage2-accuracy", "0.9", "--json",
    )  # fmt: skip
    assert pilot.status == 0
    assert pilot.document["stage1"]["num_recipes"] == 8
    assert pilot.document["stage1"]["correlation"] > 0.9
    assert pilot.document["target_sd"] == pytest.approx(np.std(np.arange(8), ddof=1))
    low, high = pilot.document["choices"][0]["best_survives_interval"]
    assert low < high
    printed = rbridge(
        capsys, "plan", "search", "--recipes", "25", *costs, "--stage1-accuracy", "0.78",
        "--stage2-accuracy", "0.9",
    )  # fmt: skip
    assert "null, a recipe picked blindly" in printed.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--stage1-accuracy", "1.2"), "expected a share from 0 to 1"),
        ((), "unknown: give --stage1-accuracy"),
        (("--stage1-accuracy", "0.7", "--stage1", "lots"), "expected FLOPs"),
        (("--stage1-accuracy", "0.7", "--shared-error", "1"), "shared error"),
    ],
)
def test_bad_plans_get_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    """What, where, expected, remedy, and exit 1."""
    given_costs = {
        "--stage1": "1e15",
        "--stage2": "1e18",
        "--target-cost": "1e21",
        "--stage2-accuracy": "0.9",
    }
    given_costs |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    flat = [part for pair in given_costs.items() for part in pair]
    result = rbridge(capsys, "plan", "search", "--recipes", "5", *flat)
    assert result.status == 1
    assert says in result.err
    assert result.err.count("\n") == 1
