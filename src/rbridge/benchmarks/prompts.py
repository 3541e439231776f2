"""What a proxy reads before the reasoning: the benchmark's template, behind worked examples if any."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rbridge.benchmarks.examples import worked_examples
from rbridge.benchmarks.lookup import form_of
from rbridge.benchmarks.problems import Example, option_lines, shows_options, strip_wrapper
from rbridge.errors import InputError


def build_prompt(benchmark: str, question: str, choices: Sequence[str] | None, shots: int) -> str:
    r"""The prompt of one problem (interfaces.md, "What the proxy reads").

    Args:
        benchmark: its name; one that we do not know has the plain template.
        question: the problem's text, with or without its stored wrapper.
        choices: the options of a multiple-choice problem; None where the question lists them itself.
        shots: how many worked examples stand before it. They are the last ones of the benchmark's five,
            so one shot fewer drops the first.

    Raises:
        InputError: there are not that many examples, or a multiple-choice problem has no options.

    Example:
        >>> build_prompt("gsm8k", "What is 2 + 3?", None, 0)
        'Question: What is 2 + 3?\nAnswer:'
    """
    return _examples_block(benchmark, shots) + _question_block(benchmark, question, choices)


def num_examples(benchmark: str) -> int:
    """How many worked examples a benchmark has: the most shots that can be asked for."""
    return len(worked_examples(benchmark))


def _examples_block(benchmark: str, shots: int) -> str:
    available = worked_examples(benchmark)
    if not 0 <= shots <= len(available):
        raise InputError(
            f"{shots} shots for benchmark {benchmark!r}: it has {len(available)} worked examples: "
            f"ask for 0 to {len(available)} shots"
        )
    return _worked_blocks(benchmark, available[len(available) - shots :])


@lru_cache(maxsize=128)
def _worked_blocks(benchmark: str, chosen: tuple[Example, ...]) -> str:
    return "".join(f"{_worked_block(benchmark, example)}\n\n" for example in chosen)


def _worked_block(benchmark: str, example: Example) -> str:
    question = _question_block(benchmark, example.question, example.choices)
    return f"{question} {example.reasoning} {example.closing}"


def _question_block(benchmark: str, question: str, choices: Sequence[str] | None) -> str:
    match form_of(benchmark):
        case "code":
            text = f"Complete this Python function.\n{question}"
        case "choices":
            text = _with_options(benchmark, strip_wrapper(question), tuple(choices or ()))
        case "free":
            text = question
    return f"Question: {text}\nAnswer:"


def _with_options(benchmark: str, question: str, choices: tuple[str, ...]) -> str:
    if not choices:
        if shows_options(question):
            return question
        raise InputError(
            f"a {benchmark} problem ({question[:60]!r}...) has no options: give its choices, "
            "or list them in the question as 'A. ...' lines"
        )
    lines = option_lines(choices)
    return question if question.endswith(f"\n{lines}") else f"{question}\n{lines}"
