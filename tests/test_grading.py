"""Whether an answer is right: numbers, letters, LaTeX, words; code has a file of its own."""

from __future__ import annotations

import importlib.util
import threading
import time
from fractions import Fraction

import pytest
from bench.check_gold_answers import wrong_answer
from hypothesis import given
from hypothesis import strategies as st

from rbridge.benchmarks import BENCHMARKS, Problem, load_problems
from rbridge.errors import MissingExtra
from rbridge.grading import check_answer, checker_of, require_checker
from rbridge.grading.latex import check_latex
from rbridge.grading.letters import check_letter
from rbridge.grading.numbers import read_number
from rbridge.traces.named import open_bundle


@pytest.mark.parametrize("benchmark", ["gsm8k", "arc_challenge", "csqa", "mmlu_stem"])
def test_every_gold_answer_passes_and_every_wrong_one_fails(benchmark: str) -> None:
    """Hundreds of each; all of them in bench/check_gold_answers.py."""
    problems = load_problems(benchmark).problems[::5]
    assert [check_answer(problem, problem.answer).correct for problem in problems] == [True] * len(problems)
    assert [check_answer(problem, wrong_answer(problem)).correct for problem in problems] == [False] * len(
        problems
    )


# Every twentieth of MATH500, and the kinds of answer that math-verify alone does not tell apart.
MATH = [
    problem
    for place, problem in enumerate(load_problems("math500").problems)
    if place % 20 == 0 or "_" in problem.answer or r"\text" in problem.answer
]


def test_gold_latex_passes_and_wrong_latex_fails() -> None:
    """Dozens of MATH500's answers; all 500 in bench/check_gold_answers.py."""
    assert len(MATH) >= 40
    told = [
        (p.answer, check_answer(p, p.answer).correct, check_answer(p, wrong_answer(p)).correct) for p in MATH
    ]
    assert told == [(problem.answer, True, False) for problem in MATH]


@pytest.mark.parametrize("wrapped", ["{}.", r"\boxed{{{}}}", "${}$", r"So the answer is $\boxed{{{}}}$."])
def test_gold_latex_passes_in_any_wrapping(wrapped: str) -> None:
    """In a box, in dollars, in a sentence: here not by the equality of texts."""
    golds = [r"\frac{14}{3}", r"3\sqrt{13}", r"\left( 3, \frac{\pi}{2} \right)", "6 - 5i", r"(3,4]", "-50"]
    assert [gold for gold in golds if not check_latex(gold, wrapped.format(gold)).correct] == []


def test_recorded_verdicts_of_the_starter_traces_are_found_again() -> None:
    """360 answers that were checked when the bundle was made, by other means than these checkers."""
    traces = [trace for trace in open_bundle("starter").traces if trace.key.benchmark != "humaneval"]
    problems = {name: load_problems(name).by_id for name in {trace.key.benchmark for trace in traces}}
    assert len(traces) == 360
    for trace in traces:
        problem = problems[trace.key.benchmark][trace.key.problem_id]
        assert check_answer(problem, trace.answer or "").correct is trace.correct, trace.key


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("26", 26), ("26.0", 26), ("$26", 26), ("26.", 26), ("26 apples", 26), ("**26**", 26), ("−5", -5), ("-$5", -5),
        ("1,319", 1319), ("$1,319.50", Fraction(2639, 2)), (r"\$32,\!348", 32348), ("#### 1,000", 1000), ("26%", 26),
        ("-3/4", Fraction(-3, 4)), (r"\frac{1}{2}", Fraction(1, 2)), ("2½", Fraction(5, 2)), ("1 1/2", Fraction(3, 2)),
        (".5", Fraction(1, 2)), ("1e3", 1000), ("x = 26", 26), ("5 + 21 = 26", 26), ("The answer is 26.", 26),
        ("She has 3 cats. Answer: 26", 26), (r"\boxed{26}", 26), ("26 dollars (26)", 26),
    ],
)  # fmt: skip
def test_a_number_is_read_as_it_is_meant(text: str, value: Fraction) -> None:
    """Currency, separators, fractions, signs and the words around a number."""
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "2-3",
        "10:30",
        "1,3",
        "1,000,00",
        "1.2.3",
        "3/0",
        "5 or 26",
        "x = 5 or x = 26",
        "CO2",
        "1e999999999",
    ],
)
def test_what_is_not_one_number_is_undecided(text: str) -> None:
    """Ranges, times, two answers, broken separators, and numbers too large to hold."""
    assert read_number(text) is None
    assert check_answer(Problem("gsm8k", "0", "Q", "Q", "26"), text or "?").correct is None


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_any_way_of_writing_a_number_is_the_same_number(value: int, zeros: int) -> None:
    """With separators, decimals of nought, a unit, a currency; and the next number is another."""
    problem = Problem("gsm8k", "0", "Q", "Q", str(value))
    texts = [
        f"{value:,}",
        f"{value}.{'0' * zeros}",
        f"{value} miles",
        f"${value:,}".replace("$-", "-$"),
        f"{2 * value}/2",
    ]
    assert [check_answer(problem, text).correct for text in texts] == [True] * 5
    assert check_answer(problem, f"{value + 1:,}").correct is False


CHOICES = ("frozen", "boiling", "salty", "boiling", "A. elegans", "C")


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ("C", True), ("(C)", True), ("C.", True), ("c", True), ("C) salty", True), ("(C) since it is", True),
        ("**C**", True), (r"\boxed{\text{(C)}}", True), ("The answer is C", True), ("Answer: (C)", True),
        ("Option C: salty", True), ("salty", True), (" Salty. ", True),
        ("B", False), ("frozen", False), ("A. elegans", False), ("G", False), ("B) boiling", False),
        ("boiling", None), ("C: frozen", None), ("A dog", None), ("A and C", None), ("sweet", None),
    ],
)  # fmt: skip
def test_an_option_is_named_by_letter_or_text(answer: str, correct: bool | None) -> None:
    """Text where it is unique; a letter with another option's text, or two options, is undecided."""
    assert check_letter("C", CHOICES, answer).correct is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        (r"\frac{14}{3}", "14/3", True), (r"\frac{14}{3}", r"4\frac{2}{3}", True), (r"\frac{14}{3}", "4.67", False),
        ("p - q", "-q + p", True), ("p - q", "q - p", False), ("x=5", "5", True), (r"10,\!080", "10,080", True),
        (r"\$18.90", "$18.9", True), (r"90^\circ", "90 degrees", True), ("1,-2", "-2, 1", True), ("1,-2", "1", False),
        (r"x \in [-2,7]", "[-2,7]", True), ("(3,4]", "[3,4]", False), ("(15,-29)", "(-29,15)", False),
        (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}", True), (r"137 \frac{1}{2}", "137.5", True),
        ("6r^2-4r-24", "2(3r^2-2r-12)", True), ("52_8", "52", True), ("52_8", "52_{8}", True), ("52_8", "52_9", False),
        (".0000672", r"6.72 \times 10^{-5}", True), (".0000672", ".0000673", False), (r"\pi", "3.14159", False),
        (r"\text{east}", "East", True), (r"\text{east}", "seat", False), (r"\text{(C)}", "C", True),
        ("5", "5 or 6", None), ("3", "3 apples and 4 pears", None), ("3", "I think three", None), ("3", "?", False),
    ],
)  # fmt: skip
def test_latex_is_compared_as_mathematics(gold: str, answer: str, correct: bool | None) -> None:
    """Equal values in other forms pass; other values, orders and bases fail; words and hedges are undecided."""
    assert check_latex(gold, answer).correct is correct


def test_an_answer_is_never_run_as_code(tmp_path) -> None:
    """Although sympy can evaluate Python: nothing of an answer reaches that."""
    mark = tmp_path / "ran"
    for answer in (
        f"__import__('os').system('touch {mark}')",
        f"3 + __import__('os').system('touch {mark}')",
    ):
        for wrapped in (answer, f"${answer}$", rf"\boxed{{{answer}}}"):
            check_latex("3", wrapped)
    assert not mark.exists()


def test_comparisons_from_several_threads_do_not_mix() -> None:
    """Each caller has the verdict of its own question."""
    told: dict[int, bool | None] = {}

    def ask(number: int) -> None:
        told[number] = check_latex(f"{number}", f"{number if number % 2 else number + 1}.0").correct

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {number: bool(number % 2) for number in range(6)}


def test_a_comparison_that_hangs_is_undecided_and_the_next_one_works() -> None:
    """Sympy would compute a power tower for ever: its process is killed, no verdict is made up."""
    started = time.monotonic()
    verdict = check_latex("9", "9^{9^{9^{9}}}", seconds=1.0)
    assert (verdict.correct, verdict.reason) == (None, "math-verify did not decide in 1 s")
    assert check_latex("9", r"3^{2}").correct is True
    assert time.monotonic() - started < 60


def test_latex_without_math_verify_is_one_line_with_the_remedy(monkeypatch) -> None:
    """Refused before anything is paid for, and when asked all the same."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"needs 'math-verify', .*pip install 'rbridge\[math\]'"):
        require_checker("latex")
    with pytest.raises(MissingExtra, match="math-verify"):
        check_latex("1", "2")


def test_each_benchmark_names_its_checker_and_others_show_it() -> None:
    """As data; of an unknown benchmark the problem tells, or else nothing can be said."""
    checkers = {row.name: row.checker for row in BENCHMARKS}
    assert checkers == {
        "gsm8k": "number", "math500": "latex", "arc_challenge": "letter", "csqa": "letter", "mmlu_stem": "letter",
        "mmlu_pro_stem": "letter", "humaneval": "code",
    }  # fmt: skip
    unknown = Problem("mine", "0", "Q", "Q", "26")
    assert checker_of(unknown) == "number"
    assert checker_of(Problem("mine", "0", "Q", "Q", "B", choices=("x", "y"))) == "letter"
    assert checker_of(Problem("mine", "0", "Q", "Q", "pass", tests="def check(f): ...")) == "code"
    words = Problem("mine", "0", "Q", "Q", "a long story")
    assert checker_of(words) is None
    assert check_answer(words, "a long story").correct is None
    assert check_answer(words, " A long  story. ", "text").correct is True
    assert check_answer(words, "a short story", "text").correct is False
    assert check_answer(unknown, "  ").reason == "no answer"
