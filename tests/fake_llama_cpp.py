# ruff: noqa: D103, ARG001 - the functions are llama.h's, arguments and all
"""Stands in for ``llama_cpp``: the functions of llama.h that rbridge calls, with their documented ways.

Names, arguments and meanings are those of llama-cpp-python 0.3.36 (which `make bench-gguf` runs for real). A
transformers model computes; as in llama.cpp, a cache that is not float32 and weights that are not cost digits,
logits are there only where a batch asks for them, positions must follow each other until the memory is
cleared, and a context holds no more tokens than it was made for.
"""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

__version__ = "0.3.36"
GGML_TYPE_F32, GGML_TYPE_F16 = 0, 1
LLAMA_FTYPE_ALL_F32 = 0
LLAMA_LOAD_MODE_NONE, LLAMA_LOAD_MODE_AUTO = 0, -1
LLAMA_FLASH_ATTN_TYPE_AUTO, LLAMA_FLASH_ATTN_TYPE_DISABLED = -1, 0
_BYTES = {char: byte for byte, char in bytes_to_unicode().items()}

# The transformers folder behind each GGUF file, and whether the file's weights are float32.
FILES: dict[Path, tuple[Path, bool]] = {}
# What is loaded and not freed.
ALIVE: list[Any] = []


def llama_backend_init() -> None:
    """Nothing to do."""


def llama_log_callback(function: Any) -> Any:
    return function


def llama_log_set(callback: Any, user_data: Any) -> None:
    global _log  # noqa: PLW0603 - as the library has one log
    _log = callback


def llama_model_default_params() -> SimpleNamespace:
    return SimpleNamespace(n_gpu_layers=-1, load_mode=LLAMA_LOAD_MODE_AUTO, vocab_only=False)


def llama_model_load_from_file(path_model: bytes, params: SimpleNamespace) -> Any:
    """None where it fails, the reason in the log."""
    if Path(path_model.decode()) not in FILES:
        _log(4, b"llama_model_load: error loading model: unknown model architecture: 'frob'\n", None)
        return None
    folder, is_float32 = FILES[Path(path_model.decode())]
    model = SimpleNamespace(
        core=None if params.vocab_only else AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")),
        is_float32=is_float32,
        rows=AutoModelForCausalLM.from_pretrained(folder).config.vocab_size,
    )
    model.added = model.tokenizer.get_added_tokens_decoder()
    model.tokenizer.normalizer = None
    model.tokenizer.encode_special_tokens = True
    model.tokenizer.no_truncation()
    ALIVE.append(model)
    return model


def llama_model_free(model: Any) -> None:
    ALIVE.remove(model)


def llama_model_get_vocab(model: Any) -> Any:
    return model


def llama_vocab_n_tokens(vocab: Any) -> int:
    return vocab.rows


def llama_model_n_ctx_train(model: Any) -> int:
    return 1024


def llama_model_n_params(model: Any) -> int:
    return 0 if model.core is None else model.core.num_parameters()


def llama_vocab_is_control(vocab: Any, token: int) -> bool:
    return token in vocab.added and vocab.added[token].special


def llama_tokenize(
    vocab: Any,
    text: bytes,
    text_len: int,
    tokens: Any,
    n_tokens_max: int,
    add_special: Any,
    parse_special: Any,
) -> int:
    """How many were written; less than 0 where there is no room."""
    assert not parse_special
    assert text_len == len(text)
    ids = vocab.tokenizer.encode(text.decode(), add_special_tokens=add_special).ids
    if len(ids) > n_tokens_max:
        return -len(ids)
    tokens[: len(ids)] = ids
    return len(ids)


def llama_token_to_piece(vocab: Any, token: int, buf: Any, length: int, lstrip: int, special: Any) -> int:
    """How many bytes were written; less than 0 where there is no room."""
    added = vocab.added
    piece = (
        added[token].content.encode()
        if token in added
        else bytes(_BYTES[char] for char in vocab.tokenizer.id_to_token(token))
    )
    assert special
    if len(piece) > length:
        return -len(piece)
    ctypes.memmove(buf, piece, len(piece))
    return len(piece)


def llama_context_default_params() -> SimpleNamespace:
    return SimpleNamespace(
        n_ctx=512, n_batch=2048, n_ubatch=512, n_threads=4, n_threads_batch=4,
        type_k=GGML_TYPE_F16, type_v=GGML_TYPE_F16, flash_attn_type=LLAMA_FLASH_ATTN_TYPE_AUTO,
    )  # fmt: skip


def llama_init_from_model(model: Any, params: SimpleNamespace) -> Any:
    context = SimpleNamespace(model=model, params=params, ids=[], rows={})
    ALIVE.append(context)
    return context


def llama_free(context: Any) -> None:
    assert context.model in ALIVE  # a context goes before its model
    ALIVE.remove(context)


def llama_get_memory(context: Any) -> Any:
    return context


def llama_memory_clear(memory: Any, data: Any) -> None:
    assert data
    memory.ids.clear()


def llama_batch_init(n_tokens: int, embd: int, n_seq_max: int) -> SimpleNamespace:
    assert (embd, n_seq_max) == (0, 1)
    unset: list[int] = [-1] * n_tokens
    return SimpleNamespace(
        n_tokens=0,
        token=[*unset],
        pos=[*unset],
        n_seq_id=[*unset],
        seq_id=[[-1] for _ in unset],
        logits=[*unset],
    )


def llama_batch_free(batch: SimpleNamespace) -> None:
    batch.token = None


@torch.inference_mode()
def llama_decode(context: Any, batch: SimpleNamespace) -> int:
    """0 on success; 1 where the context is full."""
    count = batch.n_tokens
    assert 0 < count <= context.params.n_batch
    assert batch.pos[:count] == list(range(len(context.ids), len(context.ids) + count))
    assert batch.n_seq_id[:count] == [1] * count
    assert batch.seq_id[:count] == [[0]] * count
    if len(context.ids) + count > context.params.n_ctx:
        return 1
    context.ids.extend(batch.token[:count])
    logits = context.model.core(input_ids=torch.tensor([context.ids])).logits[0, -count:]
    exact = context.model.is_float32 and context.params.type_k == context.params.type_v == GGML_TYPE_F32
    rows = (logits if exact else logits.half().float()).numpy()
    context.rows = {i: np.ascontiguousarray(rows[i]) for i in range(count) if batch.logits[i]}
    return 0


def llama_get_logits_ith(context: Any, i: int) -> Any:
    return context.rows[i].ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def llama_model_quantize_default_params() -> Any:
    class Parameters(ctypes.Structure):
        _fields_ = [("ftype", ctypes.c_int), ("allow_requantize", ctypes.c_bool), ("nthread", ctypes.c_int)]

    return Parameters(ftype=7, allow_requantize=False, nthread=0)


def llama_model_quantize(fname_inp: bytes, fname_out: bytes, params: Any) -> int:
    """0 on success."""
    asked = params._obj  # what ctypes.byref holds
    if asked.ftype != LLAMA_FTYPE_ALL_F32 or not asked.allow_requantize:
        _log(4, b"requantizing from type q8_0 is disabled\n", None)
        return 1
    folder, _ = FILES[Path(fname_inp.decode())]
    shutil.copyfile(fname_inp, fname_out)
    FILES[Path(fname_out.decode())] = (folder, True)
    return 0
