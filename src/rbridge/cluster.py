"""Spread units of work over a Ray cluster: one worker, Ray's actor, a GPU, or a processor core where there is none.

Placement, retries, lost nodes and pre-emption are Ray's; nothing here schedules. A unit whose worker dies is done
again from its start: it must be one that may be done twice, such as a checkpoint that is scored into a store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from rbridge.errors import InputError, MissingExtra, RBridgeError

Unit = TypeVar("Unit")
Found = TypeVar("Found")

# How often a unit is tried again whose worker died, before it is given up: it may be what kills them.
_RETRIES = 3


@dataclass(frozen=True)
class Lost:
    """What stands for a unit that could not be done: why."""

    reason: str


def on_cluster(
    address: str,
    workers: int | None,
    make: Callable[[], Callable[[Unit], Found]],
    units: Sequence[Unit],
    *,
    told: Callable[[int, Found | Lost], None] = lambda _, __: None,
) -> list[Found | Lost]:
    """Do every unit on some worker.

    Args:
        address: of the cluster, ``auto`` for the one that this machine is part of, or ``local`` to start one on
            this machine for as long as it takes.
        workers: at most so many, or None for as many as there are free GPUs, or processor cores.
        make: called on each worker, once; gives what is called with each unit there. Pickled, as units and what
            is found are; keep it small, and let it read files: relative paths mean on workers what they mean here.
        units: what is to be done.
        told: the place of each unit and what was found, as it is done; units that Ray gave up come last. What it
            prints goes to stderr.

    Returns:
        What was found, in the order of the units.

    Raises:
        InputError: no cluster there.
        MissingExtra: Ray is not installed.
    """
    # Ray prints what it retries on stdout, from a thread of this process.
    with contextlib.redirect_stdout(sys.stderr):
        ray = _connected(address, workers)
        try:
            pool = _pool(ray, workers, make, len(units))
            for place, unit in enumerate(units):
                pool.submit(_do_on, (place, unit))
            return _gather(pool, len(units), told)
        finally:
            ray.shutdown()


class _Worker:
    """What an actor is."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], folder: str) -> None:
        self._make = make
        self._work: Callable[[Any], Any] | None = None
        if Path(folder).is_dir():
            os.chdir(folder)

    def do(self, place: int, unit: Any) -> tuple[int, Any]:
        """One unit; an error that users are told in one line is what was found."""
        try:
            if self._work is None:
                self._work = self._make()
            return place, self._work(unit)
        except RBridgeError as error:
            return place, Lost(str(error))


def _do_on(actor: Any, placed: tuple[int, Any]) -> Any:
    return actor.do.remote(*placed)


def _connected(address: str, workers: int | None) -> Any:
    """The module, connected to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported
    try:
        ray = import_module("ray")
    except ImportError:
        raise MissingExtra("ray", "ray", "--ray") from None
    own: dict[str, Any] = {"include_dashboard": False, "num_cpus": workers} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # noqa: BLE001 - a start that takes too long raises Exception itself
        lines = str(error).splitlines() or [type(error).__name__]
        remedy = (
            "run it again when the machine is less busy"
            if own
            else "start one with 'ray start --head', or say local"
        )
        raise InputError(f"--ray {address}: no cluster there ({lines[0][:200]}): {remedy}") from None
    return ray


def _pool(ray: Any, workers: int | None, make: Callable[[], Callable[[Any], Any]], num_units: int) -> Any:
    """Ray's own pool of actors, each with a GPU, or a processor core where the cluster has no GPU."""
    all_there = ray.cluster_resources()
    kind = "GPU" if all_there.get("GPU", 0) >= 1 else "CPU"
    room = int(ray.available_resources().get(kind, 0)) or int(all_there.get(kind, 1))
    actor = ray.remote(
        num_cpus=1, num_gpus=1 if kind == "GPU" else 0, max_restarts=-1, max_task_retries=_RETRIES
    )(_Worker)
    num = max(1, min(room, workers or room, num_units))
    here = str(Path.cwd())
    return import_module("ray.util").ActorPool([actor.remote(make, here) for _ in range(num)])


def _gather(pool: Any, num_units: int, told: Callable[[int, Found | Lost], None]) -> list[Found | Lost]:
    """What was found, in the order of the units; a unit whose worker died too often is lost."""
    errors: Any = import_module("ray.exceptions")
    found: dict[int, Found | Lost] = {}
    reason = ""
    while pool.has_next():
        try:
            place, one = pool.get_next_unordered()
        except errors.RayTaskError:
            raise  # a bug of ours, with its traceback
        except errors.RayError as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            continue
        found[place] = one
        told(place, one)
    for place in set(range(num_units)) - found.keys():
        found[place] = Lost(f"given up after {_RETRIES} retries; Ray says: {reason}")
        told(place, found[place])
    return [found[place] for place in range(num_units)]
