"""Models of random weights in the shapes of the OLMo / DataDecide ladder, and items of realistic lengths."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
import torch
from transformers import AutoModelForCausalLM, OlmoConfig

from rbridge.records import TraceKey
from rbridge.scoring.encode import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

torch.set_num_threads(1)
VOCABULARY = 50304
# width, heads, layers; the MLP is four times as wide, the head has its own weights
SHAPES = {"4M": (64, 8, 8), "20M": (192, 8, 16), "60M": (384, 12, 16), "150M": (768, 12, 12)}


def build(name: str) -> PreTrainedModel:
    """A model of that shape whose predictions are peaked enough to show an error."""
    width, heads, layers = SHAPES[name]
    torch.manual_seed(0)
    config = OlmoConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        pad_token_id=None,
        eos_token_id=0,
        initializer_range=0.08,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def make_items(num: int, *, shared: int = 0, seed: int = 0) -> list[Encoded]:
    """Context about lognormal of 100 to 1,000 tokens, trace 150 to 800: about 700 tokens, half of them scored.

    With ``shared``, that many tokens stand before all of them, and the question is short.
    """
    rng = np.random.default_rng(seed)
    examples = rng.integers(0, VOCABULARY, shared).tolist()
    items = []
    for number in range(num):
        context = int(rng.integers(60, 150)) if shared else int(np.clip(rng.lognormal(5.6, 0.6), 100, 1000))
        trace = int(rng.integers(150, 400)) if shared else int(rng.integers(150, 800))
        ids = (*examples, *rng.integers(0, VOCABULARY, context + trace).tolist())
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
