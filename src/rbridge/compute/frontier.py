"""The Pareto frontier of what a metric reaches for its FLOPs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One checkpoint of one metric.

    Attributes:
        metric: whose.
        flops: what training up to it cost, positive.
        value: what it reaches, such as decision accuracy; higher is better.
    """

    metric: str
    flops: float
    value: float


def pareto_frontier(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points that no cheaper or equally cheap point reaches, cheapest first.

    Both FLOPs and value rise strictly along it.

    >>> [p.value for p in pareto_frontier([Point("m", 1.0, 60.0), Point("m", 2.0, 55.0), Point("m", 3.0, 70.0)])]
    [60.0, 70.0]
    """
    frontier: list[Point] = []
    for point in sorted(points, key=lambda point: (point.flops, -point.value)):
        if not frontier or point.value > frontier[-1].value:
            frontier.append(point)
    return tuple(frontier)
