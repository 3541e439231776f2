"""A benchmark by its name: one that ships, or one that the user added."""

from __future__ import annotations

import difflib

from rbridge.benchmarks.catalogue import BENCHMARKS, Benchmark, Form
from rbridge.benchmarks.own import own_benchmark, own_benchmarks

_SHIPPED = {benchmark.name: benchmark for benchmark in BENCHMARKS}


def benchmark_named(name: str) -> Benchmark | None:
    """The benchmark of that name, or None where nobody told us of it."""
    shipped = _SHIPPED.get(name)
    return own_benchmark(name) if shipped is None else shipped


def all_benchmarks() -> tuple[Benchmark, ...]:
    """Those that ship, then the user's own by name."""
    return (*BENCHMARKS, *own_benchmarks())


def form_of(name: str) -> Form:
    """How a benchmark is asked; one that we do not know is ``free``."""
    benchmark = benchmark_named(name)
    return "free" if benchmark is None else benchmark.form


def known_names(name: str) -> str:
    """For an error about an unknown benchmark: the nearest name we know, or else all of them."""
    known = [benchmark.name for benchmark in all_benchmarks()]
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"we know {', '.join(known)}"
