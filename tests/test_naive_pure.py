"""The pure part against the naive oracle, on random texts and pieces."""

import dataclasses
import itertools
import json
import math
import random
import string

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rbridge.align import reasoning_confidence, spread, trace_spans
from rbridge.metric import TraceValues, minmax_weights, trace_values
from rbridge.records import Pieces, TokenScores, Trace, TraceKey
from tests import naive
from tests.naive_cases import json_reply

# ---------------------------------------------------------------------------------------------------
# The pure part
# ---------------------------------------------------------------------------------------------------

GOLDEN = "So 2 + 3 = 5 é😀."
GOLDEN_PIECES = (
    (b"So", -0.05),
    (b" 2 +", -0.2),
    (b" 3 =", -0.01),
    (b" 5", -0.001),
    (b" \xc3", -1.0),
    (b"\xa9\xf0\x9f", -2.0),
    (b"\x98\x80.", -0.5),
)
GOLDEN_SPANS = [(0, 2), (2, 4), (4, 6), (6, 8), (8, 12), (12, 15), (15, 19), (19, 20)]
GOLDEN_NLL = [2.0, 1.5, 0.25, 3.0, 0.125, 4.0, 2.5, 0.75]
GOLDEN_WEIGHTS = [
    0.951229425,
    0.818730753,
    0.818730753,
    0.990049834,
    0.994525167,
    0.290364722,
    0.370932971,
    0.606530660,
]
GOLDEN_VALUES = {
    "rbridge": 0.864858013,
    "rbridge_unnormalised": 1.121674016,
    "rbridge_per_byte": 0.345943205,
    "trace_nll": 1.765625,
    "trace_bits_per_byte": 1.018903373,
}
EVERY = st.text(min_size=1, max_size=40)
PROBABILITY = st.floats(1e-6, 1.0)


def trace_of(reasoning: str, pieces: list[tuple[bytes, float]], reply: str | None = None) -> Trace:
    """A trace of the product's own type."""
    spelled = Pieces(tuple(part for part, _ in pieces), np.array([logprob for _, logprob in pieces]))
    return Trace(TraceKey("b", "1", "v"), reasoning=reasoning, question="?", reply=reply, pieces=spelled)


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """The text cut at these places, whatever they are."""
    at = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in itertools.pairwise(at)]


def spans_of(parts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of parts laid end to end."""
    ends = np.cumsum([len(part) for part in parts])
    return ends - np.array([len(part) for part in parts]), ends


def valued(tokens: TokenScores) -> TraceValues:
    """The values of a trace that is alone in its benchmark."""
    return trace_values(tokens, benchmark_range=(float(tokens.weight.min()), float(tokens.weight.max())))


def scores_of(nll: list[float], weights: list[float]) -> TokenScores:
    """Tokens of one byte each."""
    start = np.arange(len(nll))
    return TokenScores(np.array(nll), np.array(weights), start, start + 1, len(nll))


def test_golden_example_of_the_oracle() -> None:
    """The oracle itself gives the specification's figures to 1e-9."""
    row = {
        "reasoning": GOLDEN,
        "pieces": [{"bytes": list(part), "logprob": logprob} for part, logprob in GOLDEN_PIECES],
    }
    weights = naive.raw_weights(naive.confidence_of(row), GOLDEN_SPANS)
    assert weights == pytest.approx(GOLDEN_WEIGHTS, abs=1e-9)
    found = naive.values(GOLDEN_NLL, weights, 20)
    for name, value in GOLDEN_VALUES.items():
        assert found[name] == pytest.approx(value, abs=1e-9)


def test_golden_example_of_the_product() -> None:
    """The pure functions give the specification's figures to 1e-9, with the separator in a token of R."""
    text = GOLDEN.encode()
    tokens = [b" " + text[0:2], *(text[start:end] for start, end in GOLDEN_SPANS[1:])]
    spans = trace_spans(tokens, text)
    assert list(zip(spans.start.tolist(), spans.end.tolist(), strict=True)) == GOLDEN_SPANS
    confidence = reasoning_confidence(trace_of(GOLDEN, list(GOLDEN_PIECES)))
    weights = spread(confidence, spans.start, spans.end)
    assert weights == pytest.approx(GOLDEN_WEIGHTS, abs=1e-9)
    found = valued(TokenScores(np.array(GOLDEN_NLL), weights, spans.start, spans.end, 20))
    for name, value in GOLDEN_VALUES.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 20), PROBABILITY), min_size=2, max_size=30))
def test_identity_of_the_method(pairs) -> None:
    """mean(nll what) = (mean(nll w) - m mean(nll)) / (M - m)."""
    nll, weights = [loss for loss, _ in pairs], [weight for _, weight in pairs]
    low, high = min(weights), max(weights)
    assume(high - low > 1e-3)
    found = valued(scores_of(nll, weights))
    expected = (found.rbridge_unnormalised - low * found.trace_nll) / (high - low)
    assert found.rbridge == pytest.approx(expected, abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(0, 20), PROBABILITY), min_size=1, max_size=30),
    st.tuples(st.floats(0, 1e-6), st.floats(0, 1)),
)
def test_values_are_those_of_the_oracle(pairs, wider) -> None:
    """All values of any losses and weights, under any range of the benchmark."""
    nll, weights = [loss for loss, _ in pairs], [weight for _, weight in pairs]
    assume(abs(max(weights) - min(weights) - 1e-6) > 1e-9)
    benchmark = (min(wider[0], *weights), max(wider[1], *weights))
    assume(abs(benchmark[1] - benchmark[0] - 1e-6) > 1e-9)
    found = dataclasses.asdict(trace_values(scores_of(nll, weights), benchmark_range=benchmark))
    expected = naive.values(nll, weights, len(nll), benchmark)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


@given(EVERY, st.lists(st.integers(0, 999)), st.lists(st.integers(0, 999)), st.data())
def test_weights_keep_the_mean(text, places, other, data) -> None:
    """Where spans partition the text, the length-weighted mean of weights is the mean over its bytes."""
    parts = cut(text.encode(), places)
    logprobs = data.draw(st.lists(st.floats(-30, 0), min_size=len(parts), max_size=len(parts)))
    confidence = reasoning_confidence(trace_of(text, list(zip(parts, logprobs, strict=True))))
    start, end = spans_of(cut(text.encode(), other))
    weights = spread(confidence, start, end)
    assert float(np.average(weights, weights=end - start)) == pytest.approx(
        float(confidence.mean()), abs=1e-12
    )
    assert weights == pytest.approx(
        naive.raw_weights(confidence.tolist(), list(zip(start.tolist(), end.tolist(), strict=True))),
        abs=1e-12,
    )


@given(EVERY, st.lists(st.integers(0, 999)), st.data())
def test_the_same_tokens_keep_their_probabilities(text, places, data) -> None:
    """A proxy that cuts as the frontier model did has the pieces' own probabilities as weights."""
    parts = cut(text.encode(), places)
    logprobs = data.draw(st.lists(st.floats(-30, 0), min_size=len(parts), max_size=len(parts)))
    confidence = reasoning_confidence(trace_of(text, list(zip(parts, logprobs, strict=True))))
    assert spread(confidence, *spans_of(parts)) == pytest.approx([math.exp(x) for x in logprobs], abs=1e-12)


@given(EVERY, st.lists(st.integers(0, 999)), st.lists(st.integers(0, 999)), st.floats(-10, 0))
def test_equal_probabilities_are_constant_weights(text, places, other, logprob) -> None:
    """Nothing tells the tokens apart, so each counts fully, and the trace is flagged."""
    parts = cut(text.encode(), places)
    confidence = reasoning_confidence(trace_of(text, [(part, logprob) for part in parts]))
    start, end = spans_of(cut(text.encode(), other))
    nll = np.linspace(0.5, 2.5, len(start))
    found = valued(TokenScores(nll, spread(confidence, start, end), start, end, len(text.encode())))
    assert found.constant_weights
    assert found.rbridge == pytest.approx(found.trace_nll, abs=1e-12)


def test_a_range_under_a_millionth_is_none() -> None:
    """5e-7 apart is constant, 2e-6 apart is not; the same for the benchmark's range."""
    assert valued(scores_of([1.0, 3.0], [0.5, 0.5 + 5e-7])).rbridge == pytest.approx(2.0)
    assert valued(scores_of([1.0, 3.0], [0.5, 0.5 + 2e-6])).rbridge == pytest.approx(1.5)
    for gap, expected in ((5e-7, [1.0, 1.0]), (2e-6, [0.0, 1.0])):
        assert minmax_weights(np.array([0.5, 0.5 + gap]), 0.5, 0.5 + gap) == pytest.approx(expected, abs=1e-9)


@given(EVERY, st.lists(st.integers(0, 999)), st.booleans())
def test_spans_of_any_tokens(text, places, dummy) -> None:
    """Tokens that spell " " + R, a dummy prefix before them or not, cover R once; the separator is no part."""
    lead = b"  " if dummy else b" "
    tokens = cut(lead + text.encode(), places)
    spans = trace_spans(tokens, text.encode())
    expected = []
    at = -len(lead)
    for index, token in enumerate(tokens):
        if at + len(token) > 0:
            expected.append((index, max(at, 0), at + len(token)))
        at += len(token)
    assert list(zip(spans.index.tolist(), spans.start.tolist(), spans.end.tolist(), strict=True)) == expected


@given(EVERY, st.integers(0, 2**32), st.lists(st.integers(0, 9999), max_size=200), st.data())
@settings(max_examples=300)
def test_escapes_of_a_json_reply(text, seed, places, data) -> None:
    """Each decoded byte has the probability of the raw bytes that wrote its character."""
    reply = json_reply(text, random.Random(seed))
    assert json.loads(reply, strict=False)["reasoning"] == text
    parts = cut(reply.encode(), places)
    logprobs = data.draw(st.lists(st.floats(-9, 0), min_size=len(parts), max_size=len(parts)))
    row = {
        "reasoning": text,
        "reply": reply,
        "pieces": [{"bytes": list(part), "logprob": x} for part, x in zip(parts, logprobs, strict=True)],
    }
    found = reasoning_confidence(trace_of(text, list(zip(parts, logprobs, strict=True)), reply))
    assert found.tolist() == pytest.approx(naive.confidence_of(row), abs=1e-12)


def test_a_surrogate_pair_is_one_escape() -> None:
    r"""\ud83d\ude00 is 12 raw bytes, whose mean all four bytes of the emoji have; \n is two, of one byte."""
    reply = r'{"reasoning": "a\n\ud83d\ude00b"}'
    start = reply.index("a\\")
    probabilities = [1.0] * start + [0.5, 0.25, 0.75, *([0.1] * 6), *([0.4] * 6), 0.9, 1.0, 1.0]
    pieces = [(bytes([byte]), math.log(p)) for byte, p in zip(reply.encode(), probabilities, strict=True)]
    found = reasoning_confidence(trace_of("a\n😀b", pieces, reply))
    assert found.tolist() == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.9])


@given(
    st.text(st.sampled_from(string.printable), min_size=2, max_size=40)
    | st.text(st.sampled_from("日本語問題解答。"), min_size=2, max_size=30),
    st.lists(st.integers(0, 999), min_size=1),
    st.lists(st.integers(0, 999), min_size=1),
    st.data(),
)
def test_bytes_are_letters_where_letters_are_alike(text, places, other, data) -> None:
    """Where all characters have one length in bytes, bytes give the paper's algorithm over letters."""
    width = len(text[0].encode())
    letters = [
        part.decode() for part in cut(text.encode(), [width * (place % len(text)) for place in places])
    ]
    tokens = [part.decode() for part in cut(text.encode(), [width * (place % len(text)) for place in other])]
    logprobs = data.draw(st.lists(st.floats(-5, 0), min_size=len(letters), max_size=len(letters)))
    pieces = list(zip(letters, logprobs, strict=True))
    expected = naive.letter_weights(pieces, tokens)
    confidence = reasoning_confidence(trace_of(text, [(part.encode(), x) for part, x in pieces]))
    start, end = spans_of([token.encode() for token in tokens])
    weights = spread(confidence, start, end)
    assert weights == pytest.approx(expected, abs=1e-12)
    assume(max(expected) - min(expected) > 1e-4)
    nll = [0.1 + (7 * n % 5) for n in range(len(tokens))]
    found = valued(TokenScores(np.array(nll), weights, start, end, len(text.encode())))
    assert found.rbridge == pytest.approx(naive.letter_score(pieces, tokens, nll), abs=1e-8)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), st.floats(-5, 0)), min_size=1, max_size=10))
def test_bytes_are_letters_up_to_their_lengths(pieces) -> None:
    """On character boundaries a weight is the mean over letters, each counted by its length in bytes."""
    text = "".join(part for part, _ in pieces)
    letters = [math.exp(logprob) for part, logprob in pieces for _ in part]
    lengths = [len(letter.encode()) for letter in text]
    confidence = reasoning_confidence(trace_of(text, [(part.encode(), x) for part, x in pieces]))
    half = len(text) // 2
    groups = [group for group in (range(half), range(half, len(text))) if len(group)]
    start, end = spans_of([text[group.start : group.stop].encode() for group in groups])
    assert spread(confidence, start, end) == pytest.approx(
        [np.average([letters[i] for i in group], weights=[lengths[i] for i in group]) for group in groups],
        abs=1e-12,
    )
