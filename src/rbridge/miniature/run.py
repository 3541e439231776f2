"""Run the miniature's jobs in worker processes, each finished one kept, so that a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from rbridge.miniature.jobs import FRONTIER, Job, Trained, finished
from rbridge.proxies.pool import training_pool

Progress = Callable[[str], None]


@dataclass(frozen=True)
class MiniatureRun:
    """Everything that is made live.

    Attributes:
        proxies: in the order of their jobs.
        frontier: the model that wrote the traces.
        traces: exchange JSONL.
    """

    proxies: list[Trained]
    frontier: Trained
    traces: Path


def run_miniature(
    out: Path,
    *,
    jobs: Sequence[Job],
    frontier: Job = FRONTIER,
    num_traces: int = 200,
    processes: int = 2,
    progress: Progress,
) -> MiniatureRun:
    """Train the frontier model and the proxies side by side, and let the frontier model write its traces.

    Every process uses one thread, so the results do not depend on how many processes there are.

    Args:
        out: folder for ``proxies/<job>/``, ``frontier/`` and ``traces.jsonl``; what is finished there is kept.
        jobs: the proxies, such as ``proxy_jobs()``.
        frontier: the model that writes the traces.
        num_traces: verified traces to write.
        processes: workers, each on one core.
        progress: told of every model as it is done.
    """
    traces = out / "traces.jsonl"
    with training_pool(processes) as pool:
        # The frontier model takes ten times as long as a proxy, so it starts first.
        writing = _start_frontier(pool, frontier, out / "frontier", traces, num_traces)
        proxies = _train_all(pool, out / "proxies", jobs, progress=progress)
        writer = writing.result()
    progress(f"{_told(writer)}; it wrote {num_traces} verified traces")
    return MiniatureRun(proxies, writer, traces)


def run_proxies(out: Path, *, jobs: Sequence[Job], processes: int = 2, progress: Progress) -> list[Trained]:
    """Train and test the models of ``jobs``, each into a folder of ``out`` named after it.

    Args:
        out: folder of folders; a finished job found here is not run again.
        jobs: such as ``proxy_jobs()``.
        processes: workers, each on one core.
        progress: told of every model as it is done.

    Returns:
        The finished models, in the order of the jobs.
    """
    with training_pool(processes) as pool:
        return _train_all(pool, out, jobs, progress=progress)


def _train_all(
    pool: ProcessPoolExecutor, out: Path, jobs: Sequence[Job], *, progress: Progress
) -> list[Trained]:
    models = {job.name: done for job in jobs if (done := finished(job, out / job.name))}
    if models:
        progress(f"{len(models)} of {len(jobs)} models are kept from an earlier run")
    running = [pool.submit(_run_job, job, out / job.name) for job in jobs if job.name not in models]
    for future in as_completed(running):
        done = future.result()
        models[done.folder.name] = done
        progress(f"{len(models)}/{len(jobs)} {_told(done)}")
    return [models[job.name] for job in jobs]


def _start_frontier(
    pool: ProcessPoolExecutor, job: Job, folder: Path, traces: Path, num_traces: int
) -> Future[Trained]:
    if (done := finished(job, folder)) and traces.is_file() and _num_lines(traces) == num_traces:
        kept: Future[Trained] = Future()
        kept.set_result(done)
        return kept
    traces.unlink(missing_ok=True)  # whatever it is, this frontier model did not write it
    return pool.submit(_make_frontier, job, folder, traces, num_traces)


def _num_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _told(done: Trained) -> str:
    return f"{done.folder.name}: {100 * done.accuracy:.1f} % right of {done.num_problems}"


# In the workers, which are the only ones to import torch


def _run_job(job: Job, folder: Path) -> Trained:
    from rbridge.miniature.train import run_job

    return run_job(job, folder)


def _make_frontier(job: Job, folder: Path, traces: Path, num_traces: int) -> Trained:
    from rbridge.miniature.frontier import write_traces
    from rbridge.miniature.train import run_job

    done = run_job(job, folder)
    write_traces(folder, traces, num_traces=num_traces)
    return done
