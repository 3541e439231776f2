"""Does an order follow the traces' style rather than what the proxies make of the questions?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

# Orders by single voices that agree less than this are another order for every voice. A single voice carries
# more noise than the mean of all, so honest orders agree far less than fully: chosen on planted studies of eight
# recipes (bench/style.py).
LEAST_VOICE_TAU = 0.2


@dataclass(frozen=True)
class Style:
    """The diagnostic of one ranking.

    Attributes:
        flag: the order is not to be trusted beyond style; None where nothing was measured that could tell.
        with_style: Kendall tau of the order with the loss behind other questions, which holds style alone.
        with_margin: with the question margin, in which style cancels.
        between_voices: mean tau between the orders by each voice alone; None below two voices.
        reasons: why it is flagged, or why it cannot be told.
    """

    flag: bool | None
    with_style: float | None
    with_margin: float | None
    between_voices: float | None
    reasons: tuple[str, ...]


def style(
    proxy: Float[np.ndarray, " recipes"],
    *,
    other_question: Float[np.ndarray, " recipes"] | None,
    margin: Float[np.ndarray, " recipes"] | None,
    too_small: bool,
    voices: Float[np.ndarray, "voices recipes"] | None,
) -> Style:
    """Flag an order that agrees more with style than with the margin, or that each voice turns around.

    Args:
        proxy: higher is better, like all others here.
        other_question: minus the loss behind other questions; None where it was not read.
        margin: the question margin; None where it was not read.
        too_small: the margin abstains.
        voices: the proxy's values by each voice alone.
    """
    by_style = None if other_question is None else _tau(proxy, other_question)
    by_margin = None if margin is None else _tau(proxy, margin)
    between = None
    if voices is not None and len(voices) > 1:
        taus = [_tau(one, two) for one, two in itertools.combinations(voices, 2)]
        between = float(np.mean([0.0 if tau is None else tau for tau in taus]))
    reasons = []
    if too_small:
        reasons.append("style cannot be told from reasoning: the margin says that the proxies are too small")
    elif by_style is not None and by_margin is not None and by_style > by_margin:
        reasons.append(
            f"the order agrees more with the loss behind other questions (tau {by_style:.2f}) than with the "
            f"question margin (tau {by_margin:.2f}): it may follow style"
        )
    if between is not None and between < LEAST_VOICE_TAU:
        reasons.append(
            f"orders by single voices agree with a mean tau of {between:.2f}: each style has its own"
        )
    measured = between is not None or (by_style is not None and by_margin is not None)
    return Style(bool(reasons) if measured or reasons else None, by_style, by_margin, between, tuple(reasons))


def _tau(one: Float[np.ndarray, " recipes"], two: Float[np.ndarray, " recipes"]) -> float | None:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    return float(kendalltau(one, two).statistic)
