"""From the ledger to the bundle: answers checked, traces cut again, everything told in the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from rbridge.benchmarks import Problem
from rbridge.errors import InputError
from rbridge.records import Trace, TraceKey
from rbridge.store.bundles import BundleManifest, SkippedTrace, Terms, read_manifest
from rbridge.store.generation import Generation
from rbridge.store.streaming import rewrite_bundle
from rbridge.traces.generate.cut import Kept, read_trace
from rbridge.traces.generate.entries import StoredTrace
from rbridge.traces.generate.ledger import Ledger
from rbridge.traces.generate.series import Series

Check = Callable[[Problem, str], bool | None]


def write_series_bundle(
    series: Series, out: Path, *, check: Check | None, progress: Callable[[str], None], changed: bool
) -> BundleManifest | None:
    """Write the bundle that a ledger holds, in place of an older one.

    Args:
        series: that was asked for; its ledger has the bundle's other ones, too.
        out: the bundle's folder.
        check: whether an answer is right, where that can be told here.
        progress: told one line at a time.
        changed: whether the ledger has something that the bundle has not.

    Returns:
        Its manifest, or None where there is no trace yet.
    """
    ledger = series.ledger
    if check is not None:
        changed |= _check_answers(series, check, progress)
    if not changed:
        return read_manifest(out)
    all_series = (_generation(ledger, benchmark, voice) for benchmark, voice in ledger.all_series())
    generated = [one for one in all_series if one is not None]
    if not any(one.num_traces for one in generated):
        return None
    return rewrite_bundle(
        out, _traces(ledger), generated=generated, terms=_terms(ledger), skipped=_skipped(ledger)
    )


def _terms(ledger: Ledger) -> dict[str, Terms]:
    """What the user stated of each voice; of a voice with several benchmarks, whatever was stated."""
    terms: dict[str, Terms] = {}
    for benchmark, voice in ledger.all_series():
        known = ledger.series(benchmark, voice)
        assert known is not None  # the ledger has just named it
        before = terms.get(voice, Terms())
        licence, use = known[1].licence or before.licence, known[1].allowed_use or before.use
        if licence or use:
            terms[voice] = Terms(licence=licence, use=use)
    return terms


def _skipped(ledger: Ledger) -> list[SkippedTrace]:
    return [
        SkippedTrace(place=str(TraceKey(benchmark, problem_id, voice)), reason=reason)
        for benchmark, voice in ledger.all_series()
        for problem_id, reason in ledger.skips(benchmark, voice)
    ]


def _check_answers(series: Series, check: Check, progress: Callable[[str], None]) -> bool:
    """Hold answers that were not checked yet against the gold ones; whether there were any."""
    ledger = series.ledger
    unchecked = ledger.unchecked(series.benchmark, series.voice)
    if len(unchecked) > 1:
        progress(f"checking {len(unchecked)} answers")
    for stored in unchecked:
        answer = _cut_again(dataclasses.replace(stored, body=ledger.reply(stored.call))).answer
        verdict = None if answer is None else check(stored.problem, answer)
        ledger.write_verdict(stored, correct=verdict)
    return bool(unchecked)


def _traces(ledger: Ledger) -> Iterator[Trace]:
    for stored in ledger.traces():
        yield dataclasses.replace(_cut_again(stored), correct=stored.correct)


def _cut_again(stored: StoredTrace) -> Trace:
    found = read_trace(stored.problem, stored.voice, stored.body)
    if isinstance(found, Kept):
        return found.trace
    raise InputError(
        f"{stored.problem.benchmark}/{stored.problem.problem_id}: this rbridge no longer reads a reply in the ledger "
        f"as a trace ({found.reason}); use the version that asked for it"
    )


def _generation(ledger: Ledger, benchmark: str, voice: str) -> Generation | None:
    known = ledger.series(benchmark, voice)
    assert known is not None  # the ledger has just named it
    identity, facts = known
    skips = ledger.skips(benchmark, voice)
    counts = ledger.counts(benchmark, voice)
    spent = ledger.spending(benchmark, voice)
    if not spent.calls:
        return None
    first, last = ledger.dates(benchmark, voice)
    return Generation(
        benchmark=benchmark,
        voice=voice,
        model=identity.model,
        served=list(facts.models),
        hosts=list(facts.hosts),
        prompt_sha256=identity.template_sha256,
        temperature=identity.temperature,
        top_p=identity.top_p,
        max_tokens=facts.max_tokens,
        logprobs_mode=facts.logprobs_mode or "not known",
        flags=list(facts.flags),
        first=first,
        last=last,
        questions=Path(facts.source).name,  # no more of the user's folders than that
        num_problems=facts.num_problems,
        num_traces=counts["traces"],
        num_missing=max(facts.num_problems - counts["traces"] - len(skips), 0),
        num_correct=counts["correct"],
        num_wrong=counts["wrong"],
        num_thinking=counts["thinking"],
        num_skipped=len(skips),
        num_calls=spent.calls,
        num_lost=spent.lost,
        prompt_tokens=spent.tokens_in,
        completion_tokens=spent.tokens_out,
        cost_usd=None if facts.price is None else round(spent.dollars, 6),
        price=facts.price,
    )
