"""llama.h, as llama-cpp-python gives it: a model in llama.cpp's memory, its logits and its vocabulary."""

from __future__ import annotations

import ctypes
import math
import os
import weakref
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from rbridge.errors import InputError

# Tokens that go through the model at once; the logits of those that predict something are held together.
CHUNK = 256
# Contexts are made in steps of so many tokens, and made anew only where a sequence is longer.
_CONTEXT_STEP = 512
# ggml_log_level of an error.
_ERROR = 4


class _Log:
    """llama.cpp's log: nothing is shown, the last error is kept for ours."""

    last = ""
    callback: Any = None  # kept here, for ctypes keeps no reference to it

    @classmethod
    def hear(cls, level: int, text: bytes, _: Any) -> None:
        if level == _ERROR and text.strip():
            cls.last = " ".join(text.decode(errors="replace").split())[:200]

    @classmethod
    def reason(cls) -> str:
        return cls.last or "no reason given"


def api() -> Any:
    """llama.h's functions, the log in our hands."""
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else a failed assertion of its own starts a debugger
    found = import_module("llama_cpp")
    if _Log.callback is None:
        _Log.callback = found.llama_log_callback(_Log.hear)
        found.llama_log_set(_Log.callback, None)
        found.llama_backend_init()
    return found


def widen(name: str, file: Path, wide: Path) -> None:
    """Write a GGUF file's model with float32 weights.

    Args:
        name: for errors.
        file: with weights of any kind.
        wide: the file to write; about 4 bytes a parameter.

    Raises:
        InputError: llama.cpp cannot.
    """
    llama = api()
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = llama.LLAMA_FTYPE_ALL_F32
    parameters.allow_requantize = True
    parameters.nthread = torch.get_num_threads()
    _Log.last = ""
    if llama.llama_model_quantize(bytes(file), bytes(wide), ctypes.byref(parameters)):
        raise InputError(
            f"{name}: llama.cpp could not expand its weights to float32 ({_Log.reason()}); expected a whole file, "
            f"and room for 4 bytes a parameter in {wide.parent}"
        )


class Model:
    """A model, and a context for one sequence at a time; both are freed with the object.

    Attributes:
        name: for errors.
        vocabulary: token ids are below it.
        context_length: tokens that it was trained on at once, or None.
        parameters: their number.
    """

    def __init__(self, name: str, file: Path, *, gpu: bool = False, vocabulary_only: bool = False) -> None:
        """Load a GGUF file.

        Raises:
            InputError: llama.cpp cannot.
        """
        self.name = name
        self._api = llama = api()
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = 999 if gpu else 0
        parameters.load_mode = llama.LLAMA_LOAD_MODE_NONE  # no memory map: the file may go, or change
        parameters.vocab_only = vocabulary_only
        _Log.last = ""
        self._model = llama.llama_model_load_from_file(bytes(file), parameters)
        if not self._model:
            raise InputError(
                f"{name}: llama.cpp cannot load it ({_Log.reason()}); expected a whole GGUF file of an architecture "
                f"and a tokenizer that llama-cpp-python {llama.__version__} knows"
            )
        weakref.finalize(self, llama.llama_model_free, self._model)
        self._context: Any = None
        self._free_context = weakref.finalize(self, int)
        self._length = 0
        self._vocab = llama.llama_model_get_vocab(self._model)
        self.vocabulary = int(llama.llama_vocab_n_tokens(self._vocab))
        self.context_length = int(llama.llama_model_n_ctx_train(self._model)) or None
        self.parameters = int(llama.llama_model_n_params(self._model))

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; control tokens in it are read as text.

        Args:
            text: any.
            special: with what the model wants around a text (BOS, EOS).
        """
        content = text.encode()
        room = len(content) + 8  # no token is empty but those few around the text
        ids = (ctypes.c_int32 * room)()
        flags = (special, False)
        count = self._api.llama_tokenize(self._vocab, content, len(content), ids, room, *flags)
        assert 0 <= count <= room
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; of a control token, its name."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            flags = (0, True)  # nothing stripped, control tokens too
            count = self._api.llama_token_to_piece(self._vocab, token, buffer, size, *flags)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def is_control(self, token: int) -> bool:
        """Whether a token is a mark such as BOS, and no text."""
        return bool(self._api.llama_vocab_is_control(self._vocab, token))

    def logits(
        self, ids: Sequence[int], at: Int[np.ndarray, " tokens"], chunk: int = CHUNK
    ) -> Iterator[torch.Tensor]:
        """Rows of logits at ascending positions of a sequence, some at a time, float32 (N, V).

        Args:
            ids: the sequence, from its start.
            at: positions whose prediction is wanted.
            chunk: tokens through the model at a time, at most ``CHUNK``.

        Raises:
            InputError: llama.cpp fails, such as for lack of memory.
        """
        llama, context = self._api, self._context_for(len(ids))
        if memory := llama.llama_get_memory(context):
            forget = True
            llama.llama_memory_clear(memory, forget)
        wanted = set(at.tolist())
        batch = llama.llama_batch_init(chunk, 0, 1)
        try:
            for first in range(0, len(ids), chunk):
                part = ids[first : first + chunk]
                batch.n_tokens = len(part)
                for i, token in enumerate(part):
                    batch.token[i], batch.pos[i] = token, first + i
                    batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                    batch.logits[i] = first + i in wanted
                if status := llama.llama_decode(context, batch):
                    raise InputError(
                        f"{self.name}: llama.cpp failed on {len(ids)} tokens (status {status}: {_Log.reason()}); "
                        "too little memory? --window reads long traces in parts"
                    )
                rows = [
                    np.ctypeslib.as_array(llama.llama_get_logits_ith(context, i), shape=(self.vocabulary,))
                    for i in range(len(part))
                    if first + i in wanted
                ]
                if rows:
                    yield torch.from_numpy(np.stack(rows))  # a copy: the next call overwrites them
        finally:
            llama.llama_batch_free(batch)

    def _context_for(self, length: int) -> Any:
        """A context that holds so many tokens, its keys and values in float32.

        Raises:
            InputError: there is no memory for it.
        """
        if self._context is not None and length <= self._length:
            return self._context
        self._free_context()
        self._context = None
        self._length = math.ceil(length / _CONTEXT_STEP) * _CONTEXT_STEP
        llama = self._api
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = self._length
        parameters.n_batch = parameters.n_ubatch = CHUNK
        parameters.n_threads = parameters.n_threads_batch = torch.get_num_threads()
        parameters.type_k = parameters.type_v = llama.GGML_TYPE_F32
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        context = llama.llama_init_from_model(self._model, parameters)
        if not context:
            raise InputError(
                f"{self.name}: llama.cpp makes no context of {self._length} tokens ({_Log.reason()}); too little "
                "memory? --window reads long traces in parts"
            )
        self._context = context
        # Freed before its model: of several finalizers, the one made last runs first.
        self._free_context = weakref.finalize(self, llama.llama_free, context)
        return context
