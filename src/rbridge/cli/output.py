"""Printing: tables for people, JSON for machines, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


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
    """A number for a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(value: tuple[float, float] | None, digits: int = 4) -> str:
    """An interval for a table; a dash where there is none."""
    return "–" if value is None else f"[{value[0]:.{digits}f}, {value[1]:.{digits}f}]"


def _escape(cell: str) -> str:
    return cell.replace("[", "\\[")
