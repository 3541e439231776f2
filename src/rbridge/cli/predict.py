"""rbridge predict: target values of new proxies from a stored fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rbridge.cli.output import print_json

if TYPE_CHECKING:
    from rbridge.answers.predict import PredictedGroup


def predict(
    fit: Path,
    source: Path,
    *,
    transfer: Annotated[bool, Parameter(negative="")] = False,
    target: str | None = None,
    level: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Predict the target of new proxies from a fit, with intervals, and hold it against the truth.

    Example: rbridge predict fit.json new.csv --json
    Example: rbridge predict fit.json others.csv --transfer --target accuracy

    Parameters
    ----------
    fit
        File that rbridge fit -o wrote.
    source
        CSV with the fit's columns of the score (or of the mixture weights) and its groups, and
        "recipe" where there are several; or a folder of score runs.
    transfer
        Apply the fit of one recipe unchanged to others: scores are checked to lie in its range and
        tokenizers to match, and the interval comes from six recipes with targets or more, each
        left out in turn; below six it is not identified.
    target
        Column of the truth, which may be empty for some rows.
    level
        Confidence of intervals; by default the fit's.
    json
        Print JSON instead of tables.
    """
    from rbridge.answers.predict import PredictQuestion
    from rbridge.answers.predict import predict as answer
    from rbridge.cli.fit_tables import print_predictions

    found, used, groups = answer(
        PredictQuestion(fit=fit, source=source, target=target, transfer=transfer, level=level)
    )
    document = {
        "format_version": 1,
        "target": found.target,
        "proxy": found.proxy,
        "transfer": transfer,
        "level": used,
        "groups": [_group(group) for group in groups],
    }
    if json:
        print_json(document)
    else:
        print_predictions(document)
    return 0


def _group(group: PredictedGroup) -> dict[str, Any]:
    pairs = group.agreement
    return {
        "group": dict(group.group),
        "n": len(group.rows),
        "num_dropped": group.num_dropped,
        "num_extrapolated": sum(row.extrapolated for row in group.rows),
        "n_truth": group.num_truth,
        "mae": group.mae,
        "bias": group.bias,
        "agreement": {
            "decision_accuracy": pairs.decision_accuracy,
            "decision_accuracy_interval": pairs.interval,
            "decision_accuracy_null": 0.5,
            "kendall_tau": pairs.kendall_tau,
            "n_recipes": pairs.num_recipes,
            "num_pairs": pairs.num_pairs,
            "num_ties": pairs.num_ties,
            "reason": pairs.reason,
        },
        "notes": list(group.notes),
        "rows": [
            {
                "recipe": row.recipe,
                "x": row.x,
                "predicted": row.predicted,
                "interval": row.interval,
                "extrapolated": row.extrapolated,
                "truth": row.truth,
                "reason": row.reason,
            }
            for row in group.rows
        ],
    }
