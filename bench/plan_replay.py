"""Replay the two-stage search on real runs, and sequential allocation on simulated seeds.

    python bench/plan_replay.py [FOLDER]

FOLDER holds RegMix's test_pile_loss_1m.csv and test_pile_loss_60m.csv (256 mixtures trained at both
sizes; default tests/data/regmix). Per validation loss, 25 mixtures are drawn 2,000 times; the loss at 1M
parameters keeps k of them, and the share of draws whose best mixture at 60M is among the k is held
against what the plan says from the decision accuracy of the two sizes alone. Then FLOPs: of the two stages
against training all mixtures at 60M for the same decision, on these runs; and of seeds placed by gain against
equal shares, on simulated seeds (the real runs have one seed a mixture).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from rbridge.plan import Correlation, Costs, beliefs, correlation_from_accuracy, knowledge_gain, two_stage

RECIPES, DRAWS, KEPT = 25, 2000, (1, 2, 3, 5, 8)
SAME, CHOICES, BUDGETS = 0.95, 150, (75, 100, 150)


def main() -> None:
    """Print the tables."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data/regmix")
    replay(folder)
    by_fidelity(folder)
    allocation()


def replay(folder: Path) -> None:
    """Predicted and observed chances that the best mixture survives stage 1."""
    small, large = (pl.read_csv(folder / f"test_pile_loss_{size}.csv") for size in ("1m", "60m"))
    rng = np.random.default_rng(0)
    print(f"chance that the best of {RECIPES} survives: observed over {DRAWS} draws / said by the plan")
    print(f"{'validation loss':38s} {'accuracy':>8s} " + " ".join(f"{f'k={k}':>11s}" for k in KEPT))
    errors = []
    for column in small.columns[1:]:
        proxy, target = small[column].to_numpy(), large[column].to_numpy()
        accuracy = share_in_order(proxy, target)
        found = two_stage(
            RECIPES,
            correlation_from_accuracy(accuracy),
            Correlation(1.0),
            Costs(1, 1, 1),
            rng=rng,
            worlds=20_000,
        )
        said = [found.choices[k - 1].best_survives for k in KEPT]
        seen = survival(proxy, target, rng)
        errors += [abs(a - b) for a, b in zip(seen, said, strict=True)]
        cells = " ".join(f"{a:5.2f}/{b:5.2f}" for a, b in zip(seen, said, strict=True))
        print(f"{column.removeprefix('metric/the_pile_'):38s} {accuracy:8.3f} {cells}")
    print(f"mean absolute difference {np.mean(errors):.3f}, largest {np.max(errors):.3f}")


def share_in_order(one: np.ndarray, other: np.ndarray) -> float:
    """Decision accuracy over all pairs."""
    first, second = np.triu_indices(len(one), 1)
    return float(np.mean((one[first] < one[second]) == (other[first] < other[second])))


def survival(proxy: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Shares of draws whose best mixture by target is among the k best by proxy."""
    places = []
    for _ in range(DRAWS):
        drawn = rng.choice(len(proxy), RECIPES, replace=False)
        best = int(target[drawn].argmin())
        places.append(int((proxy[drawn] < proxy[drawn][best]).sum()))
    return [float(np.mean(np.array(places) < k)) for k in KEPT]


def by_fidelity(folder: Path) -> None:
    """FLOPs that keep the decision of training all of 25 mixtures at 60M: all at 1M, then the k best at 60M.

    6ND at equal tokens, so a run at 60M costs 60 of those at 1M. "The same decision" is the best mixture of
    the 25 in 95 % of draws.
    """
    small, large = (pl.read_csv(folder / f"test_pile_loss_{size}.csv") for size in ("1m", "60m"))
    rng = np.random.default_rng(0)
    print(
        f"\nreal runs: smallest k that keeps the best of {RECIPES} in {SAME:.0%} of {DRAWS} draws, all at 1M then k at "
        "60M; FLOPs of all at 60M over these; mean regret in sd between mixtures, of k and of a blind choice"
    )
    ratios = []
    for column in small.columns[1:]:
        proxy, target = small[column].to_numpy(), large[column].to_numpy()
        draws = [rng.choice(len(proxy), RECIPES, replace=False) for _ in range(DRAWS)]
        by_place = np.array([target[drawn[np.argsort(proxy[drawn], kind="stable")]] for drawn in draws])
        best = np.minimum.accumulate(by_place, axis=1)
        same = (best == best[:, -1:]).mean(axis=0)
        kept = int(np.argmax(same >= SAME)) + 1
        ratio = RECIPES / (RECIPES / 60 + kept)
        regret = (best[:, kept - 1] - best[:, -1]).mean() / target.std(ddof=1)
        blind = (by_place.mean(axis=1) - best[:, -1]).mean() / target.std(ddof=1)
        ratios.append(ratio)
        print(
            f"  {column.removeprefix('metric/the_pile_'):30s} k = {kept:2d}, kept {same[kept - 1]:.3f}: "
            f"{ratio:5.1f} times; regret {regret:.3f} / {blind:.2f}"
        )
    print(
        f"  median {np.median(ratios):.1f} times, least {min(ratios):.1f}; three or more on "
        f"{sum(ratio >= 3 for ratio in ratios)} of {len(ratios)} losses"
    )


def allocation() -> None:
    """Runs that equal shares need for the regret that placing by gain reaches, over the runs it used.

    As ``plan next`` does: two seeds of every recipe first, then one at a time where the gain is largest,
    noise and spread estimated from what was seen. A run costs the same wherever it goes, so runs are FLOPs.
    """
    print(
        f"\nsimulated seeds, {RECIPES} recipes, {CHOICES} choices; regret in sd between recipes: by gain (± standard "
        "error), equal shares of as many runs, runs that equal shares need for the same regret, and the ratio"
    )
    shares = np.arange(2, 401)
    for sd in (0.5, 1.0, 2.0):
        rng = np.random.default_rng(int(sd * 10))
        equal = equal_regret(sd, shares, rng)
        paths = np.array([by_gain(rng.normal(size=RECIPES), sd, max(BUDGETS), rng) for _ in range(CHOICES)])
        for runs in BUDGETS:
            at = paths[:, runs - 2 * RECIPES]
            error = at.std(ddof=1) / np.sqrt(CHOICES)
            needed = [runs_needed(value, equal, shares) for value in (at.mean(), at.mean() + error)]
            ratio, low = (
                f"{'over ' if one == shares[-1] * RECIPES else ''}{one / runs:.1f}" for one in needed
            )
            print(
                f"  seed sd {sd}: {runs} runs {at.mean():.4f} ± {error:.4f}; equal "
                f"{np.interp(runs / RECIPES, shares, equal):.4f}; needs {needed[0]:.0f} runs: {ratio} times "
                f"(a standard error worse: {low})",
                flush=True,
            )


def equal_regret(sd: float, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean regret of the recipe with the best mean, by seeds a recipe; a curve that falls."""
    truth = rng.normal(size=(20_000, RECIPES))
    best, noise = truth.max(axis=1), sd * rng.normal(size=truth.shape)
    rows = np.arange(len(truth))
    found = [best - truth[rows, (truth + noise / np.sqrt(share)).argmax(axis=1)] for share in shares]
    return np.minimum.accumulate([one.mean() for one in found])


def runs_needed(regret: float, equal: np.ndarray, shares: np.ndarray) -> float:
    """Runs at which equal shares reach a regret; the largest looked at where they do not."""
    return float(np.interp(-regret, -equal, shares)) * RECIPES


def by_gain(truth: np.ndarray, sd: float, runs: int, rng: np.random.Generator) -> list[float]:
    """Regret of the best belief after two seeds of every recipe, and after each run placed by gain."""
    seen = [value + sd * rng.normal(size=2) for value in truth]
    paid = []
    for _ in range(runs - 2 * len(truth) + 1):
        believed, variance = beliefs(seen)
        paid.append(float(truth.max() - truth[int(np.argmax([one.mean for one in believed]))]))
        row = int(np.argmax(knowledge_gain(believed, seed_variance=variance)))
        seen[row] = np.append(seen[row], truth[row] + sd * rng.normal())
    return paid


if __name__ == "__main__":
    main()
