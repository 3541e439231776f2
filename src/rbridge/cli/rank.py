"""rbridge rank: order recipes, with uncertainty, from score runs or any CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.choices import listed
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
    by: Annotated[tuple[str, ...], Parameter(negative="")] = ("benchmark",),
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    weights: str | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    stage: str | None = None,
    last: int | None = None,
    pilot: Path | None = None,
    resolve: float = 1.96,
    null: Path | None = None,
    beside: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    declaration: Path | None = None,
    contamination: Path | None = None,
    refuse_contaminated: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Order recipes by a metric, with intervals, the ranks each may have, and agreement with a target.

    Example: rbridge rank runs --proxy rbridge --by benchmark
    Example: rbridge rank obs.csv --proxy my_loss --lower-is-better --target accuracy --json

    Parameters
    ----------
    source
        A folder of score runs or evaluations, or a CSV with one row an observation: recipe, benchmark, any of
        size, tokens, seed, step, and numeric columns.
    proxy
        Metric of the runs, or column of the CSV, to rank by; of evaluations accuracy, pass@K,
        token_edit_distance or token_edit_share.
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
        Columns that split the table (a,b or --by a --by b); each group is ranked alone.
    voice
        Rank by these voices' traces only; without it, the voices of a problem are averaged.
    weights
        Whose weights: self, or a weight model's name; needed where several models' stand side by side.
    resamples
        Bootstrap resamples.
    level
        Confidence of intervals and rank sets.
    seed
        Of the resampling.
    stage
        Only rows, or targets, of this "stage" of training (base, sft, rl, ...).
    last
        Average so many of the latest checkpoints (column or label step) of each recipe and seed.
    pilot
        Runs, or a CSV, of several seeds of any recipes: lends its seed noise where recipes have one seed.
    resolve
        A pair whose targets differ by fewer standard errors than this counts as unresolved. Columns
        TARGET_stderr or TARGET_n, or several seeds a target, tell the errors.
    null
        CSV that rbridge null wrote: stands beside the proxy, with the gain over it.
    beside
        Columns of a CSV to stand beside the proxy as nulls: COLUMN:lower or COLUMN:higher (known metrics
        need not be told). Of runs, all that they hold stands beside.
    declaration
        File of rbridge declare: tables then say "declared" where metric and benchmark are those named, and
        "exploratory" elsewhere. Refused where it is younger than the first score.
    contamination
        What rbridge recipes check --json wrote; RUNS/contamination.json is read without being named.
    refuse_contaminated
        Print nothing and exit with 1 where more of the benchmark's questions or traces than this share was put
        into a recipe's sources, where a recipe was not checked, or where one has seen problems by their twins.
    json
        Print JSON instead of tables.
    """
    from rbridge.answers.beside import beside_groups
    from rbridge.answers.combined import combine_groups
    from rbridge.answers.contaminated import known_of, read_checked, refuse
    from rbridge.answers.declared import check_date, status
    from rbridge.answers.evaluations import is_evaluation_metric
    from rbridge.answers.rank import RankQuestion, rank_groups
    from rbridge.answers.rank_document import rank_document
    from rbridge.cli.output import say
    from rbridge.cli.rank_tables import print_rankings
    from rbridge.store.declarations import read_declaration
    from rbridge.store.evaluations import read_evaluations
    from rbridge.store.runs import read_runs
    from rbridge.store.settled import read_whole_runs
    from rbridge.store.views import View

    question = RankQuestion(
        source=source,
        proxy=proxy,
        lower=lower_is_better,
        higher=higher_is_better,
        target=target,
        target_lower=target_lower_is_better,
        targets=targets,
        by=listed(by),
        voices=voice,
        weights=weights,
        resamples=resamples,
        level=level,
        seed=seed,
        stage=stage,
        last=last,
        pilot=pilot,
        resolve=resolve,
        null=null,
        beside=beside,
    )
    ranked = rank_groups(question)
    dated = source.is_dir()
    scores = dated and not is_evaluation_metric(proxy)
    known = known_of(
        ranked,
        checked=read_checked(contamination, source),
        runs=read_whole_runs(source, View(voice, weights)) if scores else (),
        by=question.by,
        last=last,
    )
    if refusal := refuse(known, refuse_contaminated):
        say(refusal)
        return 1
    named = None if declaration is None else read_declaration(declaration)
    if named is not None and dated:
        check_date(named, read_evaluations(source) if is_evaluation_metric(proxy) else read_runs(source))
    beheld = beside_groups(ranked, question)
    statuses = [status(one, named, dated=dated) for one in beheld]
    combined = combine_groups(ranked, question)
    if json:
        print_json(rank_document(beheld, statuses, combined, known))
    else:
        print_rankings(beheld, statuses, combined, known)
    return 0
