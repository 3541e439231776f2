"""What the frontier model reads: the paper's form for every benchmark (method.md, "Asking for traces")."""

from __future__ import annotations

import pytest

from rbridge.benchmarks import BENCHMARKS, Problem
from rbridge.traces.generate.prompt import chat_messages, prompt_sha256, template_sha256


@pytest.mark.parametrize("benchmark", [row.name for row in BENCHMARKS])
def test_the_system_line_names_the_task_and_the_question_comes_first(benchmark: str) -> None:
    """A blank line stands between the question and the instruction; both JSON keys are named."""
    problem = Problem(benchmark, "1", "Which is 2 + 3?", "stored", "B", choices=("4", "5"))
    system, user = chat_messages(problem)
    task = next(row.task for row in BENCHMARKS if row.name == benchmark)
    assert system == {
        "role": "system",
        "content": f"You are a helpful assistant that solves {task} problems.",
    }
    question, blank, instruction = user["content"].partition("\n\n")
    assert "Which is 2 + 3?" in question
    assert blank
    assert '"reasoning"' in instruction
    assert '"final_answer"' in instruction
    assert "JSON object" in instruction


def test_options_stand_under_the_question_once() -> None:
    """Also where the stored question wears its wrapper, or lists them itself."""
    wanted = "Why?\nA. so\nB. not so"
    for question in ("Why?", "Question: Why?\nAnswer:", wanted):
        problem = Problem("arc_challenge", "1", question, question, "A", choices=("so", "not so"))
        user = chat_messages(problem)[1]["content"]
        assert user.startswith(f"{wanted}\n\n")
        assert "the letter of the right option" in user


def test_a_code_problem_asks_for_the_function() -> None:
    """The head of the function is the question."""
    user = chat_messages(Problem("humaneval", "1", "def f(x):\n", "def f(x):\n", "  return x"))[1]["content"]
    assert user.startswith("Complete this Python function.\ndef f(x):\n")
    assert "the whole function as Python code" in user


def test_hashes_follow_what_is_read_and_nothing_else() -> None:
    """The gold answer is not asked; another question or benchmark is another prompt."""
    one = Problem("gsm8k", "1", "Q", "Q", "5")
    assert prompt_sha256(one) == prompt_sha256(Problem("gsm8k", "2", "Q", "Q", "6"))
    assert prompt_sha256(one) != prompt_sha256(Problem("gsm8k", "1", "Q?", "Q", "5"))
    assert template_sha256("gsm8k") != template_sha256("math500")
