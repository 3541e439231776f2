"""The plan of the full miniature: which models it trains, and in which order.

The order lets a run that is stopped early say something: first one seed of everything, then the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from rbridge.miniature.jobs import Job
from rbridge.miniature.recipes import Recipe
from rbridge.proxies.ladder import Size

LADDER = (
    Size("p16", width=16, heads=1, num_tokens=66_000, learning_rate=1e-2),
    Size("p32", width=32, heads=2, num_tokens=100_000, learning_rate=1e-2),
    Size("p48", width=48, heads=3, num_tokens=166_000, learning_rate=8e-3),
    Size("p64", width=64, heads=4, num_tokens=500_000, learning_rate=4e-3),
)
TARGET = Size("t64", width=64, heads=4, num_tokens=1_000_000, learning_rate=4e-3)
SEEDS = (0, 1, 2)
FEW_SEEDS = (0, 1)
_PROXY_PROBLEMS = 100
_TARGET_PROBLEMS = 400


def study_jobs(
    recipes: Sequence[Recipe],
    *,
    seeds: Sequence[int] = SEEDS,
    ladder: Sequence[Size] = LADDER,
    target: Size = TARGET,
) -> list[Job]:
    """Every model of a study, seed by seed: the proxies from the largest down, then the targets.

    The largest proxies may have learnt to answer, so they are given as many problems as the targets.

    Args:
        recipes: the candidates.
        seeds: of proxies and targets.
        ladder: sizes of the proxies.
        target: size of the targets.
    """
    jobs: list[Job] = []
    for seed in seeds:
        for size in reversed(ladder):
            num_problems = _TARGET_PROBLEMS if size == ladder[-1] else _PROXY_PROBLEMS
            jobs += [Job(recipe, size, seed, num_problems) for recipe in recipes]
        jobs += [Job(recipe, target, seed, _TARGET_PROBLEMS) for recipe in recipes]
    return jobs
