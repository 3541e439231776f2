"""Train a model on windows, and save it as a folder that anyone can load.

The loop is plain on purpose: at 45,000 parameters transformers' Trainer keeps 82 % of its speed (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from rbridge.proxies.windows import Windows
from rbridge.records import Labels
from rbridge.store.files import write_json

LABELS_FILE = "rbridge.json"
_BATCH = 4  # windows a step: 512 tokens in windows of 128
_WARM_UP = 0.05  # of the steps
_MAX_NORM = 1.0  # of the gradient

# transformers draws bars and tells of slow convolutions; a model of this size needs neither.
logging.disable_progress_bar()
logging.set_verbosity_error()


def train(model: PreTrainedModel, windows: Windows, *, learning_rate: float, seed: int) -> list[float]:
    """Train ``model`` in place on every window once, with AdamW.

    Args:
        model: what to train, on the device where it is.
        windows: at least one.
        learning_rate: reached after the first 5 % of the steps, then falling linearly to 0.
        seed: of the windows' order.

    Returns:
        The mean loss of each step's tokens, nats.
    """
    ids, labels = torch.from_numpy(windows.ids), torch.from_numpy(windows.labels)
    batches = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed)).split(_BATCH)
    optimizer = _optimizer(model, learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warm_up_and_fall(len(batches)))
    model.train()
    losses = []
    for batch in batches:
        loss = model(
            input_ids=ids[batch].to(model.device), labels=labels[batch].to(model.device), use_cache=False
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _MAX_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def save_checkpoint(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, labels: Labels
) -> None:
    """Write config, weights, tokenizer and what the checkpoint is (``rbridge.json``) into ``folder``."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / LABELS_FILE, asdict(labels))


def _optimizer(model: PreTrainedModel, learning_rate: float) -> torch.optim.AdamW:
    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": 0.1},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},  # norms' gains
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def _warm_up_and_fall(num_steps: int) -> Callable[[int], float]:
    warm_up = max(1, round(_WARM_UP * num_steps))
    return lambda step: min((step + 1) / warm_up, (num_steps - step) / (num_steps - warm_up + 1))
