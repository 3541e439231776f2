"""Heat-maps: every byte of the trace on one token, whatever the tokenizer cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.errors import AlignmentError, InputError
from rbridge.records import ScoredTrace, TokenScores, Trace, TraceKey
from rbridge.report import heat_map
from rbridge.report.heatmap import HeatMap, HeatToken, starting_text, without_text
from rbridge.report.labels import Mark, place_labels, shortened, text_width
from tests.strategies import cuts, texts

KEY = TraceKey("golden", "1", "hand")
GOLDEN = Trace(KEY, "So 2 + 3 = 5 é😀.", question="2 + 3?", weight_source="self")
SPANS = [(0, 2), (2, 4), (4, 6), (6, 8), (8, 12), (12, 15), (15, 19), (19, 20)]
NLL = [2.0, 1.5, 0.25, 3.0, 0.125, 4.0, 2.5, 0.75]
WEIGHT = [
    0.951229425,
    0.818730753,
    0.818730753,
    0.990049834,
    0.994525167,
    0.290364722,
    0.370932971,
    0.60653066,
]


def scores(
    spans: list[tuple[int, int]], nll: list[float], weight: list[float] | None, source: str | None = "self"
) -> ScoredTrace:
    """Scores of the golden key with these spans."""
    tokens = TokenScores(
        nll=np.array(nll, dtype=np.float64),
        weight=None if weight is None else np.array(weight, dtype=np.float64),
        start=np.array([start for start, _ in spans], dtype=np.int64),
        end=np.array([end for _, end in spans], dtype=np.int64),
        num_bytes=spans[-1][1],
    )
    return ScoredTrace(KEY, 0, source, tokens)


def golden() -> HeatMap:
    """The worked example of interfaces.md."""
    return heat_map(GOLDEN, scores(SPANS, NLL, WEIGHT), checkpoint="by hand")


def text_of(token: HeatToken) -> str:
    """The characters that a token shows."""
    return "".join(glyph.text for glyph in token.glyphs)


def test_the_worked_example_comes_out() -> None:
    """The page's number for a trace is the one of the interface's example."""
    heat = golden()
    assert heat.values.rbridge == pytest.approx(0.864858013, abs=1e-9)
    assert heat.values.trace_nll == pytest.approx(1.765625)
    contributions = [token.contribution for token in heat.tokens]
    assert sum(one or 0.0 for one in contributions) / 8 == pytest.approx(0.864858013, abs=1e-9)
    assert heat.largest_nll == 4.0
    assert heat.question == "2 + 3?"
    assert heat.weight_source == "the writer's own"
    # One token of eight; the largest is the fourth: 3 * (.990049834 - .290364722) / (.994525167 - .290364722)
    assert heat.concentration == (1, pytest.approx(2.98093 / (8 * 0.864858013), abs=1e-5))


def test_tokens_stand_in_order_with_their_text() -> None:
    """Characters that a token begins, white space kept."""
    assert [text_of(token) for token in golden().tokens] == ["So", " 2", " +", " 3", " = 5", " é", "😀", "."]
    assert [token.number for token in golden().tokens] == list(range(1, 9))


def test_a_cut_character_stands_whole_on_its_first_token() -> None:
    """The others show their bytes in hex."""
    spans = [(0, 1), (1, 3), (3, 4), (4, 6)]  # x | first half of 😀 | one byte | last byte and .
    trace = Trace(KEY, "x😀.")
    heat = heat_map(trace, scores(spans, [1.0] * 4, None, None), checkpoint="c")
    assert [(text_of(token), token.code) for token in heat.tokens] == [
        ("x", ""),
        ("😀", ""),
        ("", "98"),
        (".", ""),
    ]


@given(st.data())
def test_every_character_stands_on_exactly_one_token(data: st.DataObject) -> None:
    """Against a slow oracle, for any text and any cut: the token that holds its first byte."""
    text = data.draw(texts)
    encoded = text.encode()
    spans = data.draw(cuts(len(encoded)))
    shown = [starting_text(encoded, start, end) for start, end in spans]
    assert "".join(shown) == text
    at = [len(text[:i].encode()) for i in range(len(text))]
    for (start, end), own in zip(spans, shown, strict=True):
        assert own == "".join(char for char, byte in zip(text, at, strict=True) if start <= byte < end)


def test_white_space_and_what_has_no_shape_are_kinds_of_their_own() -> None:
    """They are drawn, not lost."""
    trace = Trace(KEY, " a\t\n\x00\u202e\u0301")
    size = len(trace.reasoning.encode())
    (token,) = heat_map(trace, scores([(0, size)], [1.0], None, None), checkpoint="c").tokens
    assert [glyph.kind for glyph in token.glyphs] == [
        "space", "text", "tab", "newline", "code", "code", "text"
    ]  # fmt: skip


def test_a_mark_without_a_base_gets_one() -> None:
    """A token that begins with a combining accent does not write over its neighbour."""
    trace = Trace(KEY, "e\u0301")
    heat = heat_map(trace, scores([(0, 1), (1, 3)], [1.0, 1.0], None, None), checkpoint="c")
    assert text_of(heat.tokens[1]) == "\u25cc\u0301"


def test_without_weights_there_are_losses_only() -> None:
    """No confidence, no contribution, no score; never a zero in their place."""
    heat = heat_map(GOLDEN, scores(SPANS, NLL, None, None), checkpoint="c")
    assert not heat.has_weights
    assert heat.values.rbridge is None
    assert heat.concentration is None
    assert {(token.weight, token.share, token.contribution) for token in heat.tokens} == {(None, None, None)}


def test_equal_weights_are_all_one() -> None:
    """As the score has it where MinMax is undefined."""
    heat = heat_map(GOLDEN, scores(SPANS, NLL, [0.5] * 8), checkpoint="c")
    assert heat.values.constant_weights
    assert {token.share for token in heat.tokens} == {1.0}


def test_a_proxy_without_loss_still_has_a_scale() -> None:
    """Zero over zero is no shade."""
    heat = heat_map(GOLDEN, scores(SPANS, [0.0] * 8, WEIGHT), checkpoint="c")
    assert heat.largest_nll == 1.0
    assert heat.concentration is None


def test_another_models_confidence_is_named() -> None:
    """Not the writer's own."""
    heat = heat_map(GOLDEN, scores(SPANS, NLL, WEIGHT, "Qwen"), checkpoint="c", question="other words")
    assert heat.weight_source == "Qwen's, not the writer's own"
    assert heat.question == "other words"


def test_text_can_be_left_out() -> None:
    """The figures stay, no word does."""
    bare = without_text(golden())
    assert bare.question is None
    assert all(token.glyphs == () and token.code == "" for token in bare.tokens)
    assert [token.nll for token in bare.tokens] == NLL
    assert bare.values == golden().values


def test_scores_of_another_trace_are_refused() -> None:
    """Neither by key nor by length does the wrong text pass."""
    other = replace(GOLDEN, key=TraceKey("golden", "2", "hand"))
    with pytest.raises(InputError, match=r"the text is of golden/2/hand, the scores are of golden/1/hand"):
        heat_map(other, scores(SPANS, NLL, WEIGHT), checkpoint="c")
    with pytest.raises(AlignmentError, match=r"scores are of 20 bytes, the text has 21: show the run with"):
        heat_map(
            replace(GOLDEN, reasoning=f"{GOLDEN.reasoning}."), scores(SPANS, NLL, WEIGHT), checkpoint="c"
        )


# --- where the names of points go ---


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    """Two points a few pixels apart get their names on different sides."""
    marks = [Mark(100.0, 100.0, 80.0, 120.0, 40.0), Mark(104.0, 104.0, 84.0, 124.0, 40.0)]
    first, second = place_labels(marks, width=300.0, height=200.0, font=12.0)
    assert first.y < 100
    assert second.y > 104


@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.floats(0, 200), st.floats(0, 40), st.floats(10, 120)), max_size=12
    )
)
def test_every_point_has_a_label_near_it(points: list[tuple[float, float, float, float]]) -> None:
    """In the order of the points, within a line and its interval of each."""
    marks = [Mark(x, y, x - half, x + half, width) for x, y, half, width in points]
    places = place_labels(marks, width=300.0, height=200.0, font=12.0)
    assert len(places) == len(marks)
    for mark, place in zip(marks, places, strict=True):
        assert abs(place.y - mark.y) <= 14
        assert mark.low - 7 <= place.x <= mark.high + 7


@given(texts, st.floats(20, 200))
def test_a_shortened_name_fits(text: str, limit: float) -> None:
    """Cut with an ellipsis, or whole."""
    assert text_width(shortened(text, 12.0, limit), 12.0) <= limit
