"""How a weight model's confidence lies over the tokens of the reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.align import locate_reasoning
from rbridge.metric.trace import CONSTANT
from rbridge.quality.figures import Quantiles, Share, clustered_share, quantiles
from rbridge.records import Trace

SURE = 0.99


@dataclass(frozen=True)
class WeightProfile:
    """The weights of several traces by one source, over that source's own tokens.

    Attributes:
        num_traces: traces with weights of it.
        sure: tokens above 0.99, of all tokens.
        exactly_one: tokens of probability exactly 1: a run of them is a sign of processed probabilities.
        half: for each trace, the fewest tokens that carry half of its weight, as a share of its tokens.
        constant: positions of the traces whose weights do not differ, so that MinMax is undefined.
    """

    num_traces: int
    sure: Share
    exactly_one: Share
    half: Quantiles | None
    constant: tuple[int, ...]


def reasoning_pieces(trace: Trace) -> Float[np.ndarray, " pieces"] | None:
    """Probabilities of the pieces that hold a byte of R, in order; None of a trace without pieces.

    Raises:
        AlignmentError: R is not to be found in the reply.
    """
    if trace.pieces is None:
        return None
    probabilities = np.exp(trace.pieces.logprobs)
    if trace.reply is None:
        return probabilities
    where = locate_reasoning(trace.reply, trace.reasoning, trace.reasoning_span)
    end = np.cumsum([len(piece) for piece in trace.pieces.spelled])
    start = end - np.array([len(piece) for piece in trace.pieces.spelled])
    return probabilities[(start < where.end) & (end > where.start)]


def half_weight_tokens(probabilities: Float[np.ndarray, " pieces"]) -> int:
    """The fewest tokens that together carry half of the weight; 0 where there is no weight at all.

    >>> half_weight_tokens(np.array([0.1, 0.9, 0.2, 0.8]))
    2
    """
    total = float(probabilities.sum())
    if total == 0:
        return 0
    carried = np.cumsum(np.sort(probabilities)[::-1])
    # A hair below half counts as half: the sums are rounded.
    return int(np.searchsorted(carried, total / 2 * (1 - 1e-12))) + 1


def weight_profile(weights: Sequence[Float[np.ndarray, " _"]]) -> WeightProfile:
    """How the weights of several traces lie.

    Args:
        weights: probabilities of each trace's pieces, none of them empty.
    """
    lengths = [len(one) for one in weights]
    return WeightProfile(
        num_traces=len(weights),
        sure=clustered_share([int((one > SURE).sum()) for one in weights], lengths),
        exactly_one=clustered_share([int((one == 1.0).sum()) for one in weights], lengths),
        half=quantiles([half_weight_tokens(one) / len(one) for one in weights]),
        constant=tuple(at for at, one in enumerate(weights) if float(one.max() - one.min()) < CONSTANT),
    )
