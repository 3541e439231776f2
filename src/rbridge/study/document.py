"""YAML with places: what a file says, and on which line it says it."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rbridge.errors import InputError
from rbridge.recipes.read import Place, line_of, parse_yaml

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A YAML file as read.

    Attributes:
        path: the file.
        value: what it says, as plain mappings, lists, texts and numbers.
        lines: the line of every key and list entry, by where it stands.
    """

    path: Path
    value: Mapping[str, Any]
    lines: dict[Place, int]

    def line(self, loc: Sequence[Hashable]) -> int:
        """The line of the nearest known place at or above ``loc``."""
        return line_of(self.lines, tuple(loc))

    def error(self, loc: Sequence[Hashable], message: str) -> InputError:
        """An error that begins with file and line."""
        return InputError(f"{self.path}:{self.line(loc)}: {message}")


def read_yaml(path: Path) -> Document:
    """Read a YAML mapping with the lines of its parts.

    Raises:
        InputError: no such file, not YAML, a key given twice, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; expected a study (docs/studies.md; rbridge study init writes one)"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; expected YAML") from None
    value, lines = parse_yaml(text, path)
    if not isinstance(value, dict):
        raise InputError(
            f"{path}:1: holds a {type(value).__name__}; expected keys with values, such as name: mine"
        )
    for place, line in lines.items():
        if place and not isinstance(place[-1], str | int):
            raise InputError(
                f"{path}:{line}: the key {place[-1]!r} is no text; expected a name (null, yes and no are none in YAML: "
                "quote it)"
            )
    return Document(path, value, lines)


def validated(document: Document, model: type[_Model]) -> _Model:
    """What the document says, as ``model``.

    Raises:
        InputError: the first thing, by line, that is missing, wrong, or not known.
    """
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    # A list with a bad entry is also told to be too short: what is inside it says more.
    inner = [one for one in faults if not any(_inside(other["loc"], one["loc"]) for other in faults)]
    # A misspelt key is also told to be missing.
    unknown = [one for one in inner if one["type"] == "extra_forbidden"]
    line, message = min((_told(document, model, one) for one in unknown or inner), key=lambda one: one[0])
    more = "" if len(inner) == 1 else f" (and {len(inner) - 1} more)"
    raise InputError(f"{document.path}:{line}: {message}{more}")


def _inside(loc: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    return len(loc) > len(other) and tuple(loc[: len(other)]) == tuple(other)


def near(name: object, known: Iterable[str]) -> str:
    """A remedy that names what was probably meant, or all that is known."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(names)}"


# What pydantic says in Python's words.
_EXPECTED = {
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "string_pattern_mismatch": "letters, digits, and any of . _ + - behind the first",
}


def _told(document: Document, model: type[BaseModel], error: Mapping[str, Any]) -> tuple[int, str]:
    """The line of a validation error, and what it says in our words."""
    loc = _in_document(document, error["loc"])
    where = ".".join(str(part) for part in loc) or "the file"
    line = document.line(loc)
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        known = _fields(model, loc[:-1])
        return line, f"unknown key {loc[-1]!r}; {near(loc[-1], known)}"
    if kind == "missing":
        return line, f"{where} is missing: add it"
    if kind == "value_error":
        return line, f"{where}: {message.removeprefix('Value error, ')}"
    expected = _EXPECTED.get(kind, message.removeprefix("Input should be "))
    if kind == "tuple_type" and isinstance(error["input"], str | int):
        expected = f"a list, such as [{error['input']}]"
    return line, f"{where} is {_shown(error['input'])}; expected {expected}"


def _in_document(document: Document, loc: Sequence[str | int]) -> Place:
    """The place in the document: pydantic also names the member of a union, which no file spells."""
    place: Place = ()
    loc = [part for part in loc if part != "[key]"]  # a fault of a name, not of what stands under it
    for index, part in enumerate(loc):
        if (*place, part) in document.lines or index == len(loc) - 1:
            place = (*place, part)
    return place


def _fields(model: type[BaseModel], loc: Sequence[Hashable]) -> set[str]:
    """Names that may stand at a place, those of every model that a union may hold there."""
    models = [model]
    for part in loc:
        holding = [one for one in models if part in one.model_fields]
        if holding:  # else it is a place in a list, or a name that the user gave
            models = [below for one in holding for below in _models(one.model_fields[str(part)].annotation)]
    return {name for one in models for name in one.model_fields}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in getattr(annotation, "__args__", ()) for one in _models(part)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
