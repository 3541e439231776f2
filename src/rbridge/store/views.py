"""A look at stored scores: some of the voices, one of the weight sources. Nothing is scored again for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rbridge.align import check_present, check_unambiguous
from rbridge.errors import InputError
from rbridge.records import ScoredTrace


@dataclass(frozen=True)
class View:
    """What of a run is looked at.

    Attributes:
        voices: these alone, or all where empty.
        weights: this source's weights; None is the writer's own where there are any, else the only ones.
    """

    voices: tuple[str, ...] = ()
    weights: str | None = None

    def shows(self, voice: str) -> bool:
        """Whether a voice's traces are looked at."""
        return not self.voices or voice in self.voices


WHOLE = View()


def viewed(scored: Sequence[ScoredTrace], view: View, *, where: str) -> tuple[ScoredTrace, ...]:
    """The traces of the view's voices, each with the weights of the view's source and no other.

    A trace that has no weights of a source that was named keeps its losses and loses its weights.

    Args:
        scored: all traces of a run.
        view: what is looked at.
        where: the run, for errors.

    Raises:
        InputError: a voice or source that no trace has, or weights of several models and none named.
    """
    present = {one.key.voice for one in scored}
    for voice in view.voices:
        if scored and voice not in present:
            raise InputError(f"{where}: no trace of voice {voice!r}; it has {', '.join(sorted(present))}")
    shown = [one for one in scored if view.shows(one.key.voice)]
    sources = [scored_sources(one) for one in shown]
    if view.weights is None:
        check_unambiguous(sources, where=where)
        return tuple(dataclasses.replace(one, other_weights={}) for one in shown)
    if shown:
        check_present(view.weights, sources, where=where)
    return tuple(_weighed_by(one, view.weights) for one in shown)


def scored_sources(one: ScoredTrace) -> tuple[str, ...]:
    """Whose weights a scored trace carries, the one used by default first."""
    return () if one.weight_source is None else (one.weight_source, *one.other_weights)


def _weighed_by(one: ScoredTrace, source: str) -> ScoredTrace:
    if one.weight_source == source:
        return dataclasses.replace(one, other_weights={})
    weight = one.other_weights.get(source)
    return dataclasses.replace(
        one,
        weight_source=source if weight is not None else None,
        tokens=dataclasses.replace(one.tokens, weight=weight),
        other_weights={},
    )
