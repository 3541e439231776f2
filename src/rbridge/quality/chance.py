"""Are a benchmark's texts found more often than fresh text of the same kind, which no corpus can hold but by chance?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rbridge.quality.figures import Share

# Of calling texts found that chance alone puts there, over both measures.
ERROR = 0.01
# Fewer fresh texts show no chance level.
FEWEST = 10

Verdict = Literal["none", "found", "cannot tell"]


@dataclass(frozen=True)
class Chance:
    """Texts and fresh texts on two measures that are fair to both.

    Attributes:
        own: texts of which 70 % of the 8-grams that no other text has were seen.
        fresh_own: the same of fresh texts.
        fresh_near: fresh texts of which 17.5 % were: a quarter of the rule's.
        whole: texts that stand word by word in one document.
        fresh_whole: the same of fresh texts.
        p_value: of so large a difference by chance (Fisher's exact test, one-sided), the smaller one, twice.
    """

    own: Share
    fresh_own: Share
    fresh_near: Share
    whole: Share
    fresh_whole: Share
    p_value: float


@dataclass(frozen=True)
class Judged:
    """What a count of found texts means.

    Attributes:
        verdict: ``cannot tell`` where fresh text of the same kind is found as often.
        leaked: share of the texts that more than chance put into the source; None where it cannot be told.
        interval: of it, at 95 %.
        why: in words.
    """

    verdict: Verdict
    leaked: float | None
    interval: tuple[float, float] | None
    why: str


def chance(
    own: Share, fresh_own: Share, fresh_near: Share, whole: Share, fresh_whole: Share
) -> Chance | None:
    """Hold texts against fresh ones; None below ten of either that are long enough."""
    if min(whole.n, fresh_whole.n) < FEWEST:
        return None
    p_value = min(1.0, 2 * min(_p(own, fresh_own), _p(whole, fresh_whole)))
    return Chance(own, fresh_own, fresh_near, whole, fresh_whole, p_value)


def judge(contaminated: Share, found: Chance | None) -> Judged:
    """What a count of texts of which 70 % of the 8-grams stand in a source means.

    Args:
        contaminated: the count.
        found: the chance level; None where it is not known.
    """
    if contaminated.value is None:
        return Judged("none", None, None, "no text is long enough to tell")
    if found is None:
        verdict: Verdict = "found" if contaminated.num else "none"
        return Judged(
            verdict, contaminated.value, contaminated.interval, "no fresh text shows what chance finds"
        )
    # Chance is out of the question where no fresh text comes a quarter as far. (Texts that share nearly all of their
    # 8-grams with others have too few of their own to be told by.)
    clear = _told(found.own, found.fresh_own) and not found.fresh_near.num and not found.fresh_whole.num
    if not contaminated.num or clear:
        why = f"found of fresh text: {found.fresh_own.num}/{found.fresh_own.n}"
        return Judged("found" if contaminated.num else "none", contaminated.value, contaminated.interval, why)
    by_whole = _p(found.whole, found.fresh_whole) <= _p(found.own, found.fresh_own)
    texts, fresh = (found.whole, found.fresh_whole) if by_whole else (found.own, found.fresh_own)
    what = "found whole" if by_whole else "by 8-grams"
    level = f"{what} {fresh.num}/{fresh.n}, the benchmark's {texts.num}/{texts.n}, p {found.p_value:.2g}"
    if found.p_value > ERROR:
        return Judged("cannot tell", None, None, f"fresh text of the same kind is found as often: {level}")
    return Judged("found", *_beyond(texts, fresh), f"more often than fresh text of the same kind: {level}")


def _told(texts: Share, fresh: Share) -> bool:
    return min(texts.n, fresh.n) >= FEWEST


def _p(texts: Share, fresh: Share) -> float:
    from scipy.stats import fisher_exact

    if not _told(texts, fresh):
        return 1.0
    table = np.array([[texts.num, texts.n - texts.num], [fresh.num, fresh.n - fresh.num]])
    return float(fisher_exact(table, alternative="greater").pvalue)


def _beyond(texts: Share, fresh: Share) -> tuple[float, tuple[float, float]]:
    """The share l of texts that were put there, where s = l + (1 - l) c are found and c of the fresh ones.

    Its interval is Newcombe's (1998, method 10) for s - c, over 1 - c.
    """
    assert texts.value is not None and texts.interval is not None  # noqa: PT018 - both or neither
    assert fresh.value is not None and fresh.interval is not None  # noqa: PT018
    gap, rest = texts.value - fresh.value, 1 - fresh.value  # the rest is above 0: the test told them apart
    low = gap - ((texts.value - texts.interval[0]) ** 2 + (fresh.interval[1] - fresh.value) ** 2) ** 0.5
    high = gap + ((texts.interval[1] - texts.value) ** 2 + (fresh.value - fresh.interval[0]) ** 2) ** 0.5
    return gap / rest, (max(0.0, low / rest), min(1.0, high / rest))
