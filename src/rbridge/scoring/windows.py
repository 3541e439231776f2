"""Traces longer than a proxy's context, read in declared windows: never a silent cut.

A window is counted in bytes of R, so that proxies of any tokenizer see the same text before each token, up
to the token that a limit cuts. The first window scores its N bytes; each later one scores the next M and
reads the N - M before them again, the prompt with the question always in front. Every token is scored once,
in the window in which it begins. Tokens are those of the whole trace: nothing is encoded anew.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from rbridge.errors import InputError
from rbridge.records import ScoredTrace, TokenScores, TokenStatistics, TraceKey

# What the sweep calls a part of a trace while it is scored; joined before the run is written.
_PART = re.compile(r"\x1fwindow (\d+)\Z")


@dataclass(frozen=True)
class Window:
    """How much of a trace is read at a time.

    Attributes:
        size: bytes of R in a window, N.
        stride: bytes of R that each window after the first adds, M, at most N.
    """

    size: int
    stride: int

    def __post_init__(self) -> None:
        if not 0 < self.stride <= self.size:
            raise InputError(
                f"--window {self.size} --stride {self.stride}: expected bytes, 0 < stride <= window"
            )


@dataclass(frozen=True)
class Part:
    """One window's tokens, as half-open ranges of positions among the scored tokens.

    Attributes:
        context: first token that is read; those before ``first`` are not scored in this window.
        first, last: the tokens that are scored in it.
    """

    context: int
    first: int
    last: int


def window_parts(start: Int[np.ndarray, " tokens"], num_bytes: int, window: Window) -> list[Part]:
    """Which tokens each window reads and scores; one part where the whole trace is no longer than a window.

    Args:
        start: first byte of each token, ascending.
        num_bytes: bytes of R.
        window: see ``Window``.

    >>> window_parts(np.arange(0, 10, 2), 10, Window(4, 2))
    [Part(context=0, first=0, last=2), Part(context=1, first=2, last=3), Part(context=2, first=3, last=4), \
Part(context=3, first=4, last=5)]
    """
    limits = [0, *range(window.size, num_bytes, window.stride), num_bytes]
    parts = []
    for number, (low, high) in enumerate(pairwise(limits)):
        first, last = (int(at) for at in np.searchsorted(start, [low, high]))
        context = int(np.searchsorted(start, number * window.stride))
        if first < last:  # a token longer than a stride leaves a window without a beginning
            parts.append(Part(context, first, last))
    return parts


def part_key(key: TraceKey, number: int) -> TraceKey:
    """What a part is called while it is scored."""
    return dataclasses.replace(key, voice=f"{key.voice}\x1fwindow {number}")


def whole_key(key: TraceKey) -> TraceKey:
    """The trace that a part is of, or the trace itself."""
    return dataclasses.replace(key, voice=_PART.sub("", key.voice))


def join_parts(scored: Sequence[ScoredTrace]) -> list[ScoredTrace]:
    """Traces whose parts were scored one by one, whole again; others as they are.

    Args:
        scored: parts of one trace side by side, in order.
    """
    joined: dict[TraceKey, list[ScoredTrace]] = {}
    for one in scored:
        key = whole_key(one.key)
        joined.setdefault(key, []).append(one)
    return [parts[0] if len(parts) == 1 else _joined(key, parts) for key, parts in joined.items()]


def _joined_statistics(parts: Sequence[TokenStatistics | None]) -> TokenStatistics | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return TokenStatistics(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in known])
            for field in dataclasses.fields(TokenStatistics)
        }
    )


def _joined(key: TraceKey, parts: Sequence[ScoredTrace]) -> ScoredTrace:
    first = parts[0]
    weighed = first.tokens.weight is not None
    tokens = TokenScores(
        nll=np.concatenate([part.tokens.nll for part in parts]),
        weight=np.concatenate([part.tokens.weight for part in parts if part.tokens.weight is not None])
        if weighed
        else None,
        start=np.concatenate([part.tokens.start for part in parts]),
        end=np.concatenate([part.tokens.end for part in parts]),
        num_bytes=first.tokens.num_bytes,
        statistics=_joined_statistics([part.tokens.statistics for part in parts]),
    )
    others = {
        source: np.concatenate([part.other_weights[source] for part in parts])
        for source in first.other_weights
    }
    return dataclasses.replace(first, key=key, tokens=tokens, other_weights=others)
