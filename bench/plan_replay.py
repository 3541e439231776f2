"""Replay the two-stage search on real runs, and sequential allocation on simulated seeds.

    python bench/plan_replay.py [FOLDER]

FOLDER holds RegMix's test_pile_loss_1m.csv and test_pile_loss_60m.csv (256 mixtures trained at both
sizes; default tests/data/regmix). Per validation loss, 25 mixtures are drawn 2,000 times; the loss at 1M
parameters keeps k of them, and the share of draws whose best mixture at 60M is among the k is held
against what the plan says from the decision accuracy of the two sizes alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from rbridge.plan import Belief, Correlation, Costs, correlation_from_accuracy, knowledge_gain, two_stage

RECIPES, DRAWS, KEPT = 25, 2000, (1, 2, 3, 5, 8)


def main() -> None:
    """Print both tables."""
    replay(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data/regmix"))
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


def allocation() -> None:
    """Regret of the chosen recipe: runs spread equally against runs placed by gain, a third as many."""
    rng = np.random.default_rng(0)
    print(
        "\nregret in sd between recipes, 25 recipes, 300 choices: equal shares / by gain with a third of the runs"
    )
    for sd in (0.5, 1.0, 2.0):
        for runs in (150, 375):
            truth = rng.normal(size=(300, RECIPES))
            seen = truth + sd * rng.normal(size=truth.shape) / np.sqrt(runs / RECIPES)
            equal = truth.max(axis=1) - np.take_along_axis(truth, seen.argmax(axis=1)[:, None], axis=1)[:, 0]
            gain = np.array([by_gain(row, sd, runs // 3, rng) for row in truth])
            error = (gain - equal).std(ddof=1) / np.sqrt(len(gain))
            print(
                f"  seed sd {sd}: {runs} runs {equal.mean():.4f} / {runs // 3} runs {gain.mean():.4f} "
                f"(difference {gain.mean() - equal.mean():+.4f} ± {error:.4f})"
            )


def by_gain(truth: np.ndarray, sd: float, runs: int, rng: np.random.Generator) -> float:
    """Regret after training ``runs`` proxies, each the one with the largest gain."""
    total, count = np.zeros(len(truth)), np.zeros(len(truth))
    for _ in range(runs):
        variance = 1 / (1 + count / sd**2)
        mean = variance * total / sd**2
        believed = [Belief(float(m), float(v), 0) for m, v in zip(mean, variance, strict=True)]
        row = int(np.argmax(knowledge_gain(believed, seed_variance=sd**2)))
        total[row] += truth[row] + sd * rng.normal()
        count[row] += 1
    return float(truth.max() - truth[int(np.argmax(total / sd**2 / (1 + count / sd**2)))])


if __name__ == "__main__":
    main()
