"""Fits and predictions as tables for people, from the same documents that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rbridge.cli.output import figure, interval, print_table, say

_Document = Mapping[str, Any]


def print_fits(document: _Document) -> None:
    """A row a group: the fit, its nulls, its skill; then what a reader must know."""
    groups = document["groups"]
    nulls = list(dict.fromkeys(name for group in groups for name in group["nulls"]))
    default = document["protocol"] == "default"
    print_table(
        f"{document['target']} from {document['proxy']} ({document['direction']} is better), "
        f"protocol {document['protocol']}: mean over folds of train R2 / test MAE",
        (
            "group",
            "family",
            "n",
            "fit",
            *[f"null {name}" for name in nulls],
            *([f"skill over the best null, {document['level']:.0%} interval"] if default else []),
        ),
        [
            (
                named(group["group"]),
                group["family"] or group["reason"],
                str(group["n"]),
                _cell(group),
                *[_cell(group["nulls"].get(name, {})) for name in nulls],
                *([_skill(group.get("skill"))] if default else []),
            )
            for group in groups
        ]
        + [_mean_row(document, nulls, default=default)],
        text_columns=2,
    )
    for group in groups:
        for line in _remarks(group):
            say(f"{named(group['group'])}: {line}")


def _mean_row(document: _Document, nulls: Iterable[str], *, default: bool) -> tuple[str, ...]:
    mean = document["mean"]
    cells = [_cell(document["mean_nulls"][name]) for name in nulls]
    return ("mean", f"of {mean['n_groups']} groups", "", _cell(mean), *cells, *(["–"] if default else []))


def _cell(found: Mapping[str, Any]) -> str:
    if found.get("train_r2") is None:
        return "–"
    return f"{found['train_r2']:.3f} / {found['test_mae']:.3f}"


def _skill(found: Mapping[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "–"
    return f"{found['value']:.2f} {interval(found['interval'], 2)} over {found['null']}"


def _remarks(group: Mapping[str, Any]) -> list[str]:
    lines = []
    if group["num_dropped"]:
        lines.append(f"{group['num_dropped']} rows dropped for an empty cell")
    if group["reason"] is not None or "fold_rule" not in group:
        return lines
    lines.append(group["fold_rule"])
    ahead = group["forward"]["test_mae"]
    if ahead is not None:
        lines.append(f"forward folds: test MAE {ahead:.3f}")
    lines += [
        f"{name.replace('_', ' ')}: r = {figure(found['r'], 2)} (p {figure(found['p_value'], 3)}, n = {found['n']})"
        for name, found in group["checks"].items()
    ]
    skill = group["skill"]
    if skill is not None and skill["value"] is not None and skill["interval"][0] <= 0:
        lines.append(f"no gain shown over {skill['null']}")
    if not group["starts_agree"]:
        lines.append("searches from several starts ended apart; the best was kept")
    return lines


def print_mixtures(document: _Document) -> None:
    """A row a group and a kind of test."""
    rows = []
    for group in document["groups"]:
        if group["reason"] is not None:
            say(f"{named(group['group'])}: {group['reason']}")
        for kind in ("held_out", "test"):
            found = group[kind]
            if found is not None and "spearman" in found:
                rows.append((named(group["group"]), kind.replace("_", " "), str(group["n"]), *_tested(found)))
    print_table(
        f"{document['target']} by linear regression on mixture weights (chance: Spearman 0, decisions 0.5)",
        (
            "group",
            "tested on",
            "trained",
            "tested",
            "Spearman",
            f"{document['level']:.0%} interval",
            "decision accuracy",
            "MAE",
            "MAE of the mean",
        ),
        rows,
        text_columns=2,
    )


def _tested(found: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(found["n"]),
        figure(found["spearman"]),
        interval(found["spearman_interval"]),
        figure(found["decision_accuracy"]),
        figure(found["mae"]),
        figure(found["null_mae"]),
    )


def print_predictions(document: _Document) -> None:
    """A row a new observation, then each group's agreement with the truth."""
    print_table(
        f"Predicted {document['target']}, {document['level']:.0%} interval"
        + (", fit applied unchanged to other recipes" if document["transfer"] else ""),
        ("group", "recipe", "score", "predicted", "interval", "truth", "note"),
        [
            (
                named(group["group"]),
                row["recipe"] or "–",
                figure(row["x"]),
                figure(row["predicted"], 3),
                interval(row["interval"], 3),
                figure(row["truth"], 3),
                "; ".join(
                    filter(None, ["outside the fitted range" if row["extrapolated"] else "", row["reason"]])
                ),
            )
            for group in document["groups"]
            for row in group["rows"]
        ],
        text_columns=2,
    )
    for group in document["groups"]:
        for note in group["notes"]:
            say(f"{named(group['group'])}: {note}")
        if group["mae"] is not None:
            say(
                f"{named(group['group'])}: MAE {group['mae']:.3f} on {group['n_truth']} rows; decision accuracy "
                f"{figure(group['agreement']['decision_accuracy'], 3)} on {group['agreement']['num_pairs']} pairs "
                "(chance 0.5)"
            )


def named(group: Mapping[str, str]) -> str:
    """A group for a table's first column."""
    return ", ".join(group.values()) or "all"
