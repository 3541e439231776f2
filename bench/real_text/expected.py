"""What was expected of proxies on real corpora, written down in docs/log.md before any of them was read, as checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

UNMIXED = ("code", "prose", "docs", "formal", "gym")
# In the order that their dose of worked solutions would give.
DOSES = ("chains", "prose-chains30", "prose-chains10", "prose")


@dataclass(frozen=True)
class Seen:
    """What came out of one benchmark.

    Attributes:
        order: recipes by rBridge, the best first.
        tau: of rBridge's order with that of each other score.
        seeds: tau between the orders of two seeds.
        warned: the style warning's or the margin's reason, or None.
    """

    order: Sequence[str]
    tau: Mapping[str, float] = field(default_factory=dict)
    seeds: float = 1.0
    warned: str | None = None

    def first_of(self, recipes: Sequence[str]) -> str:
        """The best of some recipes."""
        return next(recipe for recipe in self.order if recipe in recipes)


All = Mapping[str, Seen]


def mean_tau(seen: All, other: str) -> float:
    """Over benchmarks, of rBridge's order with another's."""
    return float(np.mean([one.tau[other] for one in seen.values()]))


def mean_seeds(seen: All) -> float:
    """Mean agreement of seeds."""
    return float(np.mean([one.seeds for one in seen.values()]))


def warnings(seen: All) -> int:
    """Benchmarks with a warning."""
    return sum(one.warned is not None for one in seen.values())


EXPECTED: tuple[tuple[str, Callable[[All], bool]], ...] = (
    (
        "1 HumanEval: docs first of the unmixed, code ranks better than on CommonsenseQA",
        lambda seen: (
            seen["humaneval"].first_of(UNMIXED) == "docs"
            and seen["humaneval"].order.index("code") < seen["csqa"].order.index("code")
        ),
    ),
    (
        "2 CommonsenseQA and ARC: prose first of the unmixed",
        lambda seen: all(seen[name].first_of(UNMIXED) == "prose" for name in ("csqa", "arc_challenge")),
    ),
    (
        "3 GSM8K: in the order of the dose",
        lambda seen: [one for one in seen["gsm8k"].order if one in DOSES] == list(DOSES),
    ),
    (
        "4 MATH500: chains first; MMLU STEM: prose or docs first of the unmixed",
        lambda seen: (
            seen["math500"].order[0] == "chains" and seen["mmlu_stem"].first_of(UNMIXED) in ("prose", "docs")
        ),
    ),
    ("5 formal last everywhere", lambda seen: all(one.order[-1] == "formal" for one in seen.values())),
    ("6 n-gram null: mean tau at least .7", lambda seen: mean_tau(seen, "null_bits_per_byte") >= 0.7),
    ("7 shuffled weights: mean tau at least .9", lambda seen: mean_tau(seen, "rbridge_shuffled") >= 0.9),
    ("8 seeds: mean tau at least .8", lambda seen: mean_seeds(seen) >= 0.8),
    ("9 a warning on at least five benchmarks", lambda seen: warnings(seen) >= 5),
)
