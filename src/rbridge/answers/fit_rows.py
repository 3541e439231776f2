"""Rows of a user's CSV as a fit takes them: complete, in order, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rbridge.answers.cells import need_columns, of_stage, read_number, read_table
from rbridge.answers.joined import Cells, join_targets, run_rows

_Rows = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class FitRows:
    """One group's rows, sorted.

    Attributes:
        group: the value of each column that was grouped by.
        proxy, target: of each row; target None where none was asked for.
        clock: the column that orders the rows, or None.
        clock_name: of that column.
        recipes: of each row, or None where the table names none.
        tokenizers: of the rows, as the table names them; empty where it does not.
        nulls: the user's own null columns.
        num_dropped: rows with an empty cell in a column that is used.
    """

    group: Mapping[str, str]
    proxy: _Rows
    target: _Rows | None
    clock: _Rows | None
    clock_name: str | None
    recipes: tuple[str, ...] | None
    tokenizers: frozenset[str]
    nulls: Mapping[str, _Rows]
    num_dropped: int


def read_fit_rows(
    path: Path,
    *,
    proxy: str,
    target: str | None,
    order: str | None = None,
    by: Sequence[str] | None = None,
    stage: str | None = None,
    nulls: Sequence[str] = (),
    targets: Path | None = None,
) -> list[FitRows]:
    """Groups of a CSV of observations, or of score runs, each sorted by its clock, ties in the order of the file.

    Args:
        path: CSV with a header, or a folder of score runs.
        proxy: column of the proxy's score.
        target: column of the truth, or None.
        order: column that sorts rows; None: ``tokens`` where the table has it, else the file's order.
        by: columns that split the table; None: ``benchmark`` where the table has it.
        stage: rows of this ``stage`` only.
        nulls: more columns to hold the proxy against.
        targets: CSV that the target is in, joined as ``join_targets`` says.

    Returns:
        Groups in order of first appearance. A row with an empty cell in a column that is used is
        dropped and counted.

    Raises:
        InputError: no such file or column, a cell that is no finite number, or stages mixed.
    """
    cells: Sequence[Cells] = run_rows(path, proxy) if path.is_dir() else read_table(path, ())
    if targets is not None and target is not None:
        cells = join_targets(cells, path, targets, target=target, clock=order or "tokens", stage=stage)
        stage = None
    by = (("benchmark",) if "benchmark" in cells[0] else ()) if by is None else by
    clock = order if order is not None else ("tokens" if "tokens" in cells[0] else None)
    used = [proxy, *([target] if target else []), *([clock] if clock else []), *by, *nulls]
    need_columns(path, cells[0], used)
    groups: dict[tuple[str, ...], list[tuple[int, Cells]]] = {}
    dropped: dict[tuple[str, ...], int] = {}
    for line, row in of_stage(path, list(enumerate(cells, start=2)), stage=stage, by=by):
        name = tuple(row[column] or "" for column in by)
        complete = all(row[column] for column in used) and row.get("recipe", "-")
        groups.setdefault(name, []).extend([(line, row)] if complete else [])
        dropped[name] = dropped.get(name, 0) + (not complete)
    return [
        _group(path, dict(zip(by, name, strict=True)), rows, dropped[name], proxy, target, clock, nulls)
        for name, rows in groups.items()
    ]


def _group(
    path: Path,
    group: Mapping[str, str],
    rows: list[tuple[int, Cells]],
    num_dropped: int,
    proxy: str,
    target: str | None,
    clock: str | None,
    nulls: Sequence[str],
) -> FitRows:
    def column(name: str) -> _Rows:
        return np.array([read_number(path, line, name, row[name]) for line, row in rows], dtype=np.float64)

    if clock is not None:
        places = np.argsort(column(clock), kind="stable")
        rows = [rows[place] for place in places]
    named = bool(rows) and "recipe" in rows[0][1]
    return FitRows(
        group=group,
        proxy=column(proxy),
        target=column(target) if target else None,
        clock=column(clock) if clock else None,
        clock_name=clock,
        recipes=tuple(str(row["recipe"]) for _, row in rows) if named else None,
        tokenizers=frozenset(str(cell) for _, row in rows if (cell := row.get("tokenizer"))),
        nulls={name: column(name) for name in nulls},
        num_dropped=num_dropped,
    )
