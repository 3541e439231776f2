"""The graph of a study: units of work, what each needs, and a key of everything that decides its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rbridge.store.files import sha256_json

Kind = Literal[
    "source",
    "recipe",
    "tokenizer",
    "tokens",
    "train",
    "score",
    "null",
    "plan",
    "evaluate",
    "targets",
    "rank",
    "fit",
    "report",
]


@dataclass(frozen=True)
class Unit:
    """One piece of work that is done, or failed, as a whole.

    Attributes:
        id: its name, such as ``train/4M/web/seed0``.
        kind: what is done.
        inputs: everything of its own that decides its result, as JSON.
        needs: units that must be done before; their results decide its own.
        wants: units that must be settled before (done, failed, or left out); those that are done decide its result.
        after: units that must be done before, and decide only whether it is done at all.
        recipe, size, seed: what it is about, where it is about one.
        flops: that it takes.
        tokens: that it trains on or reads.
        disk: bytes that its results take.
    """

    id: str
    kind: Kind
    inputs: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    recipe: str | None = None
    size: str | None = None
    seed: int | None = None
    flops: float = 0.0
    tokens: int = 0
    disk: int = 0

    @property
    def before(self) -> tuple[str, ...]:
        """All units that must be settled before."""
        return (*self.needs, *self.wants, *self.after)


@dataclass(frozen=True)
class Graph:
    """Units in an order in which each stands behind all that it depends on."""

    units: Mapping[str, Unit]

    @classmethod
    def of(cls, units: Iterable[Unit]) -> Graph:
        """A graph of units, given so that each stands behind what it depends on."""
        found: dict[str, Unit] = {}
        for unit in units:
            assert unit.id not in found, unit.id
            assert all(name in found for name in unit.before), (unit.id, unit.before)
            found[unit.id] = unit
        return cls(found)


def key_of(unit: Unit, keys: Mapping[str, str], done: Callable[[str], bool]) -> str:
    """A hash of all that decides the unit's result.

    Args:
        unit: whose.
        keys: of the units before it.
        done: whether one of them is done.
    """
    return sha256_json(
        {
            "kind": unit.kind,
            "id": unit.id,
            "inputs": unit.inputs,
            "needs": [keys[name] for name in unit.needs],
            "wants": {name: keys[name] for name in unit.wants if done(name)},
        }
    )


INTERRUPTED = "was interrupted, goes on where it stopped"

State = Literal["done", "running", "failed", "waiting", "left out"]


@dataclass(frozen=True)
class Seen:
    """What is found on disk of a unit.

    Attributes:
        key: of the inputs that it was done, failed or begun with; None where nothing was begun.
        state: as it was left.
        reason: of a failure.
        running: who holds its lock now, or None.
    """

    key: str | None = None
    state: Literal["begun", "done", "failed"] | None = None
    reason: str | None = None
    running: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a unit stands.

    Attributes:
        unit: which.
        key: of its present inputs.
        state: its state.
        reason: why it failed, waits or is left out; who runs it.
        ready: it waits for nothing but a worker.
        settled: nothing will become of it in this run: it is done, failed, left out, or behind a failure.
    """

    unit: Unit
    key: str
    state: State
    reason: str | None = None
    ready: bool = False
    settled: bool = False


def survey(
    graph: Graph,
    seen: Callable[[str], Seen],
    *,
    survivors: Callable[[], Sequence[str]],
    tried: Callable[[str], bool] = lambda _: True,
) -> dict[str, Place]:
    """Where every unit stands, by its id.

    Args:
        graph: the units.
        seen: what is on disk of a unit.
        survivors: the recipes that the plan keeps, asked once it is done.
        tried: whether a failed unit was tried in this run; others are ready to be tried again.
    """
    places: dict[str, Place] = {}
    keys: dict[str, str] = {}

    def done(name: str) -> bool:
        return places[name].state == "done"

    for unit in graph.units.values():
        keys[unit.id] = key = key_of(unit, keys, done)
        places[unit.id] = _place(unit, key, seen(unit.id), places, survivors, tried=tried(unit.id))
    return places


def _place(
    unit: Unit,
    key: str,
    seen: Seen,
    places: Mapping[str, Place],
    survivors: Callable[[], Sequence[str]],
    *,
    tried: bool,
) -> Place:
    lost = _lost(unit, places)
    if lost is not None:
        state: State = "left out" if places[lost].state == "left out" else "waiting"
        # What is behind what is behind a failure names the failure itself.
        reason = f"{lost} failed" if places[lost].state == "failed" else places[lost].reason
        return Place(unit, key, state, reason, settled=True)
    if seen.running is not None:
        return Place(unit, key, "running", seen.running)
    pending = [name for name in unit.before if not places[name].settled]
    if pending:
        more = "" if len(pending) == 1 else f" and {len(pending) - 1} more"
        return Place(unit, key, "waiting", f"for {pending[0]}{more}")
    if any(places[name].unit.kind == "plan" for name in unit.after) and unit.recipe not in survivors():
        return Place(unit, key, "left out", f"the plan keeps {', '.join(survivors())}", settled=True)
    return _as_left(unit, key, seen, tried=tried)


def _as_left(unit: Unit, key: str, seen: Seen, *, tried: bool) -> Place:
    """Where a unit stands that waits for no other."""
    if seen.key == key and seen.state == "done":
        return Place(unit, key, "done", settled=True)
    if seen.key == key and seen.state == "failed":
        return Place(unit, key, "failed", seen.reason, ready=not tried, settled=tried)
    return Place(unit, key, "waiting", _why_again(seen, key), ready=True)


def _lost(unit: Unit, places: Mapping[str, Place]) -> str | None:
    """A unit before this one without which it can never be done."""
    for name in (*unit.needs, *unit.after):
        if places[name].settled and places[name].state != "done":
            return name
    if unit.wants and all(places[name].settled and places[name].state != "done" for name in unit.wants):
        return next((name for name in unit.wants if places[name].state != "left out"), unit.wants[0])
    return None


def _why_again(seen: Seen, key: str) -> str:
    if seen.key is None:
        return "for a worker"
    if seen.key == key:
        return INTERRUPTED
    return "its inputs changed since it was last done"
