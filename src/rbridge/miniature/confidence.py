"""Do stated probabilities come true? Pairs of recipes called at 90 %, by two rules, against the targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from rbridge.answers.observations import read_target_noise
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_runs
from rbridge.miniature.families import HELD_BACK, family_of
from rbridge.miniature.frontier import VOICE
from rbridge.miniature.recipes import Recipe
from rbridge.miniature.results import equal_dose
from rbridge.miniature.study import Study
from rbridge.miniature.verdict import TARGET, TARGETS
from rbridge.rank import Calls, Relation, calls, in_format, relation, resolved, target_probability
from rbridge.store.runs import Run
from rbridge.store.views import View

METRICS = ("question_margin", "rbridge")
SEEDS_AND_ITEMS, FROM_TARGETS = "seeds and items", "other recipes' targets"
_RESOLVE = 1.96


@dataclass(frozen=True)
class Confidence:
    """One rule in one part of the recipes.

    Attributes:
        metric: what orders the recipes.
        size: of the proxies.
        part: which recipes.
        rule: how probabilities are stated.
        num_recipes: in the part.
        learnt: the relation to the targets; None by the first rule.
        calls: pairs called and right.
        abstain: why the metric gives no rank, or None.
    """

    metric: str
    size: str
    part: str
    rule: str
    num_recipes: int
    learnt: Relation | None
    calls: Calls
    abstain: str | None


@dataclass(frozen=True)
class _Recipes:
    """Recipes in the ranking's order.

    Attributes:
        names: of them.
        score, truth, error: higher is better; the targets' standard errors.
        own: the ranking's probability of each pair, by seeds and items; None where it gives none.
        inside: whether they write in the traces' format.
        abstain: why the metric gives no rank, or None.
    """

    names: tuple[str, ...]
    score: Float[np.ndarray, " recipes"]
    truth: Float[np.ndarray, " recipes"]
    error: Float[np.ndarray, " recipes"]
    own: Float[np.ndarray, "recipes recipes"] | None
    inside: Bool[np.ndarray, " recipes"]
    abstain: str | None

    def only(self, kept: Bool[np.ndarray, " recipes"]) -> _Recipes:
        """Some of them."""
        return _Recipes(
            tuple(name for name, is_kept in zip(self.names, kept, strict=True) if is_kept),
            self.score[kept],
            self.truth[kept],
            self.error[kept],
            None if self.own is None else self.own[np.ix_(kept, kept)],
            self.inside[kept],
            self.abstain,
        )


def confidence(study: Study, folder: Path) -> list[Confidence]:
    """Both rules for the question margin and for rBridge, at the largest size.

    In the development families, and among recipes of no family, each pair is learnt from the part's other recipes;
    the held-back families are learnt from the development families alone. By this rule only recipes in the traces'
    format are called, and only where there are targets enough to learn from.

    Args:
        study: scored.
        folder: that ``results`` wrote.
    """
    size = list(study.runs)[-1]
    return [row for metric in METRICS for row in _of_metric(study, size, metric, folder)]


def _of_metric(study: Study, size: str, metric: str, folder: Path) -> Iterator[Confidence]:
    every = _read(study, size, metric, folder)
    parts = dict(_parts(study.plan.recipes))
    developed = parts.get("development")
    for part, names in parts.items():
        held_back = part == "held back" and developed is not None
        teachers = developed if held_back and developed is not None else names
        asked = every.only(np.array([name in names for name in every.names]))
        learners = every.only(np.array([name in names | teachers for name in every.names]) & every.inside)
        yield from _both(metric, size, part, asked, learners, names, teachers)


def _both(
    metric: str,
    size: str,
    part: str,
    asked: _Recipes,
    learners: _Recipes,
    names: set[str],
    teachers: set[str],
) -> Iterator[Confidence]:
    if asked.own is not None:
        found = _calls(asked, asked.own)
        yield Confidence(metric, size, part, SEEDS_AND_ITEMS, len(asked.names), None, found, asked.abstain)
    known = np.array([name in teachers for name in learners.names], dtype=bool)
    mine = np.array([name in names for name in learners.names], dtype=bool)
    stated = target_probability(learners.score, learners.truth, known)
    if stated is None or mine.sum() < 2:
        return
    called = learners.only(mine)
    yield Confidence(
        metric,
        size,
        part,
        FROM_TARGETS,
        len(called.names),
        relation(learners.score, learners.truth, known),
        _calls(called, stated[np.ix_(mine, mine)]),
        asked.abstain,
    )


def _calls(recipes: _Recipes, stated: Float[np.ndarray, "recipes recipes"]) -> Calls:
    return calls(
        stated,
        recipes.truth,
        np.ones(len(recipes.names), dtype=bool),
        counted=resolved(recipes.truth, recipes.error, _RESOLVE),
        rng=np.random.default_rng(0),
    )


def _parts(recipes: Sequence[Recipe]) -> Iterator[tuple[str, set[str]]]:
    families = {recipe.name: family_of(recipe.name) for recipe in recipes}
    held = {name for name, family in families.items() if family in HELD_BACK}
    developed = {recipe.name for recipe in recipes if families[recipe.name] and equal_dose(recipe)} - held
    other = {name for name, family in families.items() if family is None}
    for part, names in (("development", developed), ("held back", held), ("own recipes", other)):
        if len(names) > 1:
            yield part, names


def _read(study: Study, size: str, metric: str, folder: Path) -> _Recipes:
    runs = tuple(run.seen(View((VOICE,))) for run in study.runs[size])
    ranked = _ranked(runs, metric, folder)
    assert ranked.targets is not None  # asked for
    names = tuple(row.recipe for row in ranked.ranking.order)
    noise = read_target_noise(folder / TARGETS, target=TARGET).get(None)
    sign = -1.0 if ranked.lower_is_better else 1.0
    losses = {row.recipe: row.value for row in _ranked(runs, "trace_nll", folder).ranking.order}
    return _Recipes(
        names=names,
        score=sign * np.array([row.value for row in ranked.ranking.order]),
        truth=np.array([ranked.targets[name] for name in names]),
        error=np.array([0.0 if noise is None else noise.errors[name] for name in names]),
        own=ranked.ranking.win_probability,
        inside=in_format(np.array([losses[name] for name in names])),
        abstain=ranked.abstain,
    )


def _ranked(runs: Sequence[Run], metric: str, folder: Path) -> RankedGroup:
    question = RankQuestion(source=folder, proxy=metric, target=TARGET, targets=folder / TARGETS)
    (ranked,) = rank_runs(tuple(runs), question)
    return ranked


def confidence_document(rows: Sequence[Confidence]) -> Mapping[str, Any]:
    """The rows for JSON."""
    return {
        "confidence": [
            {
                **asdict(row),
                "share_called": row.calls.share_called,
                "share_right": row.calls.share_right,
            }
            for row in rows
        ]
    }
