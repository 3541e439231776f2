"""Whose confidence weighs a trace: several models' may stand side by side, one is used at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from rbridge.align.confidence import reasoning_confidence
from rbridge.errors import InputError
from rbridge.records import Trace, Weights

# The writer's own probabilities: the only ones that may be called the frontier's confidence.
SELF = "self"
# The source of 0/1 weights that were read off marks in the text.
MARKS = "marks"
# What is written for the logarithm of a probability of exactly 0 (a token that a mask leaves out):
# its exponential is 0 in double precision, and files stay free of infinities.
LOG_ZERO = -1000.0


def weight_sources(trace: Trace) -> tuple[str, ...]:
    """Whose weights a trace carries, the one used by default first; none without pieces."""
    if trace.weight_source is None:
        return ()
    return (trace.weight_source, *(other.source for other in trace.other_weights))


def weighed_by(trace: Trace, source: str) -> Trace:
    """The trace with one source's weights in front and no other; without weights where it has none of it."""
    if trace.weight_source == source:
        return dataclasses.replace(trace, other_weights=())
    for other in trace.other_weights:
        if other.source == source:
            # These pieces spell the reasoning alone, so a reply kept beside them would contradict them.
            return dataclasses.replace(
                trace,
                reply=None,
                reasoning_span=None,
                pieces=other.pieces,
                weight_source=source,
                other_weights=(),
            )
    return dataclasses.replace(trace, pieces=None, weight_source=None, other_weights=())


def add_weights(trace: Trace, weights: Weights) -> Trace:
    """The trace with one more source's weights, behind those that it has.

    Raises:
        InputError: it has weights of that name already.
        AlignmentError: the pieces do not spell the reasoning.
    """
    if weights.source in weight_sources(trace):
        raise InputError(
            f"trace {trace.key} has weights of {weights.source!r} already: give the model another name"
        )
    alone = dataclasses.replace(
        trace,
        reply=None,
        reasoning_span=None,
        pieces=weights.pieces,
        weight_source=weights.source,
        other_weights=(),
    )
    reasoning_confidence(alone)
    if trace.pieces is None:
        return alone
    return dataclasses.replace(trace, other_weights=(*trace.other_weights, weights))


def check_unambiguous(sources: Iterable[tuple[str, ...]], *, where: str) -> None:
    """Pass where it is plain whose weights are meant: the writer's own, else the only ones.

    Args:
        sources: of each trace, as ``weight_sources`` gives them.
        where: what holds the traces, for the error.

    Raises:
        InputError: traces without their writer's own weights have those of several models.
    """
    choices = sorted({name for names in sources if SELF not in names for name in names})
    if len(choices) > 1:
        raise InputError(
            f"{where}: holds weights of {', '.join(choices)} side by side; say which are meant: --weights NAME"
        )


def check_present(source: str, sources: Iterable[tuple[str, ...]], *, where: str) -> None:
    """Pass where at least one trace has weights of that name.

    Raises:
        InputError: none has; the error names those there are.
    """
    found = {name for names in sources for name in names}
    if source not in found:
        raise InputError(
            f"{where}: no weights of {source!r}; it has those of {', '.join(sorted(found)) or 'nobody'}"
        )


def whose_weights(sources: Iterable[str]) -> str:
    """Whose confidence weighs traces, as a sentence without its full stop.

    Args:
        sources: names of weight sources; ``none`` for traces without weights.

    >>> whose_weights(["self"]), whose_weights(["none"])
    ("weights are the writer's own", 'no weights: trace losses only, no rBridge score')
    >>> whose_weights(["Qwen", "self"])
    "weights are Qwen's, not the writer's own; weights are the writer's own"
    """
    names = sorted(set(sources))
    parts = []
    if MARKS in names:
        parts.append("weights are 0/1 marks on the text, nobody's probabilities")
    others = [name for name in names if name not in {SELF, "none", MARKS}]
    if others:
        parts.append(f"weights are {_listed(others)}'s, not the writer's own")
    if SELF in names:
        parts.append("weights are the writer's own")
    if "none" in names:
        parts.append(
            "some traces have no weights" if parts else "no weights: trace losses only, no rBridge score"
        )
    return "; ".join(parts)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
