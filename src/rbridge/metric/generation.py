"""What generated answers come to: pass@k, its standard error and interval, token edit distance, chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy.stats import norm


def pass_at_k(num_samples: int, num_right: int, k: int) -> float:
    """The chance that one of ``k`` samples, drawn from those at hand without putting back, is right.

    1 - C(n - c, k) / C(n, k): unbiased for the chance that one of k fresh samples is right (Chen et al.
    2021, arXiv 2107.03374, equation 1), with exact integers.

    Args:
        num_samples: n, at least ``k``.
        num_right: c, of them.
        k: at least 1.

    Example:
        >>> pass_at_k(4, 1, 2)
        0.5
    """
    assert 1 <= k <= num_samples
    assert 0 <= num_right <= num_samples
    every = math.comb(num_samples, k)
    return (every - math.comb(num_samples - num_right, k)) / every


@dataclass(frozen=True)
class Share:
    """A mean of values between 0 and 1, one a problem.

    Attributes:
        value: the mean.
        stderr: standard deviation (n - 1) over the root of n; None for one problem.
        interval: Wilson's, at ``level``.
        level: of the interval.
        n: problems.
    """

    value: float
    stderr: float | None
    interval: tuple[float, float]
    level: float
    n: int


def share(values: Sequence[float], *, level: float) -> Share:
    """Mean, standard error and interval over problems, at least one.

    The interval is Wilson's (1927) for ``n`` right-or-wrong answers. Where a problem's value is itself a mean
    over samples, n is the number of right-or-wrong answers that would have the same standard error
    (at least the number of problems), so that the problems remain what is drawn.

    Args:
        values: one a problem, in [0, 1].
        level: confidence.

    Example:
        >>> found = share([1.0, 0.0, 0.0, 0.0], level=0.95)
        >>> found.value, [round(float(end), 3) for end in found.interval]
        (0.25, [0.046, 0.699])
    """
    n = len(values)
    mean = math.fsum(values) / n
    stderr = None
    if n > 1:
        stderr = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    effective = float(n)
    if stderr and any(0 < value < 1 for value in values):
        effective = max(effective, mean * (1 - mean) / stderr**2)
    z = float(norm.ppf((1 + level) / 2))
    middle = (mean + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * math.sqrt(mean * (1 - mean) / effective + (z / effective) ** 2 / 4)
    low = 0.0 if mean == 0 else max(0.0, middle - half)  # rounding would leave 1e-17
    high = 1.0 if mean == 1 else min(1.0, middle + half)
    return Share(mean, stderr, (low, high), level, n)


def edit_distance(one: Sequence[int], other: Sequence[int]) -> int:
    """Fewest insertions, deletions and replacements of tokens that turn one sequence into the other.

    Levenshtein's distance, row by row: time len(one) * len(other), memory len(other).

    Example:
        >>> edit_distance([1, 2, 3], [2, 3, 4])
        2
    """
    target = np.asarray(other, dtype=np.int64)
    places = np.arange(len(target) + 1)
    row: Int[np.ndarray, " places"] = places.copy()
    for count, token in enumerate(one, start=1):
        replaced = row[:-1] + (target != token)
        best = np.concatenate([[count], np.minimum(replaced, row[1:] + 1)])
        # An insertion is one more than the best to its left: the running minimum of best - place.
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def chance_level(num_choices: Sequence[int | None]) -> float:
    """Accuracy of guessing: the mean of one over the number of options; 0 of a problem without options."""
    return math.fsum(0.0 if not count else 1.0 / count for count in num_choices) / len(num_choices)


def constant_answer(golds: Sequence[str]) -> float:
    """Null: accuracy of the one answer that is right most often, given to every problem."""
    return Counter(golds).most_common(1)[0][1] / len(golds)
