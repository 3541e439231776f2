"""How long resampling takes: 1,000 recipes x 3,000 traces x 1,000 resamples, and the full model on 100 recipes.

./dev run python bench/resampling.py
"""

from __future__ import annotations

import resource
import time

import numpy as np

from rbridge.rank import Replicates, concordance, rank_recipes, resample_means


def _replicates(recipes: int, seeds: int, items: int, rng: np.random.Generator) -> Replicates:
    values = rng.standard_normal((recipes * seeds, items))
    values += np.repeat(rng.normal(scale=0.2, size=recipes), seeds)[:, None]
    values += rng.normal(scale=0.05, size=recipes * seeds)[:, None]
    names = tuple(f"r{i}" for i in range(recipes) for _ in range(seeds))
    return Replicates(names, tuple(str(s) for _ in range(recipes) for s in range(seeds)), values)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print seconds and memory of both."""
    rng = np.random.default_rng(0)
    plain = _replicates(1000, 1, 3000, rng)
    target = rng.normal(size=1000)
    resample_means(_replicates(10, 1, 10, rng), resamples=10, rng=rng)  # imports and first calls
    concordance(rng.normal(size=(2, 1000)), target)
    seconds = []
    for _ in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        drawn = resample_means(plain, resamples=1000, rng=rng)
        means = time.process_time() - cpu
        counts = concordance(drawn, target)
        shares, taus = counts.decision_accuracy, counts.kendall_tau
        assert taus is not None
        seconds.append((time.process_time() - cpu, means, time.perf_counter() - wall))
    cpu, means, wall = sorted(seconds)[1]
    print(
        f"plain bootstrap, 1,000 recipes x 3,000 traces x 1,000 resamples: means {means:.2f} CPU s, with 1,000 "
        f"decision accuracies and Kendall taus {cpu:.2f} CPU s ({wall:.2f} s by the clock), peak {_memory()} MB; "
        f"goal < 1 s, < 500 MB; mean accuracy {shares.mean():.3f}, tau {taus.mean():.3f}"
    )
    full = _replicates(100, 3, 3000, rng)
    wall, cpu = time.perf_counter(), time.process_time()
    ranking = rank_recipes(full, lower_is_better=True, rng=rng, resamples=2000)
    print(
        f"full model, 100 recipes x 3 seeds x 3,000 traces x 2,000 resamples: {time.process_time() - cpu:.1f} CPU s "
        f"({time.perf_counter() - wall:.1f} s by the clock), peak {_memory()} MB; goal < 60 s; "
        f"{sum(bool(row.may_be_best) for row in ranking.order)} may be best"
    )


if __name__ == "__main__":
    main()
