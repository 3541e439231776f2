"""rbridge fit: a proxy's score, or mixture weights, against the target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.choices import listed
from rbridge.cli.output import print_json


def fit(
    source: Path,
    *,
    target: str,
    targets: Path | None = None,
    proxy: str | None = None,
    lower_is_better: Annotated[bool, Parameter(negative="")] = False,
    higher_is_better: Annotated[bool, Parameter(negative="")] = False,
    order: str | None = None,
    by: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    stage: str | None = None,
    protocol: str = "default",
    null: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    bounds: tuple[float, float] | None = None,
    level: float = 0.9,
    seed: int = 0,
    features: Path | None = None,
    test: Path | None = None,
    test_features: Path | None = None,
    join: str | None = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Fit the target to a proxy's score, beside nulls in the same folds; or to mixture weights.

    Example: rbridge fit obs.csv --proxy rbridge --target accuracy --order tokens_B --by benchmark --json
    Example: rbridge fit obs.csv --proxy my_loss --lower-is-better --target acc --protocol paper --json
    Example: rbridge fit runs --proxy rbridge --targets targets.csv --target accuracy --order tokens
    Example: rbridge fit loss.csv --features mix.csv --target loss --test loss2.csv --test-features mix2.csv

    Parameters
    ----------
    source
        CSV with one row an observation; an empty cell drops its row and is counted. With
        --features, a row a recipe. Or a folder of score runs, with --targets.
    target
        Column of the target's value.
    targets
        CSV that holds that column, where SOURCE does not: joined by recipe and benchmark, and for
        checkpoints of one run by --order's column (or "tokens"); several rows of one key (seeds) are averaged.
    proxy
        Column of the proxy's score.
    lower_is_better
        Lower values of the proxy are better (known metrics need not be told).
    higher_is_better
        Higher values of the proxy are better.
    order
        Column that sorts the rows, such as tokens; by default "tokens" if there is one, else the
        order of the file.
    by
        Columns that split the table; by default "benchmark" if there is one.
    stage
        Only rows of this "stage" (base, sft, rl, ...).
    protocol
        default (guarded families, folds that respect the order, intervals), or paper (the paper's
        four families and five shuffled folds, to the letter).
    null
        More columns to hold the proxy against, such as the loss on generic text.
    bounds
        Least and greatest possible target; by default 0 1 or 0 100 where all targets lie so.
    level
        Confidence of intervals.
    seed
        Of resampling.
    features
        CSV of mixture weights, a row a recipe, joined to the targets: a linear regression on them
        (RegMix) is fitted instead of a proxy.
    test
        CSV of targets to test that regression on.
    test_features
        CSV of the mixture weights of the --test recipes.
    join
        Column that the tables share; by default "recipe", else "index".
    out
        Write the fit to this file, for rbridge predict.
    json
        Print JSON instead of tables.
    """
    from rbridge.errors import InputError

    split = None if by is None else listed(by)
    if features is not None and targets is not None:
        raise InputError("--targets goes with --proxy; with --features the first table holds the targets")
    if features is not None:
        return _fit_mixtures(
            source, features, target, test, test_features, join, split, stage, level, seed, out, json=json
        )
    if proxy is None:
        raise InputError("--proxy COLUMN is missing (or --features MIX.csv, to fit mixture weights)")
    if test is not None or test_features is not None or join is not None:
        raise InputError("--test, --test-features and --join go with --features; see rbridge predict")
    from rbridge.answers.fit_document import fit_document
    from rbridge.answers.fits import FitQuestion, fit_groups
    from rbridge.cli.fit_tables import print_fits
    from rbridge.store.files import write_json

    question = FitQuestion(
        source=source,
        proxy=proxy,
        target=target,
        lower=lower_is_better,
        higher=higher_is_better,
        order=order,
        by=split,
        stage=stage,
        protocol=protocol,
        bounds=bounds,
        nulls=null,
        level=level,
        seed=seed,
        targets=targets,
    )
    lower, groups = fit_groups(question)
    document = fit_document(question, groups, lower=lower)
    if out is not None:
        write_json(out, document)
    if json:
        print_json(document)
    else:
        print_fits(document)
    return 0


def _fit_mixtures(
    source: Path,
    features: Path,
    target: str,
    test: Path | None,
    test_features: Path | None,
    join: str | None,
    by: tuple[str, ...] | None,
    stage: str | None,
    level: float,
    seed: int,
    out: Path | None,
    *,
    json: bool,
) -> int:
    from rbridge.answers.mixture_document import mixture_document
    from rbridge.answers.mixtures import MixtureQuestion, fit_mixtures
    from rbridge.cli.fit_tables import print_mixtures
    from rbridge.store.files import write_json

    question = MixtureQuestion(
        source=source,
        features=features,
        target=target,
        test=test,
        test_features=test_features,
        join=join,
        by=by,
        stage=stage,
        level=level,
        seed=seed,
    )
    document = mixture_document(question, fit_mixtures(question))
    if out is not None:
        write_json(out, document)
    if json:
        print_json(document)
    else:
        print_mixtures(document)
    return 0
