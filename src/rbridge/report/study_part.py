"""What a page shows of the study that it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ContaminationRow:
    """How many of a benchmark's questions or traces stand in a source.

    Attributes:
        source: its name.
        benchmark, what: whose, and which of the two.
        share: of them; None where none is long enough to tell.
        interval: of the share, at 95 %.
        n: of how many.
        null: share that is found of the same texts read backwards.
        fresh: share that is found of fresh text of the same kind; None where there is none.
        verdict: none, found, or cannot tell.
        too_short: of them, that are not counted.
        first: names of the first that were found.
    """

    source: str
    benchmark: str
    what: str
    share: float | None
    interval: tuple[float, float] | None
    n: int
    null: float | None
    fresh: float | None
    verdict: str
    too_short: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class PlanRow:
    """Keeping so many recipes after the first stage.

    Attributes:
        kept: how many.
        chosen: what the study does.
        recipe: the one that this row adds, or None: one that has no score.
        best_survives, best_chosen: chances.
        regret: in standard deviations of the target over recipes.
        flops: of the whole search.
        saving: of training every recipe at target size over it.
    """

    kept: int
    chosen: bool
    recipe: str | None
    best_survives: float
    best_chosen: float
    regret: float
    flops: float
    saving: float


@dataclass(frozen=True)
class Plan:
    """The two-stage search between the stages.

    Attributes:
        rows: a line for each number kept.
        how: what it rests on, in a sentence.
        null: what choosing blindly would give, in a sentence.
    """

    rows: tuple[PlanRow, ...]
    how: str
    null: str


@dataclass(frozen=True)
class UnitRow:
    """A unit that is not done, and why."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class FitRow:
    """A curve from score to target, or why there is none.

    Attributes:
        group: benchmark and size.
        n: recipes.
        family: of the curve; None where there is none.
        train_r2, test_mae: means over folds.
        null_mae: of the mean of the targets, in the same folds.
        reason: why there is none.
    """

    group: str
    n: int
    family: str | None
    train_r2: float | None
    test_mae: float | None
    null_mae: float | None
    reason: str | None


@dataclass(frozen=True)
class TrainedRow:
    """A recipe's models of a size.

    Attributes:
        recipe, size: which.
        seeds: how many.
        parameters: of each.
        tokens, flops: of each, those of its base included; the mean over seeds.
        seconds: of training, all seeds together.
        repeats: sources that are read more than once, and how often they are in the large run.
    """

    recipe: str
    size: str
    seeds: int
    parameters: int
    tokens: float
    flops: float
    seconds: float
    repeats: str


@dataclass(frozen=True)
class StudyPart:
    """The study that a page comes from.

    Attributes:
        name: of it.
        verdict: one sentence.
        declaration: what was declared before the first score, by name.
        statuses: what the rankings say of themselves: declared or exploratory.
        contamination: of its sources.
        refuse_above: share from which a recipe was not trained; None where nothing is refused.
        plan: of the two-stage search, or None.
        fits: from score to target.
        undone: units that failed, and those behind them.
        trained: every recipe's models.
    """

    name: str
    verdict: str
    declaration: tuple[tuple[str, str], ...]
    statuses: tuple[str, ...]
    contamination: tuple[ContaminationRow, ...]
    refuse_above: float | None
    plan: Plan | None
    fits: tuple[FitRow, ...]
    undone: tuple[UnitRow, ...]
    trained: tuple[TrainedRow, ...]
