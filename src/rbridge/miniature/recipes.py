"""The candidate recipes, as data, and their exact mixing.

They were fixed before any result was seen: four doses of the same text, two rates of wrong steps, reasoning
that does not belong to its question, and right reasoning in other words, which is the declared trap for any
score by a trace's likelihood.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rbridge.errors import InputError
from rbridge.miniature.source import source_documents
from rbridge.miniature.world import draw_document

Encode = Callable[[Sequence[str]], list[list[int]]]

_BATCH = 256  # documents drawn and encoded at a time


@dataclass(frozen=True)
class Part:
    """Reasoning of one style (a key of ``world.STYLES``) and its share of a recipe's tokens."""

    style: str
    share: float


@dataclass(frozen=True)
class Recipe:
    """A mixture of reasoning; what the parts leave of the tokens is Python source text."""

    name: str
    parts: tuple[Part, ...]


RECIPES = (
    Recipe("std75", (Part("standard", 0.75),)),
    Recipe("std50", (Part("standard", 0.50),)),
    Recipe("std30", (Part("standard", 0.30),)),
    Recipe("std12", (Part("standard", 0.12),)),
    Recipe("noisy15", (Part("15 % of steps wrong", 0.60),)),
    Recipe("noisy50", (Part("50 % of steps wrong", 0.60),)),
    Recipe("unfaith60", (Part("of another problem", 0.60),)),
    Recipe("alt60", (Part("other words", 0.60),)),
)


def mix(recipe: Recipe, encode: Encode, *, num_tokens: int, rng: random.Random) -> list[list[int]]:
    """The recipe's documents as token ids, shuffled; each part's tokens are its share to within one document.

    Args:
        recipe: what to mix.
        encode: token ids of each text, end-of-text token included.
        num_tokens: the tokens to fill, end-of-text tokens included.
        rng: source of every draw.

    Raises:
        InputError: the standard library holds too little text for so many tokens.
    """
    documents: list[list[int]] = []
    for part in recipe.parts:
        documents += _fill(_reasoning(part.style, rng), encode, num_tokens=part.share * num_tokens)
    rest = 1.0 - sum(part.share for part in recipe.parts)
    documents += _fill(_source(rng), encode, num_tokens=rest * num_tokens)
    rng.shuffle(documents)
    return documents


def _reasoning(style: str, rng: random.Random) -> Iterator[list[str]]:
    while True:
        yield [draw_document(rng, style=style, split="train") for _ in range(_BATCH)]


def _source(rng: random.Random) -> Iterator[list[str]]:
    documents = list(source_documents())
    rng.shuffle(documents)
    for first in range(0, len(documents), _BATCH):
        yield documents[first : first + _BATCH]


def _fill(batches: Iterator[list[str]], encode: Encode, *, num_tokens: float) -> list[list[int]]:
    filled: list[list[int]] = []
    num_filled = 0
    while num_filled < num_tokens:
        if (texts := next(batches, None)) is None:
            raise InputError(
                f"the standard library's source text ends at {num_filled} tokens, but the recipe asks for "
                f"{num_tokens:.0f}; train on fewer tokens"
            )
        for ids in encode(texts):
            if num_filled >= num_tokens:
                break
            filled.append(ids)
            num_filled += len(ids)
    return filled
