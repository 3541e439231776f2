"""A table that says what each checkpoint is: checkpoint, recipe, seed, size, tokens, step."""

from __future__ import annotations

import csv
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rbridge.errors import InputError
from rbridge.records import Labels

_ADAPTER = TypeAdapter(Labels)


def read_labels(path: Path) -> dict[str, Labels]:
    """Labels by checkpoint name, as it is given to ``rbridge score``.

    Raises:
        InputError: no such file, no column ``checkpoint``, or a cell of the wrong kind.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a CSV with a column 'checkpoint'")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "checkpoint" not in (reader.fieldnames or ()):
            raise InputError(
                f"{path}: no column 'checkpoint'; it has {', '.join(reader.fieldnames or ['nothing'])}"
            )
        return {row["checkpoint"].rstrip("/"): _labels(path, reader.line_num, row) for row in reader}


def _labels(path: Path, line: int, row: dict[str, str]) -> Labels:
    given = {key: row[key] for key in Labels.__dataclass_fields__ if row.get(key)}
    try:
        return _ADAPTER.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}:{line}: {first['loc'][0]}: {first['msg']}") from None
