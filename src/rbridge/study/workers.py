"""Worker processes that do units, each on its own cores or GPU; one that dies loses its unit and no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol, runtime_checkable

from rbridge.proxies.pool import end_with_parent
from rbridge.study.execute import Progress, Work, execute


@runtime_checkable
class Crew(Protocol):
    """Those who do units: processes of this machine, or tasks on a Ray cluster."""

    @property
    def free(self) -> int:
        """Units that can be begun now."""
        ...

    @property
    def busy(self) -> Sequence[str]:
        """Units that are being done."""
        ...

    def start(self, name: str) -> None:
        """Begin a unit."""
        ...

    def wait(self, seconds: float) -> Sequence[tuple[str, str | None]]:
        """Units that ended since the last call; and why, where their worker died of them. Waits for one, so long."""
        ...

    def close(self) -> None:
        """Let the workers go; what they are doing is ended."""
        ...


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    unit: str | None = None


class Processes:
    """Worker processes of this machine.

    Args:
        work: what they do.
        num: of workers.
        threads: of each.
        devices: GPUs, one a worker in turn; empty on a machine without.
        progress: told each worker's lines.
    """

    def __init__(
        self, work: Work, *, num: int, threads: int, devices: Sequence[int] = (), progress: Progress
    ) -> None:
        self._work = work
        self._num = num
        self._threads = threads
        self._devices = devices
        self._progress = progress
        self._context = multiprocessing.get_context("spawn")  # a fork of a process that uses threads may hang
        self._workers: list[_Worker | None] = [None] * num

    @property
    def free(self) -> int:
        """Workers without a unit."""
        return self._num - len(self.busy)

    @property
    def busy(self) -> Sequence[str]:
        """Units that are being done."""
        return [worker.unit for worker in self._workers if worker is not None and worker.unit is not None]

    def start(self, name: str) -> None:
        """Begin a unit on a free worker; a process is started where none is idle."""
        idle = [
            (index, worker)
            for index, worker in enumerate(self._workers)
            if worker is None or worker.unit is None
        ]
        # One that runs already has torch loaded.
        index, worker = next(((i, one) for i, one in idle if one is not None), idle[0])
        if worker is None:
            worker = self._workers[index] = self._hire(index)
        worker.unit = name
        worker.pipe.send(name)

    def wait(self, seconds: float) -> Sequence[tuple[str, str | None]]:
        """See ``Crew``."""
        ended: list[tuple[str, str | None]] = []
        pipes = {worker.pipe: index for index, worker in enumerate(self._workers) if worker is not None}
        for pipe in wait(list(pipes), timeout=seconds):
            assert isinstance(pipe, Connection)
            index = pipes[pipe]
            worker = self._workers[index]
            assert worker is not None
            try:
                kind, text = pipe.recv()
            except (EOFError, OSError):  # the process is gone
                worker.process.join()
                self._workers[index] = None
                if worker.unit is not None:
                    ended.append((worker.unit, _death(worker.process.exitcode)))
                continue
            if kind == "line":
                self._progress(text)
            else:
                assert worker.unit is not None
                ended.append((worker.unit, None))
                worker.unit = None
        return ended

    def close(self) -> None:
        """See ``Crew``."""
        for worker in self._workers:
            if worker is None:
                continue
            if worker.unit is None:
                worker.pipe.close()  # it ends by itself
            else:
                worker.process.terminate()
        for worker in self._workers:
            if worker is not None:
                worker.process.join()
        self._workers = [None] * self._num

    def _hire(self, index: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        device = self._devices[index % len(self._devices)] if self._devices else None
        process = self._context.Process(
            target=_serve, args=(self._work, theirs, self._threads, device), daemon=False
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _death(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}; the same command tries it again"
    return f"its process ended with status {status}; the same command tries it again"


# In the workers


def _serve(work: Work, pipe: Connection, threads: int, device: int | None) -> None:
    """Do the units that come through the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read once, when torch is loaded
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(device)
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        execute(work, name, progress=lambda line: pipe.send(("line", line)))
        pipe.send(("ended", name))
