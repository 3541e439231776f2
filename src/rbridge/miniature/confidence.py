"""Do stated probabilities come true? Pairs of recipes called at 90 %, by two rules, against the targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rbridge.answers.rank import RankedGroup, RankQuestion, rank_groups
from rbridge.miniature.families import HELD_BACK, family_of
from rbridge.miniature.recipes import Recipe
from rbridge.miniature.results import equal_dose
from rbridge.miniature.verdict import OWN, TABLE, TARGET
from rbridge.rank import (
    Calls,
    Relation,
    calls,
    in_format,
    relation,
    resolvable_gap,
    resolved,
    target_probability,
)

METRICS = ("question_margin", "rbridge", OWN)
SEEDS, FROM_TARGETS = "seeds", "other recipes' targets"
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
        own: the ranking's probability of each pair, by seeds; None where it gives none.
    """

    names: tuple[str, ...]
    score: Float[np.ndarray, " recipes"]
    truth: Float[np.ndarray, " recipes"]
    error: Float[np.ndarray, " recipes"]
    own: Float[np.ndarray, "recipes recipes"] | None

    def only(self, names: set[str]) -> _Recipes:
        """Some of them."""
        kept = np.array([name in names for name in self.names], dtype=bool)
        return _Recipes(
            tuple(name for name in self.names if name in names),
            self.score[kept],
            self.truth[kept],
            self.error[kept],
            None if self.own is None else self.own[np.ix_(kept, kept)],
        )


def confidence(recipes: Sequence[Recipe], folder: Path) -> list[Confidence]:
    """Both rules for the question margin, for rBridge and for the proxies' own accuracy, at every size.

    In the development families, among recipes of no family, and in all together (as ``rbridge rank`` does it), each
    pair is learnt from the part's other recipes; the held-back families are learnt from the development families
    alone. By this rule scores of traces call only recipes in the traces' format, and only where there are targets
    enough to learn from.

    Args:
        recipes: of the study.
        folder: that ``results`` wrote.
    """
    inside = {group.group["size"]: _in_format(group) for group in _ranked(folder, "trace_nll", lower=True)}
    parts = dict(_parts(recipes))
    return [
        row
        for metric in METRICS
        for group in _ranked(folder, metric, lower=metric == "rbridge")
        for row in _of_group(group, parts, None if metric == OWN else inside[group.group["size"]])
    ]


def _ranked(folder: Path, metric: str, *, lower: bool) -> list[RankedGroup]:
    return rank_groups(
        RankQuestion(
            source=folder / TABLE, proxy=metric, target=TARGET, by=("size",), lower=lower, higher=not lower
        )
    )


def _in_format(group: RankedGroup) -> set[str]:
    order = group.ranking.order
    inside = in_format(np.array([row.value for row in order]))
    return {row.recipe for row, is_inside in zip(order, inside, strict=True) if is_inside}


def _of_group(
    group: RankedGroup, parts: Mapping[str, set[str]], inside: set[str] | None
) -> Iterator[Confidence]:
    every = _recipes(group)
    developed = parts.get("development", set())
    for part, names in parts.items():
        teachers = developed if part == "held back" and developed else names
        asked = every.only(names)
        own = None if asked.own is None else _calls(asked, asked.own)
        row = partial(
            Confidence, metric=group.proxy, size=group.group["size"], part=part, abstain=group.abstain
        )
        if own is not None:
            yield row(rule=SEEDS, num_recipes=len(asked.names), learnt=None, calls=own)
        learners = every.only(names | teachers if inside is None else (names | teachers) & inside)
        known = np.array([name in teachers for name in learners.names], dtype=bool)
        mine = learners.only(names)
        gap = resolvable_gap(every.error, _RESOLVE)
        stated = target_probability(learners.score, learners.truth, known, gap=gap)
        if stated is None or len(mine.names) < 2:  # a pair
            continue
        at = np.array([name in names for name in learners.names], dtype=bool)
        yield row(
            rule=FROM_TARGETS,
            num_recipes=len(mine.names),
            learnt=relation(learners.score, learners.truth, known),
            calls=_calls(mine, stated[np.ix_(at, at)]),
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
    parts = {"development": developed, "held back": held, "own recipes": other}
    if len(recipes) not in map(len, parts.values()):
        parts["all recipes"] = {recipe.name for recipe in recipes}
    for part, names in parts.items():
        if len(names) > 1:
            yield part, names


def _recipes(group: RankedGroup) -> _Recipes:
    assert group.targets is not None  # asked for
    order = group.ranking.order
    names = tuple(row.recipe for row in order)
    errors = group.target_errors or {}
    return _Recipes(
        names=names,
        score=(-1.0 if group.lower_is_better else 1.0) * np.array([row.value for row in order]),
        truth=np.array([group.targets[name] for name in names]),
        error=np.array([errors.get(name, 0.0) for name in names]),
        own=group.ranking.win_probability,
    )


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


def told(row: Confidence) -> str:
    """One row as a sentence of the page, without its stop."""
    found = row.calls
    learnt = ""
    if row.learnt is not None:
        low, high = row.learnt.interval
        learnt = f", correlation of ranks {row.learnt.correlation:.2f} [{low:.2f}, {high:.2f}], null 0"
    start = (
        f"pairs of {row.part} ({row.num_recipes} recipes) called at {found.level:.0%} by {row.metric} of {row.size}, "
        f"{row.rule}{learnt}: {found.num_held_called} of {found.num_held} resolved ones"
    )
    if found.share_right is None:
        return start
    ends = found.right_interval
    between = "" if ends is None else f" [{ends[0]:.0%}, {ends[1]:.0%}]"
    return f"{start}, {found.share_right:.0%}{between} of them right (chance 50%)"
