"""The tokenizer that all proxies of a ladder read with: a given one, or one trained on their own sources."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from rbridge.errors import InputError
from rbridge.proxies.tokenizers import WHOLE_NUMBERS, train_tokenizer
from rbridge.recipes import Source, Vocabulary, sample_texts
from rbridge.recipes.documents import source_digest
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.files import replaced_folder, sha256_json, write_json

SAMPLE_CHARS = 10_000_000  # of each source
_ABOUT = "trained_on.json"


def open_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A tokenizer from a folder or the hub.

    Raises:
        InputError: there is none, or none with an end-of-text token.
    """
    try:
        # tokenizer.json as it stands: some architectures (Qwen2) put a class of their own in its place.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(
            f"{name}: no tokenizer ({reason}); expected a folder or hub name with tokenizer.json"
        ) from None
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{name}: its tokenizer names no end-of-text token; set eos_token in tokenizer_config.json"
        )
    return tokenizer


def trained_tokenizer(
    sources: Mapping[str, Source], *, vocab_size: int, folder: Path, sample_chars: int = SAMPLE_CHARS
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer trained on the first characters of each source, or the one kept in ``folder``.

    Args:
        sources: all that any recipe reads.
        vocab_size: most ids.
        folder: where it is kept; another choice of sources or size replaces it.
        sample_chars: of each source.
    """
    key = sha256_json([
        1, vocab_size, sample_chars, WHOLE_NUMBERS,
        sorted([name, source_digest(name, source)] for name, source in sources.items()),
    ])  # fmt: skip
    about = folder / _ABOUT
    if not about.is_file() or json.loads(about.read_bytes())["sha256"] != key:
        ordered = {name: sources[name] for name in sorted(sources)}
        texts = sample_texts(ordered, chars=sample_chars)
        tokenizer = train_tokenizer(texts, vocab_size=vocab_size, pattern=WHOLE_NUMBERS)
        with replaced_folder(folder) as scratch:
            tokenizer.save_pretrained(scratch)
            write_json(scratch / _ABOUT, {"sha256": key, "vocab_size": vocab_size, "sources": list(ordered)})
    return PreTrainedTokenizerFast.from_pretrained(folder)


def as_vocabulary(tokenizer: PreTrainedTokenizerFast, *, where: str) -> Vocabulary:
    """How recipes encode with a tokenizer: as the scorer does, the end-of-text id behind each document."""
    reader = ProxyTokenizer(tokenizer, where=where)
    before, end = reader.prefix_ids, int(tokenizer.eos_token_id)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [[*before, *ids, end] for ids in reader.encode_many(texts)]

    return Vocabulary(encode, reader.vocabulary_size, sha256_json([reader.sha256, before, end]))
