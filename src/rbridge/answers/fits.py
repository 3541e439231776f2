"""Fit a proxy to a target from a CSV, beside its nulls, by the paper's protocol or by ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rbridge.answers.fit_rows import FitRows, read_fit_rows
from rbridge.errors import InputError
from rbridge.fit import (
    CONSTANT,
    FAMILIES,
    Correlation,
    GuardedFit,
    NoFit,
    PaperFit,
    Skill,
    dependence_of,
    detrended,
    first_differences,
    fit_guarded,
    fit_paper,
    skill,
)
from rbridge.metric import lower_is_better

PROTOCOLS = ("paper", "default")

_Rows = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class FitQuestion:
    """What is to be fitted to what.

    Attributes:
        source: CSV of observations, or a folder of score runs.
        proxy: column of the score.
        target: column of the truth.
        lower, higher: what the user said of the proxy's direction.
        order: column that sorts rows, or None (see ``read_fit_rows``).
        by: columns that split the table, or None.
        stage: of training, or None.
        protocol: ``paper`` or ``default``.
        bounds: of the target, or None: read off the targets.
        nulls: more columns to hold the proxy against.
        level: of intervals.
        seed: of resampling.
        targets: CSV that the target is in, where it is not in ``source``.
    """

    source: Path
    proxy: str
    target: str
    lower: bool = False
    higher: bool = False
    order: str | None = None
    by: tuple[str, ...] | None = None
    stage: str | None = None
    protocol: str = "default"
    bounds: tuple[float, float] | None = None
    nulls: tuple[str, ...] = ()
    level: float = 0.9
    seed: int = 0
    targets: Path | None = None


@dataclass(frozen=True)
class FittedGroup:
    """One group's fit, or why it has none.

    Attributes:
        rows: that were fitted.
        fit: by the protocol asked for, or the reason why there is none.
        nulls: each null's fit in the same folds, or the reason why it has none.
        skill: of the fit over the best null; None under the paper's protocol or without a fit.
        checks: correlations beyond the clock; empty where rows are no checkpoints of one run.
        bounds: of the target; None under the paper's protocol, or where it has none.
    """

    rows: FitRows
    fit: PaperFit | GuardedFit | str
    nulls: Mapping[str, PaperFit | GuardedFit | str]
    skill: Skill | None
    checks: Mapping[str, Correlation]
    bounds: tuple[float, float] | None


def fit_groups(question: FitQuestion) -> tuple[bool, list[FittedGroup]]:
    """Whether lower proxies are better, and every group's fit.

    Raises:
        InputError: the file, its columns or the options do not fit the question.
    """
    if question.protocol not in PROTOCOLS:
        raise InputError(f"--protocol is {question.protocol!r}; expected {' or '.join(PROTOCOLS)}")
    if not 0 < question.level < 1:
        raise InputError("--level must be between 0 and 1")
    if question.source.is_dir() and question.targets is None:
        raise InputError(f"{question.source}: score runs hold no targets: add --targets FILE.csv")
    lower = lower_is_better(question.proxy, lower=question.lower, higher=question.higher)
    groups = read_fit_rows(
        question.source,
        proxy=question.proxy,
        target=question.target,
        order=question.order,
        by=question.by,
        stage=question.stage,
        nulls=question.nulls,
        targets=question.targets,
    )
    if question.protocol == "paper":
        return lower, [paper_group(rows, lower=lower) for rows in groups]
    return lower, [
        default_group(rows, bounds=question.bounds, level=question.level, seed=question.seed)
        for rows in groups
    ]


def paper_group(rows: FitRows, *, lower: bool) -> FittedGroup:
    """Fit one group as the paper does: a lower-is-better proxy enters negated."""
    assert rows.target is not None
    target = rows.target
    nulls = {
        name: column if isinstance(column, str) else _paper(column, target)
        for name, column in null_columns(rows).items()
    }
    fit = _paper(-rows.proxy if lower else rows.proxy, target)
    return FittedGroup(rows, fit, nulls, None, {}, None)


def default_group(
    rows: FitRows, *, bounds: tuple[float, float] | None, level: float, seed: int
) -> FittedGroup:
    """Fit one group by the default protocol, its nulls in the same folds."""
    assert rows.target is not None
    held = target_bounds(rows.target) if bounds is None else bounds
    if bounds is not None and len(rows.target) and not _within(rows.target, bounds):
        raise InputError(
            f"--bounds {bounds[0]:g} {bounds[1]:g}: a target of {_named(rows.group)} lies outside "
            f"({rows.target.min():g} to {rows.target.max():g})"
        )
    fit = _guarded(rows.proxy, rows, held)
    nulls: dict[str, PaperFit | GuardedFit | str] = {"mean": _guarded(rows.proxy, rows, held, constant=True)}
    nulls |= {
        name: column if isinstance(column, str) else _guarded(column, rows, held)
        for name, column in null_columns(rows).items()
    }
    gain = None
    if isinstance(fit, GuardedFit):
        fitted = {name: null for name, null in nulls.items() if isinstance(null, GuardedFit)}
        gain = skill(fit, fitted, rng=np.random.default_rng(seed), level=level)
    return FittedGroup(rows, fit, nulls, gain, _checks(rows, fit), held)


def target_bounds(target: _Rows) -> tuple[float, float] | None:
    """Of a share (0 to 1) or a percentage (0 to 100), whichever holds all targets; else None."""
    return next((bounds for bounds in ((0.0, 1.0), (0.0, 100.0)) if _within(target, bounds)), None)


def _within(target: _Rows, bounds: tuple[float, float]) -> bool:
    return bool(((target >= bounds[0]) & (target <= bounds[1])).all())


def _named(group: Mapping[str, str]) -> str:
    return ", ".join(group.values()) or "the table"


def null_columns(rows: FitRows) -> dict[str, _Rows | str]:
    """What is cheaper than the proxy: the clock by its logarithm and as 6ND, the user's columns.

    6ND of one model is its tokens times a constant, so it enters as the clock over its largest
    value. A null that the table cannot give is the reason why.
    """
    if rows.clock is None:
        missing = "no column of tokens: name it with --order"
        return {"ln_tokens": missing, "6nd": missing, **rows.nulls}
    # The interface calls it ln_tokens; another clock, such as steps, keeps its own name.
    name = rows.clock_name or ""
    log = "ln_tokens" if "token" in name.lower() else f"ln_{name}"
    if len(rows.clock) == 0 or (rows.clock <= 0).any():
        missing = f"{name} is not positive everywhere"
        return {log: missing, "6nd": missing, **rows.nulls}
    return {log: np.log(rows.clock), "6nd": rows.clock / rows.clock.max(), **rows.nulls}


def _paper(x: _Rows, y: _Rows) -> PaperFit | str:
    try:
        return fit_paper(x, y)
    except NoFit as reason:
        return str(reason)


def _guarded(
    x: _Rows, rows: FitRows, bounds: tuple[float, float] | None, *, constant: bool = False
) -> GuardedFit | str:
    assert rows.target is not None
    dependence = dependence_of(rows.recipes, len(x), ordered=rows.clock is not None)
    families = (CONSTANT,) if constant else FAMILIES
    try:
        return fit_guarded(x, rows.target, dependence=dependence, bounds=bounds, families=families)
    except NoFit as reason:
        return str(reason)


def _checks(rows: FitRows, fit: GuardedFit | str) -> dict[str, Correlation]:
    """Only of checkpoints of one run: other rows share no clock."""
    if (
        isinstance(fit, str)
        or fit.chosen.dependence.kind != "run"
        or rows.clock is None
        or rows.target is None
    ):
        return {}
    checks = {"first_differences": first_differences(rows.proxy, rows.target)}
    if (rows.clock > 0).all():
        checks["detrended"] = detrended(rows.proxy, rows.target, np.log(rows.clock))
    return checks
