"""Text and figures as the page shows them: legal, visible, never NaN, with the decimals that they bear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.report.text import bracket, digits_for, fixed, glyphs, p_text, signed, visible
from tests.strategies import texts


@given(texts)
def test_visible_text_is_legal_and_says_the_same_twice(text: str) -> None:
    """Nothing is left that reorders, hides, or makes vl-convert abort the process."""
    shown = visible(text)
    assert visible(shown) == shown
    assert not set(shown) & {chr(code) for code in (*range(9), 11, 12, *range(14, 32), 0x7F, 0xFFFE, 0xFFFF)}
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff"
    )


@given(st.characters())
def test_every_character_is_drawn_by_one_glyph_or_written_out(char: str) -> None:
    """No character vanishes."""
    drawn = glyphs(char)
    assert len(drawn) == 1
    assert char in drawn[0].text


def test_a_lone_surrogate_can_be_written() -> None:
    """A name from the command line may hold undecodable bytes."""
    assert visible("a\udc80").encode() == "a⟨U+DC80⟩".encode()


def test_figures_are_never_nan() -> None:
    """A missing figure is a dash, a broken one an error."""
    with pytest.raises(ValueError, match="must not reach the page"):
        fixed(float("nan"), 2)
    assert (fixed(None, 2), bracket(None, 2), p_text(None)) == ("–", "–", "–")
    assert (signed(0.004, 2), signed(-0.25, 2), signed(0.25, 1), signed(None, 2)) == (
        "0.00",
        "−0.25",
        "+0.2",
        "–",
    )
    assert (p_text(0.0), p_text(0.061)) == ("< 0.001", "0.061")


@pytest.mark.parametrize(
    ("values", "intervals", "digits"),
    [
        ([1.0, 2.0], [(0.9, 1.2), (1.8, 2.1)], 3),
        ([1.0, 2.0], [(0.999, 1.002), None], 4),
        ([1.0, 1.05], [None, None], 3),
        ([1.0, 1.0], [None, None], 4),
        ([], [], 4),
        ([1.0], [(1.0, 1.0)], 4),
        ([0.0, 1e-12], [None, None], 6),
    ],
)
def test_decimals_follow_the_intervals(
    values: list[float], intervals: list[tuple[float, float] | None], digits: int
) -> None:
    """Two figures of the interval, neither noise nor a column of equal numbers."""
    assert digits_for(values, intervals) == digits
