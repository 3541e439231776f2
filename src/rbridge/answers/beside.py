"""What stands beside a ranking: cheaper nulls, controls, the question margin; and whether anything is gained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import kendalltau

from rbridge.answers.comparable import run_rank_groups
from rbridge.answers.evaluations import is_evaluation_metric
from rbridge.answers.item_values import GENERIC_BITS, GOLD_BITS, has_metric, item_values
from rbridge.answers.null import COLUMN
from rbridge.answers.observations import RankGroup, read_rank_groups, read_targets
from rbridge.answers.question import RankQuestion
from rbridge.answers.rank import RankedGroup, rank_group
from rbridge.errors import IncomparableRuns, InputError
from rbridge.metric import RUN_METRICS, lower_is_better
from rbridge.metric.margin import MARGIN, NUMBERS, OTHER_BITS, OWN_VOICE
from rbridge.rank import Replicates, gain_interval
from rbridge.rank.style import Style, style
from rbridge.store.runs import Run
from rbridge.store.settled import read_whole_runs
from rbridge.store.views import View

Kind = Literal["companion", "control", "null"]

# What a score run can put beside a ranking by another of its metrics.
_OF_RUNS: tuple[tuple[str, Kind], ...] = (
    (MARGIN, "companion"),
    (NUMBERS, "companion"),
    (OWN_VOICE, "companion"),
    (OTHER_BITS, "control"),
    ("trace_nll", "control"),
    ("rbridge_shuffled", "control"),
    ("rbridge_inverted", "control"),
    (GOLD_BITS, "null"),
    (GENERIC_BITS, "null"),
)
# Runs whose tokens trained differ by less are of one length: then their number is no null.
_ALIKE = 1.02
_RULE = (
    "a gain is shown where the decision accuracy lies above chance and above every null, intervals over recipes, "
    "and tau's p says so too"
)


@dataclass(frozen=True)
class Beside:
    """Another order of the same recipes.

    Attributes:
        kind: ``companion`` (asks something else), ``control`` (the score with a part taken out), ``null``
            (cheaper: what a score must beat to be worth its price).
        ranked: the order, held against the same targets.
        kendall_tau: with the ranking that it stands beside; None where one of them is constant.
        num_recipes: that both have.
        gain: decision accuracy of the ranking less this one's, on the recipes that both have.
        gain_interval: of it, the same recipes drawn for both.
    """

    kind: Kind
    ranked: RankedGroup
    kendall_tau: float | None
    num_recipes: int
    gain: float | None
    gain_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Headline:
    """Whether the ranking gains over what is cheaper.

    Attributes:
        shown: the rule's answer.
        text: one sentence.
    """

    shown: bool
    text: str


@dataclass(frozen=True)
class Beheld:
    """A ranking, all that stands beside it, and whether it may follow style alone."""

    ranked: RankedGroup
    beside: tuple[Beside, ...]
    headline: Headline
    style: Style | None = None


def beside_groups(groups: Sequence[RankedGroup], question: RankQuestion) -> list[Beheld]:
    """Put beside each ranking what the runs, the table and the null file give.

    Args:
        groups: rankings that answer ``question``.
        question: what was asked.

    Raises:
        InputError: a column or null file that is not there, or a direction that is not known.
    """
    if question.source.is_dir() and is_evaluation_metric(question.proxy):
        # Accuracy is what proxies' scores are held against; nothing cheaper stands beside it here.
        return _beheld(groups, [], question)
    if question.source.is_dir():
        runs = read_whole_runs(question.source, View(question.voices, question.weights))
        return beside_runs(groups, runs, question)
    others = [
        (_kind(name), name, lower, read_rank_groups(
            question.source, proxy=name, target=None, by=question.by, stage=question.stage, last=question.last))
        for name, lower in _named(question.beside)
    ]  # fmt: skip
    return _beheld(groups, others, question)


def beside_runs(groups: Sequence[RankedGroup], runs: Sequence[Run], question: RankQuestion) -> list[Beheld]:
    """As ``beside_groups``, for runs that are read already."""
    if question.beside:
        raise InputError("--beside names columns of a CSV; of runs everything that they have stands beside")
    others: list[tuple[Kind, str, bool, list[RankGroup]]] = []
    for name, kind in _OF_RUNS:
        if name == question.proxy or not all(has_metric(run, name) for run in runs):
            continue
        # A plain text has no benchmark: its loss stands beside every group.
        by = () if name == GENERIC_BITS else question.by
        if name == OWN_VOICE and len({one.key.voice for one in runs[0].scored()}) < 2:
            continue
        try:
            found = run_rank_groups(runs, metric=name, by=by, last=question.last)
        except (InputError, IncomparableRuns):
            # No item has it (weighted metrics of traces without weights), or tokenizers differ and it is
            # per token: then it does not stand beside.
            continue
        others.append((kind, name, lower_is_better(name, lower=False, higher=False), found))
    for name, group in _clock(runs):
        others.append(("null", name, False, [group]))
    return [replace(one, style=_style(one, runs, question)) for one in _beheld(groups, others, question)]


def _style(one: Beheld, runs: Sequence[Run], question: RankQuestion) -> Style | None:
    """The diagnostic of a score on traces; None for a ranking that has no style to follow."""
    if question.proxy not in RUN_METRICS:
        return None
    proxy = _turned(one.ranked)
    beside = {other.ranked.proxy: other.ranked for other in one.beside}
    recipes = list(proxy)

    def of(name: str) -> np.ndarray | None:
        values = _turned(beside[name]) if name in beside else {}
        if not all(recipe in values for recipe in recipes):
            return None
        return np.array([values[recipe] for recipe in recipes])

    return style(
        np.array([proxy[recipe] for recipe in recipes]),
        other_question=of(OTHER_BITS),
        margin=of(MARGIN),
        too_small=MARGIN in beside and beside[MARGIN].abstain is not None,
        voices=_by_voice(one.ranked, runs, question.proxy, recipes),
    )


def _by_voice(
    ranked: RankedGroup, runs: Sequence[Run], metric: str, recipes: Sequence[str]
) -> np.ndarray | None:
    """Each recipe's mean by each voice alone, higher is better, over the runs of the group."""
    values: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        recipe = run.manifest.labels.recipe or run.manifest.checkpoint
        for (benchmark, _, voice, *_), value in item_values(run, metric).items():
            if benchmark == ranked.group.get("benchmark", benchmark):
                values.setdefault(voice, {}).setdefault(recipe, []).append(value)
    sign = -1.0 if ranked.lower_is_better else 1.0
    whole = [by for by in values.values() if all(recipe in by for recipe in recipes)]
    if len(whole) < 2:
        return None
    return np.array([[sign * float(np.mean(by[recipe])) for recipe in recipes] for by in whole])


def _kind(name: str) -> Kind:
    return dict(_OF_RUNS).get(name, "null")


def _named(columns: Iterable[str]) -> Iterator[tuple[str, bool]]:
    for column in columns:
        name, _, way = column.partition(":")
        if way not in ("", "lower", "higher"):
            raise InputError(f"--beside {column}: expected COLUMN:lower or COLUMN:higher")
        yield name, lower_is_better(name, lower=way == "lower", higher=way == "higher")


def _parameters(run: Run) -> int | None:
    """Parameters that a token uses; None where a server does not say."""
    manifest = run.manifest
    return manifest.active_parameters or manifest.parameters or manifest.labels.parameters


def _clock(runs: Sequence[Run]) -> Iterator[tuple[str, RankGroup]]:
    """Tokens trained and 6ND, where checkpoints differ in them: more is better of both."""
    tokens = [run.manifest.labels.tokens for run in runs]
    if any(count is None for count in tokens):
        return
    known = [float(count) for count in tokens if count is not None]
    sizes = [_parameters(run) for run in runs]
    clocks = {"ln_tokens": np.log(known)}
    if all(size is not None for size in sizes):
        clocks["flops_6nd"] = 6.0 * np.array(sizes, dtype=np.float64) * known
    for name, values in clocks.items():
        if max(known) > _ALIKE * min(known) and min(known) > 0:
            recipes = tuple(run.manifest.labels.recipe or run.manifest.checkpoint for run in runs)
            table = Replicates(recipes, (None,) * len(runs), np.asarray(values)[:, None])
            yield name, RankGroup({}, table, None, None, 0, ())


def _null_file(path: Path, group: Mapping[str, str]) -> RankGroup | None:
    values = read_targets(path, target=COLUMN)
    benchmark = group.get("benchmark")
    found = {recipe: value for (recipe, other), value in values.items() if other in (benchmark, None)}
    if not found:
        return None
    table = Replicates(tuple(found), (None,) * len(found), np.array([[value] for value in found.values()]))
    return RankGroup(group, table, None, None, 0, ())


def _beheld(
    groups: Sequence[RankedGroup],
    others: Sequence[tuple[Kind, str, bool, list[RankGroup]]],
    question: RankQuestion,
) -> list[Beheld]:
    found = []
    for group in groups:
        beside = []
        for kind, name, lower, of_name in others:
            match = next((one for one in of_name if one.group in (dict(group.group), {})), None)
            if match is not None:
                beside.append(_beside(group, kind, name, match, question, lower=lower))
        if question.null is not None:
            match = _null_file(question.null, group.group)
            if match is not None:
                beside.append(_beside(group, "null", COLUMN, match, question, lower=True))
        found.append(Beheld(group, tuple(beside), headline(group, beside)))
    return found


def _beside(
    ranked: RankedGroup, kind: Kind, name: str, other: RankGroup, question: RankQuestion, *, lower: bool
) -> Beside:
    group = replace(other, targets=ranked.targets, group=ranked.group)
    order = rank_group(group, replace(question, proxy=name), lower=lower)
    one, two = _turned(ranked), _turned(order)
    recipes = [recipe for recipe in one if recipe in two]
    first = np.array([one[recipe] for recipe in recipes])
    second = np.array([two[recipe] for recipe in recipes])
    constant = len(recipes) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0
    gain, interval = _gain(ranked, one, two, question)
    return Beside(
        kind=kind,
        ranked=order,
        kendall_tau=None if constant else float(kendalltau(first, second).statistic),
        num_recipes=len(recipes),
        gain=gain,
        gain_interval=interval,
    )


def _turned(ranked: RankedGroup) -> dict[str, float]:
    """Values by recipe, higher is better."""
    sign = -1.0 if ranked.lower_is_better else 1.0
    return {row.recipe: sign * row.value for row in ranked.ranking.order}


def _gain(
    ranked: RankedGroup, one: Mapping[str, float], two: Mapping[str, float], question: RankQuestion
) -> tuple[float | None, tuple[float, float] | None]:
    if ranked.targets is None:
        return None, None
    sign = -1.0 if ranked.target_lower_is_better else 1.0
    recipes = sorted(recipe for recipe in ranked.targets if recipe in one and recipe in two)
    if len(recipes) < 2:
        return None, None
    return gain_interval(
        np.array([one[recipe] for recipe in recipes]),
        np.array([two[recipe] for recipe in recipes]),
        np.array([sign * ranked.targets[recipe] for recipe in recipes]),
        rng=np.random.default_rng(question.seed),
        resamples=question.resamples,
        level=question.level,
    )


def headline(ranked: RankedGroup, beside: Sequence[Beside]) -> Headline:
    """Whether a gain over the nulls is shown; it is never assumed."""
    nulls = [one for one in beside if one.kind == "null"]
    if ranked.agreement is None or ranked.agreement.decision_accuracy is None:
        alike = [one for one in nulls if one.kendall_tau is not None]
        closest = max(alike, key=lambda one: one.kendall_tau or 0.0, default=None)
        order = "" if closest is None else (
            f"; {closest.ranked.proxy}, which is cheaper, orders the recipes with a Kendall tau of "
            f"{closest.kendall_tau:.2f} to it"
        )  # fmt: skip
        return Headline(shown=False, text=f"no gain shown: no targets to hold it against{order}")
    if not nulls:
        return Headline(
            shown=False,
            text="no gain shown: no null stands beside it (rbridge score --gold, rbridge null with rank --null)",
        )
    above = ranked.agreement.side_of_chance(ranked.ranking.level) == "above"
    short = [one for one in nulls if one.gain_interval is None or one.gain_interval[0] <= 0]
    if above and not short:
        return Headline(shown=True, text=f"gain shown over {_listed(nulls)} ({_RULE})")
    if not above:
        return Headline(shown=False, text=f"no gain shown: not above chance ({_RULE})")
    return Headline(shown=False, text=f"no gain shown over {_listed(short)} ({_RULE})")


def _listed(nulls: Sequence[Beside]) -> str:
    return ", ".join(
        one.ranked.proxy
        + ("" if one.gain is None else f" {one.gain:+.3f}")
        + (
            ""
            if one.gain_interval is None
            else f" [{one.gain_interval[0]:+.3f}, {one.gain_interval[1]:+.3f}]"
        )
        for one in nulls
    )
