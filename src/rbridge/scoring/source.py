"""Where losses come from: one record of callables, and the test that each source passes at start-up.

A source is transformers, an endpoint, vLLM or llama.cpp; the sweep knows no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from rbridge.errors import InputError
from rbridge.records import TokenStatistics, TraceKey
from rbridge.scoring.encode import Encoded
from rbridge.scoring.tokenizer import ProxyTokenizer

# Sequences have different lengths, so the axis has no name.
Losses = list[Float[np.ndarray, " _"]]

# Lengths of the made-up sequences of the self-test.
_LONG, _SHORT = 24, 11
# Tokens of a batch that holds one sequence many times, for a model without experts.
CROWD_TOKENS = 8 * _LONG


@dataclass(frozen=True)
class Source:
    """A model that gives the losses of tokens.

    Attributes:
        name: stands in errors.
        architecture: class or family of the model, as far as it is known.
        parameters: of the model, or None where a server does not say.
        active_parameters: those that one token uses, where that is fewer (mixtures of experts).
        context_length: most tokens that it takes, or None.
        vocabulary: token ids must be below it.
        tolerance: nats a token by which the same sequence may differ between batches.
        losses: -ln p of every scored token, nats, for each sequence of a batch.
        batches: cuts sequences into batches as this source likes them; a function of the lengths
            alone, so that an interrupted run is cut in the same way again.
        statistics: losses with the rest of each prediction (rank, entropy, margins), or None where it
            cannot be had.
        reference: the same losses in a plainer, slower way, or None where there is none.
        max_probe_difference: what was found between batch shapes before ``prove``.
        crowd_tokens: tokens of a batch in which the self-test crowds copies of one sequence; those of a
            full batch where there are experts: a capacity shows when all copies want the same ones.
        ways: how the model is run, for the run's manifest.
    """

    name: str
    architecture: str
    parameters: int | None
    active_parameters: int | None
    context_length: int | None
    vocabulary: int
    tolerance: float
    losses: Callable[[Sequence[Encoded]], Losses]
    batches: Callable[[Sequence[Encoded]], Iterable[Sequence[Encoded]]]
    statistics: (
        Callable[[Sequence[Encoded]], list[tuple[Float[np.ndarray, " _"], TokenStatistics]]] | None
    ) = None
    reference: Callable[[Sequence[Encoded]], Losses] | None = None
    max_probe_difference: float = 0.0
    crowd_tokens: int = CROWD_TOKENS
    ways: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """A checkpoint at hand: fetched and identified, its model not loaded yet.

    Attributes:
        weights_sha256: identifies the weights, so that two models never share a run.
        engine: what computes; part of the run's key.
        tokenizer: loads the tokenizer.
        open: loads the model.
        load: loads it as it is, for other uses than losses; None where it is not here.
        open_float32: loads it in float32, where it is here and is run in less; else None.
        check_unchanged: raises ``InputError`` where the weights are no longer those identified.
        release: gives back what was fetched for this checkpoint alone.
    """

    weights_sha256: str
    engine: str
    tokenizer: Callable[[], ProxyTokenizer]
    open: Callable[[], Source]
    load: Callable[[], Any] | None = None
    open_float32: Callable[[], Source] | None = None
    check_unchanged: Callable[[], None] = lambda: None
    release: Callable[[], None] = lambda: None


def prove(source: Source) -> float:
    """Test a source on made-up ids before any of its numbers is kept.

    N tokens go in, N - 1 finite values come out; each belongs to its own token (no shift), depends on
    no later token, on no other sequence of the batch and not on their order; and they equal the
    reference where there is one.

    Returns:
        The largest difference found between batches, nats a token.

    Raises:
        InputError: the source fails, and how.
    """
    long, short = probe(source.vocabulary)
    whole = _values(source, [long])[0]
    tolerance = rounding(whole, at_least=source.tolerance)
    if source.reference is not None:
        apart = _apart([whole], source.reference([long]))
        if apart > tolerance:
            raise InputError(
                f"{source.name}: its losses differ from the reference by {apart:.2g} nats a token "
                f"(at most {tolerance:.2g} is rounding): it does not compute what it should"
            )
    _refuse_shift(source, long, whole, tolerance)
    alone = _values(source, [short])[0]
    copies = max(1, source.crowd_tokens // _LONG)
    apart = max(
        _apart(_values(source, [short, long]), [alone, whole]),
        _apart(_values(source, [long, short]), [whole, alone]),
        _apart(_values(source, [*[long] * copies, short]), [*[whole] * copies, alone]),
    )
    if apart > tolerance:
        raise InputError(
            f"{source.name}: its losses depend on what else is in the batch (by {apart:.2g} nats a token); "
            "such a model (an MoE that drops tokens at capacity?) has no score of its own"
        )
    return max(apart, source.max_probe_difference)


def rounding(losses: Float[np.ndarray, " tokens"], *, at_least: float) -> float:
    """By how much losses of this size may differ that are computed in two ways, in nats a token.

    A logit is rounded in proportion to its size. Random ids are far less likely to a large trained model than one
    in its vocabulary, and so their losses are larger: 128 roundings of the largest, which is more than 5e-5 from
    6.6 nats on. (Qwen2.5-Coder-0.5B differs from its own logits by 72 of them.)

    >>> rounding(np.array([2.0, 6.0]), at_least=5e-5)
    5e-05
    >>> rounding(np.array([2.0, 32.0]), at_least=5e-5)
    0.000244140625
    """
    return max(at_least, float(np.abs(losses).max()) * 128 * 2.0**-24)


def probe(vocabulary: int) -> tuple[Encoded, Encoded]:
    """A long and a short sequence of ids, spread over the vocabulary, the same at every start."""
    ids = np.random.default_rng(0).integers(0, vocabulary, size=_LONG).tolist()
    return encoded(ids), encoded(ids[3 : 3 + _SHORT])


def encoded(ids: Sequence[int]) -> Encoded:
    """Bare token ids, all but the first scored."""
    at = np.arange(1, len(ids))
    return Encoded(
        key=TraceKey("self-test", "1", "ids"),
        shots=0,
        ids=tuple(ids),
        scored=at,
        start=at,
        end=at + 1,
        weight=None,
        weight_source=None,
        num_bytes=len(ids),
    )


def _refuse_shift(
    source: Source, long: Encoded, whole: Float[np.ndarray, " tokens"], tolerance: float
) -> None:
    """Change the last token: its own value moves, and no other."""
    moved = 0.0
    for step in (1, 2, 3):  # two tokens may have equal chances, hardly three others
        other = encoded([*long.ids[:-1], (long.ids[-1] + step) % source.vocabulary])
        values = _values(source, [other])[0]
        earlier = float(np.abs(values[:-1] - whole[:-1]).max())
        if earlier > tolerance:
            raise InputError(
                f"{source.name}: its losses depend on later tokens (by {earlier:.2g} nats), or its values are "
                "shifted by one token; expected a causal language model, one value for each token but the first"
            )
        moved = max(moved, abs(float(values[-1] - whole[-1])))
    constant = float(np.ptp(whole)) <= tolerance  # an untrained head: every token is as likely
    if moved <= tolerance and not constant:
        raise InputError(
            f"{source.name}: the value of the last token does not depend on it, so the values are shifted by one "
            "token; expected one value for each token but the first"
        )


def _values(source: Source, batch: Sequence[Encoded]) -> Losses:
    found = source.losses(batch)
    if [len(values) for values in found] != [len(item.scored) for item in batch]:
        raise InputError(
            f"{source.name}: {[len(item.ids) for item in batch]} tokens went in, "
            f"{[len(values) for values in found]} values came out; expected one for each token but the first"
        )
    if not all(np.isfinite(values).all() for values in found):
        raise InputError(
            f"{source.name}: gives losses that are not finite; its weights hold NaN: check the checkpoint"
        )
    return found


def _apart(found: Losses, expected: Losses) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
