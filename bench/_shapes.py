"""Models of random weights in any shape (the OLMo / DataDecide ladder by name), and items of realistic lengths."""

from __future__ import annotations

import argparse
import os
import resource
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from rbridge.records import TraceKey
from rbridge.scoring.encode import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

torch.set_num_threads(1)
transformers_logging.set_verbosity_error()


@dataclass(frozen=True)
class Shape:
    """A model's sizes; the MLP is four times as wide where nothing else is said."""

    width: int
    heads: int
    layers: int
    architecture: str = "olmo"
    vocabulary: int = 50304
    mlp: int | None = None
    kv_heads: int | None = None
    tied: bool = False

    def config(self) -> Any:
        """The architecture's config, by transformers' name of it (llama, gpt_neox, olmo2, qwen3, ...)."""
        known = AutoConfig.for_model(self.architecture)
        further = {"head_dim": self.width // self.heads, "num_key_value_heads": self.kv_heads or self.heads}
        # Only a mixture of experts has the other two.
        further |= {"moe_intermediate_size": self.mlp or self.width, "num_experts": 8}
        return AutoConfig.for_model(
            self.architecture,
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.mlp or 4 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=4096,
            tie_word_embeddings=self.tied,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=None,
            initializer_range=0.08,
            **{name: value for name, value in further.items() if hasattr(known, name)},
        )


LADDER = {
    "4M": Shape(64, 8, 8),
    "20M": Shape(192, 8, 16),
    "60M": Shape(384, 12, 16),
    "150M": Shape(768, 12, 12),
}


def add_shape_options(parser: argparse.ArgumentParser) -> None:
    """Sizes on the command line: each one that is given replaces that of every named shape."""
    for name in ("width", "heads", "layers", "vocabulary", "mlp", "kv-heads"):
        parser.add_argument(f"--{name}", type=int, default=None)
    parser.add_argument(
        "--architecture", default=None, help="as transformers names it: llama, gpt_neox, qwen3"
    )
    parser.add_argument("--tied", action="store_true", default=None, help="the head is the embedding")


def shape_of(name: str, arguments: argparse.Namespace) -> Shape:
    """The named shape of the ladder with what the command line says otherwise."""
    names = ("width", "heads", "layers", "vocabulary", "mlp", "kv_heads", "architecture", "tied")
    given = {one: getattr(arguments, one) for one in names if getattr(arguments, one) is not None}
    return replace(LADDER[name], **given)


def build(shape: Shape, seed: int = 0) -> PreTrainedModel:
    """A model of that shape whose predictions are peaked enough to show an error."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(shape.config()).eval()


def make_items(num: int, vocabulary: int, *, shared: int = 0, seed: int = 0) -> list[Encoded]:
    """Context about lognormal of 100 to 1,000 tokens, trace 150 to 800: about 700 tokens, half of them scored.

    With ``shared``, that many tokens stand before all of them, and the question is short.
    """
    rng = np.random.default_rng(seed)
    examples = rng.integers(0, vocabulary, shared).tolist()
    items = []
    for number in range(num):
        context = int(rng.integers(60, 150)) if shared else int(np.clip(rng.lognormal(5.6, 0.6), 100, 1000))
        trace = int(rng.integers(150, 400)) if shared else int(rng.integers(150, 800))
        ids = (*examples, *rng.integers(0, vocabulary, context + trace).tolist())
        scored = np.arange(shared + context, len(ids))
        start = np.arange(trace)
        key = TraceKey("bench", str(number), "v")
        items.append(Encoded(key, 0, ids, scored, start, start + 1, None, None, trace))
    return items


def cpu_seconds(work: object, runs: int = 3) -> tuple[float, object]:
    """Median CPU seconds of this process over some runs, and what the last gave."""
    found = []
    for _ in range(runs):
        started = time.process_time()
        result = work()
        found.append(time.process_time() - started)
    return float(np.median(found)), result


def peak_megabytes() -> float:
    """Largest memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def gemm_gigaflops() -> float:
    """What one large float32 product reaches here and now, the faster exact backend chosen."""
    left, right = torch.randn(2048, 768), torch.randn(3072, 768)
    with torch.inference_mode():
        torch.nn.functional.linear(left, right)
        seconds, _ = cpu_seconds(lambda: torch.nn.functional.linear(left, right), runs=9)
    return 2 * 2048 * 768 * 3072 / seconds / 1e9
