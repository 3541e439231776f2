"""Kill scoring processes at chosen moments: ``python -m tests.killing CHECKPOINT BUNDLE FOLDER``.

One process imports everything and touches nothing; each case runs in a fork of it, so that a dozen
processes cost one start. Prints what became of each case as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import torch

from rbridge.cli import run as rbridge
from rbridge.errors import InputError
from rbridge.scoring import sweep
from rbridge.scoring.checkpoints import Checkpoint, load_tokenizer
from rbridge.scoring.engine import Engine
from rbridge.scoring.hf import open_source
from rbridge.store import files, runs
from rbridge.store.runs import RunStore, read_runs


def _warm_up(checkpoint: str) -> None:
    """Load a model once, so that the forks do not each import what that needs."""
    open_source(Checkpoint(checkpoint, checkpoint), dtype="float32", device="cpu", batch_tokens=64)
    load_tokenizer(Checkpoint(checkpoint, checkpoint))


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_the_third_batch() -> None:
    real, seen = Engine.losses, []

    def losses(self: Engine, batch: list) -> list:
        if batch[0].key.benchmark != "self-test":
            seen.append(1)
            if len(seen) == 3:
                _die()
        return real(self, batch)

    Engine.losses = losses


def _while_a_batch_is_written() -> None:
    files.os.fsync = _die


def _between_tokens_and_manifest() -> None:
    runs.write_json = _die


def _before_the_batches_are_dropped() -> None:
    RunStore.drop_partial = _die


MOMENTS = {
    "in the third batch": _in_the_third_batch,
    "while a batch is written": _while_a_batch_is_written,
    "between tokens and manifest": _between_tokens_and_manifest,
    "before the batches are dropped": _before_the_batches_are_dropped,
}


def main(checkpoint: str, bundle: str, folder: str) -> None:
    """Run every case and print what became of it."""
    torch.set_num_threads(1)
    _warm_up(checkpoint)
    sweep._KEEP_EVERY = 0.0  # every batch is kept

    def score(out: Path) -> int:
        return rbridge(
            ["score", checkpoint, "--traces", bundle, "--shots", "0", "--batch-tokens", "1", "-o", str(out)]
        )

    def fork(out: Path, before: Callable[[], object] = lambda: None) -> int:
        child = os.fork()
        if child:
            return child
        before()
        with (Path(folder) / f"{out.name}.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os._exit(score(out))

    def end(child: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    found: dict[str, object] = {"whole": end(fork(Path(folder) / "whole"))}
    for name, patch in MOMENTS.items():
        out = Path(folder) / name
        killed = end(fork(out, patch))
        left = sorted(path.name for path in out.glob("*/manifest.json"))
        found[name] = {"killed": killed, "finished": len(left), "again": end(fork(out))}
    out = Path(folder) / "full disk"
    full = end(fork(out, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))))
    found["full disk"] = {
        "full": full,
        "finished": len(list(out.glob("*/manifest.json"))),
        "again": end(fork(out)),
    }

    out = Path(folder) / "two at once"
    reader = os.fork()
    if not reader:
        os._exit(_read_until_finished(out))
    both = [fork(out), fork(out)]
    found["two at once"] = {"both": [end(child) for child in both], "reader": end(reader)}
    print(json.dumps(found))


def _read_until_finished(out: Path) -> int:
    """0 where a store that is being written never showed a run that is not whole."""
    for _ in range(3000):
        try:
            (run,) = read_runs(out)
        except InputError as error:
            if "no score runs there" not in str(error):
                return 1
            time.sleep(0.01)
            continue
        return 0 if len(run.scored()) == run.manifest.num_scored else 1
    return 2


if __name__ == "__main__":
    main(*sys.argv[1:])
