"""The header of a user's CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from rbridge.errors import InputError


def refuse_repeated_columns(path: Path) -> None:
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
