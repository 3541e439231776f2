"""Mean frontier probability over the bytes of each proxy token (method.md section 2)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def spread(
    confidence: Float[np.ndarray, " bytes"],
    start: Int[np.ndarray, " tokens"],
    end: Int[np.ndarray, " tokens"],
) -> Float[np.ndarray, " tokens"]:
    """The raw weight of each proxy token: w_i = mean of p_phi(c) over its trace bytes c.

    Args:
        confidence: frontier probability at each byte of the trace, in [0, 1].
        start: first byte of each token.
        end: one past its last byte; above ``start``, at most the number of bytes.

    Returns:
        One weight in [0, 1] per token.

    >>> spread(np.array([1.0, 1.0, 0.5, 0.0]), np.array([0, 2]), np.array([2, 4])).tolist()
    [1.0, 0.25]
    """
    # Spans may overlap or nest, so no reduceat (it ignores the ends); a difference of running sums
    # is exact to about 1e-13 here, and the clip keeps that rounding inside [0, 1].
    total = np.concatenate([[0.0], np.cumsum(confidence, dtype=np.float64)])
    return np.clip((total[end] - total[start]) / (end - start), 0.0, 1.0)
