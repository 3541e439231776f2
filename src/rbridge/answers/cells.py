"""Cells of a user's CSV: text until a column is asked for a number."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from rbridge.errors import InputError


def read_cells(path: Path) -> list[dict[str, str | None]]:
    """Rows of a CSV as its text, column by column; an empty cell is None.

    Raises:
        InputError: no such file, or no CSV.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a CSV of observations or a folder of score runs")
    _refuse_repeated_columns(path)
    try:
        return pl.read_csv(path, infer_schema=False).to_dicts()
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: empty; expected a CSV with a header") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a CSV: {str(error).splitlines()[0]}") from None


def _refuse_repeated_columns(path: Path) -> None:
    """Raise where two columns of a CSV have one name: which of them was meant cannot be told.

    Raises:
        InputError: they do.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        header = next(csv.reader(lines), [])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise InputError(
            f"{path}: {header.count(repeated[0])} columns are called {repeated[0]!r}; expected each name once: "
            "rename one of them"
        )


def read_number(path: Path, line: int, column: str, cell: str | None) -> float:
    """A cell as a finite number.

    Raises:
        InputError: it is none.
    """
    try:
        value = float(cell or "")
    except ValueError:
        raise InputError(f"{path}:{line}: {column} is {cell!r}; expected a number") from None
    if not math.isfinite(value):
        raise InputError(f"{path}:{line}: {column} is {cell}; expected a finite number, or an empty cell")
    return value


def read_table(path: Path, needed: Sequence[str]) -> list[dict[str, str | None]]:
    """Rows of a CSV that has the columns that are needed, and a row at least.

    Raises:
        InputError: it has not.
    """
    cells = read_cells(path)
    if not cells:
        raise InputError(f"{path}: holds no rows")
    need_columns(path, cells[0], needed)
    return cells


def need_columns(path: Path, row: Mapping[str, str | None], needed: Sequence[str]) -> None:
    """Raise where a column is missing.

    Raises:
        InputError: it is; the columns that are there are listed.
    """
    for column in needed:
        if column not in row:
            raise InputError(f"{path}: no column {column!r}; it has {', '.join(row)}")


def of_stage(
    path: Path, rows: Sequence[tuple[int, Mapping[str, str | None]]], *, stage: str | None, by: Sequence[str]
) -> list[tuple[int, Mapping[str, str | None]]]:
    """Rows of one training stage; they are never mixed unasked.

    Raises:
        InputError: no row is of that stage, or rows of several are at hand and none was named.
    """
    if stage is not None and rows:
        need_columns(path, rows[0][1], ("stage",))
    if stage is None:
        there = list(dict.fromkeys(row.get("stage") for _, row in rows))
        if len(there) > 1 and "stage" not in by:
            named = ", ".join(name or "(empty)" for name in there)
            raise InputError(f"{path}: rows of several stages ({named}); add --stage NAME or --by stage")
        return list(rows)
    kept = [(line, row) for line, row in rows if row["stage"] == stage]
    if not kept:
        there = ", ".join(dict.fromkeys(row["stage"] or "(empty)" for _, row in rows))
        raise InputError(f"{path}: no row of stage {stage!r}; it has {there}")
    return kept
