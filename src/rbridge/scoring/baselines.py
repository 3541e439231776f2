"""Read what the cheaper baselines need: answer options, gold labels, traces with their answer.

Options are read in cloze form, ``Question: ...`` / ``Answer:`` without the list of options, zero-shot; the
rest behind the prompt that the traces have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rbridge.benchmarks import benchmark_named, load_problems, strip_wrapper
from rbridge.benchmarks.problems import Problem, option_letter
from rbridge.records import Trace, TraceKey
from rbridge.scoring.encode import prompts

# How an answer is given behind a trace, as in the worked examples.
_LEAD, _END = " The answer is", "."


def known_problems(traces: Sequence[Trace], questions: str) -> Mapping[str, Mapping[str, Problem]]:
    """Problems with their gold answers, by benchmark and id; none of a benchmark that no source knows."""
    found: dict[str, Mapping[str, Problem]] = {}
    for benchmark in {trace.key.benchmark for trace in traces}:
        has_source = benchmark_named(benchmark) is not None or questions.endswith(".jsonl")
        found[benchmark] = load_problems(benchmark, questions).by_id if has_source else {}
    return found


def baseline_texts(
    traces: Sequence[Trace], problems: Mapping[str, Mapping[str, Problem]], *, shots: int
) -> Iterator[tuple[str, bool, str, Trace]]:
    """Kind, whether it is gold, the voice it belongs to, and the text as a trace of its own prompt.

    Args:
        traces: with their questions resolved.
        problems: from ``known_problems``; without one, the answer of a trace that was checked and right
            counts as gold.
        shots: worked examples before labels and traces.
    """
    seen: set[tuple[str, str]] = set()
    for trace in traces:
        problem = problems.get(trace.key.benchmark, {}).get(trace.key.problem_id)
        answer = _answer(problem, trace)
        if answer is None:
            continue
        before = prompts(trace, shots)[0][1]
        name = (trace.key.benchmark, trace.key.problem_id)
        if name not in seen:
            seen.add(name)
            yield from _options(problem, trace)
            yield "label", True, "", _text(trace, "label", before, answer)
        closed = f"{trace.reasoning}{_LEAD} {answer}{_END}"
        voice = trace.key.voice
        yield "trace_and_answer", True, voice, _text(trace, "closed", before, closed)
        behind = f"{before} {trace.reasoning}{_LEAD}"
        yield "answer_given_trace", True, voice, _text(trace, "answer", behind, answer)


def _answer(problem: Problem | None, trace: Trace) -> str | None:
    if problem is not None:
        return problem.answer
    return trace.answer if trace.correct else None


def _options(problem: Problem | None, trace: Trace) -> Iterator[tuple[str, bool, str, Trace]]:
    if problem is None or not problem.choices:
        return
    cloze = f"Question: {strip_wrapper(problem.question)}\nAnswer:"
    for place, choice in enumerate(problem.choices):
        letter = option_letter(place)
        yield "option", letter == problem.answer, "", _text(trace, f"option {letter}", cloze, choice)


def _text(trace: Trace, name: str, prompt: str, text: str) -> Trace:
    key = TraceKey(trace.key.benchmark, trace.key.problem_id, f"{name}/{trace.key.voice}")
    bare = replace(trace, reply=None, reasoning_span=None, pieces=None, weight_source=None)
    return replace(bare, key=key, prompt=prompt, reasoning=text)
