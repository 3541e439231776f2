"""What a study answers: which recipes go on, how good they are, which of them to take."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rbridge.answers.beside import Beheld, beside_runs
from rbridge.answers.combined import Combined, combine_groups
from rbridge.answers.contaminated import Checked, Known, known_of, refuse
from rbridge.answers.declared import Status, check_date, status
from rbridge.answers.null import NullRow, write_null_csv
from rbridge.answers.plans import stated_stage
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_runs
from rbridge.errors import InputError
from rbridge.plan import Costs, TwoStage, two_stage
from rbridge.store.declarations import Declaration, read_declaration, write_declaration
from rbridge.store.files import write_bytes, write_json
from rbridge.store.runs import Run, read_runs
from rbridge.study.build import recipe_sources, sizes_of
from rbridge.study.execute import Outcome, Progress
from rbridge.study.ledger import Ledger
from rbridge.study.read import Study
from rbridge.study.results import Results
from rbridge.study.spec import Table
from rbridge.study.units import Graph, Unit

DECLARATION = "declaration.json"
PLAN = "plan.json"
TARGETS = "targets.csv"
RANK = "rank.json"
FIT = "fit.json"
_NULL = "null.csv"
_OBSERVATIONS = "observations.csv"
FORMAT_VERSION = 1


def declare(study: Study, ledger: Ledger, graph: Graph, *, now: datetime) -> Declaration:
    """The study's declaration, written before its first score.

    Raises:
        InputError: the file says something else than what was declared, and scores exist since.
    """
    file, asked = study.file(DECLARATION), study.spec.declaration
    wanted = {
        "metric": asked.metric,
        "benchmarks": list(study.benchmarks),
        "decision": asked.decision,
        "margin": asked.margin,
    }
    if file.exists():
        found = read_declaration(file)
        if all(getattr(found, name) == value for name, value in wanted.items()):
            return found
        changed = next(name for name, value in wanted.items() if getattr(found, name) != value)
        begun = [name for name, unit in graph.units.items() if unit.kind == "score" and ledger.record(name)]
        if begun:
            raise InputError(
                f"{study.path}: declares {changed} {wanted[changed]!r}, but {file} of {found.created} says "
                f"{getattr(found, changed)!r}, and scores exist since: a declaration comes before the first score; "
                "restore it, or give the study another 'out'"
            )
        file.unlink()
    study.out.mkdir(parents=True, exist_ok=True)
    return write_declaration(file, now=now, **wanted)


@dataclass(frozen=True)
class Answer:
    """A study's rankings, with all that stands beside them.

    Attributes:
        runs: that were ranked.
        beheld: a ranking for each benchmark and size.
        statuses: whether each was declared.
        combined: over benchmarks, for each size.
        known: of each, what its recipes have seen of the benchmark.
        verdict: one sentence.
    """

    runs: tuple[Run, ...]
    beheld: tuple[Beheld, ...]
    statuses: tuple[Status, ...]
    combined: tuple[Combined, ...]
    known: tuple[Known, ...]
    verdict: str


def answer(results: Results) -> Answer:
    """Rank all that is scored, size by size, and hold it against the targets where there are any.

    Raises:
        InputError: nothing is scored, it cannot be ranked, or a recipe has seen more than the study allows.
    """
    study = results.study
    runs = scored(results)
    targets = study.file(TARGETS) if results.done("targets") else None
    question = RankQuestion(
        source=study.out,
        proxy=study.spec.declaration.metric,
        target=None if targets is None else target_column(study),
        target_lower=isinstance(study.spec.targets, Table) and study.spec.targets.lower_is_better,
        targets=targets,
        by=("benchmark", "size"),
        null=_null_file(results),
        last=_averaged(study),
    )
    groups = [group for group in rank_runs(runs, question) if len(group.ranking.order) > 1]
    if not groups:
        raise InputError("fewer than two recipes are scored at any size, so nothing can be ranked")
    known = known_of(groups, checked=_checked(results), runs=runs, by=question.by, last=question.last)
    if refusal := refuse(known, study.spec.contamination.refuse_above):
        raise InputError(f"{refusal}; see contamination in {study.path}")
    declaration = read_declaration(study.file(DECLARATION))
    check_date(declaration, runs)
    beheld = beside_runs(groups, runs, question)
    statuses = tuple(status(one, declaration, dated=True) for one in beheld)
    combined = combine_groups(groups, question)
    verdict = _verdict(study, groups, statuses, combined)
    return Answer(runs, tuple(beheld), statuses, tuple(combined), tuple(known), verdict)


def _checked(results: Results) -> dict[str, Checked]:
    """What each recipe's sources hold of the benchmarks, as far as these are checked."""
    rows = {unit.id: found["contamination"] for unit, found in results.of("source")}
    recipes = results.study.recipes
    return {
        name: Checked.model_validate(
            {
                "every": [
                    row
                    for source in recipe_sources(recipes, name)
                    for row in rows.get(f"source/{source}", [])
                ]
            }
        )
        for name in recipes.recipes
    }


def scored(results: Results, *, sizes: Sequence[str] | None = None) -> tuple[Run, ...]:
    """The runs of all models that are scored, of these sizes.

    Raises:
        InputError: there is none.
    """
    found: list[Run] = []
    for unit, one in results.of("score"):
        if sizes is None or unit.size in sizes:
            for run in one["runs"]:
                found += read_runs(results.study.out / run)
    if not found:
        raise InputError("no model is scored, so nothing can be ranked")
    return tuple(found)


def rank(results: Results, _unit: Unit, _: Progress) -> Outcome:
    """The rankings as ``rbridge rank --json`` gives them, and the verdict."""
    study = results.study
    from rbridge.answers.rank_document import rank_document

    found = answer(results)
    document = rank_document(found.beheld, found.statuses, found.combined, found.known)
    write_json(study.file(RANK), {**document, "study": study.spec.name, "verdict": found.verdict})
    return Outcome({"verdict": found.verdict})


def plan(results: Results, _unit: Unit, _: Progress) -> Outcome:
    """Which recipes go on to the second stage: as many as the two-stage search recommends, the best by the first."""
    study = results.study
    asked = study.spec.plan
    assert asked is not None
    search, costs = _search(study, results.graph)
    flops = sizes_of(results.graph)
    num = len(study.recipes.recipes)
    keep = asked.keep or search.recommended
    largest = max(study.spec.proxies.sizes, key=lambda size: flops[size])
    order = _order(study, scored(results, sizes=[largest]))
    kept = order[:keep]
    missing = sorted(study.recipes.recipes.keys() - set(order))
    found: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "n_recipes": num,
        "recommended": search.recommended,
        "keep": keep,
        "kept": kept,
        "order": order,
        "not_scored": missing,
        "by": f"{study.spec.declaration.metric}, size {largest}",
        "survive": asked.survive,
        "stage1_accuracy": asked.stage1_accuracy,
        "stage2_accuracy": asked.stage2_accuracy,
        "shared_error": asked.shared_error,
        "costs": asdict(costs),
        "choices": [asdict(choice) for choice in search.choices],
        "worlds": search.worlds,
        "null": {"regret": search.random_regret, "best_chosen": 1 / num},
    }
    write_json(study.file(PLAN), found)
    return Outcome(found)


def kept_by_plan(study: Study, graph: Graph) -> int | None:
    """Recipes that will go on to the second stage; None without a plan. No score decides how many."""
    if study.spec.plan is None:
        return None
    return study.spec.plan.keep or _search(study, graph)[0].recommended


def _search(study: Study, graph: Graph) -> tuple[TwoStage, Costs]:
    """The two-stage search for every number kept, from the stated accuracies and the costs of the ladders."""
    asked = study.spec.plan
    assert asked is not None
    stage1, flops = study.spec.proxies, sizes_of(graph)
    costs = Costs(
        stage1=max(1.0, sum(flops[size] * len(stage1.seeds) for size in stage1.sizes)),
        stage2=max(1.0, sum(flops[size] * len(asked.stage2.seeds) for size in asked.stage2.sizes)),
        target=asked.target_cost,
    )
    search = two_stage(
        len(study.recipes.recipes),
        stated_stage(asked.stage1_accuracy).correlation,
        stated_stage(asked.stage2_accuracy).correlation,
        costs,
        rng=np.random.default_rng(0),
        survive=asked.survive,
        shared_error=asked.shared_error,
    )
    return search, costs


def targets(results: Results, _unit: Unit, _: Progress) -> Outcome:
    """The table of targets: the given one, or that of the study's own evaluations."""
    study = results.study
    if study.targets is not None:
        shutil.copyfile(study.targets, study.file(TARGETS))
        return Outcome({"from": str(study.targets)})
    from rbridge.answers.evaluations import evaluation_csv, evaluation_row
    from rbridge.store.evaluations import read_evaluations

    rows = [
        evaluation_row(evaluation, ks=(), level=0.95)
        for _, one in results.of("evaluate")
        for folder in one["evaluations"]
        for evaluation in read_evaluations(study.out / folder)
    ]
    write_bytes(study.file(TARGETS), evaluation_csv(rows, stage=None))
    return Outcome({"from": f"{len(rows)} evaluations of this study"})


def fit(results: Results, _unit: Unit, _: Progress) -> Outcome:
    """A curve from the score to the target for each benchmark and size, or why there is none."""
    study = results.study
    from rbridge.answers.fit_document import fit_document
    from rbridge.answers.fits import FitQuestion, fit_groups

    found = answer(results)
    column = target_column(study)
    rows = [
        {
            **one.ranked.group,
            "recipe": row.recipe,
            one.ranked.proxy: row.value,
            column: one.ranked.targets[row.recipe],
        }
        for one in found.beheld
        for row in one.ranked.ranking.order
        if one.ranked.targets is not None and row.recipe in one.ranked.targets
    ]
    if not rows:
        raise InputError("no recipe has both a score and a target, so nothing can be fitted")
    file = study.file(_OBSERVATIONS)
    write_bytes(file, _csv(rows))
    question = FitQuestion(
        source=file, proxy=study.spec.declaration.metric, target=column, by=("benchmark", "size")
    )
    lower, groups = fit_groups(question)
    document = fit_document(question, groups, lower=lower)
    write_json(study.file(FIT), document)
    return Outcome({"groups": len(groups), "fitted": sum(not isinstance(group.fit, str) for group in groups)})


def target_column(study: Study) -> str:
    """The column of the targets' table that holds the truth."""
    return study.spec.targets.column if isinstance(study.spec.targets, Table) else "accuracy"


def now() -> datetime:
    """The time, for a declaration."""
    return datetime.now(UTC)


def _averaged(study: Study) -> int | None:
    """Checkpoints of each model that a ranking averages; None where one is scored."""
    return study.spec.scoring.last if study.spec.scoring.last > 1 else None


def _order(study: Study, runs: Sequence[Run]) -> list[str]:
    """Recipes, best first, over all benchmarks."""
    question = RankQuestion(source=study.out, proxy=study.spec.declaration.metric, last=_averaged(study))
    groups = rank_runs(tuple(runs), question)
    combined = combine_groups(groups, question)
    if len(groups) > 1 and not combined:
        raise InputError("the benchmarks' rankings share no recipes, so none is best over all of them")
    ranking = combined[0].ranked.ranking if combined else groups[0].ranking
    return [row.recipe for row in ranking.order]


def _verdict(
    study: Study, groups: Sequence[RankedGroup], statuses: Sequence[Status], combined: Sequence[Combined]
) -> str:
    """Who leads at the last size that was trained, how sure, and who is as good by the declared margin."""
    last = [size for ladder in study.ladders for size in ladder.sizes]
    size = next(one for one in reversed(last) if any(group.group["size"] == one for group in groups))
    over = [one for one in combined if one.ranked.group.get("size") == size]
    own = [
        (group, found) for group, found in zip(groups, statuses, strict=True) if group.group["size"] == size
    ]
    group = over[0].ranked if over else own[0][0]
    first, *others = group.ranking.order
    where = f"{len(own)} benchmarks together" if over else str(group.group.get("benchmark"))
    if group.abstain:
        return f"Size {size}, {where}: {group.abstain}, so no recipe is named."
    equal = [row.recipe for row in others if row.may_be_best]
    level = f"{group.ranking.level:.0%}"
    sure = (
        f"not told apart at {level} confidence from {', '.join(equal)}"
        if equal
        else f"told apart from the {'other' if len(others) == 1 else 'others'} at {level} confidence"
    )
    metric, margin = study.spec.declaration.metric, study.spec.declaration.margin
    text = f"Size {size}, {where}: {first.recipe} is first of {len(others) + 1} recipes by {metric}, {sure}."
    within = own[0][1].within_margin if not over else None
    if within is not None and len(within) > 1:
        text += f" Within the declared margin of {margin:g}: {', '.join(within)}."
    return text


def _null_file(results: Results) -> Path | None:
    study = results.study
    rows = [
        NullRow(
            row["recipe"], row["benchmark"], row["null_bits_per_byte"], row["num_traces"], row["sample_bytes"]
        )
        for _, one in results.of("null")
        for row in one["rows"]
    ]
    if not rows:
        return None
    write_null_csv(study.file(_NULL), rows)
    return study.file(_NULL)


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()
