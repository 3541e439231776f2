"""Run a study: begin what is ready, until everything is settled."""

from __future__ import annotations

import time
from collections.abc import Callable

from rbridge.study.execute import Progress, Work
from rbridge.study.units import Place
from rbridge.study.workers import Crew

_LOOK_EVERY = 1.0  # seconds between two looks at units that other processes do
_LOOK_ELSEWHERE = 10.0  # the same, while there is something of our own to wait for


def run(
    work: Work,
    crew: Crew,
    *,
    progress: Progress = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Place]:
    """Do all that is missing, and give back where every unit stands in the end.

    A unit that failed in an earlier run is tried again, once; one that fails does not keep the others. Several
    runs of one study may go on at once, on as many machines as share its folder: each unit is done by one.
    """
    tried: set[str] = set()
    try:
        while True:
            places = work.survey(tried=tried.__contains__)
            ready = [name for name, place in places.items() if place.ready and name not in crew.busy]
            for name in ready[: crew.free]:
                crew.start(name)
            if crew.busy:
                for name, death in _ended(crew):
                    tried.add(name)
                    if death is not None:
                        work.ledger.failed(name, places[name].key, death)
                        progress(f"{name}: failed: {death}")
            elif any(place.state == "running" for place in places.values()):
                sleep(_LOOK_EVERY)
            elif not ready:
                return places
    finally:
        crew.close()


def _ended(crew: Crew) -> list[tuple[str, str | None]]:
    """Units that have ended; none where nothing did for a while, in which other machines may have made some ready."""
    until = time.monotonic() + _LOOK_ELSEWHERE
    while time.monotonic() < until:
        ended = crew.wait(_LOOK_EVERY)
        if ended:
            return list(ended)
    return []


def run_one(
    work: Work,
    name: str,
    do: Callable[[str], None],
    *,
    wait: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> Place:
    """Do one unit, as a cluster's job does, and give back where it stands then.

    Args:
        work: the study's.
        name: of the unit.
        do: does it in this process.
        wait: wait until all before it is settled, and until another process that does it has ended.
        sleep: waits.
    """
    tried: set[str] = set()
    while True:
        place = work.survey(tried=lambda other: other != name or other in tried)[name]
        if place.ready:
            do(name)
            tried.add(name)
        elif place.settled or not wait:
            return place
        else:
            sleep(_LOOK_EVERY)
