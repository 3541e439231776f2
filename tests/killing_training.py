"""Kill trainings at chosen moments: ``python -m tests.killing_training FOLDER``; prints the weights' hashes as JSON.

One process imports everything; each case runs in a fork of it, as in tests/killing.py.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from rbridge.proxies import job as jobs
from rbridge.proxies import trainer
from rbridge.store.files import sha256_file
from tests.ladders import plan, write_recipes


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_step(number: int) -> Callable[[], None]:
    def patch() -> None:
        real = trainer._Trainer.training_step

        def step(self, *rest, **named):
            if self.state.global_step == number:
                _die()
            return real(self, *rest, **named)

        trainer._Trainer.training_step = step

    return patch


def _while_the_third_state_is_written() -> None:
    real, seen = trainer.sync_folder, []

    def sync(folder: Path) -> None:
        seen.append(folder)
        if len(seen) == 3:
            _die()
        real(folder)

    trainer.sync_folder = sync


def _while_a_checkpoint_is_kept() -> None:
    jobs.save_checkpoint = _die


def _before_the_result() -> None:
    jobs.write_json = lambda path, value: (
        _die() if path.name == "training.json" else path.write_text(json.dumps(value))
    )


MOMENTS = {
    "before the first step": _at_step(0),
    "in step 11": _at_step(10),
    "while a state is written": _while_the_third_state_is_written,
    "while a checkpoint is kept": _while_a_checkpoint_is_kept,
    "before the result": _before_the_result,
}


def main(folder: Path) -> None:
    """Run every case and print what became of it."""
    torch.set_num_threads(1)
    file = write_recipes(folder / "texts")

    plan(file, folder / "warm", "both")
    gc.freeze()  # a collection in a fork would copy all that the imports made

    def fork(out: Path, patch: Callable[[], None] = lambda: None) -> int:
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if not out.exists():
            shutil.copytree(folder / "warm", out)
        patch()
        jobs.train_job(plan(file, out, "both")["both"].job, devices={"use_cpu": True}, state_seconds=0.0)
        os._exit(0)

    def result(out: Path) -> dict[str, str]:
        model = out / "both" / "tiny" / "seed-0"
        weights = {one.name: sha256_file(one / "model.safetensors") for one in model.glob("step-*")}
        return {
            **weights,
            "loss": (model / "loss.jsonl").read_text(),
            "left": str((model / "state").exists()),
        }

    fork(folder / "whole")
    found: dict[str, object] = {"whole": result(folder / "whole")}
    for name, patch in MOMENTS.items():
        out = folder / name
        killed = fork(out, patch)
        found[name] = {"killed": killed, "again": fork(out), "result": result(out)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
