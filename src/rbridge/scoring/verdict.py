"""What ``--until-settled`` is asked and what it says: the order of recipes, and what it leaves open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.errors import InputError
from rbridge.rank import Bands, top_sets
from rbridge.scoring.sweep import Failure
from rbridge.store.runs import Run


@dataclass(frozen=True)
class Until:
    """When to stop.

    Attributes:
        level: probability that no statement is wrong.
        indifference: recipes that differ by no more, in the score's unit, need not be told apart.
        top: only who is among so many best matters, or None for the whole order.
    """

    level: float
    indifference: float = 0.0
    top: int | None = None

    def __post_init__(self) -> None:
        if not 0.5 <= self.level < 1:
            raise InputError(
                f"--until-settled {self.level}: expected a level from 0.5 to below 1, such as 0.95"
            )
        if not (math.isfinite(self.indifference) and self.indifference >= 0):
            raise InputError(f"--indifference {self.indifference}: expected 0 or more, in the score's unit")
        if self.top is not None and self.top < 1:
            raise InputError(f"--top {self.top}: expected 1 or more")


@dataclass(frozen=True)
class SettledRecipe:
    """Where one recipe stands.

    Attributes:
        rank_set: lowest and highest rank that is not excluded.
        tied_with: recipes that it is not told apart from.
        is_top: whether it is among the ``top`` best; None where that is not asked, or not settled.
        num_problems: how many its order was read from.
    """

    recipe: str
    rank_set: tuple[int, int]
    tied_with: tuple[str, ...]
    is_top: bool | None
    num_problems: int


@dataclass(frozen=True)
class SettledGroup:
    """One benchmark's order.

    Attributes:
        num_problems: of the bundle.
        order: best first.
        num_told, num_alike, num_open: pairs told apart; known to differ by no more than the indifference;
            neither (of which those that matter had all traces).
    """

    benchmark: str
    num_problems: int
    order: tuple[SettledRecipe, ...]
    num_told: int
    num_alike: int
    num_open: int


@dataclass(frozen=True)
class Settlement:
    """What came out.

    Attributes:
        metric: what recipes were compared by; lower is better.
        num_traces, num_all: readings of a trace that the verdict rests on, and what every trace of every
            checkpoint would be.
        runs: checkpoints that needed all of their traces.
    """

    until: Until
    metric: str
    groups: tuple[SettledGroup, ...]
    num_traces: int
    num_all: int
    num_rounds: int
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...]


def settled_group(
    benchmark: str,
    recipes: Sequence[str],
    bands: Bands,
    until: Until,
    *,
    num_problems: int,
    num_read: Mapping[str, int],
) -> SettledGroup:
    """The order that the bands of one benchmark's recipes tell.

    Args:
        benchmark: its name.
        recipes: rows of the bands.
        bands: where differences lie; lower is better.
        until: what was asked.
        num_problems: of the bundle.
        num_read: problems that each recipe's order was read from.
    """
    better = bands.better
    alike = bands.alike(until.indifference)
    num = len(recipes)
    told_better, told_worse = better.sum(axis=0), better.sum(axis=1)
    top = None if until.top is None else top_sets(bands, indifference=until.indifference, top=until.top)

    def is_top(row: int) -> bool | None:
        if top is None or top.inside[row] == top.outside[row]:
            return None
        return bool(top.inside[row])

    order = [
        SettledRecipe(
            recipe=recipes[row],
            rank_set=(1 + int(told_better[row]), num - int(told_worse[row])),
            tied_with=tuple(
                recipes[other]
                for other in range(num)
                if other != row and not better[row, other] and not better[other, row]
            ),
            is_top=is_top(row),
            num_problems=num_read[recipes[row]],
        )
        for row in np.lexsort((np.arange(num), num - told_worse + told_better)).tolist()
    ]
    num_told, num_alike = int(better.sum()), int(np.triu(alike, k=1).sum())
    return SettledGroup(
        benchmark=benchmark,
        num_problems=num_problems,
        order=tuple(order),
        num_told=num_told,
        num_alike=num_alike,
        num_open=num * (num - 1) // 2 - num_told - num_alike,
    )
