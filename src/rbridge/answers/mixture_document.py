"""A regression on mixture weights as JSON, which ``predict`` reads back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rbridge.answers.mixtures import MixtureGroup, MixtureQuestion, Prediction


def mixture_document(question: MixtureQuestion, groups: Sequence[MixtureGroup]) -> dict[str, Any]:
    """What ``rbridge fit --features --json`` prints, and ``predict`` reads back."""
    return {
        "format_version": 1,
        "kind": "mixture",
        "target": question.target,
        "level": question.level,
        "groups": [_group_document(group) for group in groups],
    }


def _group_document(group: MixtureGroup) -> dict[str, Any]:
    document = {
        "group": dict(group.group),
        "n": group.num_rows,
        "num_dropped": group.num_dropped,
        "family": "linear",
        "features": list(group.names),
        "held_out": (
            {"reason": group.held_out}
            if isinstance(group.held_out, str)
            else _prediction_document(group.held_out)
        ),
        "test": None if group.test is None else _prediction_document(group.test),
        "num_test_dropped": group.num_test_dropped,
    }
    if isinstance(group.fit, str):
        return document | {"coefficients": None, "intercept": None, "reason": group.fit}
    fit = group.fit
    return document | {
        "coefficients": dict(zip(group.names, fit.coefficients.tolist(), strict=True)),
        "intercept": fit.intercept - float(fit.centre @ fit.coefficients),
        "centre": fit.centre.tolist(),
        "covariance": fit.covariance.tolist(),
        "variance": fit.variance,
        "freedom": fit.freedom,
        "reason": None,
    }


def _prediction_document(found: Prediction) -> dict[str, Any]:
    pairs = found.agreement
    return {
        "n": pairs.num_recipes,
        "spearman": found.spearman,
        "spearman_interval": found.interval,
        "mae": found.mae,
        "null_mae": found.null_mae,
        "decision_accuracy": pairs.decision_accuracy,
        "decision_accuracy_interval": pairs.interval,
        "kendall_tau": pairs.kendall_tau,
        "num_pairs": pairs.num_pairs,
        "num_ties": pairs.num_ties,
        "reason": found.reason or pairs.reason,
    }
