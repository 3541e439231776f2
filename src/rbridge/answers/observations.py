"""A table of observations: one row an observation, any metric, ready to rank without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

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
        num_dropped: rows or items left out.
        notes: what a reader must know of the values, one line each.
    """

    group: Mapping[str, str]
    replicates: Replicates
    targets: Mapping[str, float] | None
    num_dropped: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    cells: Mapping[str, str]
    proxy: float
    target: float | None


def read_rank_groups(path: Path, *, proxy: str, target: str | None, by: Sequence[str]) -> list[RankGroup]:
    """Groups to rank from a CSV of observations.

    Args:
        path: CSV with a header; ``recipe`` names the candidates, ``seed`` their replicates.
        proxy: column to rank by.
        target: column of the truth, or None.
        by: columns that split the table; each group is ranked alone.

    Returns:
        Groups in order of first appearance. A row with an empty cell in a column that is used is
        dropped and counted.

    Raises:
        InputError: no such file or column, or a cell that is no finite number.
    """
    cells = _read_cells(path)
    columns = list(cells[0]) if cells else []
    if not cells:
        raise InputError(f"{path}: holds no rows")
    for column in ("recipe", proxy, *([target] if target else []), *by):
        if column not in columns:
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(columns)}")
    groups: dict[tuple[str, ...], list[_Row]] = {}
    dropped: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(cells, start=2):
        name = tuple(row[column] or "" for column in by)
        groups.setdefault(name, [])
        used = ["recipe", proxy, *([target] if target else []), *by]
        if any(row[column] in (None, "") for column in used):
            dropped[name] = dropped.get(name, 0) + 1
            continue
        value = _number(path, number, proxy, row[proxy])
        truth = _number(path, number, target, row[target]) if target else None
        groups[name].append(_Row({key: cell or "" for key, cell in row.items()}, value, truth))
    if not any(groups.values()):
        raise InputError(
            f"{path}: every one of its {len(cells)} rows has an empty cell in a column that is used"
        )
    return [
        _group(dict(zip(by, name, strict=True)), rows, dropped.get(name, 0), by)
        for name, rows in groups.items()
        if rows
    ]


def read_targets(path: Path, *, target: str) -> dict[tuple[str, str | None], float]:
    """Target values by (recipe, benchmark), seed-averaged, from a CSV; benchmark None where absent.

    Raises:
        InputError: no such file or column, or a cell that is no finite number.
    """
    cells = _read_cells(path)
    for column in ("recipe", target):
        if not cells or column not in cells[0]:
            raise InputError(
                f"{path}: no column {column!r}; it has {', '.join(cells[0]) if cells else 'no rows'}"
            )
    found: dict[tuple[str, str | None], list[float]] = {}
    for number, row in enumerate(cells, start=2):
        recipe, cell = row["recipe"], row[target]
        if recipe and cell:
            found.setdefault((recipe, row.get("benchmark")), []).append(_number(path, number, target, cell))
    return {key: math.fsum(values) / len(values) for key, values in found.items()}


def _read_cells(path: Path) -> list[dict[str, str | None]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a CSV of observations or a folder of score runs")
    try:
        return pl.read_csv(path, infer_schema=False).to_dicts()
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: empty; expected a CSV with a header") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a CSV: {str(error).splitlines()[0]}") from None


def _number(path: Path, line: int, column: str, cell: str | None) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        raise InputError(f"{path}:{line}: {column} is {cell!r}; expected a number") from None
    if not math.isfinite(value):
        raise InputError(f"{path}:{line}: {column} is {cell}; expected a finite number, or an empty cell")
    return value


def _group(group: dict[str, str], rows: list[_Row], num_dropped: int, by: Sequence[str]) -> RankGroup:
    replicates = Replicates(
        recipes=tuple(row.cells["recipe"] for row in rows),
        seeds=tuple(row.cells.get("seed") or None for row in rows),
        values=np.array([[row.proxy] for row in rows], dtype=np.float64),
    )
    targets = None
    if rows[0].target is not None:
        of_recipe: dict[str, list[float]] = {}
        for row in rows:
            assert row.target is not None  # one column for all rows
            of_recipe.setdefault(row.cells["recipe"], []).append(row.target)
        targets = {recipe: math.fsum(values) / len(values) for recipe, values in of_recipe.items()}
    return RankGroup(group, replicates, targets, num_dropped, _notes(rows, by))


def _notes(rows: list[_Row], by: Sequence[str]) -> tuple[str, ...]:
    """Columns that differ within a group although nothing asked for them to be kept apart."""
    return tuple(
        f"rows differ in {column} and are averaged over it: add --by {column} to rank each alone"
        for column in ("benchmark", "size", "tokens", "step")
        if column not in by and column in rows[0].cells and len({row.cells[column] for row in rows}) > 1
    )
