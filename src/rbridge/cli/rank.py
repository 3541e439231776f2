"""rbridge rank: order recipes, with uncertainty, from score runs or any CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.output import print_json


def rank(
    source: Path,
    *,
    proxy: str = "rbridge",
    lower_is_better: Annotated[bool, Parameter(negative="")] = False,
    higher_is_better: Annotated[bool, Parameter(negative="")] = False,
    target: str | None = None,
    target_lower_is_better: Annotated[bool, Parameter(negative="")] = False,
    targets: Path | None = None,
    by: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = ("benchmark",),
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Order recipes by a metric, with intervals, the ranks each may have, and agreement with a target.

    Example: rbridge rank runs --proxy rbridge --by benchmark
    Example: rbridge rank obs.csv --proxy my_loss --lower-is-better --target accuracy --json

    Parameters
    ----------
    source
        A folder of score runs, or a CSV with one row an observation: recipe, benchmark, any of
        size, tokens, seed, step, and numeric columns.
    proxy
        Metric of the runs, or column of the CSV, to rank by.
    lower_is_better
        Lower values of the proxy are better (known metrics need not be told).
    higher_is_better
        Higher values of the proxy are better.
    target
        Column of the truth; with runs, a column of --targets.
    target_lower_is_better
        Lower values of the target are better.
    targets
        CSV of target values (recipe, benchmark if they differ by it, and the target's column).
    by
        Columns that split the table (a,b or a b); each group is ranked alone.
    resamples
        Bootstrap resamples.
    level
        Confidence of intervals and rank sets.
    seed
        Of the resampling.
    json
        Print JSON instead of tables.
    """
    from rbridge.answers.rank import RankQuestion, rank_groups
    from rbridge.cli.shapes import rank_document
    from rbridge.cli.tables import print_rankings

    question = RankQuestion(
        source=source,
        proxy=proxy,
        lower=lower_is_better,
        higher=higher_is_better,
        target=target,
        target_lower=target_lower_is_better,
        targets=targets,
        by=tuple(part for name in by for part in name.split(",") if part),
        resamples=resamples,
        level=level,
        seed=seed,
    )
    ranked = rank_groups(question)
    if json:
        print_json(rank_document(ranked))
    else:
        print_rankings(ranked)
    return 0
