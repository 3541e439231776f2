"""rbridge seen: which recipes have seen the benchmark's problems, by the gap to their twins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rbridge.cli.choices import listed
from rbridge.cli.output import interval, print_json, print_table

if TYPE_CHECKING:
    from rbridge.answers.seen import SeenGroup
    from rbridge.rank.seen import Gap


def seen(
    runs: Path,
    *,
    by: Annotated[tuple[str, ...], Parameter(negative="")] = ("benchmark",),
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    level: float = 0.95,
    seed: int = 0,
    last: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say which recipes have seen the problems: those that score them better than their twins by more than others do.

    Runs must hold problems and twins (rbridge traces twins). With fewer than three recipes nothing is called, and
    at most one less than half of them can be. "Not told apart" is not "clean": a small proxy memorises little.

    Example: rbridge seen runs --by benchmark

    Parameters
    ----------
    runs
        A folder of score runs.
    by
        Columns that split the runs (benchmark, size, tokens, step); each group is compared alone.
    voice
        Look at these voices' traces only, where it is theirs that may have leaked; else voices are averaged.
    level
        Of intervals; one less it is the chance that any of all clean recipes is called.
    seed
        Of the resampling.
    last
        Average so many of the latest checkpoints (label step) of each recipe and seed.
    json
        Print JSON instead of tables.
    """
    from rbridge.answers.seen import RULE, seen_groups
    from rbridge.errors import InputError
    from rbridge.store.settled import read_whole_runs
    from rbridge.store.views import View

    if not 0 < level < 1:
        raise InputError(f"--level {level}: expected a confidence between 0 and 1")
    found = read_whole_runs(runs, View(voice))
    groups = seen_groups(found, by=listed(by), level=level, seed=seed, last=last)
    if json:
        print_json({"format_version": 1, "rule": RULE, "groups": [group.document() for group in groups]})
    else:
        print_seen(groups)
    return 0


def print_seen(groups: Sequence[SeenGroup]) -> None:
    """A table a group."""
    from rbridge.answers.seen import RULE

    for group in groups:
        where = ", ".join(group.group.values()) or "all runs"
        print_table(
            f"{where}: {group.num_problems} problems against their twins (bits a byte; null: the other recipes' gap)",
            ("recipe", "gap", f"{group.level:.0%} interval", "beyond the others", "interval", "p", "seen"),
            [_row(gap) for gap in group.gaps],
        )
        print(f"  {RULE}")


def _row(gap: Gap) -> tuple[str, ...]:
    return (
        gap.recipe,
        f"{gap.gap:+.4f}",
        interval(gap.interval, 4),
        "–" if gap.excess is None else f"{gap.excess:+.4f}",
        interval(gap.excess_interval, 4),
        "–" if gap.p_value is None else f"{gap.p_value:.4f}",
        gap.reason or ("seen" if gap.seen else "not told apart"),
    )
