"""Tokens a second of transformers' Trainer over a plain loop's, on the same model, windows and thread count.

    python -m bench.trainer_overhead [STEPS] [THREADS]

Both train a fresh model on the same windows, in turns, three times each; process CPU seconds and wall seconds of the
training alone. Prints one line a size and fails below 0.9 of the plain loop's tokens a CPU second.
"""

from __future__ import annotations

import heapq
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from rbridge.proxies.decoder import new_decoder
from rbridge.proxies.rungs import DecoderSize, size_named
from rbridge.proxies.train_ladder import LadderSettings, plan_ladder
from rbridge.proxies.trainer import MixWindows, Training, train_model
from rbridge.recipes import Mix, Phase, Recipe, RecipeFile, Source

# The last is the miniature's size and batch, where a step is over in milliseconds.
SIZES = (
    size_named("1M"),
    size_named("200k"),
    size_named("50k"),
    DecoderSize("45k, 512 tokens a step", 20, 2, 2, 128, 4, 0),
)
RATE = 1e-3
VOCABULARY = 2_048


def main(num_steps: int = 60, threads: int = 1) -> int:
    """Measure every size; 1 where one falls short."""
    torch.set_num_threads(threads)
    short = False
    print("size                      plain tokens/CPU s  Trainer  ratio   (wall: plain, Trainer)")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            mix = laid_out(size, num_steps, Path(folder))
            runs = [(plain(size, mix), trainer(size, mix, Path(folder) / "run")) for _ in range(3)]
            cpu = [mix.plan.num_tokens / median(run[way][0] for run in runs) for way in (0, 1)]
            wall = [mix.plan.num_tokens / median(run[way][1] for run in runs) for way in (0, 1)]
            ratio = cpu[1] / cpu[0]
            short |= ratio < 0.9
            print(
                f"{size.name:25s} {cpu[0]:18.0f} {cpu[1]:8.0f} {ratio:6.2f}   ({wall[0]:.0f}, {wall[1]:.0f})",
                flush=True,
            )
    return int(short)


def laid_out(size: DecoderSize, num_steps: int, folder: Path) -> Mix:
    """Windows of standard-library source for so many steps."""
    library = str(Path(sysconfig.get_path("stdlib")) / "*.py")
    assert Path(heapq.__file__).parent == Path(library).parent
    recipes = RecipeFile(
        sources={"code": Source(text=library, split="paragraph")},
        recipes={"code": Recipe(phases=(Phase(mix={"code": 1}),))},
    )
    settings = LadderSettings(
        vocab_size=VOCABULARY, tokens=num_steps * size.batch * size.window, checkpoints=1
    )
    [planned] = plan_ladder(recipes, [size], [0], folder, settings, progress=lambda _: None)
    return planned.mix


def plain(size: DecoderSize, mix: Mix) -> tuple[float, float]:
    """CPU and wall seconds of a loop with nothing in it but what trains; the same collation, optimiser and clipping."""
    model = new_decoder(size, vocab_size=VOCABULARY, end_id=0, seed=0)
    model.train()
    windows = MixWindows(mix, pad_id=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), fused=True)
    started = time.process_time(), time.monotonic()
    for first in range(0, len(windows), size.batch):
        batch = windows.collate([windows[at] for at in range(first, min(first + size.batch, len(windows)))])
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - started[0], time.monotonic() - started[1]


def trainer(size: DecoderSize, mix: Mix, folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of ``train_model``, its start and end included."""
    model = new_decoder(size, vocab_size=VOCABULARY, end_id=0, seed=0)
    training = Training(batch=size.batch, learning_rate=lambda _: RATE, kept=(), seed=0)
    started = time.process_time(), time.monotonic()
    train_model(model, mix, training, folder=folder, pad_id=0, keep=lambda _: None, devices={"use_cpu": True})
    return time.process_time() - started[0], time.monotonic() - started[1]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
