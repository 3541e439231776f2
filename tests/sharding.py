"""Score in shards, some of them killed: ``python -m tests.sharding BUNDLE FOLDER CHECKPOINT...``.

As in ``tests.killing``, every shard is a process forked from one that has imported everything.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import torch

from rbridge.cli import run as rbridge
from rbridge.scoring import sweep
from rbridge.scoring.checkpoints import Checkpoint, load_tokenizer
from rbridge.scoring.engine import Engine
from rbridge.scoring.hf import open_source

SHARDS = 3


def main(bundle: str, folder: str, *checkpoints: str) -> None:
    """One store for all shards, one store each, and one process alone; prints the exit codes."""
    torch.set_num_threads(1)
    _warm_up(str(min(Path(checkpoints[0]).parent.glob(Path(checkpoints[0]).name))))
    sweep._KEEP_EVERY = 0.0

    def fork(out: str, *more: str, dies: bool = False) -> int:
        child = os.fork()
        if child:
            return child
        if dies:
            _die_in_the_fifth_batch()
        with (Path(folder) / "log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        given = ["--traces", bundle, "--shots", "0", "--batch-tokens", "1", "-o", str(Path(folder) / out)]
        os._exit(rbridge(["score", *checkpoints, *given, *more]))

    def ends(*children: int) -> list[int]:
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    found = {"whole": ends(fork("whole"))}
    for name, out in (("one store", "shared"), ("a store each", "own-{}")):
        shards = [(out.format(i), f"--shard={i}/{SHARDS}") for i in range(SHARDS)]
        killed = ends(*[fork(*shard, dies=i != 1) for i, shard in enumerate(shards)])
        again = ends(*[fork(*shard) for shard in shards])
        found[name] = [*killed, *again]
    print(json.dumps(found))


def _warm_up(checkpoint: str) -> None:
    """Load a model once, so that the forks do not each import what that needs."""
    open_source(Checkpoint(checkpoint, checkpoint), dtype="float32", device="cpu", batch_tokens=64)
    load_tokenizer(Checkpoint(checkpoint, checkpoint))


def _die_in_the_fifth_batch() -> None:
    real, seen = Engine.losses, []

    def losses(self: Engine, batch: list) -> list:
        if batch[0].key.benchmark != "self-test":
            seen.append(1)
            if len(seen) == 5:  # in the second checkpoint of the shard
                os.kill(os.getpid(), signal.SIGKILL)
        return real(self, batch)

    Engine.losses = losses


if __name__ == "__main__":
    main(*sys.argv[1:])
