"""Stops and answers, proven on the canonical solutions: each comes out whole, uncut and right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rbridge.benchmarks import (
    BENCHMARKS,
    STOPS,
    Problem,
    Stops,
    build_prompt,
    closing_words,
    cut_reply,
    load_problems,
    stops_of,
    worked_examples,
)
from rbridge.grading import check_answer, checker_of
from rbridge.grading.reading import closing_parts, read_answer

SHIPPED = [row.name for row in BENCHMARKS]
AT_HAND = [row.name for row in BENCHMARKS if row.olmo is not None]
# Of these not every answer is checked, since its gold form is proven elsewhere; bench/check_stops.py checks all.
EVERY_SO_MANY = {"humaneval": 41, "math500": 10, "mmlu_stem": 20}


def canonical(name: str) -> Iterator[tuple[Problem, str]]:
    """Every problem with its own solution, closed as the worked examples are."""
    for problem in load_problems(name).problems:
        closed = closing_words(name).replace("{answer}", problem.answer)
        solution = problem.solution if problem.solution and problem.tests is None else "So it is."
        yield problem, f" {solution} {closed}"


def shown(name: str) -> Iterator[tuple[Problem, str]]:
    """The worked examples as problems, and what stands behind their questions."""
    for number, one in enumerate(worked_examples(name)):
        problem = Problem(name, str(number), one.question, one.question, one.answer, one.choices)
        yield problem, f" {one.reasoning} {one.closing}"


def run_on(problem: Problem, reply: str) -> str:
    """The reply as a base model goes on behind it: a blank line, and another question of the same form."""
    return f"{reply}\n\n{build_prompt(problem.benchmark, problem.question, problem.choices, 0)} Nothing."


def kept(problem: Problem, text: str, stops: Stops | None = None) -> tuple[str, bool]:
    """What the benchmark's stops leave of a text."""
    name = problem.benchmark
    return cut_reply(text, stops or stops_of(name), lead=closing_parts(name)[0])


@pytest.mark.parametrize("name", SHIPPED)
def test_worked_examples_come_out_right(name: str) -> None:
    """Prompt, stop, reading: the answer is the example's own, by the closing words, and nothing is cut off it."""
    for problem, reply in shown(name):
        text, stopped = kept(problem, run_on(problem, reply))
        assert (text.rstrip("\n"), stopped) == (reply.rstrip("\n"), True)
        found = read_answer(problem, text, checker_of(problem), last=False)
        assert found is not None
        assert (found.text.strip("\n$"), found.rule) == (problem.answer.strip("\n"), "closing")
        if (
            problem.benchmark != "humaneval"
        ):  # the examples have no tests; that their code is right is tested elsewhere
            assert check_answer(problem, found.text).correct


@pytest.mark.parametrize("name", AT_HAND)
def test_canonical_solutions_come_out_right(name: str) -> None:
    """Of every problem the solution is uncut and the answer read; a stop inside of one would fail here."""
    step = EVERY_SO_MANY.get(name, 1)
    for number, (problem, reply) in enumerate(canonical(name)):
        text, stopped = kept(problem, run_on(problem, reply))
        assert text.rstrip("\n") == reply.rstrip("\n"), f"{problem.problem_id}: cut at {text[-40:]!r}"
        assert stopped
        assert not kept(problem, reply)[1], f"{problem.problem_id}: a stop stands inside of its solution"
        found = read_answer(problem, text, checker_of(problem), last=False)
        assert found is not None
        assert found.rule == "closing"
        if number % step == 0:
            verdict = check_answer(problem, found.text)
            assert verdict.correct, f"{problem.problem_id}: {found.text[:60]!r}: {verdict.reason}"


def test_the_proof_can_fail() -> None:
    """A stop that stands inside of canonical solutions is found by the same comparison."""
    hasty = Stops((*STOPS["code"].anywhere, "\n    return"))
    cut = [problem for problem, reply in canonical("humaneval") if kept(problem, reply, hasty)[1]]
    assert len(cut) > 50


BODY = "\n    total = 0\n\n    # sum up\n    if xs:\n        total = sum(xs)\n    return total"


@pytest.mark.parametrize(
    "behind",
    ["\nclass A:\n    pass", "\ndef g(x):\n    return x", "\n# a test", "\nif __name__ == '__main__':\n    f([])",
     "\nprint(f([1]))", "\nassert f([1]) == 1", "\n@cache\ndef g(): ...", "\n\nQuestion: Complete"],
)  # fmt: skip
def test_a_body_ends_where_its_margin_does(behind: str) -> None:
    """HumanEval's stops end a body; the same words inside of it do not."""
    problem = Problem("humaneval", "0", "def f(xs):\n", "", "")
    for lead in (" We sum. The answer is:", ""):  # with worked examples, and without
        text, stopped = kept(problem, f"{lead}{BODY}{behind}")
        assert (text.rstrip("\n"), stopped) == (f"{lead}{BODY}", True)


def test_a_whole_function_and_reasoning_are_not_taken_for_a_body() -> None:
    """Lines at the margin before a body has begun, or of a whole function, stop nothing."""
    problem = Problem("humaneval", "0", "def f(xs):\n", "", "")
    for reply in (
        " First:\n# look\nif so, we sum. The answer is:\n    return sum(xs)",
        " The answer is:\ndef f(xs):\n    return g(xs)\n\ndef g(xs):\n    return sum(xs)",
        " The answer is:\n```python\ndef f(xs):\n    return sum(xs)\n```",
    ):
        assert kept(problem, reply) == (reply, False)


NUMBER = Problem("gsm8k", "0", "?", "?", "72")
LETTER = Problem("csqa", "0", "?", "?", "B", ("ink", "tea", "sea"))
LATEX = Problem("math500", "0", "?", "?", r"\frac{1}{2}")


@pytest.mark.parametrize(
    ("problem", "reply", "answer", "rule"),
    [
        (NUMBER, " So 72. The answer is $72.", "$72", "closing"),
        (NUMBER, " so the answer is: 72 apples.\nMore 5", "72 apples", "closing"),
        (NUMBER, r" Then \boxed{72} remain of 99.", "72", "box"),
        (NUMBER, " 48/2 = 24 ...\n#### 72", "72", "mark"),
        (NUMBER, " It makes 70 + 2 = 72", "72", "last number"),
        (NUMBER, " I cannot tell.", None, None),
        (LETTER, " Tea is hot. The answer is B.", "B", "closing"),
        (LETTER, " B. tea", "B. tea", "whole reply"),
        (LETTER, " Tea is what one drinks, they say.", None, None),
        (LATEX, r" So it is. The answer is $\frac{1}{2}$.", r"$\frac{1}{2}$", "closing"),
        (LATEX, r" So it is $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}", "box"),
    ],
)
def test_where_an_answer_is_read(problem: Problem, reply: str, answer: str | None, rule: str | None) -> None:
    """By hand; and what is read of the right ones is right."""
    found = read_answer(problem, reply, checker_of(problem), last=False)
    assert (None if found is None else (found.text, found.rule)) == (
        None if answer is None else (answer, rule)
    )
    if found is not None:
        assert check_answer(problem, found.text).correct


def test_the_first_answer_of_a_base_model_and_the_last_of_a_chat() -> None:
    """A base model runs on behind its answer, a chat model corrects itself before it ends."""
    reply = " The answer is 5. No: the answer is 72."
    first, last = (read_answer(NUMBER, reply, "number", last=last) for last in (False, True))
    assert first is not None
    assert last is not None
    assert (first.text, last.text) == ("5", "72")
