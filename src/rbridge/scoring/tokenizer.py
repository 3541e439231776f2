"""A proxy's tokenizer, reduced to what scoring needs: ids, the bytes behind them, its normaliser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer

from rbridge.align import Spelling, spell_token
from rbridge.align.spelling import SPACE_MARK
from rbridge.errors import InputError

# A noncharacter of Unicode: reserved for use inside a program, as here.
_NO_TEXT = "\uffff"


class ProxyTokenizer:
    """Encodes text as a proxy reads it, and spells every token back to the byte.

    Special tokens in a text are encoded as text, and none is added, save the prefix (BOS) that the
    tokenizer's own convention puts in front of every sequence: ``prefix_ids``.
    """

    def __init__(self, loaded: Any, *, where: str) -> None:
        """Take over a transformers tokenizer; ``where`` names it in errors.

        Raises:
            InputError: it has no fast (`tokenizers`) backend, or no vocabulary: transformers makes an
                empty tokenizer where a checkpoint has no tokenizer files.
        """
        backend = getattr(loaded, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise InputError(
                f"{where}: the tokenizer {type(loaded).__name__} has no fast backend; "
                "save it as tokenizer.json with transformers' convert_slow_tokenizer and score again"
            )
        if not backend.get_vocab_size(with_added_tokens=False):
            raise InputError(
                f"{where}: its tokenizer has no vocabulary; expected tokenizer.json (or tokenizer.model) beside "
                "the weights: copy the tokenizer's files into the checkpoint"
            )
        definition = _without_control_pieces(backend.to_str())
        self.sha256 = hashlib.sha256(definition.encode()).hexdigest()
        self.prefix_ids = _prefix_ids(loaded)
        self.vocabulary_size = 1 + max(backend.get_vocab(with_added_tokens=True).values())  # ids are below it
        self._backend: Tokenizer = Tokenizer.from_str(definition)
        self._backend.no_truncation()
        self._backend.no_padding()
        # A literal <|endoftext|> in a text is text (interfaces.md).
        self._backend.encode_special_tokens = True
        self._spelling = _spelling(json.loads(definition))
        added = self._backend.get_added_tokens_decoder()
        # What has been spelled so far; added tokens are written as they are.
        self._spelled = {index: token.content.encode() for index, token in added.items()}
        self._control = {index for index, token in added.items() if token.special}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, nothing added."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, nothing added, on all cores where the texts are many."""
        return [one.ids for one in self._backend.encode_batch_fast(texts, add_special_tokens=False)]

    def has_control(self, ids: list[int]) -> bool:
        """Whether a control token stands among the ids of a text, against all precautions."""
        return not self._control.isdisjoint(ids)

    def spell(self, ids: list[int]) -> list[bytes]:
        """The bytes behind each id."""
        return [self._spell_one(index) for index in ids]

    def vocabulary(self) -> Iterator[tuple[int, bytes]]:
        """Every token that stands for text, as id and bytes, by id; control tokens are left out."""
        for index in sorted(self._backend.get_vocab(with_added_tokens=True).values()):
            if index not in self._control:
                yield index, self._spell_one(index)

    def normalises(self, text: str) -> bool:
        """Whether the tokenizer's normaliser would change this text.

        SentencePiece's reversible space mark is no change, but a text that holds a literal space
        mark is one: it would come back as a space.
        """
        if self._spelling is Spelling.SENTENCEPIECE and SPACE_MARK in text:
            return True
        if self._backend.normalizer is None:
            return False
        normalised = self._backend.normalizer.normalize_str(text)
        if self._spelling is Spelling.SENTENCEPIECE:
            normalised = normalised.replace(SPACE_MARK, " ")
        if normalised in (text, f" {text}"):
            return False
        # A byte-level normaliser rewrites the text in its 256 stand-ins, which is reversible.
        byte_level = self._spelling is Spelling.BYTE_LEVEL
        return not (byte_level and spell_token(normalised, Spelling.BYTE_LEVEL) == text.encode())

    def _spell_one(self, index: int) -> bytes:
        spelled = self._spelled.get(index)
        if spelled is None:
            token = self._backend.id_to_token(index)
            assert token is not None  # the id came from this vocabulary
            spelled = self._spelled[index] = spell_token(token, self._spelling)
        return spelled


def _without_control_pieces(definition: str) -> str:
    """A tokenizer's definition in which a Unigram model cannot make control tokens out of text.

    Such models list `</s>` and its like among their pieces, with a score that wins over any other
    spelling of the literal; SentencePiece itself never matches a control piece in a text. The piece
    keeps its id and score and gets a name that no text holds.
    """
    document = json.loads(definition)
    if document["model"]["type"] != "Unigram":
        return definition
    pieces = document["model"]["vocab"]
    control = {token["id"]: token["content"] for token in document["added_tokens"] if token["special"]}
    listed = {
        index for index, content in control.items() if index < len(pieces) and pieces[index][0] == content
    }
    for index in listed:
        pieces[index][0] = f"{_NO_TEXT}{control[index]}"
    document["added_tokens"] = [token for token in document["added_tokens"] if token["id"] not in listed]
    return json.dumps(document, ensure_ascii=False)


def _prefix_ids(loaded: Any) -> list[int]:
    """What the tokenizer puts in front of a sequence by itself: BOS, or nothing."""
    bare: list[int] = loaded.encode("a", add_special_tokens=False)
    dressed: list[int] = loaded.encode("a", add_special_tokens=True)
    for at in range(len(dressed) - len(bare) + 1):
        if dressed[at : at + len(bare)] == bare:
            return dressed[:at]
    return []


def _spelling(definition: dict[str, Any]) -> Spelling:
    """How a vocabulary is written, read off the tokenizer's own parts."""
    parts = [
        part for name in ("normalizer", "pre_tokenizer", "decoder") for part in _leaves(definition.get(name))
    ]
    if any(part["type"] == "ByteLevel" for part in parts):
        return Spelling.BYTE_LEVEL
    if definition["model"].get("byte_fallback") or any(_is_sentencepiece(part) for part in parts):
        return Spelling.SENTENCEPIECE
    return Spelling.PLAIN


def _leaves(part: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The single steps of a normaliser, pre-tokenizer or decoder that may be a sequence."""
    if part is None:
        return
    for key in ("normalizers", "pretokenizers", "decoders"):
        if key in part:
            for inner in part[key]:
                yield from _leaves(inner)
            return
    yield part


def _is_sentencepiece(part: dict[str, Any]) -> bool:
    if part["type"] in ("Metaspace", "ByteFallback"):
        return True
    return part["type"] in ("Replace", "Prepend") and SPACE_MARK in json.dumps(part, ensure_ascii=False)
