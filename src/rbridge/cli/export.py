"""rbridge export: mixtures joined with scores, for optimisers of mixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from rbridge.cli.choices import listed
from rbridge.cli.output import figure, print_table, say


def export(
    source: Path,
    file: Path,
    *,
    mixtures: Path,
    to: Literal["regmix", "olmix"],
    proxy: str = "rbridge",
    lower_is_better: Annotated[bool, Parameter(negative="")] = False,
    higher_is_better: Annotated[bool, Parameter(negative="")] = False,
    by: Annotated[tuple[str, ...], Parameter(negative="")] = ("benchmark",),
    join: str | None = None,
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    weights: str | None = None,
    stage: str | None = None,
    last: int | None = None,
    pilot: Path | None = None,
    skip_missing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Join mixtures with scores and noise weights (1 / variance), for RegMix- and Olmix-style optimisers.

    Example: rbridge export runs out/mixes.csv --mixtures mix.csv --to olmix

    Parameters
    ----------
    source
        A folder of score runs or evaluations, or a CSV with one row an observation.
    file
        CSV to write; the two tables that the optimiser's own command reads stand beside it: FILE.mixture.csv and
        FILE.target.csv (regmix), FILE.ratios.csv and FILE.metrics.csv (olmix).
    mixtures
        CSV with a row a recipe: "recipe" or "index" (or --join), and a weight in each other column, as
        rbridge fit --features takes it.
    to
        Whose column names: regmix (index, metric/...) or olmix (run, name, index).
    proxy
        Metric of the runs, or column of the CSV.
    lower_is_better
        Lower values of the proxy are better (known metrics need not be told).
    higher_is_better
        Higher values of the proxy are better.
    by
        Columns that split the scores; each group has columns of its own.
    join
        Column of the mixtures that holds the recipes' names.
    voice
        These voices' traces only.
    weights
        Whose weights: self, or a weight model's name.
    stage
        Only rows of this "stage" of training.
    last
        Average so many of the latest checkpoints of each recipe and seed.
    pilot
        Runs, or a CSV, of several seeds of any recipes: lends its seed noise where recipes have one seed.
    skip_missing
        Leave out recipes that only one of the two tables has, and list them; without it they are an error.
    """
    from rbridge.answers.export import export_mixtures, exported_csv
    from rbridge.answers.question import RankQuestion
    from rbridge.store.files import write_bytes

    question = RankQuestion(
        source=source,
        proxy=proxy,
        lower=lower_is_better,
        higher=higher_is_better,
        by=listed(by),
        voices=voice,
        weights=weights,
        stage=stage,
        last=last,
        pilot=pilot,
    )
    found = export_mixtures(question, mixtures, join=join, skip_missing=skip_missing)
    for ending, content in exported_csv(found, to).items():
        write_bytes(file.with_suffix(ending), content)
    for recipe in found.without_mixture:
        say(f"left out {recipe}: it has a score and no mixture")
    for recipe in found.without_score:
        say(f"without a score everywhere: {recipe}")
    print_table(
        f"{file.with_suffix('.csv')}: {len(found.domains)} domains, {proxy}",
        ("group", "recipes", "smallest variance", "largest variance", "noise from"),
        [
            (
                name,
                str(len(rows)),
                figure(min((row.variance for row in rows if row.variance is not None), default=None)),
                figure(max((row.variance for row in rows if row.variance is not None), default=None)),
                found.noise[name],
            )
            for name, rows in found.groups.items()
        ],
    )
    return 0
