"""What is known of a ranking's recipes having seen the benchmark: from ``rbridge recipes check``, and from twins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rbridge.answers.item_values import TWIN_GAP, has_metric
from rbridge.answers.rank import RankedGroup
from rbridge.answers.seen import SeenGroup, seen_groups
from rbridge.errors import InputError
from rbridge.store.runs import Run

# Read without being named where it lies in the folder of the runs.
FILE = "contamination.json"


class _Share(BaseModel):
    model_config = ConfigDict(extra="ignore")

    num: int
    n: int
    value: float | None
    interval: tuple[float, float] | None


class _Judged(BaseModel):
    model_config = ConfigDict(extra="ignore")

    verdict: str
    leaked: float | None
    interval: tuple[float, float] | None


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    source: str
    benchmark: str
    what: str
    contaminated: _Share
    judged: _Judged


class Checked(BaseModel):
    """What of the benchmarks the sources of one recipe hold: a row a source, benchmark, and questions or traces."""

    model_config = ConfigDict(extra="ignore")

    every: list[_Row]


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore")

    recipes: dict[str, Checked]


@dataclass(frozen=True)
class Contaminated:
    """One recipe of a ranking.

    Attributes:
        recipe: its name.
        verdict: of the worst of its sources: none, found, cannot tell; ``not checked`` where the document has none.
        leaked: share that was put there; None where it cannot be told.
        text: in words, with source, counts and interval.
    """

    recipe: str
    verdict: str
    leaked: float | None
    text: str


@dataclass(frozen=True)
class Known:
    """What is known of one ranking's recipes.

    Attributes:
        recipes: by the overlap of sources, in the order of the ranking; None without a document.
        twins: by the gap to twins; None where the runs hold none.
    """

    recipes: tuple[Contaminated, ...] | None
    twins: SeenGroup | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "contamination": None if self.recipes is None else [asdict(one) for one in self.recipes],
            "twins": None if self.twins is None else self.twins.document(),
        }

    def lines(self) -> list[str]:
        """A line a recipe."""
        found = [f"contamination: {one.text}" for one in self.recipes or ()]
        return found if self.twins is None else [*found, *_gap_lines(self.twins)]

    def can_tell(self) -> bool:
        """Whether anything could call a recipe: a document, or enough recipes with twins."""
        return self.recipes is not None or (self.twins is not None and self.twins.gaps[0].seen is not None)

    def refused(self, limit: float) -> list[str]:
        """The recipes for which the ranking is refused, and why; what was not checked cannot pass."""
        found = [
            one.text
            for one in self.recipes or ()
            if one.verdict == "not checked" or (one.leaked or 0.0) > limit
        ]
        seen = () if self.twins is None else [gap for gap in self.twins.gaps if gap.seen]
        return [
            *found,
            *(f"{gap.recipe} has seen the problems (gap to twins, p {gap.p_value:.4f})" for gap in seen),
        ]


def known_of(
    groups: Sequence[RankedGroup], *, checked: Mapping[str, Checked] | None, runs: Sequence[Run],
    by: Sequence[str], last: int | None = None,
) -> list[Known]:  # fmt: skip
    """What is known of each ranking's recipes.

    Args:
        groups: the rankings.
        checked: by recipe, from ``read_checked``; None where no source was checked.
        runs: that were ranked; looked at for twins.
        by, last: as of the ranking.
    """
    twins: dict[tuple[tuple[str, str], ...], SeenGroup] = {}
    if runs and all(has_metric(run, TWIN_GAP) for run in runs):
        twins = {tuple(one.group.items()): one for one in seen_groups(runs, by=by, last=last)}
    return [
        Known(
            None if checked is None else tuple(
                _contaminated(row.recipe, checked, group.group.get("benchmark")) for row in group.ranking.order
            ),
            twins.get(tuple(group.group.items())),
        )
        for group in groups
    ]  # fmt: skip


def refuse(known: Sequence[Known], limit: float | None) -> str | None:
    """Why the rankings are refused, in one line; None where they are not.

    Raises:
        InputError: the limit is no share, or nothing is known that could refuse.
    """
    if limit is None:
        return None
    if not 0 <= limit <= 1:
        raise InputError(f"--refuse-contaminated {limit}: expected a share from 0 to 1")
    if not all(one.can_tell() for one in known):
        raise InputError(
            "--refuse-contaminated: nothing tells what the recipes have seen; give --contamination FILE (rbridge "
            "recipes check --json), or score twins beside the problems (rbridge traces twins) with three recipes or "
            "more"
        )
    reasons = list(dict.fromkeys(reason for one in known for reason in one.refused(limit)))
    return f"refused: {'; '.join(reasons)}; at most {limit:g} is allowed" if reasons else None


def _gap_lines(group: SeenGroup) -> Iterator[str]:
    for gap in group.gaps:
        span = "" if gap.interval is None else f" [{gap.interval[0]:+.4f}, {gap.interval[1]:+.4f}]"
        p_value = "" if gap.p_value is None else f", p {gap.p_value:.4f}"
        verdict = gap.reason or ("has seen the problems" if gap.seen else "not told apart from the others")
        yield (
            f"twins: {gap.recipe} scores {group.num_problems} problems better than their twins by {gap.gap:+.4f}{span} "
            f"bits a byte{p_value}: {verdict}"
        )


def read_checked(document: Path | None, source: Path) -> Mapping[str, Checked] | None:
    """What ``rbridge recipes check --json`` wrote.

    Args:
        document: the file; None: ``contamination.json`` among the runs, if there is one.
        source: what is ranked.

    Raises:
        InputError: it cannot be read.
    """
    path = source / FILE if document is None else document
    if document is None and not path.is_file():
        return None
    try:
        return _Document.model_validate(json.loads(path.read_bytes())).recipes
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; expected what rbridge recipes check --json prints"
        ) from error
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: {first}; expected what rbridge recipes check --json prints") from error


def _contaminated(recipe: str, checked: Mapping[str, Checked], benchmark: str | None) -> Contaminated:
    found = checked.get(recipe)
    every = () if found is None else found.every
    rows = [row for row in every if benchmark in (None, row.benchmark)]
    if not rows:
        where = "" if benchmark is None else f" on {benchmark}"
        return Contaminated(recipe, "not checked", None, f"{recipe} was not checked{where}")
    worst = max(rows, key=lambda row: (row.judged.leaked or 0.0, row.contaminated.value or 0.0))
    undecided = [row for row in rows if row.judged.verdict == "cannot tell"]
    if undecided and worst.judged.verdict != "found":
        worst = max(undecided, key=lambda row: row.contaminated.value or 0.0)
    judged, counted = worst.judged, worst.contaminated
    span = "" if judged.interval is None else f" [{judged.interval[0]:.3f}, {judged.interval[1]:.3f}]"
    put = (
        judged.verdict if judged.leaked is None else f"{judged.verdict}, {judged.leaked:.3f}{span} put there"
    )
    text = f"{recipe}: {counted.num}/{counted.n} {worst.what} of {worst.benchmark} in {worst.source} ({put})"
    return Contaminated(recipe, judged.verdict, judged.leaked, text)
