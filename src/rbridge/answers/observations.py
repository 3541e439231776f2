"""A table of observations: one row an observation, any metric, ready to rank without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rbridge.answers.cells import of_stage, read_cells, read_number
from rbridge.answers.target_noise import TargetNoise, TargetRow, target_noise
from rbridge.errors import InputError
from rbridge.rank import Replicates

IDENTIFYING = ("recipe", "benchmark", "size", "tokens", "seed", "step")


@dataclass(frozen=True)
class RankGroup:
    """What is ranked together.

    Attributes:
        group: the value of each column that was grouped by.
        replicates: the proxy's values.
        targets: each recipe's target value, seed-averaged; None without a target.
        target_noise: standard errors of the targets; None where nothing tells them.
        num_dropped: rows or items left out.
        notes: what a reader must know of the values, one line each.
        in_format: recipes that write in the traces' format; None where no trace was scored.
    """

    group: Mapping[str, str]
    replicates: Replicates
    targets: Mapping[str, float] | None
    target_noise: TargetNoise | None
    num_dropped: int
    notes: tuple[str, ...]
    in_format: frozenset[str] | None = None


@dataclass(frozen=True)
class _Row:
    cells: Mapping[str, str]
    proxy: float
    target: TargetRow | None


def read_rank_groups(
    path: Path,
    *,
    proxy: str,
    target: str | None,
    by: Sequence[str],
    stage: str | None = None,
    last: int | None = None,
) -> list[RankGroup]:
    """Groups to rank from a CSV of observations.

    Args:
        path: CSV with a header; ``recipe`` names the candidates, ``seed`` their replicates.
        proxy: column to rank by.
        target: column of the truth, or None.
        by: columns that split the table; each group is ranked alone.
        stage: rows of this ``stage`` of training only.
        last: average so many of the latest checkpoints (column ``step``) of each recipe and seed.

    Returns:
        Groups in order of first appearance. A row with an empty cell in a column that is used is
        dropped and counted.

    Raises:
        InputError: no such file or column, or a cell that is no finite number.
    """
    cells = read_cells(path)
    columns = list(cells[0]) if cells else []
    if not cells:
        raise InputError(f"{path}: holds no rows")
    for column in ("recipe", proxy, *([target] if target else []), *by):
        if column not in columns:
            remedy = f"; group by others with --by ({', '.join(columns)})" if column in by else ""
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(columns)}{remedy}")
    groups: dict[tuple[str, ...], list[_Row]] = {}
    dropped: dict[tuple[str, ...], int] = {}
    for number, row in of_stage(path, list(enumerate(cells, start=2)), stage=stage, by=by):
        name = tuple(row[column] or "" for column in by)
        groups.setdefault(name, [])
        used = ["recipe", proxy, *([target] if target else []), *by]
        if any(row[column] in (None, "") for column in used):
            dropped[name] = dropped.get(name, 0) + 1
            continue
        value = read_number(path, number, proxy, row[proxy])
        truth = _target_row(path, number, target, row) if target else None
        groups[name].append(_Row({key: cell or "" for key, cell in row.items()}, value, truth))
    if not any(groups.values()):
        raise InputError(
            f"{path}: every one of its {len(cells)} rows has an empty cell in a column that is used"
        )
    if last is not None:
        if "step" not in columns:
            raise InputError(f"{path}: --last {last} needs a column 'step'; it has {', '.join(columns)}")
        groups = {name: _average_last(path, rows, last) for name, rows in groups.items()}
    found = [
        _group(dict(zip(by, name, strict=True)), rows, dropped.get(name, 0), by)
        for name, rows in groups.items()
        if rows
    ]
    lost = _notes_of_empty_groups([name for name, rows in groups.items() if not rows], dropped, by)
    return [replace(found[0], notes=(*found[0].notes, *lost)), *found[1:]]


def _notes_of_empty_groups(
    empty: Sequence[tuple[str, ...]], dropped: Mapping[tuple[str, ...], int], by: Sequence[str]
) -> tuple[str, ...]:
    """Groups that cannot be ranked at all are told under the first that can."""
    return tuple(
        f"{', '.join(f'{column} {value}' for column, value in zip(by, name, strict=True))} is not ranked: "
        f"each of its {dropped[name]} rows has an empty cell in a column that is used"
        for name in empty
    )


def _target_row(path: Path, number: int, target: str, row: Mapping[str, str | None]) -> TargetRow:
    extra = {
        kind: read_number(path, number, f"{target}_{kind}", row[f"{target}_{kind}"])
        for kind in ("stderr", "n")
        if row.get(f"{target}_{kind}")
    }
    return TargetRow(read_number(path, number, target, row[target]), extra.get("stderr"), extra.get("n"))


def _average_last(path: Path, rows: list[_Row], last: int) -> list[_Row]:
    """One row a recipe, seed and size: the mean of its latest checkpoints; the target is the latest's."""
    chains: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        chains.setdefault(tuple(row.cells.get(key, "") for key in ("recipe", "seed", "size")), []).append(row)
    found = []
    for chain in chains.values():
        ordered = sorted(chain, key=lambda row: read_number(path, 0, "step", row.cells["step"]))[-last:]
        value = math.fsum(row.proxy for row in ordered) / len(ordered)
        found.append(_Row(ordered[-1].cells, value, ordered[-1].target))
    return found


def read_targets(path: Path, *, target: str, stage: str | None = None) -> dict[tuple[str, str | None], float]:
    """Target values by (recipe, benchmark), seed-averaged, from a CSV; benchmark None where absent.

    Raises:
        InputError: no such file or column, or a cell that is no finite number.
    """
    cells = read_cells(path)
    for column in ("recipe", target):
        if not cells or column not in cells[0]:
            raise InputError(
                f"{path}: no column {column!r}; it has {', '.join(cells[0]) if cells else 'no rows'}"
            )
    found: dict[tuple[str, str | None], list[float]] = {}
    for number, row in of_stage(path, list(enumerate(cells, start=2)), stage=stage, by=()):
        recipe, cell = row["recipe"], row[target]
        if recipe and cell:
            found.setdefault((recipe, row.get("benchmark")), []).append(
                read_number(path, number, target, cell)
            )
    return {key: math.fsum(values) / len(values) for key, values in found.items()}


def read_target_noise(path: Path, *, target: str, stage: str | None = None) -> dict[str | None, TargetNoise]:
    """Standard errors of the targets by benchmark (None where the table has none), as far as it tells.

    Raises:
        InputError: a cell that is no finite number.
    """
    rows: dict[str | None, dict[str, list[TargetRow]]] = {}
    for number, row in of_stage(path, list(enumerate(read_cells(path), start=2)), stage=stage, by=()):
        if row.get("recipe") and row.get(target):
            of_benchmark = rows.setdefault(row.get("benchmark"), {})
            of_benchmark.setdefault(str(row["recipe"]), []).append(_target_row(path, number, target, row))
    noise = {benchmark: target_noise(of_recipe) for benchmark, of_recipe in rows.items()}
    return {benchmark: found for benchmark, found in noise.items() if found is not None}


def _group(group: dict[str, str], rows: list[_Row], num_dropped: int, by: Sequence[str]) -> RankGroup:
    replicates = Replicates(
        recipes=tuple(row.cells["recipe"] for row in rows),
        seeds=tuple(row.cells.get("seed") or None for row in rows),
        values=np.array([[row.proxy] for row in rows], dtype=np.float64),
    )
    if rows[0].target is None:
        return RankGroup(group, replicates, None, None, num_dropped, _notes(rows, by))
    of_recipe: dict[str, list[TargetRow]] = {}
    for row in rows:
        assert row.target is not None  # one column for all rows
        of_recipe.setdefault(row.cells["recipe"], []).append(row.target)
    targets = {
        recipe: math.fsum(found.value for found in values) / len(values)
        for recipe, values in of_recipe.items()
    }
    # The same target stands beside every seed of a proxy: it is one measurement.
    noise = target_noise({recipe: list(dict.fromkeys(values)) for recipe, values in of_recipe.items()})
    return RankGroup(group, replicates, targets, noise, num_dropped, _notes(rows, by))


def _notes(rows: list[_Row], by: Sequence[str]) -> tuple[str, ...]:
    """Columns that differ within a group although nothing asked for them to be kept apart."""
    return tuple(
        f"rows differ in {column} and are averaged over it: add --by {column} to rank each alone"
        for column in ("benchmark", "size", "tokens", "step")
        if column not in by and column in rows[0].cells and len({row.cells[column] for row in rows}) > 1
    )
