"""What a problem and a worked example are, whichever source they came from, and the stored wrapper."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rbridge.errors import InputError

_PREFIX = "Question: "
_SUFFIX = "\nAnswer:"


@dataclass(frozen=True)
class Problem:
    """One problem of a benchmark, with its gold answer.

    Attributes:
        benchmark: the benchmark's name.
        problem_id: its name within the benchmark.
        question: the text without a wrapper.
        stored: the text as the benchmark's reference files store it; ``question_sha256`` is over it.
        answer: gold: a number or LaTeX, an option's letter, or the body of a function.
        choices: the options of a multiple-choice problem, or None.
        solution: the worked gold solution as stored, or None.
        tests: code that defines ``check(candidate)``, for a code problem.
        entry_point: the function that ``check`` calls, for a code problem.
        twin_of: the problem that this one repeats with other numbers, or None.
    """

    benchmark: str
    problem_id: str
    question: str
    stored: str
    answer: str
    choices: tuple[str, ...] | None = None
    solution: str | None = None
    tests: str | None = None
    entry_point: str | None = None
    twin_of: str | None = None

    @property
    def question_sha256(self) -> str:
        """The hash that a trace of this problem carries."""
        return text_sha256(self.stored)


@dataclass(frozen=True)
class ProblemSet:
    """A benchmark's problems and where they were read.

    Attributes:
        benchmark: the benchmark's name.
        source: what was read: a package with its version, a hub dataset, or a file.
        problems: in the source's order.
    """

    benchmark: str
    source: str
    problems: tuple[Problem, ...]

    @cached_property
    def by_id(self) -> dict[str, Problem]:
        """The problems under their ids."""
        return {problem.problem_id: problem for problem in self.problems}


@dataclass(frozen=True)
class Example:
    """A worked example, as a proxy reads it behind the example's question.

    Attributes:
        question: the text without a wrapper.
        choices: the options, or None.
        reasoning: a few sentences that end before the answer.
        answer: in the form of the benchmark's gold answers.
        closing: the words that give the answer, after the reasoning.
    """

    question: str
    choices: tuple[str, ...] | None
    reasoning: str
    answer: str
    closing: str


def worked_example(
    closing: str, *, question: str, reasoning: str, answer: str, choices: Sequence[str] | None = None
) -> Example:
    """An example from its fields; ``{answer}`` in the closing words is its answer."""
    options = None if choices is None else tuple(choices)
    return Example(question, options, reasoning, answer, closing.replace("{answer}", answer))


def text_sha256(text: str) -> str:
    """SHA-256 of the UTF-8 bytes of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def wrap(question: str) -> str:
    """The question as ARC and CommonsenseQA files store it: ``Question: ...`` and ``Answer:`` around it."""
    return f"{_PREFIX}{question}{_SUFFIX}"


def strip_wrapper(text: str) -> str:
    """The question inside a stored wrapper, taken off once; a text without one comes back as it is."""
    return text.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def option_letter(position: int) -> str:
    """The letter of the option at a position, from 0.

    Raises:
        InputError: there is no such letter: a problem has at most 26 options.
    """
    if not 0 <= position < len(string.ascii_uppercase):
        raise InputError(f"option {position + 1} has no letter: expected 1 to 26 options, A to Z")
    return string.ascii_uppercase[position]


def option_lines(choices: tuple[str, ...]) -> str:
    """The options one to a line, each behind its letter: ``A. ...``."""
    return "\n".join(f"{option_letter(position)}. {choice}" for position, choice in enumerate(choices))


def shows_options(question: str) -> bool:
    """Whether a question's text already lists its lettered options, each on its own line."""
    return "\nA. " in question and "\nB. " in question
