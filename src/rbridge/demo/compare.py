"""The miniature's ranking beside its controls and nulls, all against the same targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rbridge.answers.observations import RankGroup, read_targets
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_group, rank_runs
from rbridge.rank import Replicates, gain_interval
from rbridge.report import ComparisonRow, Gain
from rbridge.store.runs import Run

TARGET = "accuracy"
_ON_TRIAL = "rbridge"
_CONTROLS = ("rbridge_shuffled", "trace_nll")


@dataclass(frozen=True)
class Compared:
    """What the page shows of the miniature.

    Attributes:
        ranking: recipes by rBridge, against the targets.
        rows: every metric's agreement with the targets, rBridge first.
    """

    ranking: RankedGroup
    rows: tuple[ComparisonRow, ...]


def compare(
    runs: Sequence[Run],
    *,
    targets: Path,
    accuracies: Sequence[tuple[str, int, float]],
    dose: Mapping[str, float],
) -> Compared:
    """Rank the recipes by rBridge, its controls and its nulls.

    Args:
        runs: of the proxies, labelled with recipe and seed.
        targets: CSV of the large models' accuracies, by recipe.
        accuracies: recipe, seed and own accuracy of every proxy.
        dose: share of trace-like text in each recipe.
    """
    question = RankQuestion(source=targets, target=TARGET, targets=targets, by=("benchmark",))
    scored = {
        metric: rank_runs(tuple(runs), replace(question, proxy=metric))[0]
        for metric in (_ON_TRIAL, *_CONTROLS)
    }
    truth = {recipe: value for (recipe, _), value in read_targets(targets, target=TARGET).items()}
    own = _ranked("proxies' own accuracy", _replicates_of(accuracies), truth, question)
    counted = _ranked("trace-like text", _values_of(dose), truth, question)
    on_trial = scored[_ON_TRIAL]
    gains = tuple(
        _gain(on_trial, other, name)
        for name, other in [("trace-like text", counted), ("proxies' own accuracy", own)]
    )
    rows = (
        ComparisonRow.of(on_trial, kind="score", gains=gains),
        *[ComparisonRow.of(scored[metric], kind="control") for metric in _CONTROLS],
        _row(
            counted,
            on_trial,
            "null",
            "share of a recipe's words in a run of four that a trace has too; no model",
        ),
        _row(own, on_trial, "null", "share of problems that the proxy itself answers right"),
    )
    return Compared(on_trial, rows)


def _row(ranked: RankedGroup, beside: RankedGroup, kind: str, meaning: str) -> ComparisonRow:
    row = ComparisonRow.of(
        ranked, kind="null" if kind == "null" else "control", name=ranked.proxy, meaning=meaning
    )
    return replace(row, group=", ".join(beside.group.values()))


def _ranked(
    name: str, replicates: Replicates, targets: Mapping[str, float], question: RankQuestion
) -> RankedGroup:
    group = RankGroup({}, replicates, targets, None, num_dropped=0, notes=())
    return rank_group(group, replace(question, proxy=name), lower=False)


def _replicates_of(accuracies: Sequence[tuple[str, int, float]]) -> Replicates:
    return Replicates(
        recipes=tuple(recipe for recipe, _, _ in accuracies),
        seeds=tuple(str(seed) for _, seed, _ in accuracies),
        values=np.array([[accuracy] for _, _, accuracy in accuracies]),
    )


def _values_of(dose: Mapping[str, float]) -> Replicates:
    return Replicates(tuple(dose), (None,) * len(dose), np.array([[value] for value in dose.values()]))


def _gain(on_trial: RankedGroup, other: RankedGroup, name: str) -> Gain:
    assert on_trial.targets is not None  # both were ranked against the same
    recipes = sorted(on_trial.targets)
    score, null = ({row.recipe: row.value for row in group.ranking.order} for group in (on_trial, other))
    difference, interval = gain_interval(
        np.array([-score[recipe] for recipe in recipes]),  # lower is better
        np.array([null[recipe] for recipe in recipes]),
        np.array([on_trial.targets[recipe] for recipe in recipes]),
        rng=np.random.default_rng(0),
    )
    return Gain(name, difference, interval)
