"""Name, find, fingerprint and load a checkpoint: a local folder, a hub name, a GGUF file."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import logging
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES
from transformers.utils import logging as transformers_logging

from rbridge.errors import InputError, RBridgeError
from rbridge.records import Labels
from rbridge.scoring.hub import INDEX, fetch_all, index_shards, matching_revisions
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store import remote
from rbridge.store.files import sha256_file, sha256_json

LABELS_FILE = "rbridge.json"
_GLOB = "*?["

# transformers draws bars and tells of every renamed weight; what matters comes back as errors here.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity(logging.ERROR)


@dataclass(frozen=True)
class Checkpoint:
    """One proxy, found but not loaded.

    Attributes:
        name: as the user named it, with the revision that a glob was expanded to.
        source: what transformers loads from: a local folder or a hub name.
        revision: hub revision, or None.
        gguf_file: file name inside ``source``, or None.
        labels: what the checkpoint says of itself.
    """

    name: str
    source: str
    revision: str | None = None
    gguf_file: str | None = None
    labels: Labels = field(default_factory=Labels)

    @property
    def local(self) -> Path | None:
        """The folder on this machine, or None for a hub name."""
        path = Path(self.source)
        return path if path.is_dir() else None


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, and what identifies it."""

    model: PreTrainedModel
    architecture: str
    parameters: int
    context_length: int | None


def expand(names: Sequence[str]) -> list[Checkpoint]:
    """Checkpoints for names, globs over folders, and globs over hub revisions, in that order.

    Args:
        names: local folders, GGUF files, hub names ``owner/name``, with ``@revision`` or not.

    Raises:
        InputError: a name that matches nothing.
    """
    return [checkpoint for name in names for checkpoint in _expand_one(name.rstrip("/"))]


def _expand_one(name: str) -> list[Checkpoint]:
    if remote.is_remote(name):
        return _expand_remote(name)
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        return [Checkpoint(name, str(path.parent), gguf_file=path.name, labels=_read_labels(path.parent))]
    if path.is_dir():
        return [Checkpoint(name, name, labels=_read_labels(path))]
    found = sorted(glob.glob(name), key=natural) if has_glob(name) else []  # noqa: PTH207 - may be absolute
    if found:
        return [checkpoint for match in found for checkpoint in _expand_one(match)]
    if path.exists() or name.startswith((".", "/", "~")) or path.suffix in (".gguf", ".safetensors", ".bin"):
        raise InputError(f"{name}: no checkpoint there; expected a folder with config.json, or a .gguf file")
    hub_name, _, revision = name.partition("@")
    if has_glob(hub_name):
        raise InputError(
            f"{name}: no folder and no file matches; globs over a hub are over revisions (owner/name@step*)"
        )
    if has_glob(revision):
        revisions = sorted(matching_revisions(hub_name, revision), key=natural)
        return [Checkpoint(f"{hub_name}@{match}", hub_name, revision=match) for match in revisions]
    return [Checkpoint(name, hub_name, revision=revision or None)]


def _expand_remote(url: str) -> list[Checkpoint]:
    found = sorted(remote.matching(url), key=natural) if has_glob(url) else [url]
    if not found:
        raise InputError(f"{url}: no folder matches")
    return [Checkpoint(one, one, labels=_read_remote_labels(one)) for one in found]


def _read_remote_labels(url: str) -> Labels:
    file = f"{url}/{LABELS_FILE}"
    return _parse_labels(file, remote.read(file)) if remote.exists(file) else Labels()


def has_glob(name: str) -> bool:
    """Whether a name is a pattern."""
    return any(char in name for char in _GLOB)


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts step900 before step1000."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name)]


def _read_labels(folder: Path) -> Labels:
    file = folder / LABELS_FILE
    return _parse_labels(str(file), file.read_bytes()) if file.is_file() else Labels()


def _parse_labels(place: str, content: bytes) -> Labels:
    try:
        document = json.loads(content)
        known = {key: document[key] for key in Labels.__dataclass_fields__ if key in document}
        return replace(Labels(), **known)
    except (ValueError, TypeError):
        raise InputError(f"{place}: not a JSON object of labels (recipe, seed, size, tokens, step)") from None


def weights_sha256(checkpoint: Checkpoint) -> str:
    """Hash of everything in a checkpoint that fixes its numbers: config and weights.

    Raises:
        InputError: the checkpoint is missing or half there.
    """
    if checkpoint.gguf_file is not None:
        return sha256_file(Path(checkpoint.source) / checkpoint.gguf_file)
    files = weight_files(_folder(checkpoint))
    return sha256_json({file.name: sha256_file(file) for file in files})


def _folder(checkpoint: Checkpoint) -> Path:
    """The checkpoint's folder on this machine; a hub checkpoint is fetched first."""
    if checkpoint.local is not None:
        return checkpoint.local
    return fetch_all(checkpoint.source, checkpoint.revision)


def weight_files(folder: Path) -> list[Path]:
    """config.json and the safetensors files that it goes with, all of them there.

    Raises:
        InputError: one of them is missing.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(
            f"{folder}: no config.json, so no transformers checkpoint; "
            "expected what save_pretrained writes, a hub name, or a .gguf file"
        )
    index = folder / INDEX
    if index.is_file():
        shards = [folder / name for name in index_shards(index)]
        missing = [shard for shard in shards if not shard.is_file()]
        if missing:
            raise InputError(
                f"{folder}: {missing[0].name} is missing ({len(missing)} of {len(shards)} shards): "
                "half downloaded? fetch the checkpoint again"
            )
        return [config, index, *shards]
    weights = folder / "model.safetensors"
    if not weights.is_file():
        pickled = [name for name in ("pytorch_model.bin", "model.pt") if (folder / name).is_file()]
        found = f"only {pickled[0]}, a pickle, which is not loaded" if pickled else "no weights"
        raise InputError(
            f"{folder}: {found}; expected model.safetensors: "
            "load the model once and save_pretrained it, or fetch it again"
        )
    return [config, weights]


def load_tokenizer(checkpoint: Checkpoint) -> ProxyTokenizer:
    """The checkpoint's own tokenizer.

    Raises:
        InputError: it has none, or none that is exact.
    """
    where = checkpoint.name
    with load_errors(where, "tokenizer"), _quiet(checkpoint):
        loaded: Any = AutoTokenizer.from_pretrained(
            *_place(checkpoint), **_gguf(checkpoint), trust_remote_code=False
        )
        # Some architectures (Qwen2) put their own class in the place of a generic one and split text in their own
        # way; the proxy was trained with its tokenizer.json.
        if not checkpoint.gguf_file and _is_generic(_folder(checkpoint)):
            loaded = PreTrainedTokenizerFast.from_pretrained(_folder(checkpoint))
    return ProxyTokenizer(loaded, where=where)


def _is_generic(folder: Path) -> bool:
    """Whether a checkpoint says of its tokenizer that tokenizer.json is all there is to it."""
    config = folder / "tokenizer_config.json"
    if not (config.is_file() and (folder / "tokenizer.json").is_file()):
        return False
    return json.loads(config.read_bytes()).get("tokenizer_class") in (
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
    )


def reads_gguf(checkpoint: Checkpoint) -> bool:
    """Whether transformers knows the architecture of a GGUF file; what else is wrong with it shows on loading."""
    assert checkpoint.gguf_file is not None
    if _first_architecture(Path(checkpoint.source) / checkpoint.gguf_file) in GGUF_SUPPORTED_ARCHITECTURES:
        return True
    try:  # it knows some by another name; asking it reads the whole vocabulary, some seconds
        AutoConfig.from_pretrained(*_place(checkpoint), **_gguf(checkpoint))
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its reader stumbles over
        return not (isinstance(error, ValueError) and "is not supported yet" in str(error))
    return True


def _first_architecture(file: Path) -> str | None:
    """What a GGUF file says first, as its writers do: its architecture; None where it says something else."""
    key = b"general.architecture"
    with file.open("rb") as stream:
        # Magic and counts; the key, behind its length; type and length of its value.
        start = stream.read(24 + 8 + len(key) + 4 + 8)
        if start[:4] != b"GGUF" or start[32:-12] != key:
            return None
        return stream.read(int.from_bytes(start[-8:], "little")).decode(errors="replace")


def load_model(checkpoint: Checkpoint, *, dtype: str, device: str) -> LoadedModel:
    """The checkpoint's model, in evaluation mode on ``device``.

    Raises:
        InputError: it cannot be loaded, weights of it are missing, so that some of its parameters
            would be random, or one of its weights is not finite.
    """
    with load_errors(checkpoint.name, "model"), _quiet(checkpoint):
        loading: dict[str, Any] = {} if checkpoint.gguf_file else {"use_safetensors": True}
        model, info = AutoModelForCausalLM.from_pretrained(
            *_place(checkpoint),
            **_gguf(checkpoint),
            **loading,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            output_loading_info=True,
        )
    _refuse_random_parameters(checkpoint, model, info)
    _refuse_non_finite_parameters(checkpoint, model, dtype)
    model.eval().to(device)
    return LoadedModel(
        model=model,
        architecture=type(model).__name__,
        parameters=model.num_parameters(),
        context_length=context_length(model.config),
    )


def _refuse_random_parameters(checkpoint: Checkpoint, model: PreTrainedModel, info: dict[str, Any]) -> None:
    missing = sorted(info["missing_keys"])
    mismatched = sorted(info["mismatched_keys"])
    if missing or mismatched:
        raise InputError(
            f"{checkpoint.name}: {type(model).__name__} lacks {len(missing) + len(mismatched)} of its weights in "
            f"the file, {(missing + mismatched)[0]} for one; expected a whole model with a causal "
            "language-modelling head (saved from ...ForCausalLM)"
        )


def _refuse_non_finite_parameters(checkpoint: Checkpoint, model: PreTrainedModel, dtype: str) -> None:
    """One NaN in the row of a rare token spoils only the traces that hold it: look at every weight."""
    for name, weight in model.named_parameters():
        if torch.isfinite(weight.sum(dtype=torch.float32)):  # a sum carries every NaN, and needs no mask
            continue
        num_bad = weight.numel() - int(torch.isfinite(weight).sum())
        if num_bad:
            raise InputError(
                f"{checkpoint.name}: {name} holds NaN or infinity ({num_bad} of its {weight.numel()} values, as "
                f"{dtype}); expected finite weights: fetch or save the checkpoint again, or choose a wider --dtype"
            )


def _place(checkpoint: Checkpoint) -> tuple[str]:
    """What from_pretrained is given: a folder on this machine."""
    return (checkpoint.source,) if checkpoint.gguf_file else (str(_folder(checkpoint)),)


def _gguf(checkpoint: Checkpoint) -> dict[str, str]:
    return {"gguf_file": checkpoint.gguf_file} if checkpoint.gguf_file else {}


def context_length(config: Any) -> int | None:
    """How many tokens the model was made for; None where nothing bounds it (state-space models)."""
    text = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "max_seq_len"):
        length = getattr(text, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return None


def _quiet(checkpoint: Checkpoint) -> contextlib.AbstractContextManager[object]:
    """GGUF loading draws a bar that transformers' own switch does not reach.

    For nothing else: standard error is the whole process's, and folders are read in a thread too.
    """
    return contextlib.redirect_stderr(io.StringIO()) if checkpoint.gguf_file else contextlib.nullcontext()


@contextlib.contextmanager
def load_errors(name: str, part: str) -> Generator[None]:
    """Errors of transformers and safetensors on a damaged or foreign checkpoint as one line each."""
    try:
        yield
    except (RBridgeError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"{name}: its {part} cannot be loaded ({type(error).__name__}: {first_line(error)}); "
            "expected a whole checkpoint of a causal language model that this transformers knows"
        ) from error


def first_line(error: BaseException) -> str:
    """An exception's text cut to one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no message"
