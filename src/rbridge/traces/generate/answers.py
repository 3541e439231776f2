"""Whether a trace's answer is right, by the checker of its benchmark, as far as that works here."""

from __future__ import annotations

from collections.abc import Callable

from rbridge.benchmarks import Problem
from rbridge.errors import MissingExtra, MissingTool
from rbridge.grading import check_answer, checker_of, require_checker
from rbridge.traces.generate.bundle import Check


def answer_check(problem: Problem, say: Callable[[str], None]) -> Check | None:
    """The check for a benchmark's answers.

    Args:
        problem: any of the benchmark's.
        say: told where there is no check, and what mends it.

    Returns:
        What takes a problem and an answer and gives whether it is right (None: undecided), or None
        where nothing can be checked now: the traces stay unchecked until a later run can.
    """
    checker = checker_of(problem)
    if checker is None:
        say(f"answers of {problem.benchmark} are not checked: its benchmark names no checker")
        return None
    try:
        require_checker(checker)
    except (MissingExtra, MissingTool) as error:
        say(f"answers are not checked now: {error}; a later run of the same command checks them")
        return None
    return lambda one, answer: check_answer(one, answer, checker).correct
