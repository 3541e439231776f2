"""Write a file or folder so that a reader sees all of it or nothing, whenever the writer dies."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rbridge.errors import InputError

_BLOCK = 1 << 20


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """A scratch folder beside ``path`` that becomes ``path`` when the block ends well.

    Raises:
        InputError: ``path`` exists and is not an empty folder: nothing is ever overwritten.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.parent / f".{path.name}.tmp-{unique()}"
    scratch.mkdir()
    try:
        yield scratch
        sync_folder(scratch)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def replaced_folder(path: Path) -> Generator[Path]:
    """A scratch folder that takes the place of ``path`` when the block ends well.

    Between two renames, and never longer, nothing stands at ``path``: use it for what can be made
    again.
    """
    old, scratch = (path.parent / f".{path.name}.{kind}-{os.getpid()}" for kind in ("old", "tmp"))
    path.parent.mkdir(parents=True, exist_ok=True)
    for kind in ("old", "tmp"):  # what a kill left, also of other processes: there is one writer
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.{kind}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
        sync_folder(scratch)
        if path.exists():
            path.replace(old)
        scratch.replace(path)
    finally:
        for leftover in (old, scratch):
            shutil.rmtree(leftover, ignore_errors=True)


def unique() -> str:
    """Part of a file name that no other process has, on whatever machine that shares the folder."""
    return uuid.uuid4().hex[:12]


def refuse_existing(path: Path) -> None:
    """Raise where something stands at ``path`` already.

    Raises:
        InputError: it does.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: exists already; name another place or delete it")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``path`` atomically: into a file beside it, to the disk, then renamed over it."""
    scratch = path.with_name(f".{path.name}.tmp-{unique()}")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:  # a full disk is told by write(), which knows no file name
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON document atomically; NaN and infinities are refused, never written."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_json(value: object) -> str:
    """SHA-256 of a value as canonical JSON, hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """A value as JSON that is the same whenever the value is: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sync_folder(folder: Path) -> None:
    """Force what is in a folder to the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
