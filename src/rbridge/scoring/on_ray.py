"""Score checkpoints on a Ray cluster; see ``rbridge.cluster``. The store makes a checkpoint done twice harmless."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rbridge.cluster import Lost, on_cluster
from rbridge.records import Labels
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.settings import ScoreSettings
from rbridge.scoring.sweep import Failure, Prepare, Sweep, make_jobs, run_jobs
from rbridge.store.bundles import Bundle
from rbridge.store.remote import is_remote, local_store, push_run
from rbridge.store.runs import Run, RunStore, read_runs


@dataclass(frozen=True)
class Spread:
    """What every worker makes ready for itself.

    Attributes:
        bundle: reads the traces.
        out: the store: a folder that all machines see, or a URL.
        settings: how to score.
        prepare: what makes a checkpoint ready; made on the worker, which knows its GPU.
    """

    bundle: Callable[[], Bundle]
    out: str
    settings: ScoreSettings
    prepare: Callable[[], Prepare]


# A checkpoint, what is said of it; its run's folder where there is one, what went wrong.
_Unit = tuple[Checkpoint, Labels | None]
_Outcome = tuple[str | None, tuple[Failure, ...]]


def score_on_ray(
    address: str,
    workers: int | None,
    checkpoints: Sequence[Checkpoint],
    spread: Spread,
    *,
    labels: Mapping[str, Labels],
    progress: Callable[[str], None],
) -> Sweep:
    """``sweep`` over a cluster: what comes out is what one process would give.

    Args:
        address: as in ``on_cluster``.
        workers: as in ``on_cluster``.
        checkpoints: the list; every machine must be able to read them.
        spread: what workers need.
        labels: by checkpoint name.
        progress: told each checkpoint as it is done.

    Raises:
        InputError: no cluster there, or traces whose questions cannot be had.
        MissingExtra: Ray is not installed.
    """
    num_done = 0

    def told(place: int, outcome: _Outcome | Lost) -> None:
        nonlocal num_done
        num_done += 1
        failed = isinstance(outcome, Lost) or outcome[0] is None
        progress(f"[{num_done}/{len(units)}] {checkpoints[place].name}{': failed' if failed else ''}")

    scorer(spread)  # what no worker could do is told before any is started
    units: list[_Unit] = [(one, labels.get(one.name)) for one in checkpoints]
    outcomes = on_cluster(address, workers, partial(scorer, spread), units, told=told)
    root = local_store(spread.out)
    runs: list[Run] = []
    failures: list[Failure] = []
    for checkpoint, outcome in zip(checkpoints, outcomes, strict=True):
        if isinstance(outcome, Lost):
            failures.append(Failure(checkpoint.name, f"{checkpoint.name}: {outcome.reason}"))
            continue
        folder, failed = outcome
        failures.extend(failed)
        if folder is not None and (root / folder).is_dir():
            runs.extend(read_runs(root / folder))
        elif folder is not None:
            reason = f"scored on a machine that does not share {root} with this one; give -o a shared folder or a URL"
            failures.append(Failure(checkpoint.name, f"{checkpoint.name}: {reason}"))
    return Sweep(tuple(runs), tuple(failures))


def scorer(spread: Spread) -> Callable[[_Unit], _Outcome]:
    """What a worker does with a checkpoint, traces and store made ready."""
    jobs = make_jobs(spread.bundle(), RunStore(local_store(spread.out)), spread.settings)
    prepare = spread.prepare()

    def finished(run: Run) -> None:
        if is_remote(spread.out):
            push_run(spread.out, run)

    def score(unit: _Unit) -> _Outcome:
        checkpoint, said = unit
        labels = {} if said is None else {checkpoint.name: said}
        swept = run_jobs(jobs, [checkpoint], labels=labels, prepare=prepare, finished=finished)
        return swept.runs[0].folder.name if swept.runs else None, swept.failures

    return score
