"""Per-trace values: rBridge and its variants (paper, Algorithm 1; method.md section 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.records import TokenScores

# Below this, max w - min w counts as zero (method.md): MinMax is undefined and every weight is 1.
CONSTANT = 1e-6


@dataclass(frozen=True)
class TraceValues:
    """One trace's metrics. The weighted ones are None where the trace has no weights.

    Attributes:
        num_tokens: scored tokens T.
        num_bytes: UTF-8 bytes of R.
        trace_nll: R^phi, nats per token.
        trace_bits_per_byte: bits per byte.
        rbridge: nats per token, MinMax over the trace.
        rbridge_benchmark_minmax: nats per token, MinMax over the benchmark.
        rbridge_unnormalised: nats per token, weights as they are.
        rbridge_per_byte: nats per byte, MinMax over the trace.
        rbridge_shuffled: nats per token, the mean of rbridge over all orders of its weights: a control
            that keeps the weights and takes away which token each belongs to.
        rbridge_inverted: nats per token, with 1 - what for what: a control that asks the other tokens.
        constant_weights: the trace's weights are all equal, so that MinMax made them 1.
    """

    num_tokens: int
    num_bytes: int
    trace_nll: float
    trace_bits_per_byte: float
    rbridge: float | None
    rbridge_benchmark_minmax: float | None
    rbridge_unnormalised: float | None
    rbridge_per_byte: float | None
    rbridge_shuffled: float | None
    rbridge_inverted: float | None
    constant_weights: bool


def minmax_weights(
    weight: Float[np.ndarray, " tokens"], low: float, high: float
) -> Float[np.ndarray, " tokens"]:
    """Weights carried linearly from [low, high] to [0, 1]; all 1 where high - low < 1e-6.

    >>> minmax_weights(np.array([0.2, 0.6, 1.0]), 0.2, 1.0).round(12).tolist()
    [0.0, 0.5, 1.0]
    >>> minmax_weights(np.array([0.7]), 0.7, 0.7).tolist()
    [1.0]
    """
    if high - low < CONSTANT:
        return np.ones_like(weight, dtype=np.float64)
    return (weight - low) / (high - low)


def trace_values(tokens: TokenScores, *, benchmark_range: tuple[float, float] | None = None) -> TraceValues:
    """A trace's metrics from its raw token scores.

    Args:
        tokens: losses (nats) and raw weights of the T scored tokens, T at least 1.
        benchmark_range: smallest and largest raw weight over all scored tokens of this
            checkpoint's scored traces of the benchmark; None where it is not known, and then
            ``rbridge_benchmark_minmax`` is None.

    Returns:
        Every variant; plain means over tokens, not divided by the sum of the weights.
    """
    nll = tokens.nll.astype(np.float64)
    total = math.fsum(nll)
    num_tokens = len(nll)
    plain = {
        "num_tokens": num_tokens,
        "num_bytes": tokens.num_bytes,
        "trace_nll": total / num_tokens,
        "trace_bits_per_byte": total / (math.log(2) * tokens.num_bytes),
    }
    if tokens.weight is None:
        return TraceValues(
            **plain,
            rbridge=None,
            rbridge_benchmark_minmax=None,
            rbridge_unnormalised=None,
            rbridge_per_byte=None,
            rbridge_shuffled=None,
            rbridge_inverted=None,
            constant_weights=False,
        )
    weight = tokens.weight.astype(np.float64)
    low, high = float(weight.min()), float(weight.max())
    what = minmax_weights(weight, low, high)
    weighted = math.fsum(nll * what)
    over_benchmark = None
    if benchmark_range is not None:
        over_benchmark = math.fsum(nll * minmax_weights(weight, *benchmark_range)) / num_tokens
    return TraceValues(
        **plain,
        rbridge=weighted / num_tokens,
        rbridge_benchmark_minmax=over_benchmark,
        rbridge_unnormalised=math.fsum(nll * weight) / num_tokens,
        rbridge_per_byte=weighted / tokens.num_bytes,
        rbridge_shuffled=total / num_tokens * (math.fsum(what) / num_tokens),
        rbridge_inverted=(total - weighted) / num_tokens,
        constant_weights=high - low < CONSTANT,
    )
