"""What each checkpoint is, told from outside: a CSV, a tracker's export, or a JSON manifest.

Columns or keys: checkpoint, and any of recipe, seed, size, parameters, tokens, step, flops, schedule,
learning_rate. Where a file calls them otherwise, ``columns`` says how.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rbridge.errors import InputError
from rbridge.records import Labels

_ADAPTER = TypeAdapter(Labels)
_KEY = "checkpoint"
_NAMES = (_KEY, *Labels.__dataclass_fields__)


def read_labels(path: Path, columns: Mapping[str, str] | None = None) -> dict[str, Labels]:
    """Labels by checkpoint name, as it is given to ``rbridge score``.

    Args:
        path: ``.json``: a list of objects with ``checkpoint``, or one object from checkpoint to its
            labels; else CSV.
        columns: our name of a column to the file's, such as ``{"checkpoint": "Name", "recipe": "data_mix"}``.

    Raises:
        InputError: no such file, no checkpoint column, a checkpoint twice, or a value of the wrong kind.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a CSV with a column 'checkpoint', or JSON")
    called = dict(columns or {})
    rows = _json_rows(path) if path.suffix == ".json" else _csv_rows(path)
    found: dict[str, Labels] = {}
    for place, row in rows:
        _refuse_absent(place, row, called)
        name = str(row[called.get(_KEY, _KEY)]).rstrip("/")
        if name in found:
            raise InputError(f"{place}: checkpoint {name} comes twice; expected one row each")
        found[name] = _labels(place, row, called)
    return found


def parse_columns(pairs: Sequence[str]) -> dict[str, str]:
    """``recipe=data_mix`` pairs as a mapping.

    >>> parse_columns(["checkpoint=Name", "tokens=Tokens seen"])
    {'checkpoint': 'Name', 'tokens': 'Tokens seen'}

    Raises:
        InputError: no such pair, or a name that is no label.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or ours not in _NAMES:
            raise InputError(f"{pair!r}: expected LABEL=COLUMN, with LABEL one of {', '.join(_NAMES)}")
        found[ours] = theirs
    return found


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not reader.fieldnames:
            raise InputError(f"{path}: empty; expected a CSV with a column 'checkpoint'")
        for row in reader:
            yield f"{path}:{reader.line_num}", row


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error})") from None
    if isinstance(document, dict) and all(isinstance(labels, dict) for labels in document.values()):
        document = [{_KEY: name, **labels} for name, labels in document.items()]
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise InputError(f"{path}: expected a list of objects, each a checkpoint and its labels")
    for number, row in enumerate(document, start=1):
        yield f"{path}: entry {number}", row


def _refuse_absent(place: str, row: Mapping[str, Any], called: Mapping[str, str]) -> None:
    for ours in {_KEY: _KEY, **called}:
        if called.get(ours, ours) not in row:
            raise InputError(
                f"{place}: no column {called.get(ours, ours)!r}; it has {', '.join(map(str, row)) or 'nothing'} "
                "(--columns checkpoint=... says what the file calls it)"
            )


def _labels(place: str, row: Mapping[str, Any], called: Mapping[str, str]) -> Labels:
    given = {ours: row.get(called.get(ours, ours)) for ours in Labels.__dataclass_fields__}
    try:
        return _ADAPTER.validate_python(
            {key: value for key, value in given.items() if value not in (None, "")}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{place}: {first['loc'][0]}: {first['msg']}") from None
