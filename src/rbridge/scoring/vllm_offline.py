"""vLLM in this process as a source: ``LLM.generate`` on token ids, with ``prompt_logprobs``.

Tested against a stand-in made from vLLM's documented classes, and never on a real vLLM: the self-test at
start-up compares it with transformers before any of its numbers is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rbridge.errors import InputError, MissingExtra
from rbridge.scoring import fetch
from rbridge.scoring.checkpoints import (
    Checkpoint,
    context_length,
    first_line,
    load_errors,
    load_model,
    load_tokenizer,
)
from rbridge.scoring.encode import Encoded
from rbridge.scoring.endpoint import cut, scored_losses
from rbridge.scoring.engine import HALF_TOLERANCE, TOLERANCE
from rbridge.scoring.hf import active_parameters, open_source, plain_losses
from rbridge.scoring.source import Losses, Ready, Source

ENGINE = "vllm"


def prepare(
    checkpoint: Checkpoint, is_finished: Callable[[Ready], bool], *, dtype: str, keep_downloads: bool
) -> Ready:
    """Bring a checkpoint's files to this machine and identify its weights; may run in a thread.

    Args:
        checkpoint: a folder, a hub name or a URL.
        is_finished: whether the store has this run already: then weights that are not here stay away.
        dtype: of weights and activations.
        keep_downloads: leave what was fetched from the hub in its cache.

    Raises:
        MissingExtra: vLLM is not installed.
        InputError: a GGUF file, or a checkpoint that cannot be had.
    """
    if find_spec("vllm") is None:
        raise MissingExtra("vllm", "vllm", "--engine vllm")
    if checkpoint.gguf_file is not None:
        raise InputError(f"{checkpoint.name}: a GGUF file; --engine vllm reads folders and hub names")

    def ready(at: Checkpoint, sha256: str) -> Ready:
        return Ready(
            weights_sha256=sha256,
            engine=ENGINE,
            tokenizer=lambda: load_tokenizer(at),
            open=lambda: open_vllm(at, dtype=dtype),
            # Beside vLLM, which takes the GPU's memory for itself.
            open_float32=lambda: open_source(at, dtype="float32", device="cpu", batch_tokens=4096),
        )

    return fetch.prepare(checkpoint, is_finished, ready=ready, keep_downloads=keep_downloads)


def open_vllm(checkpoint: Checkpoint, *, dtype: str) -> Source:
    """Load a checkpoint on this machine into vLLM.

    Raises:
        InputError: vLLM does not load it.
    """
    name, folder = checkpoint.name, checkpoint.source
    with load_errors(name, "config"), torch.device("meta"):
        config: Any = AutoConfig.from_pretrained(folder)
        empty = AutoModelForCausalLM.from_config(config)  # on no device: counted, never filled
    vllm = import_module("vllm")
    with load_errors(name, "model"):
        model = vllm.LLM(
            model=folder,
            dtype=dtype,
            skip_tokenizer_init=True,  # ids go in, so that nobody adds a BOS
            load_format="safetensors",
            enable_prefix_caching=False,  # else prompt_logprobs depend on what was asked before
            generation_config="vllm",
            seed=0,
        )
    sampling = vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
    fits = context_length(config)
    parameters, active = empty.num_parameters(), active_parameters(empty)
    return Source(
        name=name,
        architecture=type(empty).__name__,
        parameters=parameters,
        active_parameters=active if active < parameters else None,
        context_length=None if fits is None else fits - 1,  # one token is generated
        vocabulary=config.get_text_config().vocab_size,
        tolerance=TOLERANCE if dtype == "float32" else HALF_TOLERANCE,
        losses=partial(_losses, model, sampling, name),
        batches=cut,
        reference=partial(_reference, checkpoint),
        ways={"vllm": str(vllm.__version__)},
    )


def _reference(checkpoint: Checkpoint, items: Sequence[Encoded]) -> Losses:
    """The same losses from transformers, in float32 on the CPU."""
    return plain_losses(load_model(checkpoint, dtype="float32", device="cpu").model, items)


def _losses(model: Any, sampling: Any, name: str, items: Sequence[Encoded]) -> Losses:
    """-ln p of the scored tokens of each sequence, nats.

    Raises:
        InputError: vLLM refuses a sequence, or a value is missing or impossible.
    """
    prompts = [{"prompt_token_ids": list(item.ids)} for item in items]
    try:
        outputs = model.generate(prompts, sampling, use_tqdm=False)
    except ValueError as error:  # such as a prompt longer than its max_model_len
        raise InputError(f"{name}: vLLM refuses a sequence ({first_line(error)})") from None
    asked, answered = [item.ids for item in items], [tuple(one.prompt_token_ids) for one in outputs]
    if answered != asked:
        raise InputError(
            f"{name}: vLLM answers {len(answered)} sequences of other token ids than the {len(asked)} that were asked; "
            "expected the same, in order"
        )
    return [
        scored_losses(_own(one.prompt_logprobs, item.ids), item, where=f"{name} in vLLM")
        for one, item in zip(outputs, items, strict=True)
    ]


def _own(entries: Sequence[Any] | None, ids: Sequence[int]) -> list[float | None]:
    """Each prompt token's own log-probability, out of vLLM's maps from token id to ``Logprob``."""
    if entries is None or len(entries) != len(ids):
        return [None] * len(entries or [])  # the count alone refuses it
    own = [None if entry is None else entry.get(token) for entry, token in zip(entries, ids, strict=True)]
    return [None if one is None else float(one.logprob) for one in own]
