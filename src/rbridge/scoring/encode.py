"""What the proxy reads for one trace, and which of its tokens are scored (interfaces.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from rbridge.align import TraceSpans, reasoning_confidence, spread, trace_spans, weighed_by, weight_sources
from rbridge.benchmarks import build_prompt
from rbridge.errors import AlignmentError, InputError
from rbridge.records import Skip, Trace, TraceKey
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.scoring.windows import Window, part_key, window_parts

NORMALISED = "normalised"
CONTROL = "the tokenizer reads a control token in the text"
TOO_LONG = "too long"
NO_CONTEXT = "no context before the first token"


@dataclass(frozen=True)
class Encoded:
    """One trace in a proxy's tokens.

    Attributes:
        key: the trace.
        shots: worked examples in front, after dropping what did not fit.
        ids: prefix, prompt and ``" " + R``, as fed.
        scored: positions in ``ids`` of the tokens that hold bytes of R, ascending.
        start, end: their half-open byte spans in R.
        weight: their raw weights, or None where the trace has no pieces.
        weight_source: whose confidence they are.
        num_bytes: UTF-8 bytes of R.
        other_weights: raw weights by further sources.
        window: how the trace is read where it is longer than a window; None where it is read whole.
    """

    key: TraceKey
    shots: int
    ids: tuple[int, ...]
    scored: Int[np.ndarray, " tokens"]
    start: Int[np.ndarray, " tokens"]
    end: Int[np.ndarray, " tokens"]
    weight: Float[np.ndarray, " tokens"] | None
    weight_source: str | None
    num_bytes: int
    other_weights: Mapping[str, Float[np.ndarray, " tokens"]] = field(default_factory=dict)
    window: Window | None = None


def prompts(trace: Trace, shots: int) -> list[tuple[int, str]]:
    """The prompts to try, longest first: ``shots`` worked examples, then fewer, down to none.

    Args:
        trace: with its question resolved, or with a prompt of its own.
        shots: worked examples asked for.

    Raises:
        InputError: worked examples were asked for and there are none for this trace.
    """
    if trace.prompt is not None:
        if shots:
            raise InputError(
                f"{trace.key}: has a prompt of its own, so no worked examples can be put before it: use --shots 0"
            )
        return [(0, trace.prompt)]
    assert trace.question is not None  # resolve_questions has filled it
    return [
        (k, build_prompt(trace.key.benchmark, trace.question, trace.choices, shots=k))
        for k in range(shots, -1, -1)
    ]


def encode_trace(
    trace: Trace,
    tokenizer: ProxyTokenizer,
    *,
    shots: int,
    context_length: int | None,
    window: Window | None = None,
) -> Encoded | Skip:
    """One trace in a proxy's tokens, or the reason why it cannot be scored.

    Args:
        trace: with its question resolved, or with a prompt of its own.
        tokenizer: the proxy's.
        shots: worked examples asked for; dropped from the front where the context is short.
        context_length: most tokens the proxy takes, or None.
        window: read a longer trace in such windows, each of which must fit; None reads every trace whole.

    Returns:
        The encoded trace, whole (see ``cut_windows``), or a skip.

    Raises:
        InputError: worked examples were asked for and there are none for this trace.
    """
    reasoning = trace.reasoning.encode()
    candidates = prompts(trace, shots)
    if any(tokenizer.normalises(text) for text in (f" {trace.reasoning}", candidates[-1][1])):
        return Skip(trace.key, NORMALISED)
    try:
        continuation = tokenizer.encode(f" {trace.reasoning}")
        spans = trace_spans(tokenizer.spell(continuation), reasoning)
    except AlignmentError as error:
        return Skip(trace.key, str(error), refused=True)
    windowed = window is not None and len(reasoning) > window.size
    longest = _longest_window(spans, len(reasoning), window) if window and windowed else len(continuation)
    fitting = _fitting_prompt(candidates, tokenizer, longest, context_length)
    if tokenizer.has_control(continuation):
        return Skip(trace.key, CONTROL, refused=True)
    if fitting is None:
        too_wide = (
            f"{TOO_LONG}: a window of {window.size} bytes is {longest} tokens" if window and windowed else ""
        )
        return Skip(trace.key, too_wide or TOO_LONG)
    kept, context = fitting
    scored = len(context) + spans.index
    if scored[0] == 0:
        return Skip(trace.key, NO_CONTEXT)
    weights = _weights(trace, spans)
    return Encoded(
        key=trace.key,
        shots=kept,
        ids=(*context, *continuation),
        scored=scored,
        start=spans.start,
        end=spans.end,
        weight=None if trace.weight_source is None else weights.pop(trace.weight_source),
        weight_source=trace.weight_source,
        num_bytes=len(reasoning),
        other_weights=weights,
        window=window if windowed else None,
    )


def cut_windows(item: Encoded) -> list[Encoded]:
    """A trace that is read in windows as one sequence a window; any other as it is.

    Each has the prompt in front, then the tokens of its window; those that are scored in it have their
    spans and weights in the whole trace. The parts' keys tell them apart until ``join_parts``.
    """
    if item.window is None:
        return [item]
    num_context = int(item.scored[0])  # prefix, prompt, and the separator where it is a token of its own
    found = []
    for number, part in enumerate(window_parts(item.start, item.num_bytes, item.window), start=1):
        begin, end = int(item.scored[part.context]), int(item.scored[part.last - 1]) + 1
        these = slice(part.first, part.last)
        found.append(
            dataclasses.replace(
                item,
                key=part_key(item.key, number),
                ids=(*item.ids[:num_context], *item.ids[begin:end]),
                scored=item.scored[these] - begin + num_context,
                start=item.start[these],
                end=item.end[these],
                weight=None if item.weight is None else item.weight[these],
                other_weights={source: weight[these] for source, weight in item.other_weights.items()},
            )
        )
    return found


def _longest_window(spans: TraceSpans, num_bytes: int, window: Window) -> int:
    """Tokens of R in the widest window, with those in front of R's first byte."""
    parts = window_parts(spans.start, num_bytes, window)
    return int(spans.index[0]) + max(int(spans.index[p.last - 1] - spans.index[p.context]) + 1 for p in parts)


def _weights(trace: Trace, spans: TraceSpans) -> dict[str, Float[np.ndarray, " tokens"]]:
    """The raw weight of each token by each of the trace's sources."""
    found = {}
    for source in weight_sources(trace):
        confidence = reasoning_confidence(weighed_by(trace, source))
        assert confidence is not None  # the trace has weights of that source
        found[source] = spread(confidence, spans.start, spans.end)
    return found


def _fitting_prompt(
    candidates: list[tuple[int, str]], tokenizer: ProxyTokenizer, num_trace: int, context_length: int | None
) -> tuple[int, list[int]] | None:
    """The first prompt that fits with the trace behind it, as shots and ids, or None."""
    for shots, prompt in candidates:
        ids = tokenizer.encode(prompt)
        if context_length is None or len(tokenizer.prefix_ids) + len(ids) + num_trace <= context_length:
            return shots, [*tokenizer.prefix_ids, *ids]
    return None
