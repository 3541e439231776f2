"""Regress a target on mixture weights: two CSVs joined by a column, and two more to test on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, spearmanr

from rbridge.answers.cells import need_columns, of_stage, read_number, read_table
from rbridge.errors import InputError
from rbridge.fit import LinearFit, NoFit, fit_linear, held_out
from rbridge.rank import Agreement, agreement

JOINS = ("recipe", "index")

_Rows = Float[np.ndarray, " rows"]
_Table = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class MixtureQuestion:
    """What is regressed on what.

    Attributes:
        source, features: CSVs of targets and of mixture weights, a row a recipe each.
        target: column of the target.
        test, test_features: the same of recipes to test on, or None.
        join: column that both share, or None: the first of ``JOINS`` that they do.
        by: columns that split the targets, or None: ``benchmark`` where there is one.
        stage: of training, or None.
        level, resamples, seed: of intervals.
    """

    source: Path
    features: Path
    target: str
    test: Path | None = None
    test_features: Path | None = None
    join: str | None = None
    by: tuple[str, ...] | None = None
    stage: str | None = None
    level: float = 0.9
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Prediction:
    """Predictions held against the truth.

    Attributes:
        mae: mean absolute error.
        null_mae: of the mean of the training targets.
        spearman: rank correlation; None with the reason.
        interval: of it, recipes resampled; None below four.
        agreement: decision accuracy and Kendall's tau.
        reason: why there is no rank correlation.
    """

    mae: float
    null_mae: float
    spearman: float | None
    interval: tuple[float, float] | None
    agreement: Agreement
    reason: str | None


@dataclass(frozen=True)
class MixtureGroup:
    """One group's regression.

    Attributes:
        group: the value of each column that was grouped by.
        names: of the features.
        fit: the regression, or the reason why there is none.
        num_rows: joined; ``num_dropped`` had an empty cell or no partner in the other table.
        held_out: five shuffled folds; the reason where there are too few rows.
        test: on the test tables, or None.
        num_test_dropped: of the test rows, likewise.
    """

    group: Mapping[str, str]
    names: tuple[str, ...]
    fit: LinearFit | str
    num_rows: int
    num_dropped: int
    held_out: Prediction | str
    test: Prediction | None
    num_test_dropped: int


def fit_mixtures(question: MixtureQuestion) -> list[MixtureGroup]:
    """Answer a mixture question.

    Raises:
        InputError: files or columns do not fit the question, or one another.
    """
    if (question.test is None) != (question.test_features is None):
        raise InputError("--test and --test-features go together: targets and mixtures of the test recipes")
    names, mixtures, join = read_features(question.features, question.join, partner=question.source)
    groups = _joined(question.source, mixtures, join, names, question)
    tests: dict[tuple[str, ...], _Joined] = {}
    if question.test is not None and question.test_features is not None:
        test_names, test_mixtures, test_join = read_features(
            question.test_features, question.join, partner=question.test
        )
        if set(test_names) != set(names):
            odd = sorted(set(test_names) ^ set(names))
            raise InputError(
                f"{question.test_features}: features differ from {question.features}: {', '.join(odd[:4])}"
            )
        places = [test_names.index(name) for name in names]
        ordered = {key: row[places] for key, row in test_mixtures.items()}
        tests = _joined(question.test, ordered, test_join, names, question)
        for name in groups:
            if name not in tests:
                raise InputError(f"{question.test}: no rows of the group {', '.join(name) or '(all)'}")
    return [_fitted(rows, tests.get(name), names, question) for name, rows in groups.items()]


@dataclass(frozen=True)
class _Joined:
    group: Mapping[str, str]
    features: _Table
    target: _Rows
    num_dropped: int


def read_features(
    path: Path, join: str | None, *, partner: Path
) -> tuple[tuple[str, ...], dict[str, _Rows], str]:
    """Feature names, features by recipe, and the joining column of a CSV of mixtures.

    Raises:
        InputError: no joining column, a repeated recipe, or a cell that is no number.
    """
    cells = read_table(path, ())
    key = join if join is not None else next((name for name in JOINS if name in cells[0]), None)
    if key is None:
        raise InputError(
            f"{path}: no column {' or '.join(JOINS)} to join it to {partner}; name one with --join"
        )
    need_columns(path, cells[0], (key,))
    names = tuple(name for name in cells[0] if name != key)
    if not names:
        raise InputError(f"{path}: no columns beside {key!r}; expected a mixture weight a column")
    found: dict[str, _Rows] = {}
    for line, row in enumerate(cells, start=2):
        recipe = row[key]
        if not recipe:
            raise InputError(f"{path}:{line}: {key} is empty")
        if recipe in found:
            raise InputError(f"{path}:{line}: {key} {recipe!r} stands twice")
        found[recipe] = np.array([read_number(path, line, name, row[name]) for name in names])
    return names, found, key


def _joined(
    path: Path, mixtures: Mapping[str, _Rows], join: str, names: Sequence[str], question: MixtureQuestion
) -> dict[tuple[str, ...], _Joined]:
    cells = read_table(path, (join, question.target))
    by = (("benchmark",) if "benchmark" in cells[0] else ()) if question.by is None else question.by
    need_columns(path, cells[0], by)
    found: dict[tuple[str, ...], list[tuple[_Rows, float]]] = {}
    dropped: dict[tuple[str, ...], int] = {}
    for line, row in of_stage(path, list(enumerate(cells, start=2)), stage=question.stage, by=by):
        group = tuple(row[column] or "" for column in by)
        mixture = mixtures.get(row[join] or "")
        rows = found.setdefault(group, [])
        if mixture is None or not row[question.target]:
            dropped[group] = dropped.get(group, 0) + 1
            continue
        rows.append((mixture, read_number(path, line, question.target, row[question.target])))
    if not any(found.values()):
        raise InputError(f"{path}: no {join} is in the table of mixtures too")
    return {
        name: _Joined(
            dict(zip(by, name, strict=True)),
            np.array([features for features, _ in rows]).reshape(len(rows), len(names)),
            np.array([value for _, value in rows]),
            dropped.get(name, 0),
        )
        for name, rows in found.items()
    }


def _fitted(
    rows: _Joined, test: _Joined | None, names: tuple[str, ...], question: MixtureQuestion
) -> MixtureGroup:
    try:
        fit: LinearFit | str = fit_linear(rows.features, rows.target)
    except NoFit as reason:
        fit = str(reason)
    try:
        unseen: Prediction | str = assess(
            held_out(rows.features, rows.target), rows.target, float(rows.target.mean()), question
        )
    except NoFit as reason:
        unseen = str(reason)
    tested = None
    if test is not None and isinstance(fit, LinearFit):
        tested = assess(fit(test.features), test.target, fit.intercept, question)
    return MixtureGroup(
        rows.group,
        names,
        fit,
        len(rows.target),
        rows.num_dropped,
        unseen,
        tested,
        0 if test is None else test.num_dropped,
    )


def assess(predicted: _Rows, truth: _Rows, mean: float, question: MixtureQuestion) -> Prediction:
    """Hold predictions against the truth, beside the null that predicts one mean for all."""
    rng = np.random.default_rng(question.seed)
    constant = len(truth) < 2 or np.ptp(predicted) == 0 or np.ptp(truth) == 0
    return Prediction(
        mae=float(np.abs(truth - predicted).mean()),
        null_mae=float(np.abs(truth - mean).mean()),
        spearman=None if constant else float(spearmanr(predicted, truth).statistic),
        interval=None if constant or len(truth) < 4 else _spearman_interval(predicted, truth, question, rng),
        agreement=agreement(
            predicted, truth, one_seed=None, num_seeds=0, rng=rng, resamples=question.resamples,
            level=question.level,
        ),
        reason="fewer than two recipes, or all alike" if constant else None,
    )  # fmt: skip


def _spearman_interval(
    predicted: _Rows, truth: _Rows, question: MixtureQuestion, rng: np.random.Generator
) -> tuple[float, float]:
    rows = rng.integers(len(truth), size=(question.resamples, len(truth)))
    ranks = [rankdata(values[rows], axis=1) for values in (predicted, truth)]
    one, other = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    # A resample in which one side is constant says nothing.
    drawn = (one * other).sum(axis=1)[spread > 0] / spread[spread > 0]
    low, high = np.quantile(drawn, [(1 - question.level) / 2, (1 + question.level) / 2])
    return float(low), float(high)
