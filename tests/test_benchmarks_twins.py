"""Twins: other numbers, and an answer that a reader of the new question would come to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.benchmarks import NoTwin, Problem, load_problems, make_twins, twin
from rbridge.benchmarks.calculation import evaluate, read_steps
from rbridge.grading import check_answer
from tests.commands import rbridge

GSM8K = load_problems("gsm8k").by_id

# What the question asks, written down by a reader of it: a function of its numbers in digits, in their order.
READ: dict[str, Callable[..., float]] = {
    "42": lambda pies, pieces, left: pies * pieces - left,
    "251": lambda had, deleted, more: had - deleted + more,
    "300": lambda sunday, monday: 2 * (sunday + monday),
    "663": lambda total, a, c: total - a - c,
    "108": lambda more, dropped, now: (now + dropped - more) / 2,
    "329": lambda had, another, gives: had + another - gives,
    "679": lambda potatoes, browns, many: many / potatoes * browns,
    "817": lambda needs, chocolate, toffee: needs - chocolate - toffee,
    "222": lambda geraniums, fewer: 2 * geraniums - fewer,
    "1092": lambda last: 4 * last,
    "1142": lambda green, total: total - 3 * green,
    "64": lambda miles, gallons, tank: miles / gallons * tank,
}


def digits(text: str) -> list[float]:
    """The numbers of a text that are written in digits."""
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


@pytest.mark.parametrize("problem_id", READ)
def test_a_twins_answer_is_what_its_question_asks(problem_id: str) -> None:
    """By a formula read off the question, which also gives the original's answer."""
    problem, formula = GSM8K[problem_id], READ[problem_id]
    assert formula(*digits(problem.question)) == float(problem.answer)
    made = [twin(problem, np.random.default_rng(seed)) for seed in range(5)]
    assert all(isinstance(one, Problem) for one in made)
    for one in made:
        assert formula(*digits(one.question)) == float(one.answer)
        assert one.question != problem.question
        assert re.sub(r"[\d,.]+", "#", one.question) == re.sub(r"[\d,.]+", "#", problem.question)


def test_marks_of_twins_hold() -> None:
    """Recomputed by Python's own arithmetic; whole and positive where the original's were; other answers."""
    made, missing = make_twins(list(GSM8K.values())[:40], seed=0)
    assert len(made) + len(missing) == 40
    assert len(made) >= 8
    for one in made:
        original = GSM8K[one.twin_of or ""]
        assert one.problem_id == f"{original.problem_id}-twin1"
        marks = re.findall(r"<<(.*?)=(.*?)>>", one.solution or "")
        before = [result for _, result in re.findall(r"<<(.*?)=(.*?)>>", original.solution or "")]
        for (expression, result), old in zip(marks, before, strict=True):
            assert eval(expression) == pytest.approx(float(result), rel=1e-12)
            assert float(result) > 0 or float(old) <= 0
            assert float(result).is_integer() or not float(old).is_integer()
        assert marks[-1][1] == one.answer != original.answer
        assert check_answer(one, one.answer).correct is True
        assert check_answer(one, original.answer).correct is False


def made_up(question: str, solution: str) -> Problem:
    """A problem in GSM8K's form."""
    answer = solution.rpartition("#### ")[2]
    return Problem("gsm8k", "x", question, question, answer, solution=solution)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (made_up("He has 12 eggs.", "12 eggs\n#### 12"), "no calculation is marked"),
        (made_up("He has 12 and 5.", "<<12+5=18>>18\n#### 18"), "a calculation does not hold: 12+5=18"),
        (made_up("He has 12, 5.", "<<12+5=17>>17\n#### 16"), "the last calculation is not the answer: 17 against 16"),
        (made_up("He has 12 and 5.", "<<12+30=42>>42\n#### 42"), "a number comes from nowhere: 30"),
        (made_up("Of 1/2 and 1/4.", "<<1/2+1/4=.75>>.75\n#### 0.75"), "no number of the question may be changed"),
        # The 3 counts the tests: with another 3, the sum would have another number of terms.
        (made_up("Average of 3 tests: 50, 60 and 100?", "<<50+60+100=210>>210 <<210/3=70>>70\n#### 70"), None),
    ],
)  # fmt: skip
def test_without_a_certain_way_there_is_no_twin(problem: Problem, reason: str | None) -> None:
    """Each with its reason; a number that may count things keeps its value."""
    made = [twin(problem, np.random.default_rng(seed)) for seed in range(20)]
    if reason is None:
        found = [one for one in made if isinstance(one, Problem)]
        assert found
        assert all("of 3 tests" in one.question for one in found)
    else:
        assert {one.reason for one in made if isinstance(one, NoTwin)} == {reason}


def test_where_two_ways_lead_to_a_number_a_twin_keeps_both() -> None:
    """Is the 6 the price, or 10 - 4? Only numbers for which it does not matter are taken."""
    problem = made_up(
        "Ann has 10 pens and gives 4 away. A box costs $6. What do 37 boxes of pens cost?",
        "<<37*6=222>>222\n#### 222",
    )
    made = [twin(problem, np.random.default_rng(seed)) for seed in range(8)]
    assert any(isinstance(one, Problem) for one in made)
    for one in made:
        if isinstance(one, Problem):
            ten, four, six, boxes = digits(one.question)
            assert six == ten - four
            assert boxes != 37


def test_the_same_seed_makes_the_same_twins_and_another_makes_others() -> None:
    """And a problem's twin does not depend on the problems beside it."""
    problems = [GSM8K[name] for name in READ]
    first, _ = make_twins(problems, seed=0)
    assert make_twins(problems, seed=0)[0] == first
    assert make_twins(problems[3:], seed=0)[0] == first[3:]
    other, _ = make_twins(problems, seed=1)
    assert sum(a.question != b.question for a, b in zip(first, other, strict=True)) >= len(problems) - 2


@given(st.recursive(
    st.integers(0, 99).map(str) | st.sampled_from(["0.5", ".25", "12.75"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
    max_leaves=8,
))  # fmt: skip
def test_calculations_are_exact(expression: str) -> None:
    """Against Python's own evaluation over fractions."""
    exact = re.sub(r"\d*\.\d+|\d+", lambda match: f"Fraction('{match[0]}')", expression)
    try:
        expected = eval(exact)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            evaluate(expression)
    else:
        assert evaluate(expression) == expected == Fraction(expected)


@pytest.mark.parametrize(
    "expression", ["2**(9**9)", "f(1)", "x", "1;2", "", "__import__('os')", "1 if 2 else 3"]
)
def test_what_is_no_calculation_is_refused(expression: str) -> None:
    """Text from a file is never run as code."""
    assert (
        read_steps(f"<<{expression or ' '}=1>>")
        == f"a calculation cannot be evaluated: {expression or ' '}=1"
    )


def test_the_command_writes_problems_that_are_read_as_questions(tmp_path, capsys) -> None:
    """The file serves as a source of questions, and its counts add up."""
    source = tmp_path / "some.jsonl"
    some = [GSM8K[name] for name in ("42", "251", "0")]
    source.write_text("".join(
        json.dumps({name: getattr(p, name) for name in ("problem_id", "question", "answer", "solution")}) + "\n"
        for p in some
    ))  # fmt: skip
    out = tmp_path / "twins.jsonl"
    result = rbridge(capsys, "benchmarks", "twins", "gsm8k", "--questions", source, "-o", out, "--each", 2)
    assert result.status == 0
    read = load_problems("gsm8k", str(out)).by_id
    assert {"42-twin1", "42-twin2", "251-twin1", "251-twin2"} <= set(read)
    assert read["42-twin1"].twin_of == "42"
    assert read["42-twin1"].question != read["42-twin2"].question
    assert result.err == f"{out}: {len(read)} twins\n"
    assert [line.split()[-1] for line in result.out.splitlines()[2:]] == ["2", "1"]
    refused = rbridge(capsys, "benchmarks", "twins", "csqa", "-o", out)
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "csqa: none of its 1221 problems has a twin, mostly since no calculation is marked" in refused.err
