"""All measurements of a bundle, one benchmark at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbridge.align import weighed_by, weight_sources
from rbridge.quality.figures import Quantiles, Share, quantiles, share
from rbridge.quality.leaks import LEAKS, leaks
from rbridge.quality.overlap import contained, near_duplicates, shingles
from rbridge.quality.pieces import WeightProfile, reasoning_pieces, weight_profile
from rbridge.records import Trace, TraceKey

# Traces whose shingles are alike to this degree (Jaccard) are listed as near-duplicates.
ALIKE = 0.8
# A trace with so much of its text from the gold solution is counted as copied.
COPIED = 0.5
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class SourceCheck:
    """Weights by one source: ``self``, a model's name, or marks.

    Attributes:
        source: whose they are.
        profile: how they lie.
        constant: traces whose weights do not differ.
    """

    source: str
    profile: WeightProfile
    constant: tuple[TraceKey, ...]


@dataclass(frozen=True)
class Overlap:
    """How much of the traces' words is the gold solution's.

    Attributes:
        quantiles: of the share of a trace's word 5-grams that stand in its problem's solution.
        copied: traces with at least half of them.
    """

    quantiles: Quantiles
    copied: Share


@dataclass(frozen=True)
class Twins:
    """Problems that are one problem with other numbers.

    Attributes:
        declared: problems whose source says whose twin they are, and which twin is in the bundle too.
        found: groups of problems whose questions differ in numbers alone.
        originals, copies: share of right answers, on the originals and on their declared twins.
    """

    declared: tuple[tuple[str, str], ...]
    found: tuple[tuple[str, ...], ...]
    originals: Share
    copies: Share


@dataclass(frozen=True)
class BenchmarkCheck:
    """What one benchmark's traces are like.

    Attributes:
        benchmark: its name.
        num_traces, num_problems: in the bundle.
        voices: traces by voice.
        correct: right answers among the checked.
        num_unchecked: traces whose answer nobody checked.
        num_bytes: lengths of R.
        num_pieces: lengths of R in the default source's tokens; None without weights.
        num_unweighed: traces without any weights.
        sources: weights by source.
        leaks: by form, how many traces hold it, and the first that does.
        overlap: with the gold solutions; None where none is at hand.
        duplicates: pairs of traces, and their Jaccard index.
        duplicated: traces that stand in a pair.
        twins: as far as questions or sources show them.
    """

    benchmark: str
    num_traces: int
    num_problems: int
    voices: Mapping[str, int]
    correct: Share
    num_unchecked: int
    num_bytes: Quantiles
    num_pieces: Quantiles | None
    num_unweighed: int
    sources: tuple[SourceCheck, ...]
    leaks: Mapping[str, tuple[Share, TraceKey | None]]
    overlap: Overlap | None
    duplicates: tuple[tuple[TraceKey, TraceKey, float], ...]
    duplicated: Share
    twins: Twins


def check_traces(
    traces: Sequence[Trace],
    *,
    solutions: Mapping[tuple[str, str], str] | None = None,
    questions: Mapping[tuple[str, str], str] | None = None,
    twins: Mapping[tuple[str, str], str] | None = None,
) -> tuple[BenchmarkCheck, ...]:
    """Measure traces, a benchmark at a time.

    Args:
        traces: of any benchmarks.
        solutions: gold solutions by (benchmark, problem_id), as far as they are at hand.
        questions: questions of problems whose traces leave them out, likewise.
        twins: by (benchmark, problem_id), the id of the problem that it is a twin of.
    """
    by_benchmark: dict[str, list[Trace]] = {}
    for trace in traces:
        by_benchmark.setdefault(trace.key.benchmark, []).append(trace)
    return tuple(
        _check(name, found, solutions or {}, questions or {}, twins or {})
        for name, found in by_benchmark.items()
    )


def _check(
    benchmark: str,
    traces: Sequence[Trace],
    solutions: Mapping[tuple[str, str], str],
    questions: Mapping[tuple[str, str], str],
    twins: Mapping[tuple[str, str], str],
) -> BenchmarkCheck:
    texts = [shingles(trace.reasoning) for trace in traces]
    pairs = near_duplicates(texts, ALIKE)
    lengths = quantiles([len(trace.reasoning.encode()) for trace in traces])
    assert lengths is not None  # a benchmark is known by its traces
    pieces = [len(found) for trace in traces if (found := reasoning_pieces(trace)) is not None]
    known = [contained(text, shingles(solutions[_problem(trace)]))
             for trace, text in zip(traces, texts, strict=True) if _problem(trace) in solutions]  # fmt: skip
    return BenchmarkCheck(
        benchmark=benchmark,
        num_traces=len(traces),
        num_problems=len({trace.key.problem_id for trace in traces}),
        voices=Counter(trace.key.voice for trace in traces),
        correct=_correct(traces),
        num_unchecked=sum(trace.correct is None for trace in traces),
        num_bytes=lengths,
        num_pieces=quantiles(pieces),
        num_unweighed=sum(trace.pieces is None for trace in traces),
        sources=_sources(traces),
        leaks=_leaks(traces),
        overlap=_overlap([one for one in known if one is not None]),
        duplicates=tuple((traces[i].key, traces[j].key, index) for i, j, index in pairs),
        duplicated=share(len({at for i, j, _ in pairs for at in (i, j)}), len(traces)),
        twins=_twins(traces, questions, twins),
    )


def _problem(trace: Trace) -> tuple[str, str]:
    return trace.key.benchmark, trace.key.problem_id


def _correct(traces: Sequence[Trace]) -> Share:
    return share(
        sum(trace.correct is True for trace in traces), sum(trace.correct is not None for trace in traces)
    )


def _sources(traces: Sequence[Trace]) -> tuple[SourceCheck, ...]:
    weighed: dict[str, list[Trace]] = {}
    for trace in traces:
        for source in weight_sources(trace):
            weighed.setdefault(source, []).append(weighed_by(trace, source))
    found = []
    for source, those in weighed.items():
        pieces = [one for trace in those if (one := reasoning_pieces(trace)) is not None]
        profile = weight_profile(pieces)
        found.append(SourceCheck(source, profile, tuple(those[at].key for at in profile.constant)))
    return tuple(found)


def _leaks(traces: Sequence[Trace]) -> dict[str, tuple[Share, TraceKey | None]]:
    holders: dict[str, list[TraceKey]] = {name: [] for name in LEAKS}
    for trace in traces:
        for name in leaks(trace.reasoning):
            holders[name].append(trace.key)
    return {
        name: (share(len(keys), len(traces)), keys[0] if keys else None) for name, keys in holders.items()
    }


def _overlap(shares: Sequence[float]) -> Overlap | None:
    spread = quantiles(shares)
    return (
        None if spread is None else Overlap(spread, share(sum(one >= COPIED for one in shares), len(shares)))
    )


def _twins(
    traces: Sequence[Trace], questions: Mapping[tuple[str, str], str], twins: Mapping[tuple[str, str], str]
) -> Twins:
    ids = {trace.key.problem_id for trace in traces}
    benchmark = traces[0].key.benchmark
    declared = tuple(
        (twin, original)
        for (named, twin), original in twins.items()
        if named == benchmark and twin in ids and original in ids
    )
    copies, originals = {twin for twin, _ in declared}, {original for _, original in declared}
    return Twins(
        declared,
        _alike_but_for_numbers(traces, questions),
        _correct([trace for trace in traces if trace.key.problem_id in originals]),
        _correct([trace for trace in traces if trace.key.problem_id in copies]),
    )


def _alike_but_for_numbers(
    traces: Sequence[Trace], questions: Mapping[tuple[str, str], str]
) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, dict[str, None]] = {}
    for trace in traces:
        question = trace.question or questions.get(_problem(trace))
        if question is not None and _NUMBER.search(question):
            form = _NUMBER.sub("0", " ".join(question.split()))
            groups.setdefault(form, {})[trace.key.problem_id] = None
    return tuple(tuple(found) for found in groups.values() if len(found) > 1)
