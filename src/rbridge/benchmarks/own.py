"""The user's own benchmarks: a few lines of TOML and a JSONL file of problems, kept in one folder.

``$RBRIDGE_HOME/benchmarks/NAME/`` holds ``benchmark.toml`` and ``problems.jsonl``; RBRIDGE_HOME is ``~/.rbridge``
where it is not set. ``rbridge.grading.admit`` puts them there, every command finds them by name.
"""

from __future__ import annotations

import os
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rbridge.benchmarks.catalogue import BENCHMARKS, CLOSING, Benchmark, Checker, Form, OwnSource
from rbridge.benchmarks.problems import Example, option_letter, worked_example
from rbridge.errors import InputError

DEFINITION = "benchmark.toml"
PROBLEMS = "problems.jsonl"

_NAME = r"^[a-z0-9][a-z0-9_-]*$"
_CHECKERS: dict[Form, tuple[Checker, ...]] = {
    "free": ("number", "latex", "text"),
    "choices": ("letter",),
    "code": ("code",),
}
_Text = Annotated[str, Field(min_length=1)]


class _Example(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: _Text
    reasoning: _Text
    answer: _Text
    choices: Annotated[list[str], Field(min_length=2, max_length=26)] | None = None


class _Definition(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=_NAME)]
    title: _Text
    task: _Text
    form: Form
    checker: Checker
    licence: _Text
    problems: _Text
    closing: _Text = CLOSING
    example: list[_Example] = []


def home() -> Path:
    """The folder of what the user added."""
    return Path(os.environ.get("RBRIDGE_HOME") or Path.home() / ".rbridge")


def own_folder(name: str) -> Path:
    """Where a benchmark of the user's is kept, or would be."""
    return home() / "benchmarks" / name


def own_benchmark(name: str) -> Benchmark | None:
    """The user's benchmark of that name, or None where none was added.

    Raises:
        InputError: its files were spoiled since.
    """
    if not re.match(_NAME, name):
        return None
    folder = own_folder(name)
    try:
        status = (folder / DEFINITION).stat()
    except FileNotFoundError:
        return None
    return _kept(folder, status.st_mtime_ns, status.st_size)


def own_benchmarks() -> tuple[Benchmark, ...]:
    """All that the user added, by name."""
    names = sorted(path.parent.name for path in (home() / "benchmarks").glob(f"*/{DEFINITION}"))
    return tuple(row for row in map(own_benchmark, names) if row is not None)


# The file's time and size are part of the key: an edited file is read anew.
@lru_cache(maxsize=32)
def _kept(folder: Path, _mtime_ns: int, _size: int) -> Benchmark:
    row = read_definition(folder / DEFINITION, folder / PROBLEMS)
    if row.name != folder.name:
        raise InputError(
            f"{folder / DEFINITION}: name is {row.name!r}, expected {folder.name!r} as its folder"
        )
    return row


def read_definition(path: Path, problems: Path | None = None) -> Benchmark:
    """A benchmark from a user's TOML file.

    Args:
        path: the file.
        problems: its problems; where the TOML says, relative to its own folder, if left out.

    Raises:
        InputError: the file cannot be read, or says something that cannot be; the place is named.
    """
    text = _read_text(path)
    try:
        said = _Definition.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: no TOML ({error}); {_EXPECTED}") from error
    except ValidationError as error:
        raise InputError(_first_fault(path, text, error)) from error
    _check(said, path, text)
    examples = tuple(
        _example(entry, said, f"{path}{_example_line(text, place)}: example {place + 1}")
        for place, entry in enumerate(said.example)
    )
    source = OwnSource(problems or path.parent / said.problems, examples, said.closing)
    return Benchmark(said.name, said.title, said.task, said.form, said.checker, said.licence, own=source)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}, expected a TOML file that defines a benchmark"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error}); {_EXPECTED}") from error


_EXPECTED = (
    "expected name, title, task, form, checker, licence, problems, and optionally closing and [[example]] "
    "(docs/formats.md)"
)


def _first_fault(path: Path, text: str, error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    field, found = fault["loc"], fault["input"]
    if field[0] == "example" and len(field) > 1:
        place = f"{path}{_example_line(text, int(field[1]))}: example {int(field[1]) + 1}"
    else:
        place = f"{path}{_line(text, str(field[0]))}"
    shown = f" (found {found!r})" if isinstance(found, str | int | float) else ""
    return f"{place}: field {str(field[-1])!r}: {fault['msg']}{shown}; {_EXPECTED}"


def _check(said: _Definition, path: Path, text: str) -> None:
    """What the fields must be to each other, and to the benchmarks that ship."""
    if any(benchmark.name == said.name for benchmark in BENCHMARKS):
        raise InputError(
            f"{path}{_line(text, 'name')}: {said.name!r} is a benchmark that ships: take another name"
        )
    if said.checker not in _CHECKERS[said.form]:
        raise InputError(
            f"{path}{_line(text, 'checker')}: form {said.form!r} cannot be checked by {said.checker!r}, "
            f"expected checker {' or '.join(_CHECKERS[said.form])}"
        )
    if "{answer}" not in said.closing:
        raise InputError(
            f"{path}{_line(text, 'closing')}: closing is {said.closing!r}, expected {{answer}} somewhere in it"
        )


def _line(text: str, field: str) -> str:
    """``:17`` where a field stands in line 17 of the file."""
    match = re.search(rf"^\s*{re.escape(field)}\s*=", text, re.MULTILINE)
    return "" if match is None else f":{text.count(chr(10), 0, match.end()) + 1}"


def _example_line(text: str, place: int) -> str:
    """The same for the example at a place, from 0."""
    starts = [match.end() for match in re.finditer(r"^\s*\[\[example\]\]", text, re.MULTILINE)]
    return f":{text.count(chr(10), 0, starts[place]) + 1}" if place < len(starts) else ""


def _example(entry: _Example, said: _Definition, place: str) -> Example:
    if (entry.choices is None) != (said.form != "choices"):
        raise InputError(
            f"{place}: form {said.form!r} {'needs' if entry.choices is None else 'has no'} choices: "
            f"{'add' if entry.choices is None else 'take out'} the field"
        )
    letters = [option_letter(at) for at in range(len(entry.choices or ()))]
    if letters and entry.answer not in letters:
        raise InputError(f"{place}: answer is {entry.answer!r}, expected a letter, A to {letters[-1]}")
    return worked_example(said.closing, **entry.model_dump())
