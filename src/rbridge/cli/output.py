"""Printing: tables for people, JSON for machines, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

# From here on a figure is shown as a power of ten.
_MANY = 1e9


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; a NaN would be a bug and raises."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_json_lines(documents: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line on stdout."""
    for document in documents:
        print(json.dumps(document, ensure_ascii=False, allow_nan=False))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1
) -> None:
    """A table on stdout; the first ``text_columns`` are left-aligned, the rest are figures."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*[_escape(cell) for cell in row])
    console = Console(file=sys.stdout, highlight=False)
    # A file or pipe has no width: nothing is folded there.
    (console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=200)).print(table)


def say(line: str) -> None:
    """A line of progress or warning on stderr."""
    print(line, file=sys.stderr, flush=True)


def figure(value: float | None, digits: int = 4) -> str:
    """A number for a table; a dash where there is none.

    As many decimals as ``digits``, but as many significant digits where decimals would show a 0 that is none,
    or more digits than anyone reads.
    """
    if value is None:
        return "–"
    fits = value == 0 or 10.0**-digits <= abs(value) < _MANY
    return f"{value:.{digits}f}" if fits else f"{value:.{digits}g}"


def interval(value: tuple[float, float] | None, digits: int = 4) -> str:
    """An interval for a table; a dash where there is none."""
    return "–" if value is None else f"[{figure(value[0], digits)}, {figure(value[1], digits)}]"


def _escape(cell: str) -> str:
    return cell.replace("[", "\\[")
