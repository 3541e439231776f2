"""Compute the paper's tables from its figures' data, and hold them cell by cell against what is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from rbridge.answers.cells import read_number, read_table
from rbridge.answers.fit_rows import FitRows, read_fit_rows
from rbridge.answers.fits import paper_group
from rbridge.answers.savings import frontiers, read_points
from rbridge.compute import Point, Saving, savings
from rbridge.fit import Correlation, PaperFit, detrended, first_differences

# Metric of the published table: its column in the figures' data, and whether lower is better.
COLUMNS = {"acc": ("acc_1b", False), "rbridge": ("rbridge_nll_1b", True)}
TARGET = "acc_13b_at_1b_tokens"
CLOCK = "tokens_B"
METHOD = "rBridge"

NOT_DRAWN = "no figure shows its points"
UNEXPLAINED = "not explained"
# Found by reproducing: with the drawn accuracies and these drawn scores the table does not come out.
_DRAWN_OTHERWISE = "the drawn scores are not the tabulated ones"
_WHY = {("gsm8k", "rbridge"): _DRAWN_OTHERWISE, ("math500", "rbridge"): _DRAWN_OTHERWISE}
_Fits = Mapping[str, Mapping[str, tuple[float, float]]]
# Three decimals are printed.
_HALF_A_DIGIT = 0.0005 + 1e-9


@dataclass(frozen=True)
class Cell:
    """One cell of the relation table.

    Attributes:
        benchmark, metric: of the cell.
        published: train R2 and test MAE as printed.
        ours: the same, computed; None where no data are drawn.
        verdict: ``match`` to three decimals, ``differs``, or ``not checkable``.
        why: of the latter two.
    """

    benchmark: str
    metric: str
    published: tuple[float, float]
    ours: tuple[float, float] | None
    verdict: str
    why: str | None


@dataclass(frozen=True)
class NullRow:
    """What a clock says of one benchmark's target, beside rBridge, by the same protocol.

    Attributes:
        benchmark: of the row.
        num_rows: checkpoints.
        fits: train R2 and test MAE of ``rbridge``, ``acc`` and each null.
        checks: correlation of rBridge with the target beyond ln(tokens).
    """

    benchmark: str
    num_rows: int
    fits: Mapping[str, tuple[float, float]]
    checks: Mapping[str, Correlation]


@dataclass(frozen=True)
class SavingRow:
    """One saving factor: computed, and as printed."""

    saving: Saving
    published: str
    verdict: str


@dataclass(frozen=True)
class Reproduction:
    """All that the figures' data give.

    Attributes:
        cells: of the relation table.
        nulls: a row a benchmark.
        savings: of the frontier.
        num_points: checkpoints behind the frontiers.
        num_frontier: points that we find on the frontiers, and how many of them the paper draws.
    """

    cells: tuple[Cell, ...]
    nulls: tuple[NullRow, ...]
    savings: tuple[SavingRow, ...]
    num_points: int
    num_frontier: tuple[int, int]


def reproduce() -> Reproduction:
    """Everything, from the data that ship."""
    with as_file(files("rbridge.paper") / "data") as folder:
        groups = {metric: _groups(folder, metric) for metric in COLUMNS}
        fits = {metric: _fits(rows, lower=COLUMNS[metric][1]) for metric, rows in groups.items()}
        points = read_points(
            folder / "pareto_decision_accuracy.csv", metric="metric", flops="flops", value="decision_accuracy"
        )
        drawn = read_points(
            folder / "pareto_decision_accuracy_frontier.csv",
            metric="metric",
            flops="flops",
            value="decision_accuracy",
        )
        found = [point for frontier in frontiers(points).values() for point in frontier]
        return Reproduction(
            _cells(folder, fits),
            tuple(_null_row(rows, fits) for rows in groups["rbridge"]),
            _saving_rows(folder, savings(points, METHOD)),
            len(points),
            (len(found), sum(any(_same(point, other) for other in drawn) for point in found)),
        )


def _groups(folder: Path, metric: str) -> list[FitRows]:
    return read_fit_rows(folder / "relation_1b_13b.csv", proxy=COLUMNS[metric][0], target=TARGET, order=CLOCK)


def _fits(groups: Sequence[FitRows], *, lower: bool) -> _Fits:
    """Train R2 and test MAE of the proxy ("fit") and of each null, by benchmark."""
    found = {}
    for rows in groups:
        group = paper_group(rows, lower=lower)
        all_fits = {"fit": group.fit, **group.nulls}
        found[rows.group["benchmark"]] = {
            name: (fit.train_r2, fit.test_mae) for name, fit in all_fits.items() if isinstance(fit, PaperFit)
        }
    return found


def _cells(folder: Path, fits: Mapping[str, _Fits]) -> tuple[Cell, ...]:
    path = folder / "published_cells.csv"
    cells = []
    for line, row in enumerate(read_table(path, ("benchmark", "metric", "train_r2", "test_mae")), start=2):
        benchmark, metric = str(row["benchmark"]), str(row["metric"])
        published = (
            read_number(path, line, "train_r2", row["train_r2"]),
            read_number(path, line, "test_mae", row["test_mae"]),
        )
        ours = fits[metric][benchmark]["fit"] if metric in fits else None
        cells.append(Cell(benchmark, metric, published, ours, *_verdict(benchmark, metric, published, ours)))
    return tuple(cells)


def _verdict(
    benchmark: str, metric: str, published: tuple[float, float], ours: tuple[float, float] | None
) -> tuple[str, str | None]:
    if ours is None:
        return "not checkable", NOT_DRAWN
    if np.allclose(ours, published, rtol=0, atol=_HALF_A_DIGIT):
        return "match", None
    return "differs", _WHY.get((benchmark, metric), UNEXPLAINED)


def _null_row(rows: FitRows, fits: Mapping[str, _Fits]) -> NullRow:
    assert rows.target is not None
    assert rows.clock is not None
    benchmark = rows.group["benchmark"]
    of_rbridge = fits["rbridge"][benchmark]
    return NullRow(
        benchmark,
        len(rows.proxy),
        {
            "rbridge": of_rbridge["fit"],
            "acc": fits["acc"][benchmark]["fit"],
            **{name: found for name, found in of_rbridge.items() if name != "fit"},
        },
        {
            "detrended": detrended(rows.proxy, rows.target, np.log(rows.clock)),
            "first_differences": first_differences(rows.proxy, rows.target),
        },
    )


def _saving_rows(folder: Path, found: Sequence[Saving]) -> tuple[SavingRow, ...]:
    printed = [
        str(row["ratio_printed"])
        for row in read_table(folder / "flops_savings_decision_accuracy.csv", ("ratio_printed",))
    ]
    return tuple(
        SavingRow(
            one, text, "match" if one.saving is not None and f"{one.saving:.1f}x" == text else "differs"
        )
        for one, text in zip(found, printed, strict=True)
    )


def _same(one: Point, other: Point) -> bool:
    """Equal up to the eighth digit, which the figures' files round each in their own way."""
    close = np.isclose(one.flops, other.flops, rtol=1e-6, atol=0)
    return one.metric == other.metric and one.value == other.value and bool(close)


def means(rows: Sequence[NullRow]) -> dict[str, tuple[float, float]]:
    """Mean over benchmarks of train R2 and test MAE, for the fits that every benchmark has."""
    names = [name for name in rows[0].fits if all(name in row.fits for row in rows)]
    return {
        name: (
            float(np.mean([row.fits[name][0] for row in rows])),
            float(np.mean([row.fits[name][1] for row in rows])),
        )
        for name in names
    }
