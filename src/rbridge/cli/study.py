"""rbridge study: from recipes to a page, as a file declares it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from rbridge.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rbridge.study.execute import Work
    from rbridge.study.read import Study
    from rbridge.study.units import Place
    from rbridge.study.workers import Crew

FORMAT_VERSION = 1
_STATES = ("done", "running", "failed", "waiting", "left out")

study = App(
    help="Studies: from candidate recipes to a decision, as one file declares it.", help_format="plaintext"
)


@study.command
def run(
    file: Path,
    *,
    workers: int | None = None,
    ray: str | None = None,
    only: str | None = None,
    wait: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    emit: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Do what is missing of a study: check recipes, train and score proxies, plan, evaluate targets, rank, report.

    What is done is not done again; killed at any moment, the same command goes on; a changed recipe redoes what
    depends on it. A unit that fails does not keep the others, and is tried again by the next run.

    Example: rbridge study run two-stage/two-stage.yaml

    Parameters
    ----------
    file
        The study (docs/studies.md).
    workers
        Units done side by side; one a GPU, or one a core where there is none.
    ray
        Do the units on a Ray cluster: its address, "auto" for the one that this machine is part of, or "local". All
        its machines must see the study's folder at the same path.
    only
        Do this unit alone, in this process.
    wait
        With --only: wait until what the unit depends on is settled.
    dry_run
        Print the units, their FLOPs, and an estimate of time and disk; do nothing.
    emit
        Write a line a unit into this file (jobs.jsonl), and a Slurm array and a Kubernetes Job beside it, that do
        the study without this command; do nothing.
    json
        Print JSON instead of tables.
    """
    from rbridge.errors import InputError
    from rbridge.study.read import read_study
    from rbridge.study.steps import work_of

    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: expected at least 1")
    if wait and only is None:
        raise InputError("--wait goes with --only, which is not given")
    if sum((ray is not None, only is not None, dry_run, emit is not None)) > 1:
        raise InputError("--ray, --only, --dry-run and --emit: give one of them")
    found = read_study(file)
    work = work_of(found)
    if dry_run:
        return _dry_run(found, work, workers or _workers(), json=json)
    if emit is not None:
        from rbridge.study.emit import emit as write

        for path in write(found, work.graph, emit):
            say(f"{path}: written")
        return 0
    _declare(found, work)
    if only is not None:
        return _one(work, only, wait=wait)
    from rbridge.study.on_ray import run_on_ray
    from rbridge.study.run import run as run_study

    places = (
        run_study(work, _crew(work, workers), progress=say)
        if ray is None
        else run_on_ray(work, ray, workers, progress=say)
    )
    _print(found, work, places, json=json)
    return 0 if _whole(places) else 1


@study.command
def status(file: Path, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show what of a study is done, running and where, failed and why, and waiting for what.

    Exits with 1 where something has failed.

    Example: rbridge study status two-stage/two-stage.yaml

    Parameters
    ----------
    file
        The study.
    json
        Print JSON instead of tables.
    """
    from rbridge.study.read import read_study
    from rbridge.study.steps import work_of

    found = read_study(file, questions=False, sources=False)
    work = work_of(found)
    places = work.survey()
    _print(found, work, places, json=json)
    return 1 if any(place.state == "failed" for place in places.values()) else 0


@study.command
def init(name: str, folder: Path) -> int:
    """Write a bundled study, with all that it reads, into a new folder.

    Example: rbridge study init two-stage two-stage

    Parameters
    ----------
    name
        two-stage: the two-stage search over eight recipes in a small world; some minutes on two cores.
    folder
        That does not exist yet.
    """
    from rbridge.study.bundled import write_bundled

    file = write_bundled(name, folder)
    say(f"{file}: written; run it: rbridge study run {file}")
    return 0


def _declare(found: Study, work: Work) -> None:
    from rbridge.study.answer import declare, now

    made = declare(found, work.ledger, work.graph, now=now())
    say(f"declared {made.created}, {made.sha256[:12]}: {made.decision}")


def _one(work: Work, name: str, *, wait: bool) -> int:
    from functools import partial

    from rbridge.errors import InputError
    from rbridge.study.document import near
    from rbridge.study.execute import execute
    from rbridge.study.run import run_one

    if name not in work.graph.units:
        raise InputError(f"--only {name}: no such unit; {near(name, work.graph.units)}")
    place = run_one(work, name, partial(execute, work, progress=say), wait=wait)
    say(f"{name}: {_told(place)}")
    return 0 if place.state in ("done", "left out") else 1


def _crew(work: Work, workers: int | None) -> Crew:
    import os

    from rbridge.study.workers import Processes

    devices = _gpus()
    num = workers or len(devices) or _workers()
    threads = max(1, (os.cpu_count() or 1) // num)
    return Processes(work, num=num, threads=threads, devices=devices, progress=say)


def _workers() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[int]:
    """GPUs that torch would use; where the machine has none, it is not loaded to say so."""
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists():
        return []
    import torch

    return list(range(torch.cuda.device_count()))


def _whole(places: Mapping[str, Place]) -> bool:
    return all(place.state in ("done", "left out") for place in places.values())


def _told(place: Place) -> str:
    return place.state if place.reason is None else f"{place.state}: {place.reason}"


def _print(found: Study, work: Work, places: Mapping[str, Place], *, json: bool) -> None:
    if json:
        print_json(_document(found, work, places))
        return
    kinds = list(dict.fromkeys(place.unit.kind for place in places.values()))
    rows = []
    for kind in kinds:
        states = [place.state for place in places.values() if place.unit.kind == kind]
        rows.append((kind, *[str(states.count(state) or "–") for state in _STATES]))
    print_table(f"{found.spec.name}: units by kind", ("kind", *_STATES), rows)
    for state in ("running", "failed"):
        for place in places.values():
            if place.state == state:
                print(f"  {place.unit.id}: {_told(place)}")
    for line in _waiting(places):
        print(f"  {line}")
    if places["rank"].state == "done":
        print(work.ledger.found("rank")["verdict"])
    if places["report"].state == "done":
        print(f"The page: {found.out / 'report.html'}")


def _waiting(places: Mapping[str, Place]) -> list[str]:
    """What is behind a failure, and what was interrupted: a line for each reason."""
    from rbridge.study.units import INTERRUPTED

    why: dict[str, list[str]] = {}
    for name, place in places.items():
        if place.state == "waiting" and (place.settled or place.reason == INTERRUPTED):
            why.setdefault(str(place.reason), []).append(name)
    return [
        f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}: waiting: {reason}"
        for reason, names in why.items()
    ]


def _document(found: Study, work: Work, places: Mapping[str, Place]) -> dict[str, Any]:
    from rbridge.study.execute import counts

    ranked = places["rank"].state == "done"
    return {
        "format_version": FORMAT_VERSION,
        "study": found.spec.name,
        "out": str(found.out),
        "counts": counts(places),
        "verdict": work.ledger.found("rank")["verdict"] if ranked else None,
        "units": [
            {
                "id": name,
                "kind": place.unit.kind,
                "state": place.state,
                "reason": place.reason,
                "key": place.key,
                "recipe": place.unit.recipe,
                "size": place.unit.size,
                "seed": place.unit.seed,
                "flops": place.unit.flops,
                "depends_on": list(place.unit.before),
            }
            for name, place in places.items()
        ],
    }


def _dry_run(found: Study, work: Work, workers: int, *, json: bool) -> int:
    from dataclasses import asdict

    from rbridge.study.answer import kept_by_plan
    from rbridge.study.forecast import CPU_SPEED, GPU_SPEED, forecast

    places = work.survey()
    gpus = _gpus()
    kept = kept_by_plan(found, work.graph)
    cast = forecast(
        places,
        work.ledger.record,
        workers=len(gpus) or workers,
        speed=GPU_SPEED if gpus else CPU_SPEED,
        kept=kept,
    )
    if json:
        print_json({**_document(found, work, places), "forecast": asdict(cast), "plan_keeps": kept})
        return 0
    rows: dict[tuple[str, str], list[float]] = {}
    for place in places.values():
        unit = place.unit
        row = rows.setdefault((unit.kind, unit.size or ""), [0.0, 0.0, 0.0, 0.0])
        row[0] += 1
        row[1] += place.state == "done"
        row[2] += unit.flops
        row[3] += unit.disk
    print_table(
        f"{found.spec.name}: what it takes",
        ("kind", "size", "units", "done", "FLOPs", "disk"),
        [
            (kind, size, f"{row[0]:.0f}", f"{row[1]:.0f}", f"{row[2]:.3g}" if row[2] else "–", _bytes(row[3]))
            for (kind, size), row in rows.items()
        ],
        text_columns=2,
    )
    if kept is not None:
        print(f"The plan keeps {kept} of {len(found.recipes.recipes)} recipes; what is left is for so many.")
    print(
        f"Left: {cast.flops:.3g} FLOPs, {_bytes(float(cast.disk))}, about {_time(cast.seconds)} on {cast.workers} "
        f"worker{'' if cast.workers == 1 else 's'}, at {cast.basis}."
    )
    return 0


def _bytes(num: float) -> str:
    if not num:
        return "–"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if num < 1000 or unit == "TB":
            return f"{num:.3g} {unit}"
        num /= 1000
    raise AssertionError


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
