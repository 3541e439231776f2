"""Sources as token ids on disk: written once per source and tokenizer, read through memory maps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from rbridge.errors import InputError
from rbridge.recipes.documents import documents, source_digest
from rbridge.recipes.spec import Source
from rbridge.store.files import new_folder, sha256_json, write_json

_VERSION = 1
_BATCH_CHARS = 1 << 20  # encoded at a time; a longer document is a batch of its own
_ABOUT = "tokens.json"

# Texts in, their token ids out: what the tokenizer puts before a document is in them, and the end-of-text id.
Encode = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer as recipes need it.

    Attributes:
        encode: see ``Encode``.
        size: ids are below it.
        sha256: of everything that decides what ``encode`` gives.
    """

    encode: Encode
    size: int
    sha256: str


@dataclass(frozen=True)
class TokenisedSource:
    """The documents of a source as token ids.

    Attributes:
        name: the source's, in the recipe file.
        sha256: of source and tokenizer together.
        ids: of all documents, one after the other, mapped from disk.
        ends: where each document ends in ``ids``.
        whole: whether the source was read to its end, not only up to ``take``.
        available: tokens that it has at full scale, or None where nobody knows (a hub dataset cut by ``take``).
    """

    name: str
    sha256: str
    ids: Integer[np.ndarray, " tokens"]
    ends: Integer[np.ndarray, " documents"]
    whole: bool
    available: int | None

    @property
    def num_tokens(self) -> int:
        """Tokens on disk."""
        return int(self.ends[-1])


def tokenise(name: str, source: Source, vocabulary: Vocabulary, folder: Path) -> TokenisedSource:
    """The source's tokens, from ``folder`` where they stand there already, else read, encoded and kept.

    Memory holds a batch of documents at a time. What another process finished meanwhile is taken.

    Raises:
        InputError: the source cannot be read, or has no text.
        MissingExtra: a hub dataset is asked for and ``datasets`` is not installed.
    """
    key = sha256_json([_VERSION, source_digest(name, source), vocabulary.sha256])
    place = folder / key[:32]
    if not (place / _ABOUT).is_file():
        _write(name, source, vocabulary, place, key)
    found = open_tokens(name, key, folder)
    return found if source.available is None else replace(found, available=source.available)


def open_tokens(name: str, sha256: str, folder: Path) -> TokenisedSource:
    """The tokens that ``tokenise`` kept in ``folder`` under their hash, by whatever name of the source."""
    place = folder / sha256[:32]
    about = json.loads((place / _ABOUT).read_bytes())
    return TokenisedSource(
        name=name,
        sha256=sha256,
        ids=np.memmap(place / "ids.bin", dtype=about["dtype"], mode="r"),
        ends=np.memmap(place / "ends.bin", dtype=np.int64, mode="r"),
        whole=about["whole"],
        available=about["tokens"] if about["whole"] else None,
    )


def _write(name: str, source: Source, vocabulary: Vocabulary, place: Path, key: str) -> None:
    dtype = np.dtype(np.uint16 if vocabulary.size <= 1 << 16 else np.uint32)
    try:
        with new_folder(place) as scratch:
            end, num_documents, whole = 0, 0, True
            with (scratch / "ids.bin").open("wb") as ids, (scratch / "ends.bin").open("wb") as ends:
                for encoded in _encoded(documents(name, source), vocabulary.encode):
                    if source.take is not None and end >= source.take:
                        whole = False
                        break
                    ids.write(np.asarray(encoded, dtype).tobytes())
                    end += len(encoded)
                    num_documents += 1
                    ends.write(np.int64(end).tobytes())
            if not num_documents:
                raise InputError(
                    f"source {name}: no text in {source.hub or ', '.join(source.paths)}; expected some"
                )
            about = {"format_version": _VERSION, "sha256": key, "documents": num_documents, "tokens": end}
            write_json(scratch / _ABOUT, {**about, "dtype": dtype.name, "whole": whole})
    except (InputError, OSError):
        if not (place / _ABOUT).is_file():  # else another process was quicker
            raise


def _encoded(texts: Iterator[str], encode: Encode) -> Iterator[list[int]]:
    held: list[str] = []
    num_chars = 0
    for text in texts:
        held.append(text)
        num_chars += len(text)
        if num_chars >= _BATCH_CHARS:
            yield from encode(held)
            held = []
            num_chars = 0
    if held:
        yield from encode(held)


def sample_texts(sources: dict[str, Source], *, chars: int) -> Iterator[str]:
    """The first ``chars`` characters of every source, for a tokenizer to be trained on; documents are not cut."""
    for name, source in sources.items():
        left = chars
        for text in documents(name, source):
            yield text
            left -= len(text)
            if left <= 0:
                break
