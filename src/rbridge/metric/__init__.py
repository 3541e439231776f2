"""The score and its companions, computed from raw per-token losses and weights."""

from rbridge.metric.catalogue import METRICS, Metric, lower_is_better, metric_named
from rbridge.metric.summary import RUN_METRICS, Mean, mean_over_traces, metric_means, run_values
from rbridge.metric.token_statistics import run_statistics, statistic_columns
from rbridge.metric.trace import TraceValues, minmax_weights, trace_values

__all__ = [
    "METRICS",
    "RUN_METRICS",
    "Mean",
    "Metric",
    "TraceValues",
    "lower_is_better",
    "mean_over_traces",
    "metric_means",
    "metric_named",
    "minmax_weights",
    "run_statistics",
    "run_values",
    "statistic_columns",
    "trace_values",
]
