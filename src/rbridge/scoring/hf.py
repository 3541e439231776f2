"""transformers as a source: a folder, a hub name or a GGUF file, fetched, identified, opened."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import (
    Checkpoint,
    context_length,
    load_model,
    load_tokenizer,
    weight_files,
    weights_sha256,
)
from rbridge.scoring.encode import Encoded
from rbridge.scoring.engine import HALF_TOLERANCE, TOLERANCE, Engine
from rbridge.scoring.hub import HubSnapshot, fetch, hub_weights_sha256, look_up
from rbridge.scoring.source import Losses, Ready, Source
from rbridge.store import remote

ENGINE = "transformers"

# What is read of a checkpoint's files.
_READ = (".json", ".safetensors", ".model", ".txt", ".jinja")

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
) -> Ready:
    """Bring a checkpoint's files to this machine and identify its weights; may run in a thread.

    Args:
        checkpoint: from ``expand``.
        is_finished: whether the store has this run already: then a hub's weights are not fetched.
        dtype: of weights and activations.
        device: a torch device.
        batch_tokens: padded tokens a batch.
        keep_downloads: leave what was fetched from the hub in its cache.

    Raises:
        InputError: it cannot be had, or is half there.
    """

    def ready(at: Checkpoint, sha256: str, release: Callable[[], None] = _nothing) -> Ready:
        return Ready(
            weights_sha256=sha256,
            engine=ENGINE,
            tokenizer=lambda: load_tokenizer(at),
            open=lambda: open_source(at, dtype=dtype, device=device, batch_tokens=batch_tokens),
            load=lambda: load_model(at, dtype=dtype, device=device),
            open_float32=lambda: open_source(at, dtype="float32", device=device, batch_tokens=batch_tokens),
            release=release,
        )

    release: Callable[[], None] = _nothing
    if remote.is_remote(checkpoint.source):
        folder = Path(tempfile.mkdtemp(prefix="rbridge-"))
        release = partial(shutil.rmtree, folder, ignore_errors=True)
        try:
            remote.fetch_files(checkpoint.source, folder, _READ)
        except BaseException:
            release()
            raise
        checkpoint = replace(checkpoint, source=str(folder))
    elif checkpoint.gguf_file is None and checkpoint.local is None:
        snapshot = look_up(checkpoint.source, checkpoint.revision)
        sha256 = hub_weights_sha256(snapshot)
        known = None if sha256 is None else ready(_at(checkpoint, snapshot), sha256)
        if known is not None and is_finished(known):
            return known
        snapshot = fetch(snapshot)
        checkpoint = _at(checkpoint, snapshot)
        release = _nothing if keep_downloads else snapshot.delete
    sha256, check = identify(checkpoint)
    return replace(ready(checkpoint, sha256, release), check_unchanged=check)


def _nothing() -> None:
    """What is to be given back of a checkpoint that was on this machine."""


def _at(checkpoint: Checkpoint, snapshot: HubSnapshot) -> Checkpoint:
    return replace(checkpoint, source=str(snapshot.folder))


def identify(checkpoint: Checkpoint) -> tuple[str, Callable[[], None]]:
    """Hash of a local checkpoint's weights, and a check that its files are still the same.

    Raises:
        InputError: the files are missing, or changed while they were read.
    """
    try:
        files = _files(checkpoint)
        before = _signature(files)
        sha256 = weights_sha256(checkpoint)
    except OSError as error:
        raise InputError(
            f"{checkpoint.name}: vanished while it was read ({error.strerror}: {error.filename})"
        ) from None

    def check() -> None:
        # A file that is gone is still whole for whoever has it open; another in its place is not it.
        now = _signature(files)
        changed = [name for name, state in before.items() if now.get(name, state) != state]
        if changed:
            raise InputError(
                f"{checkpoint.name}: {changed[0]} changed while it was being scored; nothing of it is kept: "
                "score it again when its writer is done"
            )

    check()
    return sha256, check


def _files(checkpoint: Checkpoint) -> list[Path]:
    folder = Path(checkpoint.source)
    return [folder / checkpoint.gguf_file] if checkpoint.gguf_file else weight_files(folder)


def _signature(files: Sequence[Path]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for file in files:
        try:
            state = file.stat()
        except FileNotFoundError:
            continue
        found[file.name] = (state.st_ino, state.st_size, state.st_mtime_ns)
    return found


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
