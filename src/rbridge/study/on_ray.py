"""A study's units on a Ray cluster (``rbridge.cluster``); one done twice is harmless, by its lock and its key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rbridge.cluster import Lost, on_cluster
from rbridge.study.execute import Progress, Work, execute
from rbridge.study.run import run_one
from rbridge.study.units import Place


def run_on_ray(work: Work, address: str, workers: int | None, *, progress: Progress) -> dict[str, Place]:
    """Do all that is missing on a cluster, and give back where every unit stands in the end.

    Units are handed out in the order of the graph, in which each stands behind what it depends on; a worker waits
    until that is settled. So one of those that are handed out can always go on, however few workers there are.

    Args:
        work: the study's; every machine must see its folders at the same paths.
        address: as in ``on_cluster``.
        workers: as in ``on_cluster``.
        progress: told each unit as it is settled.

    Raises:
        InputError: no cluster there.
        MissingExtra: Ray is not installed.
    """
    left = [name for name, place in work.survey().items() if place.state not in ("done", "left out")]

    def told(at: int, outcome: str | Lost) -> None:
        progress(f"{left[at]}: {outcome.reason if isinstance(outcome, Lost) else outcome}")

    on_cluster(address, workers, partial(_doer, work), left, told=told)
    return work.survey()


def _doer(work: Work) -> Callable[[str], str]:
    """What a worker does with a unit: waits for its turn, does it, and says where it stands."""

    def do(name: str) -> str:
        place = run_one(work, name, partial(execute, work), wait=True)
        return place.state if place.reason is None else f"{place.state}: {place.reason}"

    return do
