"""Which recipes write in the traces' format, by what the traces cost them alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

# Nats a token. Recipes of one kind of text lie within tenths of a nat; another format costs several.
GAP = 1.0


def in_format(trace_loss: Float[np.ndarray, " recipes"]) -> Bool[np.ndarray, " recipes"]:
    """Recipes to whom the traces' format is known as well as to the one that knows it best.

    Going up from the lowest loss, the first step of ``GAP`` or more to the next recipe ends the format: behind it the
    proxies find the traces' very wording unlikely, and how much so says nothing about reasoning.

    Args:
        trace_loss: mean loss of the traces' tokens, nats a token, at least one recipe.

    >>> in_format(np.array([0.9, 4.1, 1.1, 1.8])).tolist()
    [True, False, True, True]
    """
    order = np.argsort(trace_loss, kind="stable")
    steps = np.diff(trace_loss[order]) >= GAP
    inside = int(np.argmax(steps)) + 1 if steps.any() else len(order)
    found = np.zeros(len(order), dtype=bool)
    found[order[:inside]] = True
    return found
