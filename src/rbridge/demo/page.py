"""A page from the miniature's study: the ranking of its largest proxies beside controls, companions and nulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rbridge.answers.beside import beside_runs
from rbridge.answers.null import write_null_csv
from rbridge.answers.rank import RankQuestion, rank_runs
from rbridge.miniature.confidence import Confidence, told
from rbridge.miniature.families import family_of
from rbridge.miniature.frontier import VOICE
from rbridge.miniature.recipes import Part, Recipe
from rbridge.miniature.study import Study
from rbridge.miniature.verdict import TARGET, TARGETS
from rbridge.report import build_page, comparison_rows, render, with_companions
from rbridge.store.files import write_bytes
from rbridge.store.views import View


def write_page(study: Study, folder: Path, sure: Sequence[Confidence] = ()) -> Path:
    """Write ``report.html`` and ``null.csv`` beside the study's tables.

    Args:
        study: scored.
        folder: that holds its ``targets.csv``.
        sure: pairs called for the target, told below the ranking.

    Returns:
        The page.
    """
    nulls = folder / "null.csv"
    write_null_csv(nulls, study.nulls)
    runs = tuple(run.seen(View((VOICE,))) for run in list(study.runs.values())[-1])
    question = RankQuestion(source=folder, target=TARGET, targets=folder / TARGETS, null=nulls)
    beheld = beside_runs(rank_runs(runs, question), runs, question)
    today = datetime.now(UTC)
    page = build_page(
        title=f"{len(study.plan.recipes)} recipes in a small world",
        now=f"{today.day} {today:%B %Y}",
        groups=[with_companions(one) for one in beheld],
        notes=[[told(row) for row in sure] for _ in beheld],
        comparison=comparison_rows(beheld),
        runs=runs,
        bundles=(study.bundle,),
        heatmaps=(),
        recipes=in_words(study.plan.recipes),
    )
    file = folder / "report.html"
    write_bytes(file, render(page).encode())
    return file


def in_words(recipes: tuple[Recipe, ...]) -> Mapping[str, str]:
    """What each recipe is made of, for a reader."""
    return {recipe.name: _in_words(recipe) for recipe in recipes}


def _in_words(recipe: Recipe) -> str:
    rest = 1 - sum(part.share for part in recipe.parts)
    parts = [_part(part) for part in recipe.parts]
    family = family_of(recipe.name)
    return "; ".join(
        [*(() if family is None else (f"family {family}",)), *parts, f"{100 * rest:.0f} % Python source text"]
    )


def _part(part: Part) -> str:
    copied = f", copies of the problems of {part.leaked}" if part.leaked else ""
    few = f", {part.distinct:g} problems for each 1,000 tokens" if part.distinct else ""
    return f"{100 * part.share:.0f} % reasoning: {part.style}{copied}{few}"
