"""Checkpoints of a training run that is still writing them, each as soon as it is whole."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint, expand, has_glob, natural, weight_files

_State = tuple[tuple[str, int, int], ...]


def watched(
    names: Sequence[str],
    *,
    seconds: float,
    is_done: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Checkpoint]:
    """Checkpoints as they appear, in natural order; ends when ``is_done`` or on Ctrl-C while it waits.

    A folder counts as whole when it has its config and every weight file that its index names, and
    nothing in it has changed between two looks. One that changes afterwards, such as a folder that
    got its tokenizer late, comes again.

    Args:
        names: folders, globs, hub names; a folder that is no checkpoint stands for those in it.
        seconds: between two looks.
        is_done: asked before every look and after every checkpoint.
        sleep: waits.
    """
    given: dict[str, _State] = {}
    before: dict[str, _State] = {}
    while not is_done():
        now = {checkpoint.name: (checkpoint, _state(checkpoint)) for checkpoint in _find(names)}
        for name, (checkpoint, state) in now.items():
            if state is not None and state == before.get(name) and state != given.get(name):
                given[name] = state
                yield checkpoint
                if is_done():
                    return
        before = {name: state for name, (_, state) in now.items() if state is not None}
        try:
            sleep(seconds)
        except KeyboardInterrupt:
            return


def _find(names: Sequence[str]) -> list[Checkpoint]:
    """What is there now; nothing where nothing is there yet."""
    found: list[Checkpoint] = []
    for name in names:
        folder = Path(name)
        if folder.is_dir() and not (folder / "config.json").is_file():
            inside = [str(path) for path in folder.iterdir() if path.is_dir() or path.suffix == ".gguf"]
        elif has_glob(name.partition("@")[0]):
            inside = glob.glob(name)  # noqa: PTH207 - may be absolute
        else:
            inside = [name]
        for one in sorted(inside, key=natural):
            try:
                found += expand([one])
            except InputError:  # not there yet, or its labels are half written
                continue
    return found


def _state(checkpoint: Checkpoint) -> _State | None:
    """Sizes and times of a checkpoint's files, or None while some are missing."""
    try:
        if checkpoint.gguf_file is not None:
            files = [Path(checkpoint.source) / checkpoint.gguf_file]
        elif checkpoint.local is not None:
            weight_files(checkpoint.local)
            files = sorted(path for path in checkpoint.local.iterdir() if path.is_file())
        else:
            return ()  # a hub's revision is whole
        return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    except (InputError, OSError):
        return None
