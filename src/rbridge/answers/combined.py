"""Rankings of several benchmarks in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.answers.observations import RankGroup
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_group
from rbridge.rank import LeftOut, combine, leave_one_out


@dataclass(frozen=True)
class Combined:
    """Several benchmarks in one ranking, by mean z-score, and without each of them."""

    benchmarks: tuple[str, ...]
    ranked: RankedGroup
    left_out: tuple[LeftOut, ...]


def combine_groups(groups: Sequence[RankedGroup], question: RankQuestion) -> list[Combined]:
    """One ranking over benchmarks for each set of groups that differ in the benchmark alone.

    Empty where groups are not split by benchmark, or no two of them can be combined.
    """
    families: dict[tuple[tuple[str, str], ...], dict[str, RankedGroup]] = {}
    for group in groups:
        if "benchmark" in group.group:
            rest = tuple(item for item in group.group.items() if item[0] != "benchmark")
            families.setdefault(rest, {})[group.group["benchmark"]] = group
    found = [_combined(dict(rest), family, question) for rest, family in families.items()]
    return [one for one in found if one is not None]


def _combined(
    rest: dict[str, str], family: Mapping[str, RankedGroup], question: RankQuestion
) -> Combined | None:
    tables = {name: (group.replicates, group.lower_is_better) for name, group in family.items()}
    whole = combine(tables)
    if whole is None:
        return None
    targets = _mean_targets(list(family.values()))
    group = RankGroup(rest, whole, targets, None, 0, (f"combined over {', '.join(family)}",))
    return Combined(tuple(family), rank_group(group, question, lower=False), leave_one_out(tables))


def _mean_targets(family: Sequence[RankedGroup]) -> dict[str, float] | None:
    """Each recipe's mean target over benchmarks, where all of them have one."""
    tables = [group.targets for group in family]
    if any(table is None for table in tables):
        return None
    known = [table for table in tables if table is not None]
    recipes = [recipe for recipe in known[0] if all(recipe in table for table in known)]
    return {recipe: float(np.mean([table[recipe] for table in known])) for recipe in recipes}
