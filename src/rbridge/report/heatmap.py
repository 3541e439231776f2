"""One trace token by token: the weight model's confidence, the proxy's loss, and their product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from jaxtyping import Float

from rbridge.errors import AlignmentError, InputError
from rbridge.metric import TraceValues, minmax_weights, trace_values
from rbridge.records import ScoredTrace, TokenScores, Trace
from rbridge.report.text import Glyph, glyphs


@dataclass(frozen=True)
class HeatToken:
    """One proxy token.

    Attributes:
        number: from 1.
        start, end: half-open span of the trace's bytes.
        glyphs: the characters that begin in it; empty where it only carries on with one.
        code: hex of its bytes where no character begins in it, else empty.
        nll: loss, nats.
        weight: the weight model's confidence in [0, 1], or None.
        share: the weight after MinMax over the trace, or None.
        contribution: nll * share: what it adds to T * rBridge; None without weights.
    """

    number: int
    start: int
    end: int
    glyphs: tuple[Glyph, ...]
    code: str
    nll: float
    weight: float | None
    share: float | None
    contribution: float | None


@dataclass(frozen=True)
class HeatMap:
    """One trace as one checkpoint read it, token by token.

    Attributes:
        weight_source: whose confidence, as a sentence; None without weights.
        largest_nll: end of the scale of loss and contribution, nats, above 0.
        concentration: the share of the score that the tenth of the tokens with the largest
            contributions makes, and how many tokens those are; None without weights or score.
        show_text: whether the trace's text may be shown.
    """

    benchmark: str
    problem_id: str
    voice: str
    checkpoint: str
    shots: int
    question: str | None
    tokens: tuple[HeatToken, ...]
    values: TraceValues
    weight_source: str | None
    largest_nll: float
    concentration: tuple[int, float] | None
    show_text: bool

    @property
    def has_weights(self) -> bool:
        """Whether there is anything but losses to show."""
        return self.weight_source is not None


def heat_map(trace: Trace, scored: ScoredTrace, *, checkpoint: str, question: str | None = None) -> HeatMap:
    """A scored trace as the page shows it.

    Args:
        trace: its text.
        scored: its raw token scores by one checkpoint.
        checkpoint: that checkpoint's name.
        question: the problem's text; the trace's own if left out.

    Raises:
        InputError: text and scores are of different traces.
        AlignmentError: the tokens' spans do not fit the text.
    """
    if trace.key != scored.key:
        raise InputError(f"heat-map: the text is of {trace.key}, the scores are of {scored.key}")
    tokens = scored.tokens
    values = trace_values(tokens, benchmark_range=_own_range(tokens))
    rows = _tokens(trace, tokens)
    return HeatMap(
        benchmark=trace.key.benchmark,
        problem_id=trace.key.problem_id,
        voice=trace.key.voice,
        checkpoint=checkpoint,
        shots=scored.shots,
        question=trace.question if question is None else question,
        tokens=rows,
        values=values,
        weight_source=_whose(scored),
        largest_nll=float(tokens.nll.max()) or 1.0,
        concentration=_concentration(rows, values),
        show_text=True,
    )


def without_text(heat: HeatMap) -> HeatMap:
    """The same figures, with no word of trace or question left."""
    tokens = tuple(replace(token, glyphs=(), code="") for token in heat.tokens)
    return replace(heat, question=None, tokens=tokens, show_text=False)


def starting_text(text: bytes, start: int, end: int) -> str:
    """The characters whose first byte lies in a span; a character cut by its end is shown whole.

    >>> "é".encode()
    b'\\xc3\\xa9'
    >>> starting_text("xé".encode(), 0, 2), starting_text("xé".encode(), 2, 3)
    ('xé', '')
    """
    first = _next_character(text, start)
    return text[first : _next_character(text, end)].decode() if first < end else ""


def _next_character(text: bytes, place: int) -> int:
    while place < len(text) and text[place] & 0xC0 == 0x80:  # 10xxxxxx carries on with a character
        place += 1
    return place


def _own_range(tokens: TokenScores) -> tuple[float, float] | None:
    # MinMax over a benchmark means nothing for one trace, and is not shown: its own range stands in.
    return None if tokens.weight is None else (float(tokens.weight.min()), float(tokens.weight.max()))


def _tokens(trace: Trace, tokens: TokenScores) -> tuple[HeatToken, ...]:
    text = trace.reasoning.encode()
    if tokens.num_bytes != len(text) or int(tokens.end[-1]) != len(text) or int(tokens.start[0]) != 0:
        raise AlignmentError(
            f"{trace.key}: the scores are of {tokens.num_bytes} bytes, the text has {len(text)}: "
            "show the run with the bundle that it was scored on"
        )
    shares = _shares(tokens)
    return tuple(_token(text, tokens, shares, index) for index in range(len(tokens.nll)))


def _shares(tokens: TokenScores) -> Float[np.ndarray, " tokens"] | None:
    own = _own_range(tokens)
    return None if own is None or tokens.weight is None else minmax_weights(tokens.weight, *own)


def _token(
    text: bytes, tokens: TokenScores, shares: Float[np.ndarray, " tokens"] | None, index: int
) -> HeatToken:
    start, end, nll = int(tokens.start[index]), int(tokens.end[index]), float(tokens.nll[index])
    shown = starting_text(text, start, end)
    share = None if shares is None else float(shares[index])
    return HeatToken(
        number=index + 1,
        start=start,
        end=end,
        glyphs=glyphs(shown),
        code="" if shown else text[start:end].hex(" ").upper(),
        nll=nll,
        weight=None if tokens.weight is None else float(tokens.weight[index]),
        share=share,
        contribution=None if share is None else nll * share,
    )


def _whose(scored: ScoredTrace) -> str | None:
    if scored.tokens.weight is None:
        return None
    if scored.weight_source in (None, "self"):
        return "the writer's own"
    return f"{scored.weight_source}'s, not the writer's own"


def _concentration(rows: tuple[HeatToken, ...], values: TraceValues) -> tuple[int, float] | None:
    if values.rbridge is None or values.rbridge <= 0:
        return None
    ordered = sorted((row.contribution or 0.0 for row in rows), reverse=True)
    num = max(1, len(rows) // 10)
    *_, largest = accumulate(ordered[:num])
    return num, largest / sum(ordered)
