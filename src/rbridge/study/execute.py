"""Do one unit: claim it, do it, note how it ended. A fault of one unit is its own and no other's."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rbridge.errors import RBridgeError
from rbridge.study.ledger import Ledger
from rbridge.study.units import Graph, Place, Seen, Unit, survey

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a unit gives.

    Attributes:
        found: what others and the page need of it, as JSON.
        outputs: files and folders that it has made, beside those that were known before.
    """

    found: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


Action = Callable[[Unit, Progress], Outcome]


@dataclass(frozen=True)
class Work:
    """All that is needed to do a study's units; it is sent to worker processes.

    Attributes:
        graph: of the units.
        ledger: what is on disk of them.
        act: does one.
        outputs: files and folders that a unit makes, as seen from the results' folder.
    """

    graph: Graph
    ledger: Ledger
    act: Action
    outputs: Callable[[Unit], Sequence[str]]

    def survey(self, tried: Callable[[str], bool] = lambda _: True) -> dict[str, Place]:
        """Where every unit stands now."""
        return survey_of(self.graph, self.ledger, tried=tried)


def survey_of(
    graph: Graph,
    ledger: Ledger,
    *,
    tried: Callable[[str], bool] = lambda _: True,
    seen: Callable[[str], Seen] | None = None,
) -> dict[str, Place]:
    """Where every unit stands, by what the ledger holds of it."""

    def survivors() -> Sequence[str]:
        plan = next(name for name, unit in graph.units.items() if unit.kind == "plan")
        return list(ledger.found(plan)["kept"])

    return survey(graph, seen or ledger.seen, survivors=survivors, tried=tried)


def execute(work: Work, name: str, *, progress: Progress = lambda _: None) -> None:
    """Do a unit if it is ready and nobody else does it; how it ended stands in the ledger."""
    ledger = work.ledger
    with ledger.claimed(name) as mine:
        if not mine:
            return
        # Under the lock: another process may have done it between the look that found it ready and now.
        place = survey_of(
            work.graph,
            ledger,
            tried=lambda other: other != name,
            seen=lambda other: ledger.seen(other) if other != name else ledger.left(other),
        )[name]
        if place.ready:
            _do(work, place, progress)


def _do(work: Work, place: Place, progress: Progress) -> None:
    unit, ledger = place.unit, work.ledger
    outputs = tuple(work.outputs(unit))
    started = time.monotonic()
    ledger.begin(unit, place.key, outputs)
    progress(f"{unit.id}: begun")
    try:
        outcome = work.act(unit, lambda line: progress(f"{unit.id}: {line}"))
        outputs = (*outputs, *outcome.outputs)
        missing = [output for output in outputs if not (ledger.root / output).exists()]
        assert not missing, f"{unit.id} has not made {missing[0]}"
    except RBridgeError as error:
        ledger.failed(unit.id, place.key, str(error))
        progress(f"{unit.id}: failed: {' '.join(str(error).split())}")
    except Exception as error:  # noqa: BLE001 - whatever it is (CUDA out of memory, a bug of ours), the other units go on
        log = ledger.keep_log(unit.id, traceback.format_exc())
        reason = f"{type(error).__name__}: {error} (see {log})"
        ledger.failed(unit.id, place.key, reason)
        progress(f"{unit.id}: failed: {' '.join(reason.split())}")
    else:
        seconds = time.monotonic() - started
        ledger.done(unit, place.key, outputs, found=outcome.found, seconds=seconds)
        progress(f"{unit.id}: done in {seconds:.1f} s")


def counts(places: Mapping[str, Place]) -> dict[str, int]:
    """Units by state."""
    found = dict.fromkeys(("done", "running", "failed", "waiting", "left out"), 0)
    for place in places.values():
        found[place.state] += 1
    return found
