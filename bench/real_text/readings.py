"""What real models make of the starter traces, problem by problem, in units that compare across tokenizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rbridge.answers.item_values import GOLD_BITS, has_metric, item_values
from rbridge.metric import trace_values
from rbridge.metric.margin import OTHER_BITS
from rbridge.records import Trace
from rbridge.store.runs import Run, read_runs

# Every score: which way is better. All are per byte of the text that is read.
LOWER = {
    "rBridge": True,
    "R^phi": True,
    "shuffled": True,
    "inverted": True,
    "gold": True,
    "margin": False,
    "other question": True,
}
# Values of problems, by score and benchmark.
Values = Mapping[tuple[str, str], Mapping[str, float]]


def read_models(folder: Path) -> dict[str, Values]:
    """Of each model, all runs of it together."""
    models: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for run in read_runs(folder):
        mine = models.setdefault(str(run.manifest.labels.recipe), {})
        for score, benchmark, problem, value in _of_run(run):
            mine.setdefault((score, benchmark), {})[problem] = value
    return models


def _of_run(run: Run) -> list[tuple[str, str, str, float]]:
    rows = []
    own_bits = {}
    for one in run.scored():
        values = trace_values(one.tokens)
        per_byte = values.num_tokens / values.num_bytes
        assert values.rbridge is not None  # all starter traces have weights
        assert values.rbridge_shuffled is not None
        assert values.rbridge_inverted is not None
        where = (one.key.benchmark, one.key.problem_id)
        own_bits[where] = values.trace_bits_per_byte
        rows += [
            ("rBridge", *where, values.rbridge * per_byte / np.log(2)),
            ("R^phi", *where, values.trace_bits_per_byte),
            ("shuffled", *where, values.rbridge_shuffled * per_byte / np.log(2)),
            ("inverted", *where, values.rbridge_inverted * per_byte / np.log(2)),
        ]
    if has_metric(run, GOLD_BITS):
        rows += [("gold", *item[:2], value) for item, value in item_values(run, GOLD_BITS).items()]
    if has_metric(run, OTHER_BITS):
        for item, bits in item_values(run, OTHER_BITS).items():
            rows += [
                ("other question", *item[:2], bits),
                ("margin", *item[:2], bits - own_bits[item[:2]]),
            ]
    return rows


def weight_giver(traces: Sequence[Trace], *, limit: int) -> Values:
    """R^phi of the model that gave the weights: its log-probabilities are what the bundle stores.

    Args:
        traces: weighed by it; the pieces spell the reasoning alone.
        limit: of each benchmark the first so many, as ``rbridge score --limit`` takes them.
    """
    values: dict[tuple[str, str], dict[str, float]] = {}
    for trace in traces:
        of_benchmark = values.setdefault(("R^phi", trace.key.benchmark), {})
        if len(of_benchmark) == limit:
            continue
        assert trace.pieces is not None
        num_bytes = len(trace.reasoning.encode())
        assert sum(map(len, trace.pieces.spelled)) == num_bytes
        bits = -float(trace.pieces.logprobs.sum()) / (np.log(2) * num_bytes)
        of_benchmark[trace.key.problem_id] = bits
    return values


def mean(values: Mapping[str, float]) -> float:
    """Over problems."""
    return float(np.mean(list(values.values())))


def difference(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[float, float, int]:
    """Mean paired difference of the problems that both have, its standard error, and how many they are."""
    shared = sorted(one.keys() & other.keys())
    each = np.array([one[problem] - other[problem] for problem in shared])
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))), len(each)
