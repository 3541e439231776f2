"""The two tokenizers of the miniature: the frontier's is not the proxies', as in life."""

from __future__ import annotations

from functools import cache

from transformers import PreTrainedTokenizerFast

from rbridge.miniature.source import source_documents
from rbridge.miniature.world import draw_document, stream
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
def frontier_tokenizer() -> PreTrainedTokenizerFast:
    """At most 400 tokens, learned on standard chains alone; it reads numbers digit by digit."""
    rng = stream("frontier tokenizer")
    texts = [draw_document(rng, style="standard", split="train") for _ in range(1000)]
    return train_tokenizer(texts, vocab_size=400, pattern=SINGLE_DIGITS)


TOKENIZERS = {"proxy": proxy_tokenizer, "frontier": frontier_tokenizer}
