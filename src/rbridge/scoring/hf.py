"""transformers as a source: a folder, a hub name or a GGUF file, fetched, identified, opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from rbridge.scoring import fetch, llamacpp
from rbridge.scoring.checkpoints import Checkpoint, context_length, load_model, reads_gguf
from rbridge.scoring.encode import Encoded
from rbridge.scoring.engine import HALF_TOLERANCE, TOLERANCE, Engine
from rbridge.scoring.source import CROWD_TOKENS, Losses, Ready, Source
from rbridge.scoring.tokenizer_files import Tokenizers

ENGINE = "transformers"
# What else ``prepare`` may be told of GGUF files.
AUTO, LLAMACPP = "auto", "llamacpp"

# Names of the two numbers that say how many experts there are and how many a token uses.
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_EXPERTS_USED = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k")


def prepare(
    checkpoint: Checkpoint,
    is_finished: Callable[[Ready], bool],
    *,
    dtype: str,
    device: str,
    batch_tokens: int,
    keep_downloads: bool,
    tokenizers: Tokenizers,
    gguf: str = AUTO,
) -> Ready:
    """Bring a checkpoint's files to this machine and identify its weights; may run in a thread.

    Args:
        checkpoint: from ``expand``.
        is_finished: whether the store has this run already: then a hub's weights are not fetched.
        dtype: of weights and activations.
        device: a torch device.
        batch_tokens: padded tokens a batch.
        keep_downloads: leave what was fetched from the hub in its cache.
        tokenizers: those of the checkpoints before.
        gguf: what runs GGUF files: ``transformers``, ``llamacpp``, or ``auto``: transformers where it reads
            the file's architecture, else llama.cpp.

    Raises:
        InputError: it cannot be had, or is half there.
        MissingExtra: it needs llama.cpp, which is not installed.
    """

    def ready(at: Checkpoint, sha256: str) -> Ready:
        if gguf == LLAMACPP or (gguf == AUTO and at.gguf_file is not None and not reads_gguf(at)):
            return llamacpp.ready(at, sha256, dtype=dtype, device=device)
        return Ready(
            weights_sha256=sha256,
            engine=ENGINE,
            tokenizer=lambda: tokenizers.load(at),
            open=lambda: open_source(at, dtype=dtype, device=device, batch_tokens=batch_tokens),
            load=lambda: load_model(at, dtype=dtype, device=device),
            open_float32=lambda: open_source(at, dtype="float32", device=device, batch_tokens=batch_tokens),
        )

    return fetch.prepare(checkpoint, is_finished, ready=ready, keep_downloads=keep_downloads)


def open_source(checkpoint: Checkpoint, *, dtype: str, device: str, batch_tokens: int) -> Source:
    """Load a checkpoint into transformers.

    Raises:
        InputError: it cannot be loaded, or its engine's probe fails.
    """
    loaded = load_model(checkpoint, dtype=dtype, device=device)
    return model_source(loaded.model, name=checkpoint.name, batch_tokens=batch_tokens)


def model_source(model: PreTrainedModel, *, name: str, batch_tokens: int) -> Source:
    """A model in memory, in evaluation mode, as a source.

    Raises:
        InputError: its engine's probe fails.
    """
    engine = Engine(model, name=name)

    parameters, active = model.num_parameters(), active_parameters(model)
    return Source(
        name=name,
        architecture=type(model).__name__,
        parameters=parameters,
        active_parameters=active if active < parameters else None,
        context_length=context_length(model.config),
        vocabulary=engine.vocabulary,
        tolerance=TOLERANCE if model.dtype == torch.float32 else HALF_TOLERANCE,
        losses=engine.losses,
        batches=partial(engine.plan, asked=batch_tokens),
        statistics=engine.statistics,
        reference=partial(plain_losses, model),
        max_probe_difference=engine.max_probe_difference,
        crowd_tokens=engine.token_budget(batch_tokens) if _has_experts(model) else CROWD_TOKENS,
        ways=engine.ways,
    )


@torch.inference_mode()
def plain_losses(model: PreTrainedModel, items: Sequence[Encoded]) -> Losses:
    """Losses one sequence at a time from the model's own logits at all positions: the reference."""
    device = next(model.parameters()).device
    found = []
    for item in items:
        ids_T = torch.tensor(item.ids, device=device)
        logprobs_TV = model(input_ids=ids_T[None], use_cache=False).logits[0].float().log_softmax(-1)
        at_N = torch.tensor(item.scored, device=device)
        found.append(-logprobs_TV[at_N - 1, ids_T[at_N]].cpu().numpy().astype(np.float32))
    return found


def _has_experts(model: PreTrainedModel) -> bool:
    return any("expert" in name for name, _ in model.named_parameters())


def active_parameters(model: PreTrainedModel) -> int:
    """Parameters that one token uses: of experts, the share that it is sent to."""
    config: Any = model.config.get_text_config()
    share = _first(config, _EXPERTS_USED) / _first(config, _EXPERTS)
    experts = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    return model.num_parameters() - round(experts * (1.0 - min(share, 1.0)))


def _first(config: Any, names: Sequence[str]) -> int:
    """The first of these numbers that the config holds; 1 where the model has no experts."""
    found = [getattr(config, name, None) for name in names]
    return next((number for number in found if isinstance(number, int) and number > 0), 1)
