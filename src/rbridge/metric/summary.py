"""Per-trace values of a whole run, and their means over traces."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbridge.metric.catalogue import METRICS
from rbridge.metric.trace import TraceValues, trace_values
from rbridge.records import ScoredTrace

# Columns that a score run gives, in the order in which tables show them.
RUN_METRICS = tuple(metric.name for metric in METRICS if metric.name in TraceValues.__dataclass_fields__)


@dataclass(frozen=True)
class Mean:
    """A mean over traces.

    Attributes:
        mean: each trace counts once.
        stderr: standard deviation (n - 1) over the root of n; None for a single trace.
        n: traces.
    """

    mean: float
    stderr: float | None
    n: int


def run_values(scored: Sequence[ScoredTrace]) -> list[TraceValues]:
    """Every trace's metrics, MinMax over the benchmark included.

    Args:
        scored: all scored traces of one checkpoint: the benchmark's range is taken over them.

    Returns:
        One row per trace, in the same order.
    """
    ranges = _benchmark_ranges(scored)
    return [trace_values(one.tokens, benchmark_range=ranges.get(one.key.benchmark)) for one in scored]


def _benchmark_ranges(scored: Sequence[ScoredTrace]) -> Mapping[str, tuple[float, float]]:
    ranges: dict[str, tuple[float, float]] = {}
    for one in scored:
        if one.tokens.weight is not None:
            low, high = ranges.get(one.key.benchmark, (math.inf, -math.inf))
            weight = one.tokens.weight
            ranges[one.key.benchmark] = (min(low, float(weight.min())), max(high, float(weight.max())))
    return ranges


def mean_over_traces(values: Sequence[float]) -> Mean:
    """Mean and standard error of one metric over traces, at least one.

    >>> mean_over_traces([1.0, 2.0, 3.0]).mean
    2.0
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Mean(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Mean(mean, math.sqrt(variance / n), n)


def metric_means(values: Sequence[TraceValues]) -> dict[str, Mean]:
    """Means of every metric over the traces that have it; a metric that none has is left out."""
    columns: dict[str, list[float]] = defaultdict(list)
    for row in values:
        for name in RUN_METRICS:
            value = getattr(row, name)
            if value is not None:
                columns[name].append(value)
    return {name: mean_over_traces(columns[name]) for name in RUN_METRICS if columns[name]}
