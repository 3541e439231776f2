"""What several commands let a user choose: names in a list, whose weights, which voices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rbridge.store.bundles import Bundle


def listed(given: Sequence[str]) -> tuple[str, ...]:
    """Names of an option that may be given several times, each time several with commas between.

    >>> listed(["a,b", "c"])
    ('a', 'b', 'c')
    """
    return tuple(name for one in given for name in one.split(",") if name)


def check_weights(bundle: Bundle, voices: Sequence[str], weights: str | None) -> None:
    """Pass where it is plain whose weights are meant, before anything is computed.

    Args:
        bundle: the traces.
        voices: those that are looked at; all where empty.
        weights: the source that the user named, or None.

    Raises:
        InputError: several models' weights and none named, or a name that no trace has weights of.
    """
    from rbridge.align import check_present, check_unambiguous, weight_sources

    sources = [weight_sources(trace) for trace in bundle.traces_of(voices)]
    if weights is None:
        check_unambiguous(sources, where=str(bundle.path))
    else:
        check_present(weights, sources, where=str(bundle.path))
