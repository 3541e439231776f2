"""The JSON shapes of interfaces.md. Keys may be added, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rbridge.answers.scores import ScoreRow, score_rows
from rbridge.metric import RUN_METRICS, TraceValues, minmax_weights, run_statistics, run_values
from rbridge.records import ScoredTrace

if TYPE_CHECKING:
    from rbridge.answers.rank import RankedGroup
    from rbridge.rank import Agreement, Ranking
    from rbridge.store.runs import Run

FORMAT_VERSION = 1
NO_WEIGHTS = "no weights"


def score_document(runs: Sequence[Run]) -> dict[str, Any]:
    """What ``rbridge score --json`` prints: a row per checkpoint, benchmark, voice and shots."""
    rows = [_score_row(run, row) for run in runs for row in score_rows(run, run.scored())]
    return {"format_version": FORMAT_VERSION, "runs": rows}


def _score_row(run: Run, row: ScoreRow) -> dict[str, Any]:
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
        "metrics": {name: asdict(mean) for name, mean in row.means.items()},
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
            "token": index,
            "start": int(tokens.start[index]),
            "end": int(tokens.end[index]),
            "nll": float(tokens.nll[index]),
            "weight": None if tokens.weight is None else float(tokens.weight[index]),
            "minmax_weight": None if shares is None else float(shares[index]),
        }


def rank_document(groups: Sequence[RankedGroup]) -> dict[str, Any]:
    """What ``rbridge rank --json`` prints."""
    return {"format_version": FORMAT_VERSION, "groups": [_rank_group(group) for group in groups]}


def _rank_group(group: RankedGroup) -> dict[str, Any]:
    document: dict[str, Any] = {
        "group": dict(group.group),
        "proxy": group.proxy,
        "direction": "lower" if group.lower_is_better else "higher",
        "n_recipes": len(group.ranking.order),
        "n_items": group.ranking.num_items,
        "num_dropped": group.num_dropped,
        "level": group.ranking.level,
        "resamples": group.ranking.resamples,
        "resampled": list(group.ranking.resampled),
        "notes": list(group.notes),
        "order": _order(group.ranking, group.targets),
    }
    if group.ranking.win_probability is not None:
        document["win_probability"] = _wins(group.ranking)
    if group.agreement is not None:
        document["target"] = group.target
        document["target_direction"] = "lower" if group.target_lower_is_better else "higher"
        document["agreement"] = _agreement(group.agreement)
    return document


def _order(ranking: Ranking, targets: Mapping[str, float] | None) -> list[dict[str, Any]]:
    return [
        {
            "recipe": row.recipe,
            "value": row.value,
            "interval": row.interval,
            "rank": row.rank,
            "rank_set": row.rank_set,
            "reason": row.reason,
            "num_seeds": row.num_seeds,
            "tied_with": row.tied_with,
            **({} if targets is None else {"target": targets.get(row.recipe)}),
        }
        for row in ranking.order
    ]


def _wins(ranking: Ranking) -> dict[str, dict[str, float]]:
    assert ranking.win_probability is not None
    names = [row.recipe for row in ranking.order]
    return {
        name: {other: float(share) for other, share in zip(names, shares, strict=True) if other != name}
        for name, shares in zip(names, ranking.win_probability, strict=True)
    }


def _agreement(found: Agreement) -> dict[str, Any]:
    return {
        "decision_accuracy": found.decision_accuracy,
        "decision_accuracy_interval": found.interval,
        "decision_accuracy_null": 0.5,
        "kendall_tau": found.kendall_tau,
        "kendall_tau_p_value": found.p_value,
        "n_recipes": found.num_recipes,
        "num_pairs": found.num_pairs,
        "num_ties": found.num_ties,
        "one_seed_decision_accuracy": found.one_seed,
        "num_seeds": found.num_seeds,
        "reason": found.reason,
    }
