"""Worked examples for few-shot prompts: five a benchmark, our own text, in ``examples/*.toml``."""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import dataclass
from functools import lru_cache

from rbridge.benchmarks.catalogue import benchmark_named


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


@lru_cache(maxsize=32)
def worked_examples(benchmark: str) -> tuple[Example, ...]:
    """The benchmark's worked examples, in prompt order; none for a benchmark that we do not know."""
    if benchmark_named(benchmark) is None:
        return ()
    file = importlib.resources.files("rbridge.benchmarks") / "examples" / f"{benchmark}.toml"
    page = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(_example(page["closing"], **entry) for entry in page["example"])


def _example(
    closing: str, *, question: str, reasoning: str, answer: str, choices: list[str] | None = None
) -> Example:
    options = None if choices is None else tuple(choices)
    return Example(question, options, reasoning, answer, closing.replace("{answer}", answer))
