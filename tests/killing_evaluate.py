"""Kill an evaluation at chosen moments: ``python -m tests.killing_evaluate PLACE FOLDER``; see tests.killing."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import torch

from rbridge.cli import run as rbridge
from rbridge.evaluate import local
from rbridge.evaluate import run as evaluating
from rbridge.scoring.checkpoints import Checkpoint, load_model, load_tokenizer
from rbridge.store import evaluations, files


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_the_third_batch() -> None:
    real = local.LocalGenerator.replies

    def replies(self: local.LocalGenerator, *tasks: object, **options: object) -> Iterator[list]:
        for number, batch in enumerate(real(self, *tasks, **options)):
            if number == 2:
                _die()
            yield batch

    local.LocalGenerator.replies = replies


def _while_a_part_is_written() -> None:
    files.os.fsync = _die


def _between_replies_and_manifest() -> None:
    evaluations.write_json = _die


MOMENTS = {
    "in the third batch": _in_the_third_batch,
    "while a part is written": _while_a_part_is_written,
    "between replies and manifest": _between_replies_and_manifest,
}


def main(place: str, folder: str) -> None:
    """Run every case and print what became of it."""
    torch.set_num_threads(1)
    checkpoint = Checkpoint(f"{place}/a", f"{place}/a")
    load_model(checkpoint, dtype="float32", device="cpu")
    load_tokenizer(checkpoint)
    evaluating._KEEP_EVERY = -1.0  # every reply is kept

    def fork(out: Path, before: Callable[[], object] = lambda: None) -> int:
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        before()
        with (Path(folder) / f"{out.name}.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os._exit(
            rbridge([
                "evaluate", f"{place}/a", "--benchmark", "mine", "--questions", f"{place}/problems.jsonl",
                "--shots", "0", "--max-tokens", "6", "--batch-tokens", "1", "-o", str(out),
            ])
        )  # fmt: skip

    found: dict[str, dict[str, int]] = {"whole": {"again": fork(Path(folder) / "whole")}}
    for name, patch in MOMENTS.items():
        out = Path(folder) / name
        killed = fork(out, patch)
        kept = sum(len(part.read_text().splitlines()) for part in out.glob(".replies-*/*.jsonl"))
        finished = len(list(out.glob("eval-*/evaluation.json")))
        before = {path.name for path in out.rglob("*.jsonl")}

        def count_fresh(out: Path = out, before: set[str] = before) -> None:
            real = evaluations.EvaluationStore.finish

            def finish(self: evaluations.EvaluationStore, *rest: object) -> object:
                parts = {path.name for path in out.rglob(".replies-*/*.jsonl")}
                (Path(folder) / "fresh").write_text(str(len(parts - before)))
                return real(self, *rest)

            evaluations.EvaluationStore.finish = finish

        again = fork(out, count_fresh)
        found[name] = {
            "killed": killed,
            "kept": kept,
            "finished": finished,
            "again": again,
            "asked again": int((Path(folder) / "fresh").read_text()),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
