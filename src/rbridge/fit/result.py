"""What a fit gives back, whatever its protocol."""

from __future__ import annotations

from dataclasses import dataclass


class NoFit(ValueError):
    """Rows cannot carry a fit; the text is the reason, for readers."""


@dataclass(frozen=True)
class Fold:
    """One held-out part.

    Attributes:
        family: chosen on the training rows alone.
        train_r2: of that family on the training rows.
        test_mae: mean absolute error on the held-out rows, in the target's unit.
        num_test: held-out rows.
    """

    family: str
    train_r2: float
    test_mae: float
    num_test: int


def mean_of(folds: tuple[Fold, ...]) -> tuple[float, float]:
    """Mean over folds of train R2 and test MAE, each fold once (the paper's table)."""
    num = len(folds)
    return sum(fold.train_r2 for fold in folds) / num, sum(fold.test_mae for fold in folds) / num
