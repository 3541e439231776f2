"""Prepare the next checkpoint in a background thread while this one is scored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

from rbridge.errors import InputError, RBridgeError
from rbridge.scoring.checkpoints import Checkpoint, first_line
from rbridge.scoring.source import Ready

_Prepared = SimpleQueue[Ready | Exception]


def prepared_ahead(
    checkpoints: Iterable[Checkpoint], prepare: Callable[[Checkpoint], Ready]
) -> Iterator[tuple[Checkpoint, Ready | RBridgeError]]:
    """Checkpoints in order, each prepared, or with the reason why it cannot be.

    Only the next one is prepared ahead, so at most two stand on the disk, provided that the caller
    releases each before it asks for another.
    """
    current: tuple[Checkpoint, _Prepared] | None = None
    try:
        for following in checkpoints:
            started = _start(following, prepare)
            if current is not None:
                yield current[0], _outcome(*current)
            current = (following, started)
        if current is not None:
            last, current = current, None
            yield last[0], _outcome(*last)
    finally:
        if current is not None and not current[1].empty():  # nobody will score it
            outcome = current[1].get()
            if isinstance(outcome, Ready):
                outcome.release()


def prepared(
    checkpoints: Iterable[Checkpoint], prepare: Callable[[Checkpoint], Ready]
) -> Iterator[tuple[Checkpoint, Ready | RBridgeError]]:
    """The same for checkpoints that are waited for: none is prepared before it is wanted."""
    for checkpoint in checkpoints:
        yield checkpoint, _outcome(checkpoint, _start(checkpoint, prepare))


def _start(checkpoint: Checkpoint, prepare: Callable[[Checkpoint], Ready]) -> _Prepared:
    box: _Prepared = SimpleQueue()

    def work() -> None:
        try:
            box.put(prepare(checkpoint))
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            box.put(error)

    # A daemon: Ctrl-C does not wait for a download.
    threading.Thread(target=work, name=f"prepare {checkpoint.name}", daemon=True).start()
    return box


def _outcome(checkpoint: Checkpoint, box: _Prepared) -> Ready | RBridgeError:
    outcome = box.get()
    if isinstance(outcome, OSError):  # it vanished, or the disk is full
        return InputError(
            f"{checkpoint.name}: cannot be read ({first_line(outcome)}); what is finished is kept"
        )
    if isinstance(outcome, Exception) and not isinstance(outcome, RBridgeError):
        raise outcome
    return outcome
