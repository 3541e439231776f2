"""Take in a benchmark of the user's: its files are read, its gold answers checked, and copies kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rbridge.benchmarks import Benchmark, ProblemSet, own_folder, read_definition, read_jsonl
from rbridge.benchmarks.own import DEFINITION, PROBLEMS
from rbridge.errors import InputError, MissingExtra, MissingTool
from rbridge.grading.check import check_answer, require_checker
from rbridge.store.files import new_folder


@dataclass(frozen=True)
class Added:
    """A benchmark that was taken in.

    Attributes:
        benchmark: its row.
        folder: where its files are kept.
        num_problems: how many problems it has.
        unchecked: why its gold answers could not be checked here, or None: all of them pass.
    """

    benchmark: Benchmark
    folder: Path
    num_problems: int
    unchecked: str | None


def add_benchmark(definition: Path, *, replace: bool = False) -> Added:
    """Take in a benchmark from its TOML file; every command finds it by name from then on.

    Args:
        definition: the TOML file; it names the file of problems.
        replace: whether one of the same name makes way.

    Raises:
        InputError: a file is bad, a gold answer does not pass its own checker, or the name is taken.
    """
    row = read_definition(definition)
    assert row.own is not None
    folder = own_folder(row.name)
    if folder.exists() and not replace:
        raise InputError(f"{folder}: {row.name!r} was added already: --replace takes this one instead")
    problems = read_jsonl(row.own.problems, row.name, row.form)
    unchecked = _check_golds(row, problems)
    content = row.own.problems.read_bytes()
    if folder.exists():
        shutil.rmtree(folder)
    with new_folder(folder) as scratch:
        shutil.copyfile(definition, scratch / DEFINITION)
        (scratch / PROBLEMS).write_bytes(content)
    return Added(row, folder, len(problems.problems), unchecked)


def _check_golds(row: Benchmark, problems: ProblemSet) -> str | None:
    """Why nothing could be checked, or None where every gold answer passes."""
    try:
        require_checker(row.checker)
    except (MissingExtra, MissingTool) as error:
        return str(error)
    for problem in problems.problems:
        verdict = check_answer(problem, problem.answer, row.checker)
        if not verdict.correct:
            raise InputError(
                f"{problems.source}: problem {problem.problem_id}: its gold answer {problem.answer[:60]!r} does not "
                f"pass the checker {row.checker!r} ({verdict.reason}): mend the answer or name another checker"
            )
    return None
