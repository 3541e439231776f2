"""What half precision costs: the same traces scored in float32, and how far the scores move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from rbridge.records import TraceKey
from rbridge.scoring.encode import Encoded
from rbridge.scoring.source import Source
from rbridge.store.runs import HalfError

_Item = TypeVar("_Item")

# Traces that are scored a second time.
NUM_SAMPLED = 16


def sample(encoded: Sequence[_Item], num: int = NUM_SAMPLED) -> list[_Item]:
    """Traces spread evenly over all of them.

    >>> sample(list(range(10)), 3)
    [0, 3, 6]
    """
    return [encoded[at * len(encoded) // num] for at in range(num)] if len(encoded) > num else list(encoded)


def half_error(half: Mapping[TraceKey, np.ndarray], float32: Source, sampled: Sequence[Encoded]) -> HalfError:
    """How far half precision moves losses, in nats.

    Args:
        half: losses of the sampled traces in half precision, by trace.
        float32: the same checkpoint in float32.
        sampled: at least one trace.
    """
    squares: list[float] = []
    traces: list[float] = []
    for batch in float32.batches(sampled):
        for item, losses in zip(batch, float32.losses(batch), strict=True):
            difference = half[item.key].astype(np.float64) - losses.astype(np.float64)
            squares += (difference**2).tolist()
            traces.append(float(difference.mean()))
    return HalfError(
        num_traces=len(traces),
        token_rms=math.sqrt(math.fsum(squares) / len(squares)),
        trace_mean=math.fsum(abs(moved) for moved in traces) / len(traces),
        trace_max=max(abs(moved) for moved in traces),
    )
