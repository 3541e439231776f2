"""How sequences are put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rbridge.scoring.packing import SHARED_AT_LEAST, Shared, packs, shared_prefixes


@given(
    st.lists(st.integers(1, 120), max_size=40),
    st.integers(1, 150),
    st.none() | st.integers(1, 100),
)
def test_packs_hold_every_index_once_within_budget_and_border(
    lengths: list[int], budget: int, border: int | None
) -> None:
    """No pack exceeds the budget unless it is one sequence, and none straddles the border."""
    found = list(packs(lengths, budget=budget, border=border))
    assert sorted(index for pack in found for index in pack) == list(range(len(lengths)))
    for pack in found:
        held = [lengths[index] for index in pack]
        assert len(pack) == 1 or sum(held) <= budget
        assert border is None or max(held) <= border or min(held) > border


def test_packs_fill_gaps() -> None:
    """First fit, longest first: a short sequence goes into the first pack that has room."""
    assert list(packs([60, 50, 40, 30, 20], budget=100)) == [[0, 2], [1, 3, 4]]


def test_sequences_that_begin_alike_are_found() -> None:
    """Two benchmarks with their own examples, and one that shares too little."""
    one, two = tuple(range(600)), tuple(range(5000, 5800))
    ids = [(*one, 1, 2), (*two, 3), (*one, 9), (7, 8, 9), (*two, 4, 4), (*one, 5)]
    found = shared_prefixes(ids, [len(sequence) - 1 for sequence in ids])
    assert found == [Shared((0, 2, 5), 600), Shared((1, 4), 800), Shared((3,), 0)]


def test_a_prefix_never_reaches_a_position_that_is_needed() -> None:
    """Equal sequences share no more than stands before the first prediction; too little is nothing."""
    ids = [tuple(range(700))] * 3
    assert shared_prefixes(ids, [650, 640, 660]) == [Shared((0, 1, 2), 640)]
    assert shared_prefixes(ids, [650, SHARED_AT_LEAST - 1, 660]) == [Shared((0, 1, 2), 0)]
