"""Every canonical solution through prompt, stop, reading and checker: uncut, read, right.

Command: python3 dev run python bench/check_stops.py [BENCHMARK...]
MMLU-Pro is left out unless it is named: its questions come from the hub alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from rbridge.benchmarks import (
    BENCHMARKS,
    Problem,
    build_prompt,
    closing_words,
    cut_reply,
    load_problems,
    stops_of,
)
from rbridge.grading import check_answer, checker_of
from rbridge.grading.reading import closing_parts, read_answer


def main() -> int:
    """Print a line a benchmark; 1 where a solution was cut or did not come out right."""
    names = sys.argv[1:] or [row.name for row in BENCHMARKS if row.olmo is not None]
    print(f"{'benchmark':14} {'problems':>8} {'uncut':>6} {'right':>6} {'seconds':>8}")
    return int(not all(list(map(check, names))))


def check(name: str) -> bool:
    """Check one benchmark, print its line and every solution that failed."""
    started = time.monotonic()
    cases = list(canonical(name))
    cuts = [cut_reply(text, stops_of(name), lead=closing_parts(name)[0])[0] for _, _, text in cases]
    uncut = [cut.rstrip("\n") == reply.rstrip("\n") for cut, (_, reply, _) in zip(cuts, cases, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        right = list(pool.map(lambda case, cut: is_right(case[0], cut), cases, cuts))
    seconds = time.monotonic() - started
    print(f"{name:14} {len(cases):8} {sum(uncut):6} {sum(right):6} {seconds:8.1f}", flush=True)
    for (problem, *_), whole, good in zip(cases, uncut, right, strict=True):
        if not (whole and good):
            print(f"  {problem.problem_id}: uncut {whole}, right {good}")
    return all(uncut) and all(right)


def canonical(name: str) -> Iterator[tuple[Problem, str, str]]:
    """Each problem, its solution with the closing words, and the same running on into another question."""
    for problem in load_problems(name).problems:
        closed = closing_words(name).replace("{answer}", problem.answer)
        solution = problem.solution if problem.solution and problem.tests is None else "So it is."
        reply = f" {solution} {closed}"
        yield problem, reply, f"{reply}\n\n{build_prompt(name, problem.question, problem.choices, 0)}"


def is_right(problem: Problem, reply: str) -> bool:
    """Whether the answer is read by the closing words and passes."""
    found = read_answer(problem, reply, checker_of(problem), last=False)
    return found is not None and found.rule == "closing" and check_answer(problem, found.text).correct is True


if __name__ == "__main__":
    sys.exit(main())
