"""Evaluations as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rbridge.answers.evaluations import EvaluationRow
from rbridge.cli.output import figure, interval, print_table, say

FORMAT_VERSION = 1
_SHOWN = 3


def evaluate_document(rows: Sequence[EvaluationRow], failures: Sequence[str]) -> dict[str, Any]:
    """What ``rbridge evaluate --json`` prints: an object a checkpoint and benchmark."""
    return {
        "format_version": FORMAT_VERSION,
        "evaluations": [_document(row) for row in rows],
        "failures": list(failures),
    }


def _document(row: EvaluationRow) -> dict[str, Any]:
    manifest = row.evaluation.manifest
    return {
        "checkpoint": manifest.checkpoint,
        "evaluation": row.evaluation.folder.name,
        "recipe": manifest.labels.recipe,
        "seed": manifest.labels.seed,
        "benchmark": manifest.benchmark,
        "engine": manifest.engine,
        "checker": manifest.checker,
        "shots": manifest.shots,
        "shots_of_replies": {str(shots): count for shots, count in row.shots.items()},
        "samples": manifest.samples,
        "temperature": manifest.temperature,
        "max_tokens": manifest.max_tokens,
        "num_problems": manifest.num_problems,
        "num_replies": row.num_replies,
        "num_truncated": row.num_truncated,
        "num_unanswered": row.num_unanswered,
        "num_undecided": row.num_undecided,
        "undecided": [
            {"problem_id": problem_id, "sample": sample, "reason": reason}
            for problem_id, sample, reason in row.undecided
        ],
        "num_skipped": len(manifest.skipped),
        "skipped": [one.model_dump() for one in manifest.skipped],
        "answers_by_rule": dict(row.rules),
        "chance": manifest.chance,
        "constant_answer": manifest.constant_answer,
        "accuracy_bounds": row.bounds,
        "metrics": {
            **{name: _share(found) for name, found in row.shares.items()},
            **{name: asdict(found) for name, found in row.distances.items()},
        },
    }


def _share(found: Any) -> dict[str, Any]:
    return {
        "mean": found.value, "stderr": found.stderr, "interval": found.interval, "level": found.level, "n": found.n
    }  # fmt: skip


def print_evaluations(rows: Sequence[EvaluationRow]) -> None:
    """A row per checkpoint, benchmark and metric; what could not be told is listed on stderr."""
    print_table(
        "Evaluations (higher is better; ± standard error over problems; Wilson interval)",
        (
            "checkpoint", "benchmark", "metric", "value", "interval", "problems", "chance", "one answer", "shots",
            "truncated", "unanswered", "undecided", "skipped",
        ),
        [
            (
                row.evaluation.manifest.checkpoint,
                row.evaluation.manifest.benchmark,
                name,
                f"{figure(found.value)}" + ("" if found.stderr is None else f" ± {figure(found.stderr)}"),
                interval(found.interval, 3),
                str(found.n),
                figure(row.evaluation.manifest.chance, 3),
                figure(row.evaluation.manifest.constant_answer, 3),
                ", ".join(map(str, row.shots)),
                f"{row.num_truncated} of {row.num_replies}",
                str(row.num_unanswered),
                str(row.num_undecided),
                str(len(row.evaluation.manifest.skipped)),
            )
            for row in rows
            for name, found in row.shares.items()
        ],
        text_columns=3,
    )  # fmt: skip
    for row in rows:
        _tell(row)


def _tell(row: EvaluationRow) -> None:
    where = f"{row.evaluation.manifest.checkpoint}, {row.evaluation.manifest.benchmark}"
    if "accuracy" not in row.shares:
        say(f"{where}: no accuracy: no answer could be decided")
    for problem_id, sample, reason in row.undecided[:_SHOWN]:
        say(f"{where}: undecided {problem_id} (sample {sample}): {reason}")
    if row.num_undecided and row.bounds is not None:
        low, high = row.bounds
        say(
            f"{where}: {row.num_undecided} of {row.num_replies} replies undecided, all listed by --json; of all "
            f"replies {figure(low)} to {figure(high)} are right"
        )
    for one in row.evaluation.manifest.skipped[:_SHOWN]:
        say(f"{where}: skipped {one.problem_id}: {one.reason}")
    others = {rule: count for rule, count in row.rules.items() if rule != "closing"}
    if others:
        found = ", ".join(f"{count} by {rule}" for rule, count in sorted(others.items()))
        say(f"{where}: answers that did not stand behind the closing words: {found}")
    for name, distance in row.distances.items():
        error = "" if distance.stderr is None else f" ± {figure(distance.stderr)}"
        say(f"{where}: {name} {figure(distance.mean)}{error} over {distance.n} problems (lower is better)")
