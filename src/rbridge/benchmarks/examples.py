"""Worked examples for few-shot prompts: five a benchmark, our own text, in ``examples/*.toml``, or the user's."""

from __future__ import annotations

import importlib.resources
import tomllib
from functools import lru_cache

from rbridge.benchmarks.catalogue import CLOSING
from rbridge.benchmarks.lookup import benchmark_named
from rbridge.benchmarks.problems import Example, worked_example


def worked_examples(benchmark: str) -> tuple[Example, ...]:
    """The benchmark's worked examples, in prompt order; none for a benchmark that we do not know."""
    row = benchmark_named(benchmark)
    if row is None:
        return ()
    return _shipped(benchmark)[1] if row.own is None else row.own.examples


def closing_words(benchmark: str) -> str:
    """How a benchmark's worked examples give their answer, with ``{answer}`` in its place."""
    row = benchmark_named(benchmark)
    if row is None:
        return CLOSING
    return _shipped(benchmark)[0] if row.own is None else row.own.closing


@lru_cache(maxsize=32)
def _shipped(benchmark: str) -> tuple[str, tuple[Example, ...]]:
    file = importlib.resources.files("rbridge.benchmarks") / "examples" / f"{benchmark}.toml"
    page = tomllib.loads(file.read_text(encoding="utf-8"))
    return page["closing"], tuple(worked_example(page["closing"], **entry) for entry in page["example"])
