"""A fit as JSON, which is both what ``--json`` prints and what ``predict`` reads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from rbridge import __version__
from rbridge.answers.fits import FitQuestion, FittedGroup
from rbridge.fit import FORMULAS, RULES, Correlation, Fold, GuardedFit, PaperFit, Skill

FORMAT_VERSION = 1


def fit_document(question: FitQuestion, groups: Sequence[FittedGroup], *, lower: bool) -> dict[str, Any]:
    """What ``rbridge fit --json`` prints."""
    return {
        "format_version": FORMAT_VERSION,
        "kind": "proxy",
        "protocol": question.protocol,
        "proxy": question.proxy,
        "direction": "lower" if lower else "higher",
        "target": question.target,
        "order": question.order,
        "level": question.level,
        "groups": [group_document(group) for group in groups],
        "mean": mean_document([group.fit for group in groups]),
        "mean_nulls": _mean_nulls(groups),
        "versions": {"rbridge": __version__, **{name: version(name) for name in ("numpy", "scipy")}},
    }


def group_document(group: FittedGroup) -> dict[str, Any]:
    """One group of it."""
    rows = group.rows
    document: dict[str, Any] = {
        "group": dict(rows.group),
        "n": len(rows.proxy),
        "num_dropped": rows.num_dropped,
        **_fit(group.fit),
        "nulls": {name: _null(null) for name, null in group.nulls.items()},
    }
    if isinstance(group.fit, GuardedFit):
        document |= _guarded(group, group.fit)
    return document | {"points": _points(group)}


def mean_document(fits: Sequence[PaperFit | GuardedFit | str]) -> dict[str, Any]:
    """Means over the groups that have a fit."""
    found = [fit for fit in fits if not isinstance(fit, str)]
    if not found:
        return {"train_r2": None, "test_mae": None, "n_groups": 0, "reason": "no group has a fit"}
    return {
        "train_r2": sum(fit.train_r2 for fit in found) / len(found),
        "test_mae": sum(fit.test_mae for fit in found) / len(found),
        "n_groups": len(found),
    }


def _mean_nulls(groups: Sequence[FittedGroup]) -> dict[str, Any]:
    names = dict.fromkeys(name for group in groups for name in group.nulls)
    return {
        name: mean_document([group.nulls[name] for group in groups if name in group.nulls]) for name in names
    }


def _fit(fit: PaperFit | GuardedFit | str) -> dict[str, Any]:
    if isinstance(fit, str):
        empty = dict.fromkeys(("train_r2", "test_mae", "family", "formula", "coefficients", "r2"))
        return {**empty, "folds": [], "reason": fit}
    paper = isinstance(fit, PaperFit)
    return {
        "train_r2": fit.train_r2,
        "test_mae": fit.test_mae,
        "family": fit.best.family if paper else fit.chosen.curve.family.name,
        "formula": FORMULAS[fit.best.family] if paper else fit.chosen.curve.family.formula,
        "coefficients": list(fit.best.coefficients if paper else fit.chosen.curve.coefficients),
        "r2": fit.r2,
        "folds": [_fold(fold) for fold in fit.folds],
        "reason": None,
    }


def _fold(fold: Fold) -> dict[str, Any]:
    return {
        "family": fold.family,
        "train_r2": fold.train_r2,
        "test_mae": fold.test_mae,
        "n_test": fold.num_test,
    }


def _null(fit: PaperFit | GuardedFit | str) -> dict[str, Any]:
    if isinstance(fit, str):
        return {"train_r2": None, "test_mae": None, "reason": fit}
    forward = {} if isinstance(fit, PaperFit) or not fit.forward else {"forward_mae": _mae(fit.forward)}
    family = fit.best.family if isinstance(fit, PaperFit) else fit.chosen.curve.family.name
    return {"train_r2": fit.train_r2, "test_mae": fit.test_mae, "family": family, **forward}


def _mae(folds: Sequence[Fold]) -> float:
    return sum(fold.test_mae for fold in folds) / len(folds)


def _guarded(group: FittedGroup, fit: GuardedFit) -> dict[str, Any]:
    scale = fit.chosen.curve.scale
    return {
        "fold_rule": RULES[fit.chosen.dependence.kind],
        "forward": (
            {"test_mae": _mae(fit.forward), "folds": [_fold(fold) for fold in fit.forward]}
            if fit.forward
            else {"test_mae": None, "folds": [], "reason": "rows are in no order, or fewer than ten"}
        ),
        "skill": None if group.skill is None else _skill(group.skill),
        "family_weights": fit.chosen.posterior.family_weights(),
        "errors": {
            "kind": fit.chosen.dependence.kind,
            "correlation": fit.chosen.posterior.strength(),
            "sd": fit.chosen.posterior.error_sd(),
        },
        "bounds": group.bounds,
        "x_range": [float(group.rows.proxy.min()), float(group.rows.proxy.max())],
        "scale": {
            "mean": scale.centre,
            "sd": scale.spread,
            "log_mean": scale.log_centre,
            "log_sd": scale.log_spread,
        },
        "theta": list(fit.chosen.curve.family.theta),
        "starts_agree": fit.chosen.curve.starts_agree,
        "checks": {name: _correlation(found) for name, found in group.checks.items()},
    }


def _skill(found: Skill) -> dict[str, Any]:
    return {
        "value": found.value,
        "null": found.null,
        "interval": found.interval,
        "level": found.level,
        "n_resampled": found.num_units,
        "reason": found.reason,
    }


def _correlation(found: Correlation) -> dict[str, Any]:
    return {"r": found.r, "p_value": found.p_value, "n": found.num_rows, "reason": found.reason}


def _points(group: FittedGroup) -> dict[str, Any]:
    """The rows themselves: ``predict`` fits them again, since an interval needs more than coefficients."""
    rows = group.rows
    columns: Mapping[str, Any] = {"proxy": rows.proxy, "target": rows.target, "clock": rows.clock}
    return {
        **{name: None if column is None else column.tolist() for name, column in columns.items()},
        "clock_name": rows.clock_name,
        "recipes": None if rows.recipes is None else list(rows.recipes),
        "tokenizers": sorted(rows.tokenizers),
    }
