"""New proxies whose target is asked for, from a CSV or from score runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rbridge.answers.cells import read_number, read_table
from rbridge.answers.fit_file import StoredFit
from rbridge.answers.joined import run_rows
from rbridge.answers.mixtures import JOINS
from rbridge.errors import InputError


@dataclass
class NewRows:
    """New observations of one group, as read."""

    recipes: list[str | None] = field(default_factory=list)
    x: list[list[float]] = field(default_factory=list)
    truths: list[float | None] = field(default_factory=list)
    tokenizers: set[str] = field(default_factory=set)
    num_dropped: int = 0


def read_new_rows(
    source: Path, fit: StoredFit, by: Sequence[str], *, target: str | None
) -> dict[tuple[str, ...], NewRows]:
    """New observations of a CSV or of score runs, by the groups of a fit.

    Args:
        source: CSV with the fit's columns, or a folder of score runs.
        fit: that will predict.
        by: columns that split its groups.
        target: column of the truth, or None; it may be empty for some rows.

    Raises:
        InputError: no such file or column, or a cell that is no finite number.
    """
    if source.is_dir():
        return _read_runs(source, fit, by, target=target)
    columns = fit.features or (str(fit.proxy),)
    cells = read_table(source, [*by, *columns, *([target] if target else [])])
    names = JOINS if fit.kind == "mixture" else ("recipe",)
    key = next((name for name in names if name in cells[0]), None)
    found: dict[tuple[str, ...], NewRows] = {}
    for line, row in enumerate(cells, start=2):
        new = found.setdefault(tuple(row[column] or "" for column in by), NewRows())
        if not all(row[column] for column in columns):
            new.num_dropped += 1
            continue
        truth = row[target] if target else None
        new.x.append([read_number(source, line, column, row[column]) for column in columns])
        new.truths.append(read_number(source, line, str(target), truth) if truth else None)
        new.recipes.append((row[key] or None) if key else None)
        new.tokenizers |= {cell} if (cell := row.get("tokenizer")) else set()
    return found


def _read_runs(
    source: Path, fit: StoredFit, by: Sequence[str], *, target: str | None
) -> dict[tuple[str, ...], NewRows]:
    if fit.proxy is None or target is not None or any(column != "benchmark" for column in by):
        raise InputError(
            f"{source}: score runs go with a fit of one metric, by benchmark or not, and hold no truth; "
            "expected a CSV"
        )
    found: dict[tuple[str, ...], NewRows] = {}
    for row in run_rows(source, fit.proxy):
        new = found.setdefault((str(row["benchmark"]),) if by else (), NewRows())
        mean = row[fit.proxy]
        if mean is None:
            new.num_dropped += 1
            continue
        new.x.append([float(mean)])
        new.truths.append(None)
        new.recipes.append(row["recipe"])
        new.tokenizers.add(str(row["tokenizer"]))
    return found
