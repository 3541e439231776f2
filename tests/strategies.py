"""What our property tests draw from: hostile texts, random re-tokenisations, weights and losses."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

# Any text but lone surrogates, with what breaks aligners put in the way of the search.
_AWKWARD = st.sampled_from(
    [
        "é",
        "e\u0301",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "日本語",
        "שלום",
        "مرحبا",
        "\x00",
        "\t",
        "\r\n",
        "    ",
        "▁",
        "<|endoftext|>",
        "\\frac",
        '"',
        "\u200b",
    ]
)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
texts = st.lists(st.one_of(_TEXT, _AWKWARD), min_size=1, max_size=8).map("".join).filter(bool)

logprobs = st.floats(min_value=-20.0, max_value=0.0, allow_nan=False)
losses = st.floats(min_value=0.0, max_value=30.0, allow_nan=False)


@st.composite
def cuts(draw: st.DrawFn, num_bytes: int) -> list[tuple[int, int]]:
    """Spans side by side that cover ``num_bytes`` bytes, cutting characters where they fall."""
    inner = (
        draw(st.sets(st.integers(1, num_bytes - 1), max_size=min(num_bytes - 1, 12)))
        if num_bytes > 1
        else set()
    )
    edges = [0, *sorted(inner), num_bytes]
    return list(itertools.pairwise(edges))


@st.composite
def pieces_of(draw: st.DrawFn, text: bytes) -> tuple[tuple[bytes, ...], list[float]]:
    """What pieces that spell ``text`` are made of: their bytes and log-probabilities.

    Not ``Pieces`` themselves: beartype checks those by drawing from ``random``, which hypothesis
    forbids inside a strategy.
    """
    spans = draw(cuts(len(text)))
    values = draw(st.lists(logprobs, min_size=len(spans), max_size=len(spans)))
    return tuple(text[a:b] for a, b in spans), values
