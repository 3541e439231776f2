"""What a study's table says: every metric against the targets, in all recipes and in parts of them, and the savings.

Everything is asked of ``answers`` (what ``rbridge rank`` and ``rbridge compute savings`` print), on the tables
that ``results`` writes, so that the same figures come out of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rbridge.answers.beside import Beside, beside_groups
from rbridge.answers.null import COLUMN as NULL
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_groups
from rbridge.answers.savings import SavingsAnswer, SavingsQuestion, answer_savings

TABLE, TARGETS, SAVINGS, MANIFEST = "proxies.csv", "targets.csv", "savings.csv", "study.json"
TARGET = "accuracy"
DOSE_COLUMN, OWN = "trace_like_share", "own_accuracy"
SCORE = "rbridge"
# What stands beside the score, with its kind in this table and which way is better.
BESIDE: Mapping[str, tuple[str, str]] = {
    "rbridge_shuffled": ("control", "lower"),
    "rbridge_inverted": ("control", "lower"),
    "trace_nll": ("control", "lower"),
    "other_question_bits_per_byte": ("control", "lower"),
    "question_margin": ("companion", "higher"),
    "question_margin_numbers": ("companion", "higher"),
    "question_margin_own_voice": ("companion", "higher"),
    "gold_bits_per_byte": ("null", "lower"),
    "gold_label_nll": ("null", "lower"),
    NULL: ("null", "lower"),
    DOSE_COLUMN: ("null", "higher"),
    OWN: ("null", "higher"),
}
# Names of the parts, and the columns that cut the table into them.
_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("all recipes", ()),
    ("equal dose", ("equal_dose",)),
    ("held back", ("held_back",)),
    ("family", ("family",)),
)


@dataclass(frozen=True)
class Line:
    """One metric in one part of the recipes.

    Attributes:
        part: which recipes.
        size: of the proxies.
        metric: what they are ordered by.
        kind: score, control, companion or null.
        num_recipes, num_seeds: behind it.
        num_pairs, num_resolved: pairs of recipes, and those whose targets differ by two standard errors.
        kendall_tau: with the targets.
        accuracy, interval: decision accuracy on all pairs, interval over recipes (None below four).
        resolved, resolved_interval: the same on the resolved pairs.
        gain, gain_interval: of rBridge over it, in decision accuracy on all pairs.
        abstain: why the margin gives no rank, or None.
    """

    part: str
    size: str
    metric: str
    kind: str
    num_recipes: int
    num_seeds: int
    num_pairs: int
    num_resolved: int | None
    kendall_tau: float | None
    accuracy: float | None
    interval: tuple[float, float] | None
    resolved: float | None
    resolved_interval: tuple[float, float] | None
    gain: float | None
    gain_interval: tuple[float, float] | None
    abstain: str | None


def verdict(folder: Path, *, metrics: Sequence[str] = tuple(BESIDE)) -> list[Line]:
    """Every metric in every part, at every size.

    Args:
        folder: that ``results`` wrote.
        metrics: what stands beside rBridge.
    """
    lines = [line for name, by in _PARTS for line in _part(folder / TABLE, name, by, metrics)]
    return [line for line in lines if line.num_recipes > 1]


def _part(table: Path, name: str, by: tuple[str, ...], metrics: Sequence[str]) -> Iterator[Line]:
    """Each metric ranked by itself (``rank --proxy``), so that its pairs know the targets' noise; gains from beside."""
    question = RankQuestion(
        source=table,
        proxy=SCORE,
        target=TARGET,
        by=("size", *by),
        beside=tuple(f"{metric}:{BESIDE[metric][1]}" for metric in metrics),
    )
    gains: dict[tuple[str, ...], dict[str, Beside]] = {}
    for one in beside_groups(rank_groups(question), question):
        key = tuple(one.ranked.group.values())
        gains[key] = {other.ranked.proxy: other for other in one.beside}
    for metric in (SCORE, *metrics):
        alone = replace(question, proxy=metric, beside=(), higher=metric in (DOSE_COLUMN, OWN))
        for ranked in rank_groups(alone):
            part = _named(name, ranked.group)
            if part is not None:
                gain = gains.get(tuple(ranked.group.values()), {}).get(metric)
                yield _line(part, ranked, gain)


def _named(name: str, group: Mapping[str, str]) -> str | None:
    """The part's name for a reader; None for the other half of a part."""
    if name == "family":
        return f"family: {group['family']}"
    if name == "equal dose":
        return name if group["equal_dose"] == "yes" else None
    if name == "held back":
        return "held back" if group["held_back"] == "yes" else "development"
    return name


def _line(part: str, ranked: RankedGroup, gain: Beside | None) -> Line:
    held, decided = ranked.agreement, ranked.decisions
    assert held is not None  # ranked with a target
    rows = ranked.ranking.order
    return Line(
        part=part,
        size=ranked.group["size"],
        metric=ranked.proxy,
        kind=BESIDE[ranked.proxy][0] if ranked.proxy in BESIDE else "score",
        num_recipes=held.num_recipes,
        num_seeds=max(row.num_seeds for row in rows),
        num_pairs=held.num_pairs,
        num_resolved=None if decided is None else decided.num_resolved,
        kendall_tau=held.kendall_tau,
        accuracy=held.decision_accuracy,
        interval=held.interval,
        resolved=None if decided is None else decided.resolved_accuracy,
        resolved_interval=None if decided is None else decided.resolved_interval,
        gain=None if gain is None else gain.gain,
        gain_interval=None if gain is None else gain.gain_interval,
        abstain=ranked.abstain,
    )


def saved(folder: Path, metric: str = SCORE) -> SavingsAnswer:
    """FLOPs that the best other metric needs for the decision accuracy of ``metric``, over its own."""
    question = SavingsQuestion(
        source=folder / SAVINGS,
        method=metric,
        score="score",
        target=TARGET,
        lower_is_better=(),
    )
    return answer_savings(question)


def document(lines: Sequence[Line], savings: SavingsAnswer) -> dict[str, Any]:
    """Lines and savings for JSON."""
    return {
        "format_version": 1,
        "lines": [{name: getattr(line, name) for name in Line.__dataclass_fields__} for line in lines],
        "savings": [
            {
                "decision_accuracy": one.point.value,
                "flops": one.point.flops,
                "alternative_flops": one.alternative_flops,
                "saving": one.saving,
                "interval": ends,
                "reason": one.reason,
            }
            for one, ends in zip(savings.savings, savings.intervals, strict=True)
        ],
    }
