"""How well targets are known: what a table of them says of its own noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TargetRow:
    """One measurement of a target.

    Attributes:
        value: of the target.
        stderr: its standard error, where the table says so (column ``<target>_stderr``).
        n: problems behind an accuracy, where the table says so (column ``<target>_n``).
    """

    value: float
    stderr: float | None
    n: float | None


@dataclass(frozen=True)
class TargetNoise:
    """Standard error of each recipe's target, and how it was found."""

    errors: Mapping[str, float]
    rule: str


def target_noise(rows: Mapping[str, Sequence[TargetRow]]) -> TargetNoise | None:
    """Standard errors by the first of these that the table allows: as stated, from seeds, binomial.

    Args:
        rows: measurements by recipe; several of one recipe are its seeds.

    Returns:
        None where nothing tells.
    """
    every = [row for measured in rows.values() for row in measured]
    if every and all(row.stderr is not None for row in every):
        stated = {
            recipe: math.sqrt(math.fsum((row.stderr or 0.0) ** 2 for row in measured)) / len(measured)
            for recipe, measured in rows.items()
        }
        return TargetNoise(stated, "standard errors as the table states them")
    return _from_seeds(rows) or _binomial(rows, every)


def _from_seeds(rows: Mapping[str, Sequence[TargetRow]]) -> TargetNoise | None:
    """Variation between seeds, pooled over recipes."""
    squares, freedom = 0.0, 0
    for measured in rows.values():
        middle = math.fsum(row.value for row in measured) / len(measured)
        squares += math.fsum((row.value - middle) ** 2 for row in measured)
        freedom += len(measured) - 1
    if not squares:
        return None
    pooled = math.sqrt(squares / freedom)
    errors = {recipe: pooled / math.sqrt(len(measured)) for recipe, measured in rows.items()}
    return TargetNoise(errors, f"variation between the targets' seeds, pooled, {freedom} degrees of freedom")


def _binomial(rows: Mapping[str, Sequence[TargetRow]], every: Sequence[TargetRow]) -> TargetNoise | None:
    """Of an accuracy over n problems, as a fraction, or in percent where some value is above 1."""
    if not every or any(not row.n or row.n < 1 for row in every):
        return None
    whole = 100.0 if max(row.value for row in every) > 1 else 1.0
    if any(not 0 <= row.value <= whole for row in every):
        return None
    errors = {}
    for recipe, measured in rows.items():
        variance = 0.0
        for row in measured:
            assert row.n is not None  # checked above
            # One right and one wrong answer are added, so that 0 and 1 are not known exactly.
            share = (row.value / whole * row.n + 1) / (row.n + 2)
            variance += share * (1 - share) / row.n
        errors[recipe] = whole * math.sqrt(variance) / len(measured)
    return TargetNoise(errors, "binomial, from the number of problems; the targets' seeds are not in it")
