"""The two tokenizers of the miniature: the frontier's is not the proxies', as in life."""

from __future__ import annotations

from functools import cache

from transformers import PreTrainedTokenizerFast

from rbridge.miniature.source import source_documents
from rbridge.miniature.styles import draw_document
from rbridge.miniature.world import stream
from rbridge.proxies.tokenizers import SINGLE_DIGITS, WHOLE_NUMBERS, train_tokenizer


@cache
def proxy_tokenizer() -> PreTrainedTokenizerFast:
    """640 tokens, whole numbers among them; it has seen both ways of reasoning and source text alike."""
    rng = stream("proxy tokenizer")
    texts = [
        draw_document(rng, style=style, split="train")
        for style in ("standard", "other words")
        for _ in range(500)
    ]
    return train_tokenizer(
        [*texts, *rng.sample(source_documents(), 1000)], vocab_size=640, pattern=WHOLE_NUMBERS
    )


@cache
def frontier_tokenizer(vocab_size: int = 400, *, whole_numbers: bool = False) -> PreTrainedTokenizerFast:
    """At most ``vocab_size`` tokens, learned on standard chains alone; it reads numbers digit by digit or whole."""
    rng = stream("frontier tokenizer")
    texts = [draw_document(rng, style="standard", split="train") for _ in range(1000)]
    pattern = WHOLE_NUMBERS if whole_numbers else SINGLE_DIGITS
    return train_tokenizer(texts, vocab_size=vocab_size, pattern=pattern)


def frontier_name(vocab_size: int, *, whole_numbers: bool) -> str:
    """What a job calls such a tokenizer.

    >>> frontier_name(400, whole_numbers=False), frontier_name(320, whole_numbers=True)
    ('frontier', 'frontier of 320, whole numbers')
    """
    size = "" if vocab_size == 400 else f" of {vocab_size}"
    return f"frontier{size}{', whole numbers' if whole_numbers else ''}"


def tokenizer_named(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer that a job names: ``proxy``, or what ``frontier_name`` gives."""
    if name == "proxy":
        return proxy_tokenizer()
    size, _, numbers = name.removeprefix("frontier").removeprefix(" of ").partition(", ")
    return frontier_tokenizer(int(size or 400), whole_numbers=numbers == "whole numbers")
