"""Declared or exploratory: a ranking held against what was named before any score existed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rbridge.answers.beside import Beheld
from rbridge.errors import InputError
from rbridge.store.declarations import Declaration, moment
from rbridge.store.evaluations import Evaluation
from rbridge.store.runs import Run


@dataclass(frozen=True)
class Status:
    """What a table says of itself.

    Attributes:
        declared: metric and benchmark were named beforehand.
        num_metrics: metrics looked at in this ranking: its own and those beside it.
        text: one line.
        within_margin: recipes whose value is within the declared margin of the first; None where none
            was declared.
    """

    declared: bool
    num_metrics: int
    text: str
    within_margin: tuple[str, ...] | None


def check_date(declaration: Declaration, runs: Sequence[Run] | Sequence[Evaluation]) -> None:
    """Refuse a declaration that is younger than a score.

    Raises:
        InputError: a run was scored before.
    """
    first = min(runs, key=lambda run: moment(run.manifest.created), default=None)
    if first is not None and moment(first.manifest.created) < declaration.when():
        raise InputError(
            f"declared at {declaration.created}, but {first.manifest.checkpoint} was scored at "
            f"{first.manifest.created}: a declaration comes before the first score; rank without --declaration"
        )


def status(one: Beheld, declaration: Declaration | None, *, dated: bool) -> Status:
    """What one ranking's table says of itself.

    Args:
        one: the ranking with what stands beside it.
        declaration: or None.
        dated: the scores carry their dates, and these were checked (score runs; a CSV has none).
    """
    count = 1 + len(one.beside)
    looked = _looked_at(count)
    if declaration is None:
        return Status(declared=False, num_metrics=count, text=exploratory(count), within_margin=None)
    benchmark = one.ranked.group.get("benchmark")
    off = []
    if one.ranked.proxy != declaration.metric:
        off.append(f"the declared metric is {declaration.metric}")
    if benchmark not in declaration.benchmarks:
        off.append(f"the declared benchmarks are {', '.join(declaration.benchmarks)}")
    if off:
        text = f"exploratory ({'; '.join(off)}); {looked}"
        return Status(declared=False, num_metrics=count, text=text, within_margin=None)
    dates = "" if dated else " (that it came before the scores cannot be checked: a CSV has no dates)"
    return Status(
        declared=True,
        num_metrics=count,
        text=f"declared {declaration.created}{dates}, {declaration.sha256[:12]}: {declaration.decision}; {looked}",
        within_margin=_within(one, declaration.margin),
    )


def exploratory(num_metrics: int) -> str:
    """What a table says where nothing was named beforehand."""
    return f"exploratory; {_looked_at(num_metrics)}"


def _looked_at(count: int) -> str:
    return f"{count} metric{'s' if count > 1 else ''} looked at"


def _within(one: Beheld, margin: float) -> tuple[str, ...]:
    rows = one.ranked.ranking.order
    return tuple(row.recipe for row in rows if abs(row.value - rows[0].value) <= margin)
