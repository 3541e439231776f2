"""Tokens a second of transformers' Trainer over a plain loop's, on the same model, windows and thread count.

    python -m bench.trainer_overhead [TOKENS] [THREADS]

Both train a fresh model on the same windows, in turns, four times each; the least disturbed run counts. Counted are
process CPU seconds from the first step to the end; what Trainer and accelerate take to start stands beside. Fails below
0.9 of the plain loop's tokens a CPU second.
"""

from __future__ import annotations

import heapq
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from rbridge.proxies import trainer as trainer_module
from rbridge.proxies.decoder import new_decoder
from rbridge.proxies.rungs import DecoderSize, size_named
from rbridge.proxies.train_ladder import LadderSettings, plan_ladder
from rbridge.proxies.trainer import MixWindows, Training, _Watch, train_model
from rbridge.recipes import Mix, Phase, Recipe, RecipeFile, Source

# The first is the miniature's size and batch, where a step is over in milliseconds.
SIZES = (
    DecoderSize("45k, 512 tokens a step", 20, 2, 2, 128, 4, 0),
    *(size_named(name) for name in ("50k", "200k", "1M")),
)
RATE = 1e-3
VOCABULARY = 2_048


def main(num_tokens: int = 500_000, threads: int = 1) -> int:
    """Measure every size; 1 where one falls short."""
    torch.set_num_threads(threads)
    short = False
    print("size                      plain tokens/CPU s  Trainer  ratio   Trainer's start, CPU s")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            mix = laid_out(size, num_tokens, Path(folder))
            runs = [(plain(size, mix), *trainer(size, mix, Path(folder) / "run")) for _ in range(4)]
            loop, ours, start = (min(run[at] for run in runs) for at in range(3))
            short |= loop / ours < 0.9
            tokens = mix.plan.num_tokens
            print(
                f"{size.name:25s} {tokens / loop:18.0f} {tokens / ours:8.0f} {loop / ours:6.2f} {start:9.1f}",
                flush=True,
            )
    return int(short)


def laid_out(size: DecoderSize, num_tokens: int, folder: Path) -> Mix:
    """Windows of standard-library source that hold so many tokens."""
    library = str(Path(sysconfig.get_path("stdlib")) / "*.py")
    assert Path(heapq.__file__).parent == Path(library).parent
    recipes = RecipeFile(
        sources={"code": Source(text=library, split="paragraph")},
        recipes={"code": Recipe(phases=(Phase(mix={"code": 1}),))},
    )
    settings = LadderSettings(vocab_size=VOCABULARY, tokens=num_tokens, checkpoints=1)
    [planned] = plan_ladder(recipes, [size], [0], folder, settings, progress=lambda _: None)
    return planned.mix


def plain(size: DecoderSize, mix: Mix) -> float:
    """CPU seconds of a loop with nothing in it but what trains; the same collation, optimiser and clipping."""
    model = new_decoder(size, vocab_size=VOCABULARY, end_id=0, seed=0)
    model.train()
    windows = MixWindows(mix, pad_id=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), fused=True)
    started = time.process_time()
    for first in range(0, len(windows), size.batch):
        batch = windows.collate([windows[at] for at in range(first, min(first + size.batch, len(windows)))])
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - started


def trainer(size: DecoderSize, mix: Mix, folder: Path) -> tuple[float, float]:
    """CPU seconds of ``train_model`` from its first step on, and of all that comes before."""
    model = new_decoder(size, vocab_size=VOCABULARY, end_id=0, seed=0)
    times = [time.process_time()]

    class Marked(_Watch):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            times.append(time.process_time())

    training = Training(batch=size.batch, learning_rate=lambda _: RATE, kept=(), seed=0)
    with mock.patch.object(trainer_module, "_Watch", Marked):
        train_model(
            model, mix, training, folder=folder, pad_id=0, keep=lambda _: None, devices={"use_cpu": True}
        )
    return time.process_time() - times[1], times[1] - times[0]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
