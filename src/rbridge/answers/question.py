"""What a user wants ranked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rbridge.errors import InputError
from rbridge.metric import metric_named


@dataclass(frozen=True)
class RankQuestion:
    """What is to be ranked, by what, against what.

    Attributes:
        source: folder of score runs, or a CSV of observations.
        proxy: metric or column to rank by.
        lower, higher: what the user said of the proxy's direction.
        target: column of the truth, or None.
        target_lower: lower targets are better.
        targets: CSV of targets, for score runs.
        by: columns that split the data into groups.
        voices: of score runs, these alone; all, averaged within a problem, where empty.
        weights: of score runs, whose; None is the writer's own where there are any, else the only ones.
        resamples, level, seed: of the bootstrap.
        stage: rows of this stage of training only, or None.
        last: average so many of the latest checkpoints of each recipe and seed.
        pilot: runs or a table of seeds of any recipes, for seed noise that ``source`` does not show.
        null: CSV of ``rbridge null``, to stand beside the ranking.
        beside: columns of a CSV source to stand beside it, ``COLUMN`` or ``COLUMN:lower`` or ``:higher``.
        resolve: a pair whose targets differ by fewer standard errors counts as unresolved.
    """

    source: Path
    proxy: str = "rbridge"
    lower: bool = False
    higher: bool = False
    target: str | None = None
    target_lower: bool = False
    targets: Path | None = None
    by: tuple[str, ...] = ("benchmark",)
    voices: tuple[str, ...] = ()
    weights: str | None = None
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0
    stage: str | None = None
    last: int | None = None
    pilot: Path | None = None
    resolve: float = 1.96
    null: Path | None = None
    beside: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse settings that have no meaning.

        Raises:
            InputError: one of them.
        """
        if self.resamples < 100 or not 0 < self.level < 1:
            raise InputError("--resamples must be at least 100 and --level between 0 and 1")
        if self.last is not None and self.last < 1:
            raise InputError(f"--last {self.last}: expected at least 1 checkpoint")
        if self.resolve < 0:
            raise InputError(f"--resolve {self.resolve}: expected standard errors, 0 or more")

    def targets_are_lower(self) -> bool:
        """Whether lower targets are better.

        Raises:
            InputError: the target is a known metric of which higher is better, and lower was said.
        """
        assert self.target is not None  # there are targets
        known = metric_named(self.target)
        if known is not None and known.direction == "higher" and self.target_lower:
            raise InputError(f"{self.target}: of this metric higher is better; drop --target-lower-is-better")
        return self.target_lower if known is None else known.direction == "lower"
