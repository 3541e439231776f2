"""Metrics of a proxy's predictions at the trace's tokens that need no frontier: hits, rank, entropy, margin.

After Patel et al. 2026 (arXiv 2605.18607; method.md section 4): each is a mean over the trace's tokens,
uniform or weighted. Weights are scaled to sum to 1 within the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.records import ScoredTrace, TokenScores, TokenStatistics

# Per-token values: name -> (higher or lower is better, unit, meaning, value).
_Value = Callable[[TokenScores], Float[np.ndarray, " tokens"]]


@dataclass(frozen=True)
class Statistic:
    """One value a token.

    Attributes:
        name: of its column where every token counts alike.
        direction: ``lower`` or ``higher``, whichever is better.
        unit: what one unit of it is.
        meaning: one line.
        of: the values of a trace's tokens.
    """

    name: str
    direction: str
    unit: str
    meaning: str
    of: _Value


def _hit(most: int) -> _Value:
    return lambda tokens: (_statistics(tokens).rank <= most).astype(np.float64)


def _statistics(tokens: TokenScores) -> TokenStatistics:
    assert tokens.statistics is not None
    return tokens.statistics


STATISTICS: tuple[Statistic, ...] = (
    *(
        Statistic(
            f"top{k}_accuracy", "higher", "fraction", f"share of tokens that are among the {k} likeliest", _hit(k)
        )
        for k in (1, 2, 3, 5)
    ),
    Statistic(
        "token_rank", "lower", "rank", "mean rank of the token, 1 the likeliest",
        lambda tokens: _statistics(tokens).rank.astype(np.float64),
    ),
    Statistic(
        "token_reciprocal_rank", "higher", "1/rank", "mean of 1 / rank of the token",
        lambda tokens: 1.0 / _statistics(tokens).rank,
    ),
    Statistic(
        "token_entropy", "lower", "nats", "mean entropy of the predictions",
        lambda tokens: _statistics(tokens).entropy.astype(np.float64),
    ),
    Statistic(
        "token_logit_margin", "higher", "logits", "mean gap of the two highest logits",
        lambda tokens: _statistics(tokens).logit_margin.astype(np.float64),
    ),
    Statistic(
        "token_probability_margin", "higher", "probability", "mean gap of the two highest probabilities",
        lambda tokens: _statistics(tokens).probability_margin.astype(np.float64),
    ),
    Statistic(
        "token_probability", "higher", "probability", "mean probability of the token",
        lambda tokens: np.exp(-tokens.nll.astype(np.float64)),
    ),
)  # fmt: skip

# What a token may be weighted by, and what that is called in words.
WEIGHTINGS: Mapping[str, str] = {
    "by_frequency": "weighted by how often the token occurs among the scored ones",
    "by_rarity": "weighted by one over how often the token occurs among the scored ones",
    "by_entropy": "weighted by the entropy of the prediction",
    "by_p": "weighted by the token's probability",
    "by_1_p": "weighted by one less the token's probability",
}


def token_weights(
    tokens: TokenScores, weighting: str, count: Float[np.ndarray, " tokens"]
) -> Float[np.ndarray, " tokens"] | None:
    """Weights of a trace's tokens that sum to 1; None where all are 0 (every prediction certain).

    Args:
        tokens: with statistics.
        weighting: a key of ``WEIGHTINGS``.
        count: how often each token occurs, at least 1.
    """
    p = np.exp(-tokens.nll.astype(np.float64))
    if weighting in ("by_frequency", "by_rarity"):
        raw = count if weighting == "by_frequency" else 1.0 / count
    elif weighting == "by_entropy":
        raw = _statistics(tokens).entropy.astype(np.float64)
    else:
        raw = p if weighting == "by_p" else -np.expm1(-tokens.nll.astype(np.float64))
    total = float(raw.sum())
    return raw / total if total > 0 else None


def run_statistics(scored: Sequence[ScoredTrace]) -> list[dict[str, float | None]]:
    """Every trace's statistics; empty for a trace that none were stored of.

    Args:
        scored: all scored traces of one checkpoint: tokens' frequencies are counted over them.
    """
    ids = [one.tokens.statistics.token for one in scored if one.tokens.statistics is not None]
    if not ids:
        return [{} for _ in scored]
    kinds, counts = np.unique(np.concatenate(ids), return_counts=True)
    return [
        {}
        if one.tokens.statistics is None
        else statistic_values(
            one.tokens, counts[np.searchsorted(kinds, one.tokens.statistics.token)].astype(np.float64)
        )
        for one in scored
    ]


def statistic_values(tokens: TokenScores, count: Float[np.ndarray, " tokens"]) -> dict[str, float | None]:
    """Every statistic of a trace, uniform and weighted.

    Args:
        tokens: raw scores of a trace, statistics among them.
        count: how often each of its tokens occurs, at least 1.

    Returns:
        By column, in the order of ``statistic_columns``; None where a weighting has no weight at all.
    """
    weights = {name: token_weights(tokens, name, count) for name in WEIGHTINGS}
    found: dict[str, float | None] = {}
    for statistic in STATISTICS:
        values = statistic.of(tokens)
        found[statistic.name] = float(values.mean())
        for name, weight in weights.items():
            found[f"{statistic.name}_{name}"] = None if weight is None else float((values * weight).sum())
    return found


def statistic_columns() -> list[tuple[str, str, str, str]]:
    """(name, direction, unit, meaning) of every column that ``statistic_values`` gives."""
    return [
        row
        for statistic in STATISTICS
        for row in [
            (statistic.name, statistic.direction, statistic.unit, statistic.meaning),
            *(
                (
                    f"{statistic.name}_{name}",
                    statistic.direction,
                    statistic.unit,
                    f"{statistic.meaning}, {words}",
                )
                for name, words in WEIGHTINGS.items()
            ),
        ]
    ]
