"""llama.cpp as a source: GGUF files of architectures that transformers does not read (OLMo 2, GPT-NeoX, ...).

llama.cpp multiplies quantised weights by activations that it quantises too. Here every weight is expanded to
float32 first, and keys and values are cached in float32, not in its usual float16, so that what is computed
is what transformers computes from the same weights. The tokenizer is llama.cpp's own.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from rbridge.errors import InputError, MissingExtra
from rbridge.records import TokenStatistics
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.encode import Encoded
from rbridge.scoring.endpoint import cut
from rbridge.scoring.engine import TOLERANCE
from rbridge.scoring.head import Details, row_details
from rbridge.scoring.llamacpp_model import CHUNK, Model, api, widen
from rbridge.scoring.source import Losses, Ready, Source
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.files import sha256_json

ENGINE = "llama.cpp"
# How the parts of a split file are called.
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
# What of a file's header makes its tokenizer.
_TOKENIZER_KEYS = ("model", "pre", "tokens", "token_type", "scores", "merges", "add_space_prefix")


def ready(checkpoint: Checkpoint, weights_sha256: str, *, dtype: str, device: str) -> Ready:
    """A GGUF file on this machine, to be run by llama.cpp.

    Args:
        checkpoint: with ``gguf_file``.
        weights_sha256: the file's hash.
        dtype: must be float32.
        device: layers go to the GPU unless it is ``cpu``, in a llama.cpp that was built for one.

    Raises:
        MissingExtra: llama-cpp-python is not installed.
        InputError: the checkpoint is no GGUF file, or one of several parts; another dtype.
    """
    name, part = checkpoint.name, checkpoint.gguf_file
    if part is None:
        raise InputError(f"{name}: no GGUF file, and llama.cpp runs nothing else; leave --engine out")
    if find_spec("llama_cpp") is None:
        purpose = f"{name}: a GGUF file of an architecture that transformers does not read"
        raise MissingExtra("llama-cpp-python", "llamacpp", purpose)
    if _PART.search(part):
        raise InputError(f"{name}: one part of a split file; join them with llama-gguf-split --merge")
    if dtype != "float32":
        raise InputError(f"{name}: --dtype {dtype}: llama.cpp is run in float32 only; leave --dtype out")
    file = Path(checkpoint.source) / part
    return Ready(
        weights_sha256=weights_sha256,
        engine=ENGINE,
        tokenizer=lambda: LlamaCppTokenizer(file, where=name),
        open=lambda: open_source(file, name=name, gpu=device != "cpu"),
    )


class LlamaCppTokenizer(ProxyTokenizer):
    """The tokenizer that a GGUF file describes, as llama.cpp reads it; nothing is shared with its base.

    llama.cpp has no normaliser but SentencePiece's space mark, and spells every token in bytes.
    """

    def __init__(self, file: Path, *, where: str) -> None:
        """Load the vocabulary of a GGUF file, none of its weights.

        Raises:
            InputError: llama.cpp cannot, or the file does not say how text is split before merging.
        """
        header = _header(file)
        names = [f"tokenizer.ggml.{key}" for key in _TOKENIZER_KEYS]
        if _content(header, names[0]) == "gpt2" and _content(header, names[1]) in (None, "default"):
            raise InputError(
                f"{where}: does not state its pre-tokenizer (tokenizer.ggml.pre), so its tokens would be a guess; "
                "convert the model again with a newer llama.cpp"
            )
        self._model = Model(where, file, vocabulary_only=True)
        self.vocabulary_size = self._model.vocabulary
        bare, dressed = self._model.tokenize("a"), self._model.tokenize("a", special=True)
        self.prefix_ids = next(
            (dressed[:at] for at in range(len(dressed)) if dressed[at : at + len(bare)] == bare), []
        )
        self.sha256 = sha256_json({"llama.cpp": {name: _content(header, name) for name in names}})

    @override
    def encode(self, text: str) -> list[int]:
        """Token ids of a text, nothing added."""
        return self._model.tokenize(text)

    @override
    def has_control(self, ids: list[int]) -> bool:
        """Whether a control token stands among the ids of a text, against all precautions."""
        return any(self._model.is_control(index) for index in ids)

    @override
    def spell(self, ids: list[int]) -> list[bytes]:
        """The bytes behind each id."""
        return [self._model.piece(index) for index in ids]

    @override
    def vocabulary(self) -> Iterator[tuple[int, bytes]]:
        """Every token that stands for text, as id and bytes, by id; control tokens are left out."""
        for index in range(self.vocabulary_size):
            if not self._model.is_control(index):
                yield index, self._model.piece(index)

    @override
    def normalises(self, text: str) -> bool:
        """Whether the tokens spell another text than this, a dummy space in front aside."""
        spelled = b"".join(self.spell(self.encode(text)))
        return spelled not in (text.encode(), b" " + text.encode())


def _header(file: Path) -> Any:
    from gguf import GGUFReader

    try:
        return GGUFReader(file)
    except Exception as error:
        raise InputError(
            f"{file}: cannot be read as GGUF ({type(error).__name__}: {error}); is the file whole?"
        ) from error


def _content(header: Any, key: str) -> Any:
    """What a GGUF file's header says under a key, or None."""
    return header.fields[key].contents() if key in header.fields else None


def open_source(file: Path, *, name: str, gpu: bool) -> Source:
    """Load a GGUF file into llama.cpp, in float32.

    Raises:
        InputError: llama.cpp does not load it.
    """
    header = _header(file)
    architecture = str(_content(header, "general.architecture"))
    stored = sorted({tensor.tensor_type.name for tensor in header.tensors})
    experts = sum(int(tensor.n_elements) for tensor in header.tensors if "_exps." in tensor.name)
    used, there = (_content(header, f"{architecture}.expert_{key}") or 1 for key in ("used_count", "count"))
    with tempfile.TemporaryDirectory(prefix="rbridge-") as scratch:
        wide = file
        if stored != ["F32"]:
            wide = Path(scratch) / "float32.gguf"
            widen(name, file, wide)
        model = Model(name, wide, gpu=gpu)  # in memory from here on
    return Source(
        name=name,
        architecture=architecture,
        parameters=model.parameters,
        active_parameters=model.parameters - round(experts * (1 - used / there)) if experts else None,
        context_length=model.context_length,
        vocabulary=model.vocabulary,
        tolerance=TOLERANCE,
        losses=partial(_losses, model, CHUNK),
        batches=cut,
        statistics=partial(_statistics, model),
        reference=partial(_losses, model, 1),  # one token at a time, from the cache
        ways={"llama_cpp_python": api().__version__, "stored": ", ".join(stored)},
    )


def _losses(model: Model, chunk: int, items: Sequence[Encoded]) -> Losses:
    """-ln p of the scored tokens of each sequence, ``chunk`` tokens through the model at a time.

    Raises:
        InputError: one of them is not finite.
    """
    return [_column(model, item, list(_details(model, item, chunk)), "nll") for item in items]


def _statistics(model: Model, items: Sequence[Encoded]) -> list[tuple[Any, TokenStatistics]]:
    """Losses and the rest of each prediction, for each sequence."""
    names = ("token", "rank", "entropy", "logit_margin", "probability_margin")
    found = []
    for item in items:
        parts = list(_details(model, item, CHUNK))
        nll, *rest = (_column(model, item, parts, name) for name in ("nll", *names))
        found.append((nll, TokenStatistics(*rest)))
    return found


def _details(model: Model, item: Encoded, chunk: int) -> Iterator[Details]:
    """What each scored token's prediction says, some rows at a time."""
    targets = torch.from_numpy(np.asarray(item.ids)[item.scored])
    done = 0
    for logits_NV in model.logits(item.ids, item.scored - 1, chunk):
        yield row_details(logits_NV, targets[done : done + len(logits_NV)])
        done += len(logits_NV)


def _column(model: Model, item: Encoded, parts: Sequence[Details], name: str) -> Any:
    """One value a scored token.

    Raises:
        InputError: one of them is not finite.
    """
    values = torch.cat([getattr(part, name) for part in parts]).numpy()
    if not np.isfinite(values).all():
        raise InputError(
            f"{model.name}: {name} of token {int(np.argmin(np.isfinite(values)))} of {item.key} is not finite; "
            "the weights hold NaN or overflow: check the file"
        )
    return values
