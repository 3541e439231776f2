"""Rank what is stored: read runs or a table, order each group, hold it against targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rbridge.answers.against import Case, Held, hold
from rbridge.answers.comparable import run_rank_groups
from rbridge.answers.evaluations import evaluation_rank_groups, is_evaluation_metric
from rbridge.answers.observations import RankGroup, read_rank_groups, read_target_noise, read_targets
from rbridge.answers.question import RankQuestion
from rbridge.answers.seed_notes import seed_notes
from rbridge.answers.target_noise import TargetNoise
from rbridge.errors import InputError
from rbridge.metric import lower_is_better
from rbridge.metric.margin import MARGIN
from rbridge.rank import (
    Agreement,
    Calls,
    Decisions,
    Pilot,
    Ranking,
    Relation,
    Replicates,
    mean_covariance,
    pilot_of,
    proxy_too_small,
    rank_recipes,
)
from rbridge.store.evaluations import read_evaluations
from rbridge.store.runs import Run
from rbridge.store.settled import read_whole_runs
from rbridge.store.views import View

__all__ = ["RankQuestion", "RankedGroup", "rank_group", "rank_groups", "rank_runs"]

_LARGEST = 1e100


@dataclass(frozen=True)
class RankedGroup:
    """One group's ranking, and its agreement with the target where there is one.

    ``replicates`` are the values that were ranked; ``decisions``, ``items_interval`` (of the decision
    accuracy, by resampling items and seeds) and ``tau_items_interval`` (of Kendall's tau) stand where there
    are targets for two recipes. ``abstain`` says why the ranks of a margin mean nothing, where that is so.
    ``target_probability``, ``relation`` and ``calls`` are those of ``Held``.
    """

    group: Mapping[str, str]
    proxy: str
    lower_is_better: bool
    ranking: Ranking
    target: str | None
    targets: Mapping[str, float] | None
    target_lower_is_better: bool
    agreement: Agreement | None
    num_dropped: int
    notes: tuple[str, ...]
    replicates: Replicates
    decisions: Decisions | None
    items_interval: tuple[float, float] | None
    tau_items_interval: tuple[float, float] | None
    target_noise_rule: str | None
    abstain: str | None
    target_errors: Mapping[str, float] | None = None
    target_probability: Mapping[str, Mapping[str, float]] | None = None
    relation: Relation | None = None
    calls: Calls | None = None


def rank_groups(question: RankQuestion) -> list[RankedGroup]:
    """Answer a rank question.

    Raises:
        InputError: the files or columns do not fit the question.
        IncomparableRuns: score runs that must not stand in one ranking.
    """
    lower = lower_is_better(question.proxy, lower=question.lower, higher=question.higher)
    question.check()
    groups = _read_groups(question, question.source)
    pilots = {} if question.pilot is None else _pilots(question, question.pilot)
    return [
        rank_group(group, question, lower=lower, pilot=pilots.get(_name(group.group), pilots.get(None)))
        for group in groups
    ]


def _pilots(question: RankQuestion, pilot: Path) -> dict[tuple[tuple[str, str], ...] | None, Pilot]:
    """Seed noise by group; under None where the pilot is of one group, which then serves all."""
    groups = _read_groups(replace(question, target=None, targets=None), pilot)
    found = {_name(group.group): pilot_of(group.replicates) for group in groups}
    known = {name: one for name, one in found.items() if one is not None}
    if not known:
        raise InputError(f"{pilot}: no recipe has two seeds there, so it shows no seed noise")
    only = next(iter(known.values())) if len(known) == 1 else None
    return {**known, **({} if only is None else {None: only})}


def _name(group: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(group.items())


def rank_runs(runs: tuple[Run, ...], question: RankQuestion) -> list[RankedGroup]:
    """As ``rank_groups``, for runs that are read already."""
    lower = lower_is_better(question.proxy, lower=question.lower, higher=question.higher)
    return [rank_group(group, question, lower=lower) for group in _run_groups(runs, question)]


def _read_groups(question: RankQuestion, source: Path) -> list[RankGroup]:
    if source.is_dir() and is_evaluation_metric(question.proxy):
        return _evaluation_groups(question, source)
    if source.is_dir():
        return _run_groups(read_whole_runs(source, View(question.voices, question.weights)), question)
    if question.targets is not None:
        raise InputError(
            "--targets goes with score runs; a CSV has its target in a column of its own: --target COLUMN"
        )
    if question.voices or question.weights is not None:
        raise InputError("--voice and --weights go with score runs; a CSV has its values in columns")
    return read_rank_groups(
        source,
        proxy=question.proxy,
        target=question.target,
        by=question.by,
        stage=question.stage,
        last=question.last,
    )


def _evaluation_groups(question: RankQuestion, source: Path) -> list[RankGroup]:
    if question.voices or question.weights is not None or question.last is not None:
        raise InputError(f"--voice, --weights and --last go with score runs, not with {question.proxy}")
    targets, noise = _targets(question)
    return evaluation_rank_groups(
        read_evaluations(source), metric=question.proxy, by=question.by, targets=targets, noise=noise
    )


def _targets(
    question: RankQuestion,
) -> tuple[dict[tuple[str, str | None], float] | None, dict[str | None, TargetNoise] | None]:
    """Targets and their noise from a file of their own; None of both where none is given."""
    if (question.target is None) != (question.targets is None):
        raise InputError(
            "score runs hold no targets: give both --targets FILE.csv and --target COLUMN, or neither"
        )
    if question.targets is None or question.target is None:
        return None, None
    return (
        read_targets(question.targets, target=question.target, stage=question.stage),
        read_target_noise(question.targets, target=question.target, stage=question.stage),
    )


def _run_groups(runs: tuple[Run, ...], question: RankQuestion) -> list[RankGroup]:
    targets, noise = _targets(question)
    return run_rank_groups(
        runs, metric=question.proxy, by=question.by, targets=targets, noise=noise, last=question.last
    )


def rank_group(
    group: RankGroup, question: RankQuestion, *, lower: bool, pilot: Pilot | None = None
) -> RankedGroup:
    """Order one group. Every group draws from its own copy of the same random stream."""
    _refuse_scale(group.replicates, question.proxy)
    rng = np.random.default_rng(question.seed)
    ranking = rank_recipes(
        group.replicates,
        lower_is_better=lower,
        rng=rng,
        resamples=question.resamples,
        level=question.level,
        pilot=pilot,
    )
    abstain = _abstain(group.replicates, question.proxy, ranking)
    held: Held | None = None
    if group.targets is not None:
        held = hold(Case(group, group.targets, ranking, question, lower, pilot), rng)
    return RankedGroup(
        group=group.group,
        proxy=question.proxy,
        lower_is_better=lower,
        ranking=ranking,
        target=question.target,
        targets=group.targets,
        target_lower_is_better=question.target is not None and question.targets_are_lower(),
        agreement=None if held is None else held.agreement,
        num_dropped=group.num_dropped,
        abstain=abstain,
        notes=(
            *group.notes,
            *(() if abstain is None else (f"{abstain}, so no rank is given",)),
            *seed_notes(group.replicates, ranking, pilot),
        ),
        replicates=group.replicates,
        decisions=None if held is None else held.decisions,
        items_interval=None if held is None else held.items_interval,
        tau_items_interval=None if held is None else held.tau_items_interval,
        target_errors=None if group.target_noise is None else group.target_noise.errors,
        target_probability=None if held is None else held.target_probability,
        relation=None if held is None else held.relation,
        calls=None if held is None else held.calls,
        target_noise_rule=None if group.target_noise is None else group.target_noise.rule,
    )


def _abstain(replicates: Replicates, proxy: str, ranking: Ranking) -> str | None:
    if not proxy.startswith(MARGIN):
        return None
    covariance = mean_covariance(replicates, ranking.noise) if ranking.resampled else None
    return proxy_too_small(replicates, covariance)


def _refuse_scale(replicates: Replicates, proxy: str) -> None:
    """Squares of such values are infinite or 0 in float64, so no variance could be taken."""
    largest = float(np.abs(replicates.values).max())
    if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
        raise InputError(
            f"{proxy}: its largest value is {largest:.3g} in size; expected one between {1 / _LARGEST:.0e} and "
            f"{_LARGEST:.0e}: rescale the column"
        )
