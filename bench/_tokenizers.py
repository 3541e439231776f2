"""A byte-level BPE trained on a bundle's own texts, where no real model's tokenizer is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rbridge.records import Trace


def train_tokenizer(traces: Sequence[Trace], size: int) -> PreTrainedTokenizerFast:
    """At most ``size`` tokens, among them ``<|endoftext|>`` with id 0; few texts give fewer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{one.question or ''} {one.reasoning}" for one in traces], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def tokenizer_of(folder: Path | None, traces: Sequence[Trace], size: int) -> PreTrainedTokenizerFast:
    """A real one from a folder, or one trained here."""
    return (
        train_tokenizer(traces, size) if folder is None else PreTrainedTokenizerFast.from_pretrained(folder)
    )
