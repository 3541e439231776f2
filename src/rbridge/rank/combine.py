"""Several benchmarks in one order: the mean of z-scores, stated, fixed, and shown without each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from rbridge.rank.replicates import Replicates

RULE = (
    "mean over benchmarks of z-scores over recipes (higher is better); each benchmark counts once; "
    "the spread that z divides by is taken as known"
)


@dataclass(frozen=True)
class LeftOut:
    """The combined order without one benchmark.

    Attributes:
        benchmark: left out.
        best: recipe with the best score then.
        kendall_tau: with the order of all benchmarks; None where one is constant.
        changed_best: another recipe leads.
    """

    benchmark: str
    best: str
    kendall_tau: float | None
    changed_best: bool


def combine(benchmarks: Mapping[str, tuple[Replicates, bool]]) -> Replicates | None:
    """One table whose row means are the mean z-scores, ready for ``rank_recipes``, higher is better.

    Items of benchmark b (n_b of N items over B benchmarks) enter centred over recipes' means, over their
    standard deviation s_b, times N / (B n_b), so that a plain mean over all items is the mean z-score;
    each benchmark is a stratum of its own.

    Args:
        benchmarks: values and whether lower is better, by benchmark.

    Returns:
        The recipes and seeds that all benchmarks have; None below two benchmarks or two recipes, or
        where a benchmark's scores are all equal.
    """
    tables = [table for table, _ in benchmarks.values()]
    if len(tables) < 2:
        return None
    kept = [key for key in _keys(tables[0]) if all(key in _keys(table) for table in tables[1:])]
    recipes = tuple(recipe for recipe, _ in kept)
    if len(set(recipes)) < 2:
        return None
    total = sum(table.num_items for table in tables)
    parts: list[np.ndarray] = []
    stratum: list[int] = []
    for number, (table, lower) in enumerate(benchmarks.values()):
        at = {key: row for row, key in enumerate(_keys(table))}
        own = Replicates(recipes, tuple(None for _ in kept), table.values[[at[key] for key in kept]])
        means = own.means()
        spread = float(means.std(ddof=1))
        if spread == 0:
            return None
        z = (own.values - means.mean()) / spread * (-1.0 if lower else 1.0)
        parts.append(z * total / (len(tables) * table.num_items))
        stratum += [number] * table.num_items
    seeds = tuple(_named(seed) for _, seed in kept)
    return Replicates(recipes, seeds, np.concatenate(parts, axis=1), tuple(stratum))


def _keys(table: Replicates) -> list[tuple[str, str]]:
    """Recipe and seed of every row; rows without a seed's name are told apart by their place."""
    seen: dict[str, int] = {}
    keys = []
    for recipe, seed in zip(table.recipes, table.seeds, strict=True):
        seen[recipe] = seen.get(recipe, 0) + 1
        keys.append((recipe, seed if seed is not None else f"#{seen[recipe]}"))
    return keys


def _named(seed: str) -> str | None:
    return None if seed.startswith("#") else seed


def leave_one_out(benchmarks: Mapping[str, tuple[Replicates, bool]]) -> tuple[LeftOut, ...]:
    """The combined order without each benchmark in turn; empty below three benchmarks."""
    whole = combine(benchmarks)
    if whole is None or len(benchmarks) < 3:
        return ()
    found = []
    for name in benchmarks:
        rest = combine({other: table for other, table in benchmarks.items() if other != name})
        if rest is not None:
            found.append(_left_out(name, whole, rest))
    return tuple(found)


def _left_out(name: str, whole: Replicates, rest: Replicates) -> LeftOut:
    all_means = dict(zip(whole.names, whole.means().tolist(), strict=True))
    means = dict(zip(rest.names, rest.means().tolist(), strict=True))
    common: Sequence[str] = [recipe for recipe in means if recipe in all_means]
    one = np.array([means[recipe] for recipe in common])
    other = np.array([all_means[recipe] for recipe in common])
    constant = np.ptp(one) == 0 or np.ptp(other) == 0
    best = max(means, key=lambda recipe: means[recipe])
    return LeftOut(
        benchmark=name,
        best=best,
        kendall_tau=None if constant else float(kendalltau(one, other).statistic),
        changed_best=best != max(all_means, key=lambda recipe: all_means[recipe]),
    )
