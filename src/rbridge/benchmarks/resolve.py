"""Give traces that carry only a problem's id its question, and make sure that it is the right one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbridge.benchmarks.lookup import form_of
from rbridge.benchmarks.problems import Problem, ProblemSet, shows_options, text_sha256
from rbridge.benchmarks.salted import SALTED, salted
from rbridge.benchmarks.sources import load_problems
from rbridge.errors import InputError
from rbridge.records import Trace


@dataclass(frozen=True)
class Resolution:
    """Traces that a prompt can be built for, and where their questions came from.

    Attributes:
        traces: as given, in order, with questions and choices filled in.
        sources: what was read for each benchmark that needed it.
    """

    traces: tuple[Trace, ...]
    sources: Mapping[str, str]


def resolve_questions(
    traces: Sequence[Trace], source: str = "auto", *, key: bytes | None = None
) -> Resolution:
    """Fill in the questions, and the choices of multiple-choice problems, that traces leave out.

    A trace with a prompt needs nothing; nor does one with a question and, where the benchmark is
    multiple choice, its options. Of each benchmark that is needed, the problems are read once.

    Args:
        traces: any, of any benchmarks.
        source: as in ``load_problems``.
        key: what the traces' question hashes are salted with, where they are.

    Raises:
        InputError: hashes are salted and no key is given, a source is missing, has not the problem, or
            has another question under its id.
        MissingExtra: the hub was asked for and ``datasets`` is not installed.
    """
    needed = dict.fromkeys(trace.key.benchmark for trace in traces if not _is_complete(trace))
    loaded = {benchmark: load_problems(benchmark, source) for benchmark in needed}
    filled = tuple(
        trace if _is_complete(trace) else _fill(trace, loaded[trace.key.benchmark], key) for trace in traces
    )
    return Resolution(filled, {benchmark: problems.source for benchmark, problems in loaded.items()})


def _is_complete(trace: Trace) -> bool:
    if trace.prompt is not None:
        return True
    if trace.question is None:
        return False
    if form_of(trace.key.benchmark) != "choices":
        return True
    return bool(trace.choices) or shows_options(trace.question)


def _fill(trace: Trace, problems: ProblemSet, key: bytes | None) -> Trace:
    problem = problems.by_id.get(trace.key.problem_id)
    if problem is None:
        raise InputError(
            f"trace {trace.key}: {problems.source} has no such problem among its {len(problems.problems)}, "
            f"expected an id like {problems.problems[0].problem_id!r}: "
            "write the trace's question into its file, or give --questions FILE.jsonl"
        )
    _check_same_question(trace, problem, problems.source, key)
    question = problem.question if trace.question is None else trace.question
    return dataclasses.replace(trace, question=question, choices=trace.choices or problem.choices)


def _check_same_question(trace: Trace, problem: Problem, source: str, key: bytes | None) -> None:
    """The trace's hash, and its question where only the choices are missing, must be the problem's."""
    if trace.question_sha256 is not None and trace.question_sha256.startswith(SALTED):
        _check_salted(trace, problem, source, key)
        return
    found = {"its question_sha256": trace.question_sha256}
    if trace.question is not None:
        found["the hash of its question"] = text_sha256(trace.question)
    accepted = (None, problem.question_sha256, text_sha256(problem.question))
    for what, sha256 in found.items():
        if sha256 not in accepted:
            raise InputError(
                f"trace {trace.key}: {what} is {str(sha256)[:12]}..., but {source} has "
                f"{problem.question_sha256[:12]}... under this problem_id, so it is another question: "
                "write the trace's own question into its file, or give --questions FILE.jsonl"
            )


def _check_salted(trace: Trace, problem: Problem, source: str, key: bytes | None) -> None:
    if key is None:
        raise InputError(
            f"trace {trace.key}: its question is kept outside the bundle, under a salted hash: "
            "give --question-key FILE, and the questions with --questions FILE.jsonl"
        )
    accepted = [salted(sha256, key) for sha256 in (problem.question_sha256, text_sha256(problem.question))]
    if trace.question_sha256 not in accepted:
        raise InputError(
            f"trace {trace.key}: {source} has another question under this problem_id (its salted hash differs): "
            "give the file of questions that the bundle was made with"
        )
