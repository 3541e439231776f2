"""One metric of one run, item by item: from its tokens, or from a further reading beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from rbridge.errors import InputError
from rbridge.metric import RUN_METRICS, TraceValues, run_statistics, run_values, statistic_columns
from rbridge.metric.margin import (
    MARGIN,
    MARGIN_METRICS,
    NUMBERS,
    OTHER_BITS,
    OWN_VOICE,
    Margin,
    margins,
    own_voice,
)
from rbridge.metric.options import CLOZE, CLOZE_METRICS, SCALES, Spoken, by_problem, cloze
from rbridge.records import twin_of
from rbridge.store.readings import (
    GENERIC,
    GOLD,
    ITEMS,
    OTHER_QUESTIONS,
    Table,
    read_question_readings,
    read_table,
)
from rbridge.store.runs import Run, read_runs
from rbridge.store.views import View

# A trace (benchmark, problem, voice) under a number of worked examples, read whole or in windows of a size
# and stride: values of one item compare.
Item = tuple[str, str, str, int, tuple[int, int] | None]

GOLD_BITS = "gold_bits_per_byte"
GENERIC_BITS = "generic_bits_per_byte"
_ONE_TEXT = {
    "gold_label_nll": "label",
    "trace_and_answer_nll": "trace_and_answer",
    "answer_given_trace_nll": "answer_given_trace",
}
MPCA = "mpca"
_BASELINES = (*CLOZE_METRICS, *_ONE_TEXT, MPCA)
FURTHER_METRICS = (*MARGIN_METRICS, GOLD_BITS, GENERIC_BITS, *_BASELINES)
# Of every prediction, where they were kept (``--token-statistics``).
STATISTICS = frozenset(name for name, *_ in statistic_columns())
TWIN_GAP = "twin_gap"
KNOWN_METRICS = (*RUN_METRICS, *FURTHER_METRICS, TWIN_GAP, *sorted(STATISTICS))

_MARGIN_FIELD: Mapping[str, Callable[[Margin], float | None]] = {
    MARGIN: lambda margin: margin.all_tokens,
    NUMBERS: lambda margin: margin.numbers,
    OWN_VOICE: lambda margin: margin.all_tokens,
    OTHER_BITS: lambda margin: margin.other_bits,
}
_TABLES = {GOLD_BITS: GOLD, GENERIC_BITS: GENERIC}


def has_metric(run: Run, metric: str) -> bool:
    """Whether a run can give a metric without being scored again."""
    if metric == TWIN_GAP:
        return bool(_of_twins(run))
    return metric in RUN_METRICS or (run.folder / _table(metric).file).is_file()


def item_values(run: Run, metric: str) -> dict[Item, float]:
    """A metric's value of every item that has one.

    Twins stand aside where their problem has a value too: they show what was seen (``twin_gap``), not what is known.

    Args:
        run: finished.
        metric: one of ``KNOWN_METRICS``.

    Raises:
        InputError: the run lacks the reading that the metric comes from.
    """
    if metric == TWIN_GAP:
        return _of_twins(run)
    found = _of_metric(run, metric)
    return {item: value for item, value in found.items() if _original(item) not in found}


def _original(item: Item) -> Item | None:
    """The item that this one is a twin of."""
    benchmark, problem_id, voice, shots, window = item
    problem = twin_of(problem_id)
    return None if problem is None else (benchmark, problem, voice, shots, window)


def _of_metric(run: Run, metric: str) -> dict[Item, float]:
    if metric in RUN_METRICS:
        return _of_tokens(run, metric)
    if metric in STATISTICS:
        return _of_statistics(run, metric)
    table = _table(metric)
    if metric in MARGIN_METRICS:
        readings = read_question_readings(run.folder)
        if readings is None:
            raise _unread(run, metric, table)
        found = [one for one in margins(readings) if run.view.shows(one.key.voice)]
        return _of_margins(own_voice(found) if metric == OWN_VOICE else found, metric)
    rows = read_table(run.folder, table)
    if rows is None:
        raise _unread(run, metric, table)
    if metric in _BASELINES:
        return _of_items([Spoken(**row) for row in rows], metric)
    return {
        (row["benchmark"], row["problem_id"], "", row["shots"], None): float(
            np.sum(row["nll"], dtype=np.float64) / (np.log(2) * row["num_bytes"])
        )
        for row in rows
    }


def _table(metric: str) -> Table:
    if metric in MARGIN_METRICS:
        return OTHER_QUESTIONS
    return ITEMS if metric in _BASELINES else _TABLES[metric]


def _of_items(spoken: list[Spoken], metric: str) -> dict[Item, float]:
    if metric == MPCA:
        return {
            (one.benchmark, one.problem_id, "", one.shots, None): float(np.exp(-one.nll))
            for one in spoken
            if one.kind == "label"
        }
    if metric in _ONE_TEXT:
        return {
            (one.benchmark, one.problem_id, one.voice, one.shots, None): one.nll
            / (1 if metric == "answer_given_trace_nll" else one.num_tokens)
            for one in spoken
            if one.kind == _ONE_TEXT[metric]
        }
    name, scale = next(
        (name, scale) for scale in SCALES for name in CLOZE if metric == f"cloze_{name}{scale}"
    )
    return {
        (benchmark, problem_id, "", shots, None): cloze(options, name, scale)
        for (benchmark, problem_id, shots), options in by_problem(spoken).items()
    }


def _unread(run: Run, metric: str, table: Table) -> InputError:
    return InputError(
        f"{run.folder}: has no {metric}; score {run.manifest.checkpoint} again with {table.option} "
        "(what is scored already is kept)"
    )


def _of_tokens(run: Run, metric: str) -> dict[Item, float]:
    every = _all_of_tokens(run.folder, run.manifest.key, run.view)
    return {item: value for item, values in every.items() if (value := getattr(values, metric)) is not None}


def _of_twins(run: Run) -> dict[Item, float]:
    """Bits a byte by which each problem's trace is likelier than its twins', the same voice and shots."""
    values = _of_tokens(run, "trace_bits_per_byte")
    twins: dict[Item, list[float]] = {}
    for item, value in values.items():
        original = _original(item)
        if original is not None and original in values:
            twins.setdefault(original, []).append(value)
    return {item: float(np.mean(of_twins)) - values[item] for item, of_twins in twins.items()}


def _of_statistics(run: Run, metric: str) -> dict[Item, float]:
    scored = run.scored()
    return {
        (one.key.benchmark, one.key.problem_id, one.key.voice, one.shots, one.window): value
        for one, row in zip(scored, run_statistics(scored), strict=True)
        if (value := row.get(metric)) is not None
    }


# A ranking asks a run for several metrics: its tokens are read once. A run's key fixes its numbers.
@lru_cache(maxsize=512)
def _all_of_tokens(folder: Path, _key: str, view: View) -> dict[Item, TraceValues]:
    (run,) = read_runs(folder, view)
    scored = run.scored()
    return {
        (one.key.benchmark, one.key.problem_id, one.key.voice, one.shots, one.window): values
        for one, values in zip(scored, run_values(scored), strict=True)
    }


def _of_margins(found: list[Margin], metric: str) -> dict[Item, float]:
    values: dict[Item, float] = {}
    for margin in found:
        value = _MARGIN_FIELD[metric](margin)
        if value is not None:
            # The voice may differ from run to run where each has its own: the problem is the item.
            voice = "" if metric == OWN_VOICE else margin.key.voice
            values[margin.key.benchmark, margin.key.problem_id, voice, margin.shots, None] = value
    return values
