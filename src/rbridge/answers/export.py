"""Mixtures with scores and how well each is known, for optimisers of mixtures (RegMix, Olmix).

RegMix (Liu et al. 2024, arXiv 2407.01492) regresses a loss on mixture weights from two tables that share
``index``; Olmix fits from ``ratios.csv`` and ``metrics.csv`` that share ``run``. Neither takes a weight a row, so the
joined table carries it: 1 / variance of the row's score, which a weighted regression wants.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rbridge.answers.mixtures import read_features
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_groups
from rbridge.errors import InputError
from rbridge.rank import mean_covariance

Style = Literal["regmix", "olmix"]


@dataclass(frozen=True)
class ExportedRow:
    """One recipe on one benchmark.

    Attributes:
        recipe: its name, as in both tables.
        mixture: weights, in the order of the columns of the mixtures' table.
        value: its score, the mean over traces and seeds.
        variance: of that mean; None where neither seeds nor traces tell.
        num_seeds: behind it.
    """

    recipe: str
    mixture: tuple[float, ...]
    value: float
    variance: float | None
    num_seeds: int


@dataclass(frozen=True)
class Exported:
    """What is exported.

    Attributes:
        metric: that was joined.
        domains: names of the mixture's columns.
        groups: rows by benchmark (or whatever splits the source), in the order of the source.
        noise: by group, where the variances come from.
        without_mixture: recipes with a score and no mixture.
        without_score: recipes with a mixture and no score in some group.
    """

    metric: str
    domains: tuple[str, ...]
    groups: Mapping[str, tuple[ExportedRow, ...]]
    noise: Mapping[str, str]
    without_mixture: tuple[str, ...]
    without_score: tuple[str, ...]


def export_mixtures(
    question: RankQuestion, mixtures: Path, *, join: str | None = None, skip_missing: bool = False
) -> Exported:
    """Join scores to mixtures, as ``rbridge fit --features`` joins targets to them.

    Args:
        question: runs or a table, and the metric.
        mixtures: CSV with a row a recipe: ``recipe`` or ``index`` (or ``join``), and a weight a column.
        join: column of the mixtures that holds the recipes' names, or None for the first of those two.
        skip_missing: leave recipes out that only one of the two has; they are listed all the same.

    Raises:
        InputError: a recipe is in one of the two alone, or none is in both, or a mixture is no mixture.
    """
    domains, weights, _ = read_features(mixtures, join, partner=question.source)
    _check_mixtures(mixtures, domains, weights)
    ranked = rank_groups(question)
    scored = {name for group in ranked for name in group.replicates.names}
    everywhere = set.intersection(*[set(group.replicates.names) for group in ranked])
    alone = tuple(sorted(scored - set(weights)))
    unscored = tuple(name for name in weights if name not in everywhere)
    if (alone or unscored) and not skip_missing:
        raise InputError(_missing(mixtures, question.source, alone, unscored))
    groups: dict[str, tuple[ExportedRow, ...]] = {}
    noise: dict[str, str] = {}
    for group in ranked:
        name = ", ".join(group.group.values()) or "all"
        variances, noise[name] = _variances(group)
        seeds = dict(zip(group.replicates.names, map(len, group.replicates.rows()), strict=True))
        values = {row.recipe: row.value for row in group.ranking.order}
        rows = [
            ExportedRow(
                recipe, tuple(map(float, weights[recipe])), values[recipe], variances[recipe], seeds[recipe]
            )
            for recipe in weights
            if recipe in values
        ]
        if not rows:
            raise InputError(
                f"{mixtures}: no recipe of {name} is there; the runs have {', '.join(sorted(values)[:4])}"
            )
        groups[name] = tuple(rows)
    return Exported(question.proxy, domains, groups, noise, alone, unscored)


def _check_mixtures(path: Path, domains: Sequence[str], weights: Mapping[str, np.ndarray]) -> None:
    for recipe, row in weights.items():
        if (row < 0).any() or row.sum() <= 0:
            raise InputError(
                f"{path}: the mixture of {recipe!r} is {dict(zip(domains, row.tolist(), strict=True))}; expected "
                "weights of 0 or more, some above 0"
            )


def _missing(mixtures: Path, source: Path, alone: Sequence[str], unscored: Sequence[str]) -> str:
    parts = []
    if alone:
        parts.append(f"{len(alone)} recipes of {source} have no mixture in {mixtures} ({', '.join(alone)})")
    if unscored:
        parts.append(
            f"{len(unscored)} recipes of {mixtures} have no score in {source} ({', '.join(unscored)})"
        )
    return f"{'; '.join(parts)}: name them alike, or leave them out with --skip-missing"


def _variances(group: RankedGroup) -> tuple[dict[str, float | None], str]:
    """Variance of each recipe's mean by seeds and traces, and where it comes from.

    The same covariance that intervals of ``rank`` come from: seeds' moderated variance where some recipe has two,
    plus what drawing other traces changes.
    """
    replicates = group.replicates
    by_seeds = ["seeds"] if group.ranking.noise is not None else []
    sources = [*by_seeds, *(["traces"] if replicates.num_items > 1 else [])]
    if not sources:
        return dict.fromkeys(replicates.names), "not known: one seed a recipe and no traces"
    spread = np.diag(mean_covariance(replicates, group.ranking.noise))
    found: dict[str, float | None] = {
        name: float(value) if value > 0 else None
        for name, value in zip(replicates.names, spread, strict=True)
    }
    return found, " and ".join(sources)


def exported_csv(found: Exported, style: Style) -> dict[str, bytes]:
    """Tables by their ending: ``.csv`` with everything, and the two that the optimiser's own command reads.

    Returns:
        For ``regmix``: ``.csv``, ``.mixture.csv``, ``.target.csv``, joined by ``index``; for ``olmix``: ``.csv``,
        ``.ratios.csv``, ``.metrics.csv``, joined by ``run``. The joined table has ``<metric>``, ``<metric>_variance``,
        ``<metric>_weight`` and ``<metric>_seeds`` of every group; a cell that is not known is empty.
    """
    recipes = list(dict.fromkeys(row.recipe for rows in found.groups.values() for row in rows))
    rows_of = {name: {row.recipe: row for row in rows} for name, rows in found.groups.items()}
    mixture = {row.recipe: row.mixture for rows in found.groups.values() for row in rows}
    prefix = "metric/" if style == "regmix" else ""
    named = {
        name: f"{prefix}{found.metric}" if len(rows_of) == 1 else f"{prefix}{name}/{found.metric}"
        for name in rows_of
    }
    identity = _identity(recipes, style)
    head = ["index", "recipe"] if style == "regmix" else ["run", "name", "index"]
    short = head[:1] if style == "regmix" else head

    def table(columns: Sequence[str], cells: Mapping[str, Sequence[object]], keys: Sequence[str]) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*keys, *columns])
        for recipe in recipes:
            writer.writerow([*identity[recipe][: len(keys)], *cells[recipe]])
        return out.getvalue().encode()

    values = {recipe: [_value(of.get(recipe)) for of in rows_of.values()] for recipe in recipes}
    full = {
        recipe: [*mixture[recipe], *[cell for of in rows_of.values() for cell in _cells(of.get(recipe))]]
        for recipe in recipes
    }
    columns = [f"{name}{kind}" for name in named.values() for kind in ("", "_variance", "_weight", "_seeds")]
    first, second = ("mixture", "target") if style == "regmix" else ("ratios", "metrics")
    return {
        ".csv": table([*found.domains, *columns], full, head),
        f".{first}.csv": table(found.domains, mixture, short),
        f".{second}.csv": table(list(named.values()), values, short),
    }


def _identity(recipes: Sequence[str], style: Style) -> dict[str, list[object]]:
    if style == "regmix":
        return {recipe: [number, recipe] for number, recipe in enumerate(recipes, start=1)}
    return {recipe: [recipe, recipe, number] for number, recipe in enumerate(recipes)}


def _value(row: ExportedRow | None) -> object:
    return None if row is None else row.value


def _cells(row: ExportedRow | None) -> list[object]:
    if row is None:
        return [None] * 4
    return [row.value, row.variance, None if row.variance is None else 1 / row.variance, row.num_seeds]
