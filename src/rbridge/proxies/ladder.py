"""Sizes of small models, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """One rung of a ladder: a model's shape and how long and how fast it learns.

    Attributes:
        name: as labels and tables name it.
        width: hidden units.
        heads: attention heads.
        num_tokens: tokens to train on.
        learning_rate: the highest; it warms up to it and falls to 0.
    """

    name: str
    width: int
    heads: int
    num_tokens: int
    learning_rate: float
