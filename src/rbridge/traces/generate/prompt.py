"""What the frontier model is asked: the paper's system line and JSON reply (method.md section 3)."""

from __future__ import annotations

from rbridge.benchmarks import Problem, benchmark_named, form_of, shows_options, strip_wrapper
from rbridge.benchmarks.problems import option_lines
from rbridge.store.files import sha256_json

# Of a benchmark that we do not know.
_TASK = "reasoning"
_ANSWER = {
    "free": "the final answer alone, without words or units",
    "choices": "the letter of the right option alone",
    "code": "the whole function as Python code",
}
_INSTRUCTION = (
    "Work it out step by step. Reply with one JSON object and nothing else. It has exactly two keys, and both "
    'values are strings: "reasoning", all of your steps, and "final_answer", {answer}.'
)


def chat_messages(problem: Problem) -> list[dict[str, str]]:
    """The system and the user message for a problem.

    Returns:
        ``You are a helpful assistant that solves [task] problems.``, then the question with its options
        if it has any, a blank line, and the instruction to reply in JSON with ``reasoning`` and
        ``final_answer``.
    """
    return [
        {"role": "system", "content": f"You are a helpful assistant that solves {_task(problem)} problems."},
        {"role": "user", "content": f"{_question(problem)}\n\n{_instruction(problem)}"},
    ]


def prompt_sha256(problem: Problem) -> str:
    """Hash of everything that the model reads for a problem."""
    return sha256_json(chat_messages(problem))


def template_sha256(benchmark: str) -> str:
    """Hash of our own wording for a benchmark, so that a bundle never mixes two."""
    forms = [
        chat_messages(Problem(benchmark, "", "Q", "Q", "A", choices=choices))
        for choices in (None, ("a", "b"))
    ]
    return sha256_json(forms)


def _task(problem: Problem) -> str:
    row = benchmark_named(problem.benchmark)
    return _TASK if row is None else row.task


def _question(problem: Problem) -> str:
    if form_of(problem.benchmark) == "code":
        return f"Complete this Python function.\n{problem.question}"
    question = strip_wrapper(problem.question)
    if not problem.choices or shows_options(question):
        return question
    return f"{question}\n{option_lines(problem.choices)}"


def _instruction(problem: Problem) -> str:
    form = "choices" if problem.choices else form_of(problem.benchmark)
    return _INSTRUCTION.format(answer=_ANSWER[form])
