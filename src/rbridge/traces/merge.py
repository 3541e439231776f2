"""Several bundles as one: more voices, more benchmarks, more weight models over the same traces."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.align import SELF, add_weights, weighed_by, weight_sources
from rbridge.errors import InputError
from rbridge.records import Pieces, Trace, TraceKey, Weights
from rbridge.store.bundles import Bundle, SkippedTrace, Terms, WeightModel


@dataclass(frozen=True)
class Merged:
    """What a merged bundle holds, ready for ``write_bundle``."""

    traces: tuple[Trace, ...]
    weight_models: tuple[WeightModel, ...]
    terms: dict[str, Terms]
    question_key: str | None
    skipped: tuple[SkippedTrace, ...]


def merge(bundles: Sequence[Bundle], *, voices: Sequence[Sequence[str]]) -> Merged:
    """All traces of several bundles; one that stands in two of them carries the weights of both.

    Args:
        bundles: at least one.
        voices: of each bundle, the voices to take; all where empty.

    Raises:
        InputError: a key names two different traces, a name two weight models, a voice two licences, or
            the questions' hashes are salted with different keys.
    """
    traces: dict[TraceKey, Trace] = {}
    for bundle, taken in zip(bundles, voices, strict=True):
        for trace in bundle.traces_of(taken):
            known = traces.get(trace.key)
            traces[trace.key] = trace if known is None else _combined(known, trace, bundle)
    sources = {name for trace in traces.values() for name in weight_sources(trace)}
    models: dict[str, WeightModel] = {}
    for bundle in bundles:
        for model in bundle.manifest.weight_models:
            if model.name in sources:
                _same(
                    models.setdefault(model.name, model).sha256, model.sha256, f"weight model {model.name!r}"
                )
    heard = {key.voice for key in traces}
    return Merged(
        tuple(traces.values()),
        tuple(models.values()),
        _terms(bundles, heard),
        _question_key(bundles),
        tuple(skip for bundle in bundles for skip in bundle.manifest.skipped),
    )


def _combined(one: Trace, other: Trace, where: Bundle) -> Trace:
    if one.reasoning != other.reasoning:
        raise InputError(
            f"{where.path}: trace {one.key} has another text than in the bundles before: give one of the "
            "two another voice"
        )
    # The writer's own weights stay in front: they may spell the reply, the others spell R alone.
    front, back = (other, one) if other.weight_source == SELF and one.weight_source != SELF else (one, other)
    if front.pieces is None:
        front, back = back, front
    for source in weight_sources(back):
        weighed = weighed_by(back, source)
        assert weighed.pieces is not None  # it has weights of that source
        if source not in weight_sources(front):
            front = add_weights(front, Weights(source, weighed.pieces))
        elif not _alike(_pieces_of(front, source), weighed.pieces):
            raise InputError(
                f"{where.path}: trace {one.key} has other weights of {source!r} than in the bundles before: "
                "weigh one of them anew under another --model-name"
            )
    question = one.question if one.question is not None else other.question
    return dataclasses.replace(front, question=question, choices=one.choices or other.choices)


def _pieces_of(trace: Trace, source: str) -> Pieces:
    pieces = weighed_by(trace, source).pieces
    assert pieces is not None  # asked for sources that it has
    return pieces


def _alike(one: Pieces, other: Pieces) -> bool:
    return one.spelled == other.spelled and np.array_equal(one.logprobs, other.logprobs)


def _terms(bundles: Sequence[Bundle], heard: set[str]) -> dict[str, Terms]:
    found: dict[str, Terms] = {}
    for bundle in bundles:
        for voice in bundle.manifest.voices:
            licence = bundle.manifest.licence_of(voice)
            if voice not in heard or licence is None:
                continue
            stated = bundle.manifest.terms.get(voice, Terms()).model_copy(update={"licence": licence})
            _same(found.setdefault(voice, stated).licence, licence, f"licence of voice {voice!r}")
    return found


def _question_key(bundles: Sequence[Bundle]) -> str | None:
    found = None
    for bundle in bundles:
        if bundle.manifest.question_key is not None:
            found = found or bundle.manifest.question_key
            _same(found, bundle.manifest.question_key, "key of the questions' salted hashes")
    return found


def _same(one: object, other: object, what: str) -> None:
    if one != other:
        raise InputError(f"bundles differ in the {what}: {one} and {other}; they cannot be one bundle")
