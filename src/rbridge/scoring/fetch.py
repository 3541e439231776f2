"""Bring a checkpoint's files to this machine and identify its weights, whatever is to run them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint, weight_files, weights_sha256
from rbridge.scoring.hub import HubSnapshot, fetch, hub_weights_sha256, look_up
from rbridge.scoring.source import Ready
from rbridge.store import remote
from rbridge.store.known import recall, remember

# What is read of a checkpoint's files.
_READ = (".json", ".safetensors", ".model", ".txt", ".jinja")


def prepare(
    checkpoint: Checkpoint,
    is_finished: Callable[[Ready], bool],
    *,
    ready: Callable[[Checkpoint, str], Ready],
    keep_downloads: bool,
) -> Ready:
    """Bring a checkpoint's files to this machine and identify its weights; may run in a thread.

    Args:
        checkpoint: from ``expand``.
        is_finished: whether the store has this run already: then weights that are not here stay away.
        ready: says how a checkpoint on this machine, with weights of this hash, is run.
        keep_downloads: leave what was fetched from the hub in its cache.

    Raises:
        InputError: it cannot be had, or is half there.
    """
    if remote.is_remote(checkpoint.source):
        return _prepare_remote(checkpoint, is_finished, ready)
    release: Callable[[], None] = _nothing
    if checkpoint.gguf_file is None and checkpoint.local is None:
        snapshot = look_up(checkpoint.source, checkpoint.revision)
        sha256 = hub_weights_sha256(snapshot)
        known = None if sha256 is None else ready(_at(checkpoint, snapshot), sha256)
        if known is not None and is_finished(known):
            return known
        snapshot = fetch(snapshot)
        checkpoint = _at(checkpoint, snapshot)
        release = _nothing if keep_downloads else snapshot.delete
    sha256, check = identify(checkpoint)
    return replace(ready(checkpoint, sha256), release=release, check_unchanged=check)


def _prepare_remote(
    checkpoint: Checkpoint, is_finished: Callable[[Ready], bool], ready: Callable[[Checkpoint, str], Ready]
) -> Ready:
    """A checkpoint at a URL: what was fetched before and has not changed is known without its weights.

    Raises:
        InputError: it cannot be fetched, is half there, or changed meanwhile.
    """
    url = checkpoint.source
    folder = Path(tempfile.mkdtemp(prefix="rbridge-"))
    release = partial(shutil.rmtree, folder, ignore_errors=True)
    at = replace(checkpoint, source=str(folder))
    try:
        listed = remote.versions(url, _READ)
        sha256 = recall(url, listed, folder)
        if sha256 is not None:
            known = replace(ready(at, sha256), release=release)
            if is_finished(known):
                return known
        remote.fetch_files(url, folder, _READ)
        if remote.versions(url, _READ) != listed:
            raise InputError(f"{url}: changed while it was fetched; score it again when its writer is done")
        sha256, check = identify(at)
        remember(url, listed, folder, sha256)
        return replace(ready(at, sha256), release=release, check_unchanged=check)
    except BaseException:
        release()
        raise


def _nothing() -> None:
    """What is to be given back of a checkpoint that was on this machine."""


def _at(checkpoint: Checkpoint, snapshot: HubSnapshot) -> Checkpoint:
    return replace(checkpoint, source=str(snapshot.folder))


def identify(checkpoint: Checkpoint) -> tuple[str, Callable[[], None]]:
    """Hash of a local checkpoint's weights, and a check that its files are still the same.

    Raises:
        InputError: the files are missing, or changed while they were read.
    """
    try:
        files = _files(checkpoint)
        before = _signature(files)
        sha256 = weights_sha256(checkpoint)
    except OSError as error:
        raise InputError(
            f"{checkpoint.name}: vanished while it was read ({error.strerror}: {error.filename})"
        ) from None

    def check() -> None:
        # A file that is gone is still whole for whoever has it open; another in its place is not it.
        now = _signature(files)
        changed = [name for name, state in before.items() if now.get(name, state) != state]
        if changed:
            raise InputError(
                f"{checkpoint.name}: {changed[0]} changed while it was being scored; nothing of it is kept: "
                "score it again when its writer is done"
            )

    check()
    return sha256, check


def _files(checkpoint: Checkpoint) -> list[Path]:
    folder = Path(checkpoint.source)
    return [folder / checkpoint.gguf_file] if checkpoint.gguf_file else weight_files(folder)


def _signature(files: Sequence[Path]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for file in files:
        try:
            state = file.stat()
        except FileNotFoundError:
            continue
        found[file.name] = (state.st_ino, state.st_size, state.st_mtime_ns)
    return found
