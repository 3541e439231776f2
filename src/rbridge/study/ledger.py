"""What is on disk of every unit: a record of how it ended, and a lock while it is worked on."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from rbridge.errors import InputError
from rbridge.store.documents import read_document
from rbridge.store.files import write_json
from rbridge.study.units import Seen, Unit

# 1: first format.
FORMAT_VERSION = 1
_UNITS = "units"
_SUPERSEDED = "superseded"
_LIST = "outputs.json"
_KEY_SHOWN = 12


class Record(BaseModel):
    """How a unit was left.

    Attributes:
        id: the unit's name.
        key: of the inputs that it was begun with.
        state: begun (and, where no lock is held, interrupted), done, or failed.
        outputs: files and folders that it makes, as seen from the results' folder.
        reason: of a failure.
        found: what a unit gives to others and to the page, as JSON.
        seconds: that it took; of an interrupted unit, its last part.
        flops: that it took.
        where: host and process that worked on it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format_version: int = FORMAT_VERSION
    id: str
    key: str
    state: Literal["begun", "done", "failed"]
    outputs: tuple[str, ...] = ()
    reason: str | None = None
    found: dict[str, Any] | None = None
    seconds: float | None = None
    flops: float = 0.0
    where: str = ""


class Ledger:
    """The records of a study's units in its results' folder; any number of processes may read and write it.

    A unit's lock is the kernel's (flock): it is gone when its holder is, however that ended.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def record(self, name: str) -> Record | None:
        """How a unit was left, or None where it was never begun."""
        try:
            return read_document(self._file(name, "json"), Record, newest=FORMAT_VERSION)
        except FileNotFoundError:
            return None

    def seen(self, name: str) -> Seen:
        """What is found of a unit: how it was left, and who works on it now."""
        return replace(self.left(name), running=self._holder(name))

    def left(self, name: str) -> Seen:
        """How a unit was left. A result that is gone counts as never done."""
        record = self.record(name)
        if record is None:
            return Seen()
        whole = record.state != "done" or all((self.root / output).exists() for output in record.outputs)
        return Seen(record.key, record.state, record.reason) if whole else Seen()

    @contextmanager
    def claimed(self, name: str) -> Generator[bool]:
        """Hold the unit's lock for the block; False where another process holds it."""
        file = self._file(name, "lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        # Opened for appending: what its holder wrote stays readable to those that fail to get it.
        with file.open("a", encoding="utf-8") as lock:
            if not _lock(lock.fileno()):
                yield False
                return
            lock.truncate(0)
            lock.write(_myself())
            lock.flush()
            yield True
            lock.truncate(0)

    def begin(self, unit: Unit, key: str, outputs: Sequence[str]) -> None:
        """Note that a unit is begun with these inputs; what other inputs left is put aside, not lost.

        What the same inputs left is kept, or brought back: the unit goes on from there.
        """
        last = self.record(unit.id)
        if last is not None and last.key != key:
            self._put_aside(last)
        if last is None or last.key != key:
            self._bring_back(key)
        self._write(Record(id=unit.id, key=key, state="begun", outputs=tuple(outputs), where=_myself()))

    def done(
        self, unit: Unit, key: str, outputs: Sequence[str], *, found: dict[str, Any], seconds: float
    ) -> None:
        """Note that a unit is done."""
        record = Record(
            id=unit.id,
            key=key,
            state="done",
            outputs=tuple(outputs),
            found=found,
            seconds=round(seconds, 3),
            flops=unit.flops,
            where=_myself(),
        )
        self._write(record)

    def failed(self, name: str, key: str, reason: str) -> None:
        """Note why a unit has failed with these inputs; what it has made so far stays."""
        record = self.record(name)
        if record is None or record.key != key:  # it ended before it could note that it had begun
            record = Record(id=name, key=key, state="begun")
        self._write(record.model_copy(update={"state": "failed", "reason": " ".join(reason.split())}))

    def keep_log(self, name: str, text: str) -> Path:
        """Keep the traceback of an unexpected failure, and say where."""
        file = self._file(name, "log")
        file.write_text(text, encoding="utf-8")
        return file

    def found(self, name: str) -> dict[str, Any]:
        """What a unit that is done gives to others."""
        record = self.record(name)
        if record is None or record.state != "done":
            raise InputError(f"{self.root}: {name} is not done; run the study")
        return record.found or {}

    def _write(self, record: Record) -> None:
        file = self._file(record.id, "json")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, record.model_dump(mode="json"))

    def _file(self, name: str, ending: str) -> Path:
        return self.root / _UNITS / f"{name}.{ending}"

    def _holder(self, name: str) -> str | None:
        """Who holds the unit's lock, or None."""
        try:
            with self._file(name, "lock").open("r", encoding="utf-8") as lock:
                try:
                    fcntl.flock(lock.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return lock.read() or "a process that has just begun"
                return None
        except FileNotFoundError:
            return None

    def _put_aside(self, record: Record) -> None:
        aside = self.root / _SUPERSEDED / record.key[:_KEY_SHOWN]
        for output in record.outputs:
            here, there = self.root / output, aside / output
            if here.exists():
                _remove(there)
                there.parent.mkdir(parents=True, exist_ok=True)
                here.replace(there)
        if aside.is_dir():
            write_json(aside / _LIST, {"outputs": list(record.outputs)})

    def _bring_back(self, key: str) -> None:
        aside = self.root / _SUPERSEDED / key[:_KEY_SHOWN]
        if not (aside / _LIST).is_file():
            return
        for output in json.loads((aside / _LIST).read_bytes())["outputs"]:
            here, there = self.root / output, aside / output
            if there.exists() and not here.exists():
                here.parent.mkdir(parents=True, exist_ok=True)
                there.replace(here)
        shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    """Take a lock; a reader of the status may hold it for an instant, so a few tries are made."""
    import time

    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def _myself() -> str:
    return f"pid {os.getpid()} on {socket.gethostname()}"
