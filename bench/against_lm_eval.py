"""Tokens a CPU second against lm-evaluation-harness 0.4.13: as shipped, and with our backend setting.

python -m bench.against_lm_eval 20M --items 64 --runs 3
python -m bench.against_lm_eval 60M --architecture qwen3 --width 512 --heads 8 --kv-heads 2 --layers 10

Batches of 8 and of 1 (its best on a CPU). Every way runs in a process of its own, so that neither memory nor
settings of one reach another; start-up is not counted. Equal numerics: the sum of each item's log-probabilities,
several thousand nats, must agree to 0.01. The harness gives sums only; its requests are given the same token ids.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from bench._shapes import LADDER, add_shape_options, build, cpu_seconds, make_items, peak_megabytes, shape_of

from rbridge.scoring.engine import Engine
from rbridge.scoring.matmul import choose_float32_matmul

WAYS = {
    "lm-eval as shipped, batch 8": (8, False),
    "lm-eval as shipped, batch 1": (1, False),
    "lm-eval with our backend, batch 1": (1, True),
}
OURS = "rbridge"


def main() -> None:
    """Print one line a shape and way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shapes", nargs="*", default=list(LADDER))
    add_shape_options(parser)
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--way", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way is not None:
        print(json.dumps(one_way(arguments)))
        return
    for shape in arguments.shapes:
        ours = in_its_own_process(shape, OURS)
        print(
            f"{shape_of(shape, arguments)}\n{shape} rbridge ({ours['matmul']} matmul): {ours['speed']:.0f} tokens a "
            f"CPU second over {arguments.items} items, peak {ours['peak']:.0f} MB, weights {ours['weights']:.0f} MB",
            flush=True,
        )
        for way, (_, chosen) in WAYS.items():
            if chosen and ours["matmul"] == "default":
                print(f"  {way}: our setting is not used on this CPU, so as the line above")
                continue
            theirs = in_its_own_process(shape, way)
            apart = max(abs(one - other) for one, other in zip(ours["sums"], theirs["sums"], strict=True))
            assert apart < 1e-2, apart
            print(
                f"  {way}: {theirs['speed']:.0f} tokens a CPU second, ratio {ours['speed'] / theirs['speed']:.2f}, "
                f"largest difference of an item's sum {apart:.1e} nats, peak {theirs['peak']:.0f} MB",
                flush=True,
            )


def in_its_own_process(shape: str, way: str) -> dict[str, Any]:
    """What ``one_way`` gives there, the command line's other words handed on."""
    words = [word for word in sys.argv[1:] if word not in LADDER]
    done = subprocess.run(
        [sys.executable, "-m", "bench.against_lm_eval", shape, *words, "--way", way],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def one_way(arguments: argparse.Namespace) -> dict[str, Any]:
    """Speed (tokens a CPU second), each item's sum of log-probabilities, and memory of one way."""
    (name,) = arguments.shapes
    shape = shape_of(name, arguments)
    model, items = build(shape), make_items(arguments.items, shape.vocabulary)
    matmul = "default"
    if arguments.way == OURS or WAYS[arguments.way][1]:
        matmul = choose_float32_matmul()
    if arguments.way == OURS:
        work = our_runner(model, items, arguments.batch_tokens)
    else:
        work = lm_eval_runner(model, items, WAYS[arguments.way][0], shape.vocabulary)
    seconds, sums = cpu_seconds(work, arguments.runs)
    return {
        "matmul": matmul,
        "speed": sum(len(item.ids) for item in items) / seconds,
        "sums": sums,
        "peak": peak_megabytes(),
        "weights": 4 * model.num_parameters() / 2**20,
    }


def our_runner(model: torch.nn.Module, items: list, batch_tokens: int) -> Callable[[], list[float]]:
    """What runs our engine over the items."""
    engine = Engine(model, name="model")

    def run() -> list[float]:
        found = {
            item.key: -float(losses.astype(np.float64).sum())
            for batch in engine.plan(items, batch_tokens)
            for item, losses in zip(batch, engine.losses(batch), strict=True)
        }
        return [found[item.key] for item in items]

    return run


def lm_eval_runner(
    model: torch.nn.Module, items: list, batch: int, vocabulary: int
) -> Callable[[], list[float]]:
    """What runs the harness's loglikelihood over the items' ids."""
    from lm_eval.models.huggingface import HFLM
    from transformers import PreTrainedTokenizerFast

    assert version("lm_eval") == "0.4.13", version("lm_eval")
    logging.disable(logging.WARNING)
    harness = HFLM(
        pretrained=model, tokenizer=PreTrainedTokenizerFast(tokenizer_object=_no_words(vocabulary)),
        batch_size=batch, max_length=4096,
    )  # fmt: skip
    requests = [
        (("", ""), list(item.ids[: item.scored[0]]), list(item.ids[item.scored[0] :])) for item in items
    ]

    def run() -> list[float]:
        found = harness._loglikelihood_tokens(requests, disable_tqdm=True)  # noqa: SLF001 - takes ids as they are
        return [answer[0] for answer in found]

    return run


def _no_words(vocabulary: int) -> object:
    """A tokenizer of the right size; requests hold ids, so that it is never asked."""
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({str(index): index for index in range(vocabulary)}, unk_token="0"))


if __name__ == "__main__":
    main()
