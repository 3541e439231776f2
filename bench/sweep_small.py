"""A sweep of many small checkpoints: seconds, memory, and what passes before a first token.

python -m bench.sweep_small 4M --checkpoints 200 --limit 2
python -m bench.sweep_small 4M --checkpoints 20 --architecture gpt_neox --width 128 --layers 6 --vocabulary 50304

The checkpoints have one shape and tokenizer and other weights. They are written first, then swept by a process of
its own through the library's ``sweep``, transformers as the source, as ``rbridge score`` does it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench._shapes import LADDER, add_shape_options, build, peak_megabytes, shape_of
from bench._tokenizers import tokenizer_of

from rbridge.benchmarks import resolve_questions
from rbridge.scoring.checkpoints import Checkpoint, expand
from rbridge.scoring.encode import Encoded
from rbridge.scoring.source import Ready, Source
from rbridge.scoring.sweep import Prepare, ScoreSettings, sweep, transformers_prepare
from rbridge.store.runs import RunStore
from rbridge.traces.named import open_bundle

SELF_TEST = "self-test"


def main() -> None:
    """Write the checkpoints, sweep them in a process of its own, print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", nargs="?", default="4M", choices=list(LADDER))
    add_shape_options(parser)
    parser.set_defaults(vocabulary=8192)  # about what the starter bundle's texts can teach a tokenizer
    parser.add_argument("--checkpoints", type=int, default=200)
    parser.add_argument("--traces", default="starter")
    parser.add_argument("--limit", type=int, default=2, help="traces a benchmark")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument(
        "--tokenizer", type=Path, default=None, help="folder of a real one; else one is trained"
    )
    parser.add_argument("--folder", type=Path, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        swept(arguments)
        return
    with TemporaryDirectory(prefix="rbridge-bench-") as folder:
        write_checkpoints(arguments, Path(folder))
        command = [sys.executable, "-m", "bench.sweep_small", *sys.argv[1:], "--folder", folder]
        subprocess.run(command, check=True)


def write_checkpoints(arguments: argparse.Namespace, folder: Path) -> None:
    """Folders step1, step2, ...: one shape and tokenizer, weights drawn anew for each."""
    shape = shape_of(arguments.shape, arguments)
    traces = resolve_questions(open_bundle(arguments.traces).traces, "auto").traces
    tokenizer = tokenizer_of(arguments.tokenizer, traces, shape.vocabulary)
    model = build(shape)
    for number in range(1, arguments.checkpoints + 1):
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.08)
        model.save_pretrained(folder / f"step{number}")
        tokenizer.save_pretrained(folder / f"step{number}")
    weights = 4 * model.num_parameters() / 2**20
    print(f"{shape}: {arguments.checkpoints} checkpoints of {weights:.0f} MB", flush=True)


class Stopwatch:
    """When each checkpoint began, read its first token and was done; by the clock and in CPU seconds."""

    def __init__(self) -> None:
        self.first_tokens: list[np.ndarray] = []
        self.ends: list[np.ndarray] = [self.now()]
        self.memory: list[float] = []

    @staticmethod
    def now() -> np.ndarray:
        """Seconds by the clock, CPU seconds since the process was started."""
        return np.array([time.perf_counter(), time.process_time()])

    def watching(self, prepare: Prepare) -> Prepare:
        """The same, with sources whose first batch of real traces is noted."""

        def one(checkpoint: Checkpoint, is_finished: Callable[[Ready], bool]) -> Ready:
            ready = prepare(checkpoint, is_finished)
            return replace(ready, open=lambda: self._watched(ready.open()))

        return one

    def _watched(self, source: Source) -> Source:
        seen: list[bool] = []

        def losses(items: Sequence[Encoded]) -> Any:
            if not seen and items[0].key.benchmark != SELF_TEST:
                seen.append(True)
                self.first_tokens.append(self.now())
            return source.losses(items)

        return replace(source, losses=losses)

    def finished(self, _: object) -> None:
        """One checkpoint is done."""
        self.ends.append(self.now())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory.append(pages * 4096 / 2**20)


def swept(arguments: argparse.Namespace) -> None:
    """Score all of them and print the figures."""
    settings = ScoreSettings(shots=arguments.shots, limit=arguments.limit, device="cpu")
    bundle = open_bundle(arguments.traces)
    checkpoints = expand([str(arguments.folder / "step*")])
    watch = Stopwatch()
    result = sweep(
        checkpoints, bundle, RunStore(arguments.folder / "runs"), settings,
        prepare=watch.watching(transformers_prepare(settings, "float32")), finished=watch.finished,
    )  # fmt: skip
    assert not result.failures, result.failures
    num = len(checkpoints)
    began, ends, first = watch.ends[0], np.array(watch.ends[1:]), np.array(watch.first_tokens)
    total = ends[-1] - began
    print(
        f"{num} checkpoints x {result.runs[0].manifest.num_scored} traces: {total[0]:.1f} s by the clock, "
        f"{total[1]:.1f} CPU s; {1000 * total[1] / num:.0f} CPU ms a checkpoint "
        f"(median {1000 * np.median(np.diff(ends[:, 1])):.0f})"
    )
    print(
        f"first token of the first checkpoint: {first[0, 1]:.1f} CPU s after the process was started, "
        f"{first[0, 0] - began[0]:.1f} s by the clock after the sweep was"
    )
    waits = first[1:] - ends[:-1]
    print(
        f"later checkpoints, end of the one before to first token: median {np.median(waits[:, 0]):.2f} s by the clock "
        f"({np.median(waits[:, 1]):.2f} CPU s), second {waits[0, 0]:.2f} s ({waits[0, 1]:.2f} CPU s): "
        f"{waits[0, 1]:.2f} of the second that is allowed"
    )
    early = watch.memory[min(9, num - 1)]
    print(
        f"memory: {watch.memory[0]:.0f} MB after the first, {early:.0f} MB after the tenth, {watch.memory[-1]:.0f} MB "
        f"after the last (ratio {watch.memory[-1] / early:.2f}), peak {peak_megabytes():.0f} MB"
    )


if __name__ == "__main__":
    main()
