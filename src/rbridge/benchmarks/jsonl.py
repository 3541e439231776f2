"""Questions in a file of the user's: one JSON object a line, strictly read; and such a file's lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rbridge.benchmarks.catalogue import Form
from rbridge.benchmarks.lookup import benchmark_named, form_of
from rbridge.benchmarks.problems import Problem, ProblemSet, option_letter, shows_options, strip_wrapper, wrap
from rbridge.errors import InputError


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# An id or answer that was written as a whole number means its digits.
_Text = Annotated[str, BeforeValidator(_number_as_text), Field(min_length=1)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    benchmark: Annotated[str, Field(min_length=1)] | None = None
    problem_id: _Text
    question: Annotated[str, Field(min_length=1)]
    answer: _Text
    choices: Annotated[list[str], Field(min_length=2, max_length=26)] | None = None
    solution: str | None = None
    tests: str | None = None
    entry_point: str | None = None
    twin_of: str | None = None


def read_jsonl(path: Path, benchmark: str, form: Form | None = None) -> ProblemSet:
    """The problems of a benchmark in a file; lines that name no benchmark belong to the one asked for.

    Args:
        path: one object a line: ``problem_id``, ``question``, ``answer``, optionally ``choices`` and
            ``benchmark``, and optionally ``solution``, ``tests``, ``entry_point``, ``twin_of``.
        benchmark: any name, also one that we do not know.
        form: how it is asked; as its name tells if left out.

    Raises:
        InputError: the file is missing, a line is bad (its place is named), a problem is repeated,
            or none belongs to the benchmark.
    """
    try:
        status = path.stat()
        return _read_file(path, status.st_mtime_ns, status.st_size, benchmark, form or form_of(benchmark))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected a .jsonl file of questions") from error


# The file's time and size are part of the key: an edited file is read anew.
@lru_cache(maxsize=32)
def _read_file(path: Path, _mtime_ns: int, _size: int, benchmark: str, form: Form) -> ProblemSet:
    problems: dict[str, Problem] = {}
    first_seen: dict[str, int] = {}
    for number, text in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not text.strip():
            continue
        line = _parse(text, f"{path}:{number}")
        if line.benchmark not in (None, benchmark):
            continue
        problem = _problem(line, benchmark, form, f"{path}:{number}")
        if problem.problem_id in problems:
            raise InputError(
                f"{path}:{number} ({benchmark}/{problem.problem_id}): problem_id stands already in line "
                f"{first_seen[problem.problem_id]}: give each problem one line"
            )
        problems[problem.problem_id] = problem
        first_seen[problem.problem_id] = number
    if not problems:
        raise InputError(f"{path}: no question of {benchmark!r}, expected lines of that benchmark or of none")
    return ProblemSet(benchmark, str(path), tuple(problems.values()))


def _parse(text: bytes, place: str) -> _Line:
    try:
        return _Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"field {field!r}: " if field else ""
        raise InputError(
            f"{place}: {where}{first['msg']}; expected an object with problem_id, question, answer and "
            f"optionally {', '.join(sorted(_OPTIONAL))}"
        ) from error


_OPTIONAL = {name for name, field in _Line.model_fields.items() if not field.is_required()}


def _problem(line: _Line, benchmark: str, form: Form, place: str) -> Problem:
    row = benchmark_named(benchmark)
    choices = None if line.choices is None else tuple(line.choices)
    question, stored = line.question, line.question
    if form == "choices":
        question = strip_wrapper(line.question)
        if choices is None and not shows_options(question):
            raise InputError(
                f"{place}: no options: add choices, or list them in the question as lines A. to Z."
            )
    if choices is not None:
        letters = [option_letter(position) for position in range(len(choices))]
        if line.answer not in letters:
            raise InputError(
                f"{place}: answer is {line.answer!r}, expected the letter of an option, A to {letters[-1]}"
            )
    if row is not None and row.wrapped:
        stored = wrap(question)  # as the reference files store it, so that hashes agree
    return Problem(
        benchmark, line.problem_id, question, stored, line.answer, choices,
        solution=line.solution, tests=line.tests, entry_point=line.entry_point,
        twin_of=line.twin_of,
    )  # fmt: skip


def problem_lines(problems: Iterable[Problem]) -> Iterator[str]:
    """Problems as such a file has them, one line each."""
    for problem in problems:
        fields = dataclasses.asdict(problem)
        kept = {name: fields[name] for name in _Line.model_fields if fields[name] is not None}
        yield json.dumps(kept, ensure_ascii=False) + "\n"
