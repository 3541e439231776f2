"""What a checker says of an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right.

    Attributes:
        correct: True or False where the checker can tell; None where it cannot (an ambiguous answer,
            a check that ran out of time): a listed doubt, never a guess.
        reason: one line that says why.
    """

    correct: bool | None
    reason: str
