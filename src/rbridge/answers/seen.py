"""Which recipes have seen a benchmark's problems: the gap between problems and their twins in score runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rbridge.answers.comparable import run_rank_groups
from rbridge.answers.item_values import TWIN_GAP, has_metric
from rbridge.errors import InputError
from rbridge.rank.seen import Gap, seen_problems
from rbridge.store.runs import Run

RULE = (
    "gap: bits a byte by which the traces of problems are likelier than those of their twins; seen: an outlier above "
    "the other recipes' gaps (Rosner 1983, one-sided, all recipes at once) and more than the problems' noise"
)


@dataclass(frozen=True)
class SeenGroup:
    """The gaps of one group's recipes.

    Attributes:
        group: such as the benchmark.
        num_problems: with a twin, that all runs scored.
        level: of intervals, and one less the chance of calling any clean recipe.
        gaps: the largest first.
    """

    group: Mapping[str, str]
    num_problems: int
    level: float
    gaps: tuple[Gap, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "group": dict(self.group),
            "metric": TWIN_GAP,
            "num_problems": self.num_problems,
            "level": self.level,
            "recipes": [asdict(gap) for gap in self.gaps],
        }


def seen_groups(
    runs: Sequence[Run], *, by: Sequence[str] = ("benchmark",), level: float = 0.95, seed: int = 0,
    last: int | None = None,
) -> list[SeenGroup]:  # fmt: skip
    """The gaps of all recipes, group by group.

    Args:
        runs: that scored problems and twins.
        by: as of a ranking.
        level: of intervals and calls.
        seed: of resamples.
        last: as of a ranking.

    Raises:
        InputError: a run scored no problem together with its twin.
        IncomparableRuns: as of a ranking.
    """
    without = [run.manifest.checkpoint for run in runs if not has_metric(run, TWIN_GAP)]
    if without:
        raise InputError(
            f"{without[0]}: no problem was scored beside its twin; make twins' traces with rbridge traces twins, or "
            "of rbridge benchmarks twins with rbridge traces generate, and score both in one bundle"
        )
    return [
        SeenGroup(
            group.group,
            group.replicates.num_items,
            level,
            seen_problems(group.replicates, rng=np.random.default_rng(seed), level=level),
        )
        for group in run_rank_groups(runs, metric=TWIN_GAP, by=by, last=last)
    ]
