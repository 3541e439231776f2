"""rbridge paper: the paper's tables from its figures' data, cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rbridge.cli.output import figure, print_json, print_table

if TYPE_CHECKING:
    from rbridge.paper.reproduce import Reproduction

_SOURCE = "Koh et al., arXiv 2509.21013, points read off the figures"


def paper(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Reproduce the paper's fits and saving factors from its figures' data, beside their nulls.

    Example: rbridge paper --json

    Parameters
    ----------
    json
        Print JSON instead of tables.
    """
    from rbridge.paper.reproduce import reproduce

    found = reproduce()
    if json:
        print_json(_document(found))
    else:
        _print(found)
    return 0


def _document(found: Reproduction) -> dict[str, Any]:
    from rbridge.paper.reproduce import means

    return {
        "format_version": 1,
        "source": _SOURCE,
        "cells": [
            {
                "benchmark": cell.benchmark,
                "metric": cell.metric,
                "published": _pair(cell.published),
                "ours": None if cell.ours is None else _pair(cell.ours),
                "verdict": cell.verdict,
                "why": cell.why,
            }
            for cell in found.cells
        ],
        "nulls": [
            {
                "benchmark": row.benchmark,
                "n": row.num_rows,
                **{name: _pair(pair) for name, pair in row.fits.items()},
                **{
                    name: {"r": one.r, "p_value": one.p_value, "n": one.num_rows, "reason": one.reason}
                    for name, one in row.checks.items()
                },
            }
            for row in found.nulls
        ],
        "mean": {name: _pair(pair) for name, pair in means(found.nulls).items()},
        "frontier": {
            "n_points": found.num_points,
            "n_on_frontier": found.num_frontier[0],
            "n_drawn": found.num_frontier[1],
        },
        "savings": [
            {
                "value": row.saving.point.value,
                "flops": row.saving.point.flops,
                "alternative_flops": row.saving.alternative_flops,
                "saving": row.saving.saving,
                "published": row.published,
                "verdict": row.verdict,
            }
            for row in found.savings
        ],
    }


def _pair(pair: tuple[float, float]) -> dict[str, float]:
    return {"train_r2": pair[0], "test_mae": pair[1]}


def _print(found: Reproduction) -> None:
    from rbridge.paper.reproduce import means

    shown = [cell for cell in found.cells if cell.ours is not None]
    hidden = len(found.cells) - len(shown)
    print_table(
        f"1B to 13B, train R2 / test MAE, 15 checkpoints a benchmark ({_SOURCE}); "
        f"{hidden} cells of other metrics cannot be checked: no figure shows their points",
        ("benchmark", "metric", "verdict", "published", "ours"),
        [
            (
                cell.benchmark,
                cell.metric,
                cell.verdict + (f": {cell.why}" if cell.why else ""),
                _shown(cell.published),
                _shown(cell.ours),
            )
            for cell in shown
        ],
        text_columns=3,
    )
    names = list(means(found.nulls))
    print_table(
        "What a clock says of the same targets, same families and folds (r: beyond the clock, rBridge with target)",
        ("benchmark", *names, "r, ln(tokens) taken out (p)", "r of first differences (p)"),
        [
            (
                row.benchmark,
                *[_shown(row.fits.get(name)) for name in names],
                *[f"{figure(one.r, 2)} ({figure(one.p_value, 3)})" for one in row.checks.values()],
            )
            for row in found.nulls
        ]
        + [("mean", *[_shown(pair) for pair in means(found.nulls).values()], "", "")],
    )
    print_table(
        f"Decision accuracy over FLOPs: saving of rBridge over the best of all other metrics "
        f"({found.num_points} points; {found.num_frontier[1]} of our {found.num_frontier[0]} frontier "
        "points are drawn)",
        ("verdict", "decision accuracy", "FLOPs", "alternative FLOPs", "saving", "published"),
        [
            (
                row.verdict,
                f"{row.saving.point.value:.2f}",
                f"{row.saving.point.flops:.4g}",
                f"{row.saving.alternative_flops or 0:.4g}",
                f"{figure(row.saving.saving, 1)}x",
                row.published,
            )
            for row in found.savings
        ],
    )


def _shown(pair: tuple[float, float] | None) -> str:
    return "–" if pair is None else f"{pair[0]:.3f} / {pair[1]:.3f}"
