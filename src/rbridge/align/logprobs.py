"""What counts as a log-probability (interfaces.md): one rule for everything that comes in."""

from __future__ import annotations

import math

# A log-probability a hair above 0 is rounding of a probability of 1.
_ROUNDING = 1e-6
# What several servers write for "unknown"; it is no number.
_UNKNOWN = -9999.0


def checked_logprob(value: float) -> float:
    """The natural log of a probability, at most 0.

    Args:
        value: as it was written; in (0, 1e-6] it reads as 0.

    Raises:
        ValueError: not finite, the -9999 that stands for unknown, or above 0.
    """
    if not math.isfinite(value) or value == _UNKNOWN:
        raise ValueError(f"logprob {value} is no log-probability; drop 'pieces' if they are unknown")
    if value > _ROUNDING:
        raise ValueError(f"logprob {value} is above 0; expected the natural log of a probability")
    return min(value, 0.0)
