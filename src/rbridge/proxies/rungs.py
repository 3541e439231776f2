"""Sizes of decoder models and the learning rates they are trained with, as data.

From 4M up they are DataDecide's (Magnusson et al. 2025, appendix): width, heads, layers, windows of 2,048 tokens
a step, and steps. Its N counts one vocabulary matrix of 50,304 rows, that of the head; ours are tied, so that N is
all there is. The smaller ones go on in the same way for a CPU: about 100 tokens a parameter, and the batch of
Porian et al. (2024), 160 windows of 2,048 tokens at 108M parameters, growing with N^(2/3).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from rbridge.compute import DATADECIDE
from rbridge.errors import InputError
from rbridge.recipes import parse_count

MLP_RATIO = 4  # inner width of the gated MLP over the width: 12 d^2 of a layer's 16 d^2 weights


@dataclass(frozen=True)
class DecoderSize:
    """One size of decoder model, and how it is trained.

    Attributes:
        name: as labels name it.
        width: d.
        layers: L.
        heads: of attention, which divide d into even widths.
        window: tokens of a training window, and the longest text that the model is made for.
        batch: windows a step.
        num_tokens: D, its own budget.
    """

    name: str
    width: int
    layers: int
    heads: int
    window: int
    batch: int
    num_tokens: int

    def parameters(self, vocab_size: int) -> int:
        """All parameters: embedding (tied to the head), 16 d^2 a layer, and the norms' gains.

        >>> round(size_named("4M").parameters(50_304) / 1e6, 1)
        3.7
        """
        d = self.width
        return vocab_size * d + self.layers * ((4 + 3 * MLP_RATIO) * d * d + 2 * d) + d


# width, layers, heads, windows a step
_SHAPES = {
    "4M": (64, 8, 8, 32),
    "6M": (96, 8, 8, 32),
    "8M": (128, 8, 8, 32),
    "10M": (144, 8, 8, 32),
    "14M": (192, 8, 8, 32),
    "16M": (208, 8, 8, 32),
    "20M": (192, 16, 8, 64),
    "60M": (384, 16, 12, 96),
    "90M": (528, 16, 12, 160),
    "150M": (768, 12, 12, 192),
    "300M": (1024, 16, 16, 320),
    "530M": (1344, 16, 16, 448),
    "750M": (1536, 16, 16, 576),
    "1B": (2048, 16, 16, 704),
}

SIZES: tuple[DecoderSize, ...] = (
    # Named for their parameters with a vocabulary of 2,048.
    DecoderSize("50k", 20, 2, 2, 512, 4, 5_000_000),
    DecoderSize("100k", 32, 2, 2, 512, 6, 10_000_000),
    DecoderSize("200k", 48, 3, 4, 512, 10, 20_000_000),
    DecoderSize("500k", 72, 4, 4, 512, 18, 50_000_000),
    DecoderSize("1M", 112, 4, 4, 512, 28, 100_000_000),
    *(
        DecoderSize(rung.size, *_SHAPES[rung.size][:3], 2048, _SHAPES[rung.size][3], round(rung.tokens))
        for rung in DATADECIDE
    ),
)


@dataclass(frozen=True)
class LearningRateRule:
    """A peak learning rate by size: ``at_108M`` times (N / 108M)^(-1/3), and no higher than ``highest``.

    Attributes:
        name: as the command line calls it.
        at_108M: at 108 million parameters.
        highest: a bound.
        source: whose rule it is, and what it is for.
    """

    name: str
    at_108M: float  # noqa: N815, the unit's own capital
    highest: float
    source: str

    def peak(self, parameters: int) -> float:
        """The highest learning rate of a model of so many parameters.

        >>> round(RULES[1].peak(3_700_000), 4)
        0.0145
        """
        return min(self.at_108M * (parameters / 108e6) ** (-1 / 3), self.highest)


RULES: tuple[LearningRateRule, ...] = (
    LearningRateRule(
        "small",
        4.7e-4,
        3e-3,
        "a tenth of the ladder's rule and at most 3e-3: rankings of recipes flip with the rate, and small rates keep "
        "the order of well-tuned large runs (Wang et al. 2025, arXiv 2512.24503; the tenth is our choice, theirs are "
        "smaller still)",
    ),
    LearningRateRule(
        "datadecide",
        4.7e-3,
        1.0,
        "0.0047 (N / 108M)^(-1/3), DataDecide's (Magnusson et al. 2025; Porian et al. 2024)",
    ),
    LearningRateRule(
        "tiny",
        4.7e-5,
        3e-4,
        "a hundredth of the ladder's rule: nearer to the rates of Wang et al. (2025), which learn little in few tokens",
    ),
)


def size_named(name: str, sizes: Sequence[DecoderSize] = SIZES) -> DecoderSize:
    """The size of a name.

    Raises:
        InputError: there is none.
    """
    found = next((size for size in sizes if size.name == name), None)
    if found is None:
        raise InputError(f"no size {name!r}; {_suggestion(name, [size.name for size in sizes])}")
    return found


def learning_rate_of(choice: str, parameters: int) -> float:
    """The peak that a rule's name, or a number, gives.

    Raises:
        InputError: it is neither.
    """
    for rule in RULES:
        if rule.name == choice:
            return rule.peak(parameters)
    try:
        rate = float(choice)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1:
        names = [rule.name for rule in RULES]
        raise InputError(
            f"learning rate {choice!r}; {_suggestion(choice, names)}, or a number below 1 such as 3e-3"
        )
    return rate


def parse_tokens(given: str) -> int:
    """A budget such as 20M.

    Raises:
        InputError: it is none.
    """
    try:
        return parse_count(given)
    except ValueError as error:
        raise InputError(f"tokens: {error}") from None


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
