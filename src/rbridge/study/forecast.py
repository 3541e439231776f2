"""What a study will take before it runs: FLOPs, time and disk, unit by unit."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rbridge.study.ledger import Record
from rbridge.study.units import Place, Unit

# Where nothing is measured yet: FLOPs a second of a worker, and seconds of a unit before and after its FLOPs
# (starting Python's libraries, reading the bundle, writing results).
CPU_SPEED = 5e9
GPU_SPEED = 1e14
OVERHEAD = 5.0
_HEAVY = ("train", "score")


@dataclass(frozen=True)
class Forecast:
    """What is left to do.

    Attributes:
        flops: of the units that are not done; of a plan's second stage, as many recipes as it may keep.
        disk: bytes of their results.
        seconds: until all is done, on so many workers.
        workers: how many.
        basis: what the time rests on, in words.
    """

    flops: float
    disk: int
    seconds: float
    workers: int
    basis: str


def forecast(
    places: Mapping[str, Place],
    record: Callable[[str], Record | None],
    *,
    workers: int,
    speed: float,
    kept: int | None,
) -> Forecast:
    """FLOPs, disk and time of what is left.

    Args:
        places: of all units.
        record: how a unit was left, for the speed of those that are done.
        workers: that do them side by side.
        speed: FLOPs a second of a worker, where nothing is measured.
        kept: recipes that go on to the second stage, where there is one.
    """
    measured = _speeds(places, record)
    left = _without_those_left_out(places, kept)
    seconds = {
        place.unit.id: _seconds(place.unit, measured, speed)
        for place in left.values()
        if place.state != "done"
    }
    units = [place.unit for place in left.values() if place.state != "done"]
    return Forecast(
        flops=sum((unit.flops for unit in units), 0.0),
        disk=sum(unit.disk for unit in units),
        seconds=_makespan({unit.id: unit for unit in units}, seconds, workers),
        workers=workers,
        basis=_basis(measured, speed),
    )


def _speeds(
    places: Mapping[str, Place], record: Callable[[str], Record | None]
) -> dict[str, tuple[float, int]]:
    """Measured FLOPs a second of each kind, and from how many units."""
    totals: dict[str, list[float]] = {}
    for name, place in places.items():
        found = record(name) if place.state == "done" and place.unit.kind in _HEAVY else None
        if found is not None and found.seconds and found.flops:
            flops, seconds, num = totals.setdefault(place.unit.kind, [0.0, 0.0, 0.0])
            totals[place.unit.kind] = [flops + found.flops, seconds + found.seconds, num + 1]
    return {kind: (flops / seconds, int(num)) for kind, (flops, seconds, num) in totals.items()}


def _seconds(unit: Unit, measured: Mapping[str, tuple[float, int]], speed: float) -> float:
    if unit.kind in measured:
        return unit.flops / measured[unit.kind][0]  # overhead is in it
    return OVERHEAD + unit.flops / speed


def _without_those_left_out(places: Mapping[str, Place], kept: int | None) -> dict[str, Place]:
    """Units that will be done: of the plan's second stage, those of the dearest ``kept`` recipes."""
    plans = {name for name, place in places.items() if place.unit.kind == "plan" and place.state != "done"}
    found = {name: place for name, place in places.items() if place.state != "left out"}
    if not plans or kept is None:
        return found
    costs: dict[str, float] = {}
    for place in found.values():
        if plans & set(place.unit.after) and place.unit.recipe is not None:
            costs[place.unit.recipe] = costs.get(place.unit.recipe, 0.0) + place.unit.flops
    going_on = set(sorted(costs, key=lambda name: -costs[name])[:kept])
    return {
        name: place
        for name, place in found.items()
        if not plans & set(place.unit.after) or place.unit.recipe in going_on
    }


def _makespan(units: Mapping[str, Unit], seconds: Mapping[str, float], workers: int) -> float:
    """When all is done, where each free worker takes the first unit that is ready."""
    waiting = {name: sum(before in units for before in unit.before) for name, unit in units.items()}
    behind: dict[str, list[str]] = {}
    for name, unit in units.items():
        for before in unit.before:
            behind.setdefault(before, []).append(name)
    order = {name: index for index, name in enumerate(units)}
    ready = [order[name] for name, num in waiting.items() if not num]
    heapq.heapify(ready)
    names = list(units)
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            index = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[names[index]], index))
        now, index = heapq.heappop(running)
        for name in behind.get(names[index], ()):
            waiting[name] -= 1
            if not waiting[name]:
                heapq.heappush(ready, order[name])
    return now


def _basis(measured: Mapping[str, tuple[float, int]], speed: float) -> str:
    known = [
        f"{kind} {rate:.2g} FLOPs a second (measured, n = {num})" for kind, (rate, num) in measured.items()
    ]
    rest = [kind for kind in _HEAVY if kind not in measured]
    assumed = (
        f"{' and '.join(rest)} {speed:.0e} FLOPs a second and {OVERHEAD:g} s a unit (assumed)" if rest else ""
    )
    return "; ".join([*known, *([assumed] if assumed else [])])
