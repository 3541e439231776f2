"""When a margin says nothing: the proxies are too small to use the question (method.md, question margin)."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

from rbridge.rank.replicates import Replicates

TOO_SMALL = "proxy too small"
# Both borders were fixed before any of the project's own margins were read.
LEAST_TAU = 0.3
LEAST_ERRORS = 2.0


def proxy_too_small(
    replicates: Replicates, covariance: Float[np.ndarray, "recipes recipes"] | None
) -> str | None:
    """Why no rank should be given, or None.

    Args:
        replicates: of a margin.
        covariance: of the recipes' means; None where nothing can be resampled.

    Returns:
        A reason where the seeds' orders agree with a mean pairwise Kendall tau under 0.3, or where more
        than half of the pairs of recipes differ by under two standard errors.
    """
    if len(replicates.names) < 2:
        return None
    tau = seed_agreement(replicates)
    if tau is not None and tau < LEAST_TAU:
        return f"{TOO_SMALL}: seeds' orders agree with a mean tau of {tau:.2f} (under {LEAST_TAU})"
    if covariance is None:
        return None
    left, right = np.triu_indices(len(replicates.names), k=1)
    means = replicates.means()
    variance = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
    error = np.sqrt(np.maximum(variance, 0.0))
    close = float((np.abs(means[left] - means[right]) < LEAST_ERRORS * error).mean())
    if close > 0.5:
        return f"{TOO_SMALL}: {close:.0%} of the pairs differ by under {LEAST_ERRORS:g} standard errors"
    return None


def seed_agreement(replicates: Replicates) -> float | None:
    """Mean Kendall tau between the orders of any two seeds that all recipes have; None below two such.

    A seed under which all recipes are equal agrees with none: tau 0.
    """
    by_row = replicates.values.mean(axis=1)
    of_seed: dict[str, list[float]] = defaultdict(list)
    for rows in replicates.rows():
        for place, row in enumerate(rows):
            of_seed[replicates.seeds[row] or f"#{place}"].append(float(by_row[row]))
    complete = [values for values in of_seed.values() if len(values) == len(replicates.names)]
    if len(complete) < 2:
        return None
    taus = [
        0.0 if np.ptp(one) == 0 or np.ptp(other) == 0 else float(kendalltau(one, other).statistic)
        for one, other in itertools.combinations(complete, 2)
    ]
    return float(np.mean(taus))
