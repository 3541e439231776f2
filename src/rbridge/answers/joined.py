"""Scores in one place, targets in another: score runs as rows of a table, and a join of two tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rbridge.answers.cells import need_columns, of_stage, read_number, read_table
from rbridge.answers.item_values import KNOWN_METRICS, Item, item_values
from rbridge.errors import InputError
from rbridge.store.runs import Run
from rbridge.store.settled import read_whole_runs

Cells = Mapping[str, str | None]
# What rows of scores and of targets have in common where nothing is said.
KEYS = ("recipe", "benchmark")


def run_rows(source: Path, metric: str) -> list[Cells]:
    """A row a run and benchmark: its labels, and the metric's mean over the problems that all runs have.

    Voices of one problem are averaged first, as in a ranking.

    Raises:
        InputError: an unknown metric, or one that no run has.
        IncomparableRuns: the folder's runs do not belong together.
    """
    if metric not in KNOWN_METRICS:
        raise InputError(f"{metric}: not a metric of score runs; they have {', '.join(KNOWN_METRICS)}")
    by_run = [(run, _by_benchmark(item_values(run, metric))) for run in read_whole_runs(source)]
    shared: dict[str, set[Item]] = {}
    for _, benchmarks in by_run:
        for name, values in benchmarks.items():
            shared[name] = shared[name] & set(values) if name in shared else set(values)
    rows: list[Cells] = []
    for run, benchmarks in by_run:
        for name, values in benchmarks.items():
            mean = _mean_of_problems({item: values[item] for item in shared[name]})
            rows.append({**_labels(run), "benchmark": name, metric: None if mean is None else repr(mean)})
    if not any(row[metric] for row in rows):
        raise InputError(f"{source}: no trace has a value of {metric} in every run")
    return rows


def _by_benchmark(values: Mapping[Item, float]) -> dict[str, dict[Item, float]]:
    found: dict[str, dict[Item, float]] = {}
    for item, value in values.items():
        found.setdefault(item[0], {})[item] = value
    return found


def _mean_of_problems(values: Mapping[Item, float]) -> float | None:
    problems: dict[str, list[float]] = {}
    for item, value in values.items():
        problems.setdefault(item[1], []).append(value)
    means = [math.fsum(voices) / len(voices) for voices in problems.values()]
    return math.fsum(means) / len(means) if means else None


def _labels(run: Run) -> dict[str, str | None]:
    labels = run.manifest.labels
    found: dict[str, str | None] = {
        name: None if getattr(labels, name) is None else str(getattr(labels, name))
        for name in ("seed", "size", "tokens", "step")
    }
    return {
        "recipe": labels.recipe or run.manifest.checkpoint,
        **{name: cell for name, cell in found.items() if cell is not None},
        "tokenizer": run.manifest.tokenizer_sha256,
    }


def join_targets(
    rows: Sequence[Cells], source: Path, targets: Path, *, target: str, clock: str | None, stage: str | None
) -> list[Cells]:
    """Rows of scores with the target of the same recipe, benchmark and, for checkpoints, the same clock.

    Args:
        rows: of scores.
        source: where they come from.
        targets: CSV with ``recipe``, ``benchmark`` or both; several rows of one key are its seeds.
        target: column of ``targets``.
        clock: column that orders rows; a key too where both tables have it and it differs within a recipe.
        stage: rows of ``targets`` of this stage only.

    Returns:
        The rows, each with the mean target of its key; empty where the table has none.

    Raises:
        InputError: no such column, no common key, stages mixed, or no row has a target.
    """
    table = read_table(targets, (target,))
    both = [name for name in (*KEYS, clock) if name and name in table[0] and any(name in row for row in rows)]
    # Checkpoints of one run differ by the clock; where there is one row a recipe, targets have their own.
    keys = [name for name in both if name != clock or _varies(rows, name)]
    if not keys:
        raise InputError(
            f"{targets}: shares no column with {source} to join by; expected {' or '.join(KEYS)}"
        )
    need_columns(source, rows[0], keys)
    found: dict[tuple[str, ...], list[float]] = {}
    for line, row in of_stage(targets, list(enumerate(table, start=2)), stage=stage, by=()):
        if row[target]:
            found.setdefault(_key(row, keys), []).append(read_number(targets, line, target, row[target]))
    joined: list[Cells] = [{**row, target: _mean(found.get(_key(row, keys), ()))} for row in rows]
    if not any(row[target] for row in joined):
        raise InputError(f"{targets}: no {' and '.join(keys)} of {source} has a target there")
    return joined


def _varies(rows: Sequence[Cells], clock: str) -> bool:
    """Whether a recipe's rows of a benchmark and seed differ in the clock."""
    seen: dict[tuple[str | None, ...], set[str | None]] = {}
    for row in rows:
        seen.setdefault(tuple(row.get(name) for name in (*KEYS, "seed")), set()).add(row.get(clock))
    return any(len(clocks) > 1 for clocks in seen.values())


def _key(row: Cells, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(_plain(row.get(key) or "") for key in keys)


def _plain(cell: str) -> str:
    """A cell as it compares: 250, 250.0 and 2.5e2 are one number."""
    try:
        return repr(float(cell))
    except ValueError:
        return cell


def _mean(values: Sequence[float]) -> str | None:
    return repr(math.fsum(values) / len(values)) if values else None
