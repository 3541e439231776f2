"""Every gold answer must pass its benchmark's checker, and a wrong one made from it must fail:
the number plus one, the next letter, a body of ``return None``.

Command: python3 dev run python bench/check_gold_answers.py [BENCHMARK...]
MMLU-Pro is left out unless it is named: its questions come from the hub alone.
"""

from __future__ import annotations

import re
import string
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from rbridge.benchmarks import BENCHMARKS, Problem, load_problems
from rbridge.grading import check_answer, checker_of


def main() -> int:
    """Print a line a benchmark; 1 where a gold answer did not pass or a wrong one did not fail."""
    names = sys.argv[1:] or [row.name for row in BENCHMARKS if row.olmo is not None]
    print(
        f"{'benchmark':14} {'checker':8} {'problems':>8} {'gold right':>10} {'wrong wrong':>11} {'seconds':>8}"
    )
    return int(not all(list(map(check, names))))


def check(name: str) -> bool:
    """Check one benchmark, print its line and every answer that was told wrongly."""
    problems = load_problems(name).problems
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        golds = list(pool.map(lambda problem: check_answer(problem, problem.answer).correct, problems))
        wrongs = list(
            pool.map(lambda problem: check_answer(problem, wrong_answer(problem)).correct, problems)
        )
    seconds = time.monotonic() - started
    right, wrong = Counter(golds)[True], Counter(wrongs)[False]
    checker = next(row.checker for row in BENCHMARKS if row.name == name)
    print(f"{name:14} {checker:8} {len(problems):8} {right:10} {wrong:11} {seconds:8.1f}", flush=True)
    for problem, gold, other in zip(problems, golds, wrongs, strict=True):
        if gold is not True or other is not False:
            tell(problem)
    return right == wrong == len(problems)


def wrong_answer(problem: Problem) -> str:
    """A wrong answer in the form of the gold one."""
    gold = problem.answer
    match checker_of(problem):
        case "letter":
            return _next_letter(gold, len(problem.choices or ""))
        case "code":
            return "    return None\n"
        case _:
            return _plus_one(gold)


def _plus_one(gold: str) -> str:
    """The first number of the answer plus one; another option or word where it is one of those."""
    option = re.fullmatch(r"\\text\{\((.)\)\}", gold)
    if option:
        return rf"\text{{({_next_letter(option[1], 5)})}}"
    if gold.startswith(r"\text"):
        return r"\text{another}"
    if not re.search(r"\d", gold):
        return f"{gold} + 1"
    return re.sub(r"\d+", lambda match: f"{int(match[0]) + 1:0{len(match[0])}}", gold, count=1)


def _next_letter(letter: str, count: int) -> str:
    letters = string.ascii_uppercase[:count]
    return letters[(letters.index(letter) + 1) % count]


def tell(problem: Problem) -> None:
    """What the checker says of a problem's gold and wrong answer."""
    for answer in (problem.answer, wrong_answer(problem)):
        print(f"  {problem.problem_id}: {answer[:60]!r}: {check_answer(problem, answer)}")


if __name__ == "__main__":
    sys.exit(main())
