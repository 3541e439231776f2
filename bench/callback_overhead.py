"""The training callback's share of a real training run: transformers' Trainer on random token windows.

python -m bench.callback_overhead 4M --steps 12 --every 6

A look costs the same whatever a step costs, so besides the share of this run the interval is printed from which on
a look takes less than 1 % of the steps between two looks.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench._shapes import LADDER, add_shape_options, build, shape_of
from bench._tokenizers import tokenizer_of
from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator

from rbridge.benchmarks import resolve_questions
from rbridge.callbacks import RBridgeCallback
from rbridge.traces.named import open_bundle

ALLOWED = 0.01


class Steps(TrainerCallback):
    """CPU seconds of optimiser steps alone, looks left out, and what was logged."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.looks: list[dict[str, float]] = []
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.process_time() - self._began)

    def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
        if "rbridge/overhead" in logs:
            self.looks.append(dict(logs))


def main() -> None:
    """Train, and print the share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", nargs="?", default="4M", choices=list(LADDER))
    add_shape_options(parser)
    parser.set_defaults(vocabulary=8192)  # about what the starter bundle's texts can teach a tokenizer
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--stderr", type=float, default=0.03)
    parser.add_argument("--traces", default="starter")
    arguments = parser.parse_args()
    shape = shape_of(arguments.shape, arguments)
    everything = resolve_questions(open_bundle(arguments.traces).traces, "auto").traces
    tokenizer = tokenizer_of(None, everything, shape.vocabulary)
    rng = np.random.default_rng(0)
    windows = torch.from_numpy(rng.integers(0, len(tokenizer), (arguments.batch * 8, arguments.window)))
    steps = Steps()
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            model=build(shape).train(),
            args=TrainingArguments(
                output_dir=str(Path(folder)), max_steps=arguments.steps, report_to=[], use_cpu=True,
                per_device_train_batch_size=arguments.batch, disable_tqdm=True, save_strategy="no",
            ),
            train_dataset=[{"input_ids": row, "labels": row} for row in windows],
            processing_class=tokenizer,
            data_collator=default_data_collator,
            callbacks=[steps],
        )  # fmt: skip
        callback = RBridgeCallback(
            trainer, traces=arguments.traces, every_steps=arguments.every, stderr=arguments.stderr,
            max_overhead=1.0, clock=time.process_time,
        )  # fmt: skip
        trainer.add_callback(callback)
        began = time.process_time()
        trainer.train()
        total = time.process_time() - began
    training = sum(steps.seconds)
    step = float(np.median(steps.seconds))
    shares = [look["rbridge/overhead"] for look in steps.looks]
    look = (total - training) / len(shares)
    read = sum(int(value) for name, value in steps.looks[-1].items() if name.endswith("_num_traces"))
    print(
        f"{shape.architecture} {arguments.shape}, {arguments.batch} x {arguments.window} tokens a step: "
        f"{step:.2f} CPU s a step; {len(shares)} looks at {read // 2} traces: {look:.1f} CPU s each (all time "
        f"outside steps, set-up included); the callback says {100 * shares[-1]:.1f} % of the time since the start"
    )
    enough = math.ceil(look / (ALLOWED * step))
    print(f"  a look every {enough} steps or more takes less than {100 * ALLOWED:.0f} % of the training time")
    for every in (500, 1000, 2000):
        share = look / (every * step)
        print(f"  every {every} steps: {100 * share:.2f} %, ratio to what is allowed {share / ALLOWED:.2f}")


if __name__ == "__main__":
    main()
