"""What a source may differ by from its reference: absolute for ordinary losses, relative for large ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rbridge.errors import InputError
from rbridge.scoring.encode import Encoded
from rbridge.scoring.source import Source, prove, rounding


def _source(size: float, off: float) -> Source:
    """A bigram model whose losses are about ``size`` nats, and whose reference is off by ``off``."""

    def losses(items: Sequence[Encoded]) -> list[np.ndarray]:
        ids = [np.array(item.ids) for item in items]
        return [(size + (one[1:] * 7 + one[:-1]) % 11 / 11).astype(np.float32) for one in ids]

    return Source(
        name="bigram",
        architecture="Bigram",
        parameters=1,
        active_parameters=None,
        context_length=None,
        vocabulary=100,
        tolerance=5e-5,
        losses=losses,
        batches=lambda items: [items],
        reference=lambda items: [one + np.float32(off) for one in losses(items)],
    )


def test_sixteen_roundings_of_a_loss_of_forty_nats_are_rounding() -> None:
    """Gemma 3 270M differed from its own logits by 6.1e-5 = 2^-14 nats on ids drawn at random, and was refused."""
    prove(_source(40.0, 2.0**-14))


@pytest.mark.parametrize(("size", "off"), [(5.0, 2.0**-14), (40.0, 1e-3)])
def test_more_is_refused(size: float, off: float) -> None:
    """The same difference at ordinary losses, or a larger one at large losses."""
    with pytest.raises(InputError, match="differ from the reference"):
        prove(_source(size, off))


def test_the_bound_is_absolute_for_small_losses() -> None:
    """128 roundings of float32 (2^-24 of the number each) of 6.5 nats are 4.96e-5."""
    assert rounding(np.array([1.0, 6.5]), at_least=5e-5) == 5e-5
    assert rounding(np.array([1.0, 40.0]), at_least=5e-5) == pytest.approx(40 * 128 / 2**24)
    assert rounding(np.array([40.0]), at_least=0.5) == 0.5
