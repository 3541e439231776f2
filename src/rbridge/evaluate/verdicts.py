"""From a reply to a verdict: cut at the benchmark's stops, the answer read, checked; and its distance to gold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rbridge.benchmarks import Checker, Problem, closing_words, cut_reply, stops_of
from rbridge.grading import check_answer
from rbridge.grading.reading import closing_parts, read_answer
from rbridge.metric.generation import edit_distance
from rbridge.store.evaluations import Reply

NO_ANSWER = "no answer"


def cutter(benchmark: str) -> Callable[[str], tuple[str, bool]]:
    """What says where a reply of this benchmark ends, and whether a stop ended it."""
    stops, (lead, _) = stops_of(benchmark), closing_parts(benchmark)
    return lambda text: cut_reply(text, stops, lead=lead)


def judge(
    replies: Iterable[Reply],
    problems: Mapping[str, Problem],
    checker: Checker | None,
    *,
    last: bool,
    encode: Callable[[str], Sequence[int]] | None,
) -> list[Reply]:
    """Replies with their answers, verdicts and distances, in the same order.

    Args:
        replies: cut.
        problems: by id.
        checker: of the benchmark, that can work here.
        last: the last closing words count, not the first (see ``read_answer``).
        encode: tokens of a text, or None: then there are no distances.
    """

    def one(reply: Reply) -> Reply:
        problem = problems[reply.problem_id]
        found = read_answer(problem, reply.text, checker, last=last)
        distance, longest = _distance(problem, reply.text, encode)
        measured = replace(reply, edit_distance=distance, edit_share=longest)
        if found is None:
            # A problem that no checker can tell stays undecided; else an answer that was not given is wrong.
            return replace(measured, correct=None if checker is None else False, reason=NO_ANSWER)
        verdict = check_answer(problem, found.text, checker)
        return replace(
            measured, answer=found.text, rule=found.rule, correct=verdict.correct, reason=verdict.reason
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # checkers wait for their sandboxes and workers
        return list(pool.map(one, replies))


def gold_text(problem: Problem) -> str:
    """What a reply is held against by token edit distance: the benchmark's own solution, else the answer alone.

    The answer stands in the closing words, as in the worked examples.
    """
    if problem.solution:
        return problem.solution.strip()
    return closing_words(problem.benchmark).replace("{answer}", problem.answer)


def _distance(
    problem: Problem, text: str, encode: Callable[[str], Sequence[int]] | None
) -> tuple[int | None, float | None]:
    if encode is None:
        return None, None
    written, gold = encode(f" {text.strip()}"), encode(f" {gold_text(problem)}")
    distance = edit_distance(written, gold)
    return distance, distance / max(len(written), len(gold))
