"""Tokens a CPU second against lm-evaluation-harness 0.4.13: as shipped, and with our backend setting.

python bench/against_lm_eval.py 20M --items 64 --runs 3

Batches of 8 and of 1 (its best on a CPU). Equal numerics: the sum of each item's log-probabilities, several
thousand nats, must agree to 0.01. The harness gives sums only; its requests are given the same token ids.
"""

from __future__ import annotations

import argparse
import logging
from importlib.metadata import version

import numpy as np
import torch
from bench._shapes import SHAPES, VOCABULARY, build, cpu_seconds, make_items, peak_megabytes

from rbridge.scoring.engine import Engine
from rbridge.scoring.matmul import choose_float32_matmul


def main() -> None:
    """Print one line a shape and way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    onednn = torch.backends.mkldnn.matmul
    shipped = onednn.fp32_precision
    matmul = choose_float32_matmul()
    chosen = onednn.fp32_precision
    for shape in arguments.shapes:
        model, items = build(shape), make_items(arguments.items)
        num_tokens = sum(len(item.ids) for item in items)
        engine = Engine(model, name=shape)

        def ours(engine: Engine = engine, items: list = items) -> dict:
            return {
                item.key: -float(losses.astype(np.float64).sum())
                for batch in engine.plan(items, 4096)
                for item, losses in zip(batch, engine.losses(batch), strict=True)
            }

        seconds, sums = cpu_seconds(ours, arguments.runs)
        print(
            f"{shape} rbridge ({matmul} matmul): {num_tokens / seconds:.0f} tokens a CPU second, "
            f"peak {peak_megabytes():.0f} MB, weights {4 * model.num_parameters() / 2**20:.0f} MB",
            flush=True,
        )
        for batch, setting, label in (
            (8, shipped, "as shipped, batch 8"),
            (1, shipped, "as shipped, batch 1"),
            (1, chosen, "same backend, batch 1"),
        ):
            if label.startswith("same") and chosen == shipped:
                print(f"  lm-eval {label}: the setting is not used on this CPU, so as the line above")
                continue
            onednn.fp32_precision = setting
            theirs_seconds, theirs = cpu_seconds(lm_eval_runner(model, items, batch), arguments.runs)
            onednn.fp32_precision = chosen
            apart = max(abs(theirs[item.key] - sums[item.key]) for item in items)
            assert apart < 1e-2, apart
            print(
                f"  lm-eval {label}: {num_tokens / theirs_seconds:.0f} tokens a CPU second, "
                f"ratio {theirs_seconds / seconds:.2f}, largest difference of an item's sum {apart:.1e} nats, "
                f"peak {peak_megabytes():.0f} MB",
                flush=True,
            )


def lm_eval_runner(model: torch.nn.Module, items: list, batch: int) -> object:
    """What runs the harness's loglikelihood over the items' ids."""
    from lm_eval.models.huggingface import HFLM
    from transformers import PreTrainedTokenizerFast

    assert version("lm_eval") == "0.4.13", version("lm_eval")
    logging.disable(logging.WARNING)
    harness = HFLM(
        pretrained=model, tokenizer=PreTrainedTokenizerFast(tokenizer_object=_no_words()), batch_size=batch,
        max_length=4096,
    )  # fmt: skip
    requests = [
        (("", ""), list(item.ids[: item.scored[0]]), list(item.ids[item.scored[0] :])) for item in items
    ]

    def run() -> dict:
        found = harness._loglikelihood_tokens(requests, disable_tqdm=True)  # noqa: SLF001 - takes ids as they are
        return {item.key: answer[0] for item, answer in zip(items, found, strict=True)}

    return run


def _no_words() -> object:
    """A tokenizer of the right size; requests hold ids, so that it is never asked."""
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({str(index): index for index in range(VOCABULARY)}, unk_token="0"))


if __name__ == "__main__":
    main()
