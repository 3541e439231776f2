"""Do stated probabilities come true? Pairs of recipes called at 90 %, by two rules, against the targets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rbridge.answers.observations import read_target_noise
from rbridge.answers.rank import RankedGroup, RankQuestion, rank_runs
from rbridge.miniature.families import HELD_BACK, family_of
from rbridge.miniature.frontier import VOICE
from rbridge.miniature.recipes import Recipe
from rbridge.miniature.results import equal_dose
from rbridge.miniature.study import Study
from rbridge.miniature.verdict import TARGET, TARGETS
from rbridge.rank import mean_covariance
from rbridge.rank.calls import Calls, calls, fit_bias, stated_probability
from rbridge.rank.decisions import resolved
from rbridge.store.runs import Run
from rbridge.store.views import View

RECORDED = Path(__file__).parent / "data" / "full" / "verdict.json"
METRICS = ("question_margin", "rbridge")
SEEDS_AND_ITEMS, WITH_BIAS = "seeds and items", "with the score's bias"
_RESOLVE = 1.96


@dataclass(frozen=True)
class Confidence:
    """One rule in one part of the recipes.

    Attributes:
        metric: what orders the recipes.
        size: of the proxies.
        part: which recipes.
        rule: how probabilities are stated.
        bias: standard deviation of a pair's bias, in the metric's unit; None by the first rule.
        calls: pairs called and right.
        abstain: why the metric gives no rank, or None.
    """

    metric: str
    size: str
    part: str
    rule: str
    bias: float | None
    calls: Calls
    abstain: str | None


@dataclass(frozen=True)
class _Pairs:
    """A part's resolved pairs: differences, their errors, whether they are right, the ranking's probability."""

    difference: Float[np.ndarray, " pairs"]
    error: Float[np.ndarray, " pairs"]
    right: Float[np.ndarray, " pairs"]
    own: Float[np.ndarray, " pairs"]
    abstain: str | None


def confidence(study: Study, folder: Path) -> list[Confidence]:
    """Both rules for the question margin and for rBridge, at the largest size.

    The bias is learnt on the development families' recipes of equal dose and held against the held-back ones.
    Recipes of no family are held against the bias that stands recorded.

    Args:
        study: scored.
        folder: that ``results`` wrote.
    """
    size = list(study.runs)[-1]
    parts = dict(_parts(study.plan.recipes))
    found: list[Confidence] = []
    for metric in METRICS:
        learnt = None
        if "development" in parts:
            pairs = _pairs(study, size, metric, parts["development"], folder)
            learnt = fit_bias(pairs.difference, pairs.error, pairs.right)
        else:
            learnt = _recorded(metric, size)
        for part, recipes in parts.items():
            pairs = _pairs(study, size, metric, recipes, folder)
            found += _both(metric, size, part, pairs, learnt)
    return found


def _parts(recipes: Sequence[Recipe]) -> Iterator[tuple[str, set[str]]]:
    families = {recipe.name: family_of(recipe.name) for recipe in recipes}
    held = {name for name, family in families.items() if family in HELD_BACK}
    developed = {recipe.name for recipe in recipes if families[recipe.name] and equal_dose(recipe)} - held
    other = {name for name, family in families.items() if family is None}
    if len(developed) > 2:
        yield "development", developed
    if len(held) > 1:
        yield "held back", held
    if len(other) > 1:
        yield "own recipes", other


def _pairs(study: Study, size: str, metric: str, recipes: set[str], folder: Path) -> _Pairs:
    runs = tuple(run.seen(View((VOICE,))) for run in study.runs[size] if _recipe(run) in recipes)
    question = RankQuestion(source=folder, proxy=metric, target=TARGET, targets=folder / TARGETS)
    (ranked,) = rank_runs(runs, question)
    assert ranked.targets is not None  # asked for
    replicates = ranked.replicates.only(ranked.targets)
    names = replicates.names
    truth = np.array([ranked.targets[name] for name in names])
    noise = read_target_noise(folder / TARGETS, target=TARGET).get(None)
    error = np.array([0.0 if noise is None else noise.errors[name] for name in names])
    covariance = mean_covariance(replicates, ranked.ranking.noise)
    left, right = np.nonzero(np.triu(resolved(truth, error, _RESOLVE), k=1))
    sign = -1.0 if ranked.lower_is_better else 1.0
    means = sign * replicates.means()
    difference = means[left] - means[right]
    variance = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
    agree = np.sign(difference) * np.sign(truth[left] - truth[right])
    return _Pairs(
        difference=difference,
        error=np.sqrt(np.maximum(variance, 0.0)),
        right=(agree + 1) / 2,
        own=_own(ranked, names, left, right),
        abstain=ranked.abstain,
    )


def _own(
    ranked: RankedGroup, names: Sequence[str], left: np.ndarray, right: np.ndarray
) -> Float[np.ndarray, " pairs"]:
    """The ranking's probability of each pair's likelier order; 1/2 where it gives none (one seed)."""
    wins = ranked.ranking.win_probability
    if wins is None:
        return np.full(len(left), 0.5)
    place = {row.recipe: at for at, row in enumerate(ranked.ranking.order)}
    at = np.array([place[name] for name in names])
    share = wins[at[left], at[right]]
    return np.maximum(share, 1 - share)


def _recipe(run: Run) -> str:
    return run.manifest.labels.recipe or run.manifest.checkpoint


def _both(metric: str, size: str, part: str, pairs: _Pairs, bias: float | None) -> Iterator[Confidence]:
    yield Confidence(metric, size, part, SEEDS_AND_ITEMS, None, calls(pairs.own, pairs.right), pairs.abstain)
    if bias is not None:
        stated = stated_probability(pairs.difference, pairs.error, bias)
        yield Confidence(metric, size, part, WITH_BIAS, bias, calls(stated, pairs.right), pairs.abstain)


def _recorded(metric: str, size: str) -> float | None:
    """The bias that the recorded full miniature learnt, or None where there is none for this metric and size."""
    if not RECORDED.is_file():
        return None
    rows: list[Mapping[str, Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))["confidence"]
    return next(
        (
            float("inf") if row["bias"] is None else row["bias"]
            for row in rows
            if (row["metric"], row["size"], row["rule"]) == (metric, size, WITH_BIAS)
        ),
        None,
    )


def confidence_document(rows: Sequence[Confidence]) -> dict[str, Any]:
    """The rows for JSON; an infinite bias (no better than chance) is null."""
    return {
        "confidence": [
            {
                **asdict(row),
                "bias": None if row.bias is None or np.isinf(row.bias) else row.bias,
                "share_called": row.calls.share_called,
                "share_right": row.calls.share_right,
            }
            for row in rows
        ]
    }
