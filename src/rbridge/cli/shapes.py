"""The JSON shapes of interfaces.md. Keys may be added, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rbridge.answers.scores import ScoreRow, further_means, score_rows
from rbridge.metric import RUN_METRICS, Mean, TraceValues, minmax_weights, run_statistics, run_values
from rbridge.records import ScoredTrace

if TYPE_CHECKING:
    from rbridge.scoring.verify import Verified
    from rbridge.store.runs import Run

FORMAT_VERSION = 1
NO_WEIGHTS = "no weights"


def score_document(runs: Sequence[Run]) -> dict[str, Any]:
    """What ``rbridge score --json`` prints: a row per checkpoint, benchmark, voice and shots."""
    documents: list[dict[str, Any]] = []
    for run in runs:
        rows = score_rows(run, run.scored())
        documents += [
            _score_row(run, row, further) for row, further in zip(rows, further_means(run, rows), strict=True)
        ]
    return {"format_version": FORMAT_VERSION, "runs": documents}


def verified_document(found: Sequence[Verified]) -> dict[str, Any]:
    """What ``rbridge score --verify --json`` prints: a row a run."""
    rows = [
        {
            **_identity(one.run),
            "num_items": one.num_items,
            "num_tokens": one.num_tokens,
            "max_difference": one.max_difference,
            "tolerance": one.tolerance,
            "holds": one.holds,
        }
        for one in found
    ]
    return {"format_version": FORMAT_VERSION, "verified": rows}


def _score_row(run: Run, row: ScoreRow, further: Mapping[str, Mean]) -> dict[str, Any]:
    return {
        **_identity(run),
        "benchmark": row.benchmark,
        "voice": row.voice,
        "shots": row.shots,
        "weight_source": row.weight_source,
        "num_scored": row.num_scored,
        "num_skipped": row.num_skipped,
        "skipped": [{"problem_id": skip.problem_id, "reason": skip.reason} for skip in row.skipped],
        "num_constant_weights": row.num_constant,
        "metrics": {name: asdict(mean) for name, mean in {**row.means, **further}.items()},
    }


def _identity(run: Run) -> dict[str, Any]:
    labels = run.manifest.labels
    return {
        "checkpoint": run.manifest.checkpoint,
        "run": run.folder.name,
        "recipe": labels.recipe,
        "seed": labels.seed,
    }


def item_documents(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """What ``rbridge show --items --json`` prints: a row per trace, skipped ones with their reason."""
    for run in runs:
        scored = run.scored()
        for one, values, statistics in zip(scored, run_values(scored), run_statistics(scored), strict=True):
            yield {**_item(run, one, values), **statistics}
        for skip in run.manifest.skipped:
            yield {
                **_identity(run),
                "benchmark": skip.benchmark,
                "problem_id": skip.problem_id,
                "voice": skip.voice,
                "shots": run.manifest.shots,
                "num_tokens": None,
                "num_bytes": None,
                **dict.fromkeys(RUN_METRICS),
                "reason": skip.reason,
            }


def _item(run: Run, one: ScoredTrace, values: TraceValues) -> dict[str, Any]:
    row = {
        **_identity(run),
        "benchmark": one.key.benchmark,
        "problem_id": one.key.problem_id,
        "voice": one.key.voice,
        "shots": one.shots,
        "num_tokens": values.num_tokens,
        "num_bytes": values.num_bytes,
        **{name: getattr(values, name) for name in RUN_METRICS},
        "weight_source": one.weight_source,
        "constant_weights": values.constant_weights,
        "window": one.window,
    }
    return row if one.tokens.weight is not None else {**row, "reason": NO_WEIGHTS}


def token_documents(runs: Sequence[Run], trace: str) -> list[dict[str, Any]]:
    """What ``rbridge show --trace ID --json`` prints: a row per token of one trace, per run.

    Raises:
        InputError: no run has scored a trace of that name.
    """
    from rbridge.errors import InputError

    found = [
        {**_identity(run), "benchmark": one.key.benchmark, "problem_id": one.key.problem_id, **token}
        for run in runs
        for one in run.scored()
        if one.key.answers_to(trace)
        for token in _tokens(one)
    ]
    if not found:
        raise InputError(f"{trace}: no scored trace of that problem_id; see rbridge show RUNS --items")
    return found


def _tokens(one: ScoredTrace) -> Iterator[dict[str, Any]]:
    tokens = one.tokens
    shares = None
    if tokens.weight is not None:
        shares = minmax_weights(tokens.weight, float(tokens.weight.min()), float(tokens.weight.max()))
    for index in range(len(tokens.nll)):
        yield {
            "voice": one.key.voice,
            "weight_source": one.weight_source,
            "token": index,
            "start": int(tokens.start[index]),
            "end": int(tokens.end[index]),
            "nll": float(tokens.nll[index]),
            "weight": None if tokens.weight is None else float(tokens.weight[index]),
            "minmax_weight": None if shares is None else float(shares[index]),
        }
