"""Target values of new proxies from a stored fit, with intervals, and held against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rbridge.answers.fit_file import StoredFit, StoredGroup, read_fit
from rbridge.answers.new_rows import NewRows, read_new_rows
from rbridge.errors import IncomparableRuns, InputError
from rbridge.fit import FEWEST_RECIPES, NOT_IDENTIFIED, ChosenCurve, LinearFit, PaperCurve, transfer_offset
from rbridge.rank import Agreement, agreement

PER_BYTE = ("rbridge_per_byte", "trace_bits_per_byte")
OTHER_RECIPE = "another recipe than the fit's: use --transfer"
NO_INTERVAL = "the paper's protocol has no interval: fit with --protocol default"
UNDEFINED = "the curve does not exist at this score"

_Rows = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class PredictQuestion:
    """What is to be predicted.

    Attributes:
        fit: file of ``rbridge fit -o``.
        source: CSV with the fit's columns, or a folder of score runs.
        target: column of the truth in that CSV, or None; it may be empty for some rows.
        transfer: apply the fit unchanged to other recipes.
        level: of intervals; None: the fit's.
        resamples, seed: of the decision accuracy's interval.
    """

    fit: Path
    source: Path
    target: str | None = None
    transfer: bool = False
    level: float | None = None
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class PredictedRow:
    """One new observation.

    Attributes:
        recipe: or None.
        x: its score; None of mixtures.
        predicted: its target, or None with the reason.
        interval: or None with the reason.
        extrapolated: the score lies outside the fitted ones.
        truth: where it is known.
        reason: why a figure is missing.
    """

    recipe: str | None
    x: float | None
    predicted: float | None
    interval: tuple[float, float] | None
    extrapolated: bool
    truth: float | None
    reason: str | None


@dataclass(frozen=True)
class PredictedGroup:
    """One group's predictions.

    Attributes:
        group: the value of each column that the fit was grouped by.
        rows: in the order of the file.
        num_dropped: rows without a score.
        mae: on the rows whose truth is known, or None.
        num_truth: those rows.
        agreement: of predictions with the truth over recipes, rows of a recipe averaged.
        bias: mean of target minus prediction over other recipes; only of a transfer.
        notes: what a reader must know.
    """

    group: Mapping[str, str]
    rows: tuple[PredictedRow, ...]
    num_dropped: int
    mae: float | None
    num_truth: int
    agreement: Agreement
    bias: float | None
    notes: tuple[str, ...]


def predict(question: PredictQuestion) -> tuple[StoredFit, float, list[PredictedGroup]]:
    """The fit, the level of the intervals, and predictions group by group.

    Raises:
        InputError: files or columns do not fit the question.
        IncomparableRuns: a fit is transferred to scores under other tokenizers.
    """
    fit = read_fit(question.fit)
    level = fit.level if question.level is None else question.level
    if not 0 < level < 1:
        raise InputError("--level must be between 0 and 1")
    if question.transfer and fit.kind == "mixture":
        raise InputError("--transfer is for fits of a proxy; mixture weights stand for every recipe already")
    by = tuple(fit.groups[0].group) if fit.groups else ()
    known = {tuple(group.group.values()): group for group in fit.groups}
    found = []
    for name, new in read_new_rows(question.source, fit, by, target=question.target).items():
        if name not in known:
            raise InputError(
                f"{question.source}: {question.fit} has no fit of {', '.join(name)}; it has "
                + "; ".join(", ".join(values) for values in known)
            )
        found.append(_predicted(known[name], new, fit, question, level))
    return fit, level, found


def _predicted(
    group: StoredGroup, new: NewRows, fit: StoredFit, question: PredictQuestion, level: float
) -> PredictedGroup:
    notes = _tokenizer_notes(group, new, fit, question) if question.transfer else []
    rows = _rows(group, new, fit, level)
    bias = None
    if question.transfer:
        rows, bias, more = _transferred(group, rows, level)
        notes += more
    else:
        rows = [_only_identified(group, row) for row in rows]
    outside = sum(row.extrapolated for row in rows)
    if outside and group.x_range is not None:
        notes.append(
            f"{outside} of {len(rows)} scores lie outside the fitted range "
            f"[{group.x_range[0]:.4g}, {group.x_range[1]:.4g}]: extrapolated"
        )
    errors = [
        row.truth - row.predicted for row in rows if row.truth is not None and row.predicted is not None
    ]
    return PredictedGroup(
        group.group,
        tuple(rows),
        new.num_dropped,
        float(np.abs(errors).mean()) if errors else None,
        len(errors),
        _agreement(rows, question, level),
        bias,
        tuple(notes),
    )


def _rows(group: StoredGroup, new: NewRows, fit: StoredFit, level: float) -> list[PredictedRow]:
    x = np.array(new.x, dtype=np.float64).reshape(len(new.x), -1)
    values, intervals, reason = _model_values(group.model, x, level, lower=fit.lower)
    found = []
    for place, (value, ends) in enumerate(zip(values, intervals, strict=True)):
        score = None if fit.kind == "mixture" else float(x[place, 0])
        away = (
            score is not None
            and group.x_range is not None
            and not group.x_range[0] <= score <= group.x_range[1]
        )
        why = (reason or UNDEFINED) if value is None else (reason if ends is None else None)
        found.append(PredictedRow(new.recipes[place], score, value, ends, away, new.truths[place], why))
    return found


def _model_values(
    model: ChosenCurve | PaperCurve | LinearFit | str,
    x: Float[np.ndarray, "rows columns"],
    level: float,
    *,
    lower: bool,
) -> tuple[list[float | None], list[tuple[float, float] | None], str | None]:
    """Value and interval of each row, and why all of them may be missing."""
    none: list[None] = [None] * len(x)
    if isinstance(model, str):
        return [*none], [*none], model
    intervals: list[tuple[float, float] | None]
    if isinstance(model, LinearFit):
        values, half = model(x), model.half_width(x, level)
        intervals = (
            [*none]
            if half is None
            else [(float(v - h), float(v + h)) for v, h in zip(values, half, strict=True)]
        )
        return [float(v) for v in values], intervals, None if half is not None else "no degrees of freedom"
    scores = x[:, 0]
    if isinstance(model, PaperCurve):
        values = model(-scores if lower else scores)
        return [float(v) if np.isfinite(v) else None for v in values], [*none], NO_INTERVAL
    return *_guarded_values(model, scores, level), None


def _guarded_values(
    model: ChosenCurve, scores: _Rows, level: float
) -> tuple[list[float | None], list[tuple[float, float] | None]]:
    there = model.posterior.defined(scores)
    values: list[float | None] = [None] * len(scores)
    intervals: list[tuple[float, float] | None] = [None] * len(scores)
    if not there.any():
        return values, intervals
    predicted = model.curve(scores[there])
    low, high = model.posterior.interval(scores[there], level)
    bounds = model.curve.bounds or (-np.inf, np.inf)
    for place, value, ends in zip(
        np.flatnonzero(there), predicted, np.clip(np.stack([low, high], axis=1), *bounds), strict=True
    ):
        # The interval averages over families; it never leaves out the curve that is shown.
        values[place] = float(value)
        intervals[place] = (float(min(ends[0], value)), float(max(ends[1], value)))
    return values, intervals


def _only_identified(group: StoredGroup, row: PredictedRow) -> PredictedRow:
    """Without the interval where the fitted rows cannot tell how much recipes differ."""
    if row.interval is None or not isinstance(group.model, ChosenCurve):
        return row
    if group.model.dependence.kind == "run":
        same = group.recipes is None or row.recipe is None or row.recipe in group.recipes
        return row if same else _without(row, OTHER_RECIPE)
    if group.num_recipes < FEWEST_RECIPES:
        return _without(row, _few(group.num_recipes))
    return row


def _without(row: PredictedRow, reason: str) -> PredictedRow:
    return PredictedRow(row.recipe, row.x, row.predicted, None, row.extrapolated, row.truth, reason)


def _few(num: int) -> str:
    return f"{NOT_IDENTIFIED}: {num} recipes with targets, {FEWEST_RECIPES} are needed"


def _transferred(
    group: StoredGroup, rows: Sequence[PredictedRow], level: float
) -> tuple[list[PredictedRow], float | None, list[str]]:
    """Rows with the intervals of a transfer: each from all recipes but its own and the fit's."""
    errors: dict[str, list[float]] = {}
    for place, row in enumerate(rows):
        own = group.recipes is not None and row.recipe in group.recipes
        if row.truth is not None and row.predicted is not None and not own:
            errors.setdefault(row.recipe or f"row {place}", []).append(row.truth - row.predicted)
    known = {recipe: np.array(values) for recipe, values in errors.items()}
    found = []
    for place, row in enumerate(rows):
        others = {name: values for name, values in known.items() if name != (row.recipe or f"row {place}")}
        offset = transfer_offset(others, level=level) if len(known) >= FEWEST_RECIPES else None
        if offset is None or row.predicted is None:
            found.append(_without(row, _few(len(known)) if row.predicted is not None else str(row.reason)))
            continue
        middle = row.predicted + offset.centre
        ends = (middle - offset.half_width, middle + offset.half_width)
        found.append(PredictedRow(row.recipe, row.x, row.predicted, ends, row.extrapolated, row.truth, None))
    if not known:
        return found, None, []
    bias = float(np.mean([values.mean() for values in known.values()]))
    return found, bias, [f"targets of {len(known)} other recipes lie {bias:+.3f} off the fit on average"]


def _tokenizer_notes(
    group: StoredGroup, new: NewRows, fit: StoredFit, question: PredictQuestion
) -> list[str]:
    if fit.proxy in PER_BYTE:
        return []
    if not group.tokenizers or not new.tokenizers:
        return ["tokenizers are not known to match: name them in a column 'tokenizer' of both tables"]
    if group.tokenizers != new.tokenizers:
        raise IncomparableRuns(
            f"{question.source}: scores under {_listed(new.tokenizers)}, but the fit's under "
            f"{_listed(group.tokenizers)}: a mean over tokens does not compare across tokenizers; "
            f"fit and predict by {' or '.join(PER_BYTE)}"
        )
    return []


def _listed(names: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(name[:24] for name in names))


def _agreement(rows: Sequence[PredictedRow], question: PredictQuestion, level: float) -> Agreement:
    by_recipe: dict[str, list[tuple[float, float]]] = {}
    for place, row in enumerate(rows):
        if row.truth is not None and row.predicted is not None:
            by_recipe.setdefault(row.recipe or f"row {place}", []).append((row.predicted, row.truth))
    means = np.array([np.mean(pairs, axis=0) for pairs in by_recipe.values()]).reshape(-1, 2)
    return agreement(
        means[:, 0],
        means[:, 1],
        one_seed=None,
        num_seeds=0,
        rng=np.random.default_rng(question.seed),
        resamples=question.resamples,
        level=level,
    )
