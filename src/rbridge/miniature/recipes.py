"""What a recipe is, the eight of the demo, and their exact mixing.

The eight were fixed before any result was seen: four doses of the same text, two rates of wrong steps, reasoning
that does not belong to its question, and right reasoning in other words, which is the declared trap for any
score by a trace's likelihood.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rbridge.errors import InputError
from rbridge.miniature.source import source_documents
from rbridge.miniature.styles import draw_document, draw_problem_of, write_document
from rbridge.miniature.world import Problem, held_out_problems, trace_problems

Encode = Callable[[Sequence[str]], list[list[int]]]

_BATCH = 256  # documents drawn and encoded at a time
# Problems of the two tests that a leak copies from.
_LEAKED = {"evaluation": 400, "traces": 200}


@dataclass(frozen=True)
class Part:
    """Reasoning of one style and its share of a recipe's tokens.

    Attributes:
        style: a key of ``styles.STYLES``.
        share: of the recipe's tokens.
        distinct: distinct problems for each 1,000 tokens of the recipe, so that longer training repeats them
            as often; 0 draws a new one for every document. Parts of one recipe share their problems.
        leaked: documents of the problems that targets are evaluated on, or that traces are written of.
    """

    style: str
    share: float
    distinct: float = 0.0
    leaked: Literal["", "evaluation", "traces"] = ""


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
    problems = _few_problems(recipe, num_tokens, rng)
    documents: list[list[int]] = []
    for part in recipe.parts:
        documents += _fill(_reasoning(part, problems, rng), encode, num_tokens=part.share * num_tokens)
    rest = 1.0 - sum(part.share for part in recipe.parts)
    documents += _fill(_source(rng), encode, num_tokens=rest * num_tokens)
    rng.shuffle(documents)
    return documents


def _few_problems(recipe: Recipe, num_tokens: int, rng: random.Random) -> list[Problem]:
    """The problems of the parts that repeat theirs; nothing is drawn where none does."""
    distinct = max((part.distinct for part in recipe.parts), default=0.0)
    return [
        draw_problem_of("standard", rng, split="train") for _ in range(round(distinct * num_tokens / 1000))
    ]


def _reasoning(part: Part, few: Sequence[Problem], rng: random.Random) -> Iterator[list[str]]:
    leaks = {"evaluation": held_out_problems, "traces": trace_problems}
    pool = leaks[part.leaked](_LEAKED[part.leaked]) if part.leaked else few if part.distinct else ()
    while True:
        if pool:
            yield [write_document(rng.choice(pool), part.style, rng) for _ in range(_BATCH)]
        else:
            yield [draw_document(rng, style=part.style, split="train") for _ in range(_BATCH)]


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
