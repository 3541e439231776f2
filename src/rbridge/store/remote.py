"""Folders on ``s3://``, ``gs://``, ``hf://`` and whatever else fsspec knows: fetched, listed, pushed.

A remote store has a mirror on this machine. Finished runs are pulled before scoring and pushed as they
are finished, the manifest last, so that a reader of the remote sees whole runs only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from rbridge.errors import InputError
from rbridge.store.files import new_folder
from rbridge.store.runs import MANIFEST, Run

# What file systems call that which changes with a file's content (s3fs, gcsfs, adlfs, the Hugging Face hub), and,
# where they have no such thing, the time of its last change.
_TAGS = ("ETag", "etag", "md5Hash", "generation", "content_md5", "blob_id", "VersionId")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return "://" in name


def matching(url: str) -> list[str]:
    """URLs that match a glob, unsorted.

    Raises:
        InputError: the place cannot be reached.
    """
    with _errors(url):
        system, path = _open(url)
        return [system.unstrip_protocol(found) for found in system.glob(path)]


def exists(url: str) -> bool:
    """Whether something is there.

    Raises:
        InputError: the place cannot be reached.
    """
    with _errors(url):
        system, path = _open(url)
        return bool(system.exists(path))


def read(url: str) -> bytes:
    """A file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    with _errors(url):
        system, path = _open(url)
        return bytes(system.cat_file(path))


def fetch_files(url: str, folder: Path, suffixes: Sequence[str] = ("",)) -> None:
    """Copy the files right below a remote folder whose names end so into a local one.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    with _errors(url):
        system, path = _open(url)
        wanted = [
            str(found["name"])
            for found in system.ls(path, detail=True)
            if found["type"] == "file" and str(found["name"]).endswith(tuple(suffixes))
        ]
        if not wanted:
            raise InputError(f"{url}: no file there; expected a folder")
        for name in wanted:
            system.get_file(name, str(folder / name.rsplit("/", 1)[-1]))


def versions(url: str, suffixes: Sequence[str] = ("",)) -> dict[str, str] | None:
    """What tells each file's present version from any other: its size, and its etag or the like, or its time.

    Args:
        url: of a folder.
        suffixes: of the files right below it that count.

    Returns:
        By file name; None where the file system tells neither of some file: a size alone is no version.

    Raises:
        InputError: the place cannot be reached.
    """
    with _errors(url):
        system, path = _open(url)
        listed = [
            found
            for found in system.ls(path, detail=True)
            if found["type"] == "file" and str(found["name"]).endswith(tuple(suffixes))
        ]
    told = {str(found["name"]).rsplit("/", 1)[-1]: _version(found) for found in listed}
    return {name: one for name, one in told.items() if one is not None} if None not in told.values() else None


def _version(found: dict[str, Any]) -> str | None:
    known = [f"{key}={found[key]}" for key in _TAGS if found.get(key)] or [
        f"{key}={found[key]}" for key in _TIMES if found.get(key)
    ]
    return " ".join([f"size={found.get('size')}", *known]) if known else None


def mirror(url: str) -> Path:
    """The folder on this machine that stands for a remote store."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "rbridge" / "stores" / sha256(url.rstrip("/").encode()).hexdigest()[:16]


def local_store(out: str) -> Path:
    """The folder that runs are kept in: that one, or the mirror of a URL with what is finished there.

    Raises:
        InputError: the place cannot be reached.
    """
    if not is_remote(out):
        return Path(out)
    root = mirror(out)
    root.mkdir(parents=True, exist_ok=True)
    pull_runs(out, root)
    return root


def pull_runs(url: str, root: Path) -> None:
    """Copy the finished runs of a remote store that the mirror has not.

    Raises:
        InputError: the place cannot be reached.
    """
    with _errors(url):
        system, path = _open(url)
        found = [str(one) for one in system.glob(f"{path.rstrip('/')}/*/{MANIFEST}")]
    for manifest in found:
        remote = manifest.rsplit("/", 1)[0]
        folder = root / remote.rsplit("/", 1)[-1]
        if not folder.exists():
            with new_folder(folder) as scratch:
                fetch_files(system.unstrip_protocol(remote), scratch)


def push_run(url: str, run: Run) -> None:
    """Copy a finished run to a remote store, its manifest last.

    Raises:
        InputError: the place cannot be written.
    """
    with _errors(url):
        system, path = _open(url)
        target = f"{path.rstrip('/')}/{run.folder.name}"
        system.makedirs(target, exist_ok=True)
        files = sorted(run.folder.iterdir(), key=lambda file: file.name == MANIFEST)
        for file in files:
            system.put_file(str(file), f"{target}/{file.name}")


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    system.invalidate_cache()  # a listing from before others wrote
    return system, str(path)


@contextlib.contextmanager
def _errors(url: str) -> Generator[None]:
    """Errors of file systems, of many libraries, as one line each."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{url}: {error}; install the package that speaks its protocol (s3fs, gcsfs, ...)"
        ) from None
    except Exception as error:  # noqa: BLE001 - every protocol's library has errors of its own
        lines = str(error).splitlines() or ["no message"]
        raise InputError(
            f"{url}: cannot be reached ({type(error).__name__}: {lines[0][:200]}); check the address and credentials"
        ) from None
