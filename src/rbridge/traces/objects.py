"""JSON objects out of files of any usual kind: JSONL, a JSON list, parquet. Each with its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rbridge.errors import InputError

# A place, and the object that stands there or why there is none.
Candidate = tuple[str, dict[str, Any] | ValueError]


def read_objects(paths: Iterable[Path]) -> Iterator[Candidate]:
    """Every object of the files, in order.

    Args:
        paths: ``.parquet`` (a row is an object), else JSON: a list of objects, or one object a line.

    Raises:
        InputError: a file cannot be read at all.
    """
    for path in paths:
        if path.suffix == ".parquet":
            yield from _parquet(path)
        else:
            content = read_content(path)
            yield from _list(path, content) if content.lstrip()[:1] == b"[" else _lines(path, content)


def field(document: Mapping[str, Any], names: Iterable[str], what: str) -> Any:
    """The value under the first of these names that an object has.

    Raises:
        ValueError: it has none of them.
    """
    found = optional(document, names)
    if found is None:
        raise ValueError(
            f"{what}: none of {', '.join(names)}; the object has {', '.join(document) or 'nothing'}"
        )
    return found


def optional(document: Mapping[str, Any], names: Iterable[str]) -> Any:
    """As ``field``, or None."""
    return next((document[name] for name in names if document.get(name) is not None), None)


def text_field(document: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """A text under one of these names.

    Raises:
        ValueError: none there, or no text.
    """
    value = field(document, names, names[0])
    if not isinstance(value, str):
        raise ValueError(f"{names[0]}: expected text, found a {type(value).__name__}")  # noqa: TRY004
    return value


def read_content(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _lines(path: Path, content: bytes) -> Iterator[Candidate]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", _object(line, "of the line")
            except ValueError as error:
                yield f"{path}:{number}", error


def _list(path: Path, content: bytes) -> Iterator[Candidate]:
    try:
        whole = json.loads(content)
    except ValueError:
        whole = None
    if not isinstance(whole, list) or not all(isinstance(document, dict) for document in whole):
        yield from _lines(path, content)  # lines after all, each of which says what is wrong with it
        return
    for index, document in enumerate(whole):
        yield f"{path}[{index}]", document


def _parquet(path: Path) -> Iterator[Candidate]:
    import polars as pl

    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: not a parquet file: {str(error).splitlines()[0]}") from None
    for index, row in enumerate(table.iter_rows(named=True)):
        yield f"{path}[{index}]", row


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start} {where}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos} {where}: {error.msg}") from None
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found a {type(document).__name__}")  # noqa: TRY004
    return document
