"""The one door: an answer and its problem in, a verdict out."""

from __future__ import annotations

from rbridge.benchmarks import Checker, Problem, benchmark_named
from rbridge.grading.code import check_code
from rbridge.grading.latex import check_latex, require_math_verify
from rbridge.grading.letters import check_letter, folded
from rbridge.grading.markup import unwrap
from rbridge.grading.numbers import check_number, read_number
from rbridge.grading.sandbox import require_sandbox
from rbridge.grading.verdict import Verdict


def check_answer(problem: Problem, answer: str, checker: Checker | None = None) -> Verdict:  # noqa: PLR0911 - one return a checker
    """Whether an answer to a problem is right, by its benchmark's checker.

    Blocks until it is decided (code and LaTeX take up to their time limits) and may be called from
    several threads at once.

    Args:
        problem: with its gold answer; a code problem with its tests.
        answer: the writer's final answer: a number, LaTeX, an option's letter or text, or code (a
            function's body, the whole function, or either inside a Markdown fence).
        checker: another one than that of the problem's benchmark.

    Raises:
        MissingExtra: the checker needs a package that is not installed.
        MissingTool: code cannot be run, since there is no sandbox here.
        InputError: the problem has no checker, or not what its checker needs.

    Example:
        >>> check_answer(Problem("gsm8k", "0", "2 + 3?", "2 + 3?", "5"), "$5.00").correct
        True
    """
    checker = checker or checker_of(problem)
    if not answer.strip():
        return Verdict(correct=False, reason="no answer")
    match checker:
        case "number":
            return check_number(problem.answer, answer)
        case "latex":
            return check_latex(problem.answer, answer)
        case "letter":
            return check_letter(problem.answer, problem.choices, answer)
        case "code":
            return check_code(problem, answer)
        case "text":
            return check_text(problem.answer, answer)
        case None:
            return Verdict(None, f"benchmark {problem.benchmark!r} names no checker: rbridge benchmarks add")


def check_text(gold: str, answer: str) -> Verdict:
    """Whether an answer is the gold text, but for case, outer punctuation and the width of spaces."""
    plain = unwrap(answer)
    return Verdict(correct=folded(plain) == folded(gold), reason=f"{plain[:60]!r} against {gold[:60]!r}")


def checker_of(problem: Problem) -> Checker | None:
    """The checker of a problem: its benchmark's; of a benchmark that we do not know, what the problem shows.

    Returns:
        ``letter`` where it has options, ``code`` where it has tests, ``number`` where its gold answer is
        a number, else None: then nothing can be said.
    """
    benchmark = benchmark_named(problem.benchmark)
    if benchmark is not None:
        return benchmark.checker
    if problem.choices is not None:
        return "letter"
    if problem.tests is not None:
        return "code"
    return "number" if read_number(problem.answer) is not None else None


def require_checker(checker: Checker | None) -> None:
    """Make sure that a checker can work here, before anything is paid for answers to it.

    Raises:
        MissingExtra: ``math-verify`` is not installed (latex).
        MissingTool: there is no sandbox (code).
    """
    if checker == "latex":
        require_math_verify()
    elif checker == "code":
        require_sandbox()
