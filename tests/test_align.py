"""Alignment against loops over bytes, on texts that break aligners."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.align import (
    Spelling,
    check_spelled,
    check_tokens,
    locate_reasoning,
    reasoning_confidence,
    spell_token,
    spread,
    trace_spans,
)
from rbridge.errors import AlignmentError
from rbridge.records import Pieces, Trace, TraceKey
from tests.strategies import cuts, pieces_of, texts

KEY = TraceKey("b", "1", "v")

GOLDEN = "So 2 + 3 = 5 é😀."
GOLDEN_PIECES = Pieces(
    (b"So", b" 2 +", b" 3 =", b" 5", b" \xc3", b"\xa9\xf0\x9f", b"\x98\x80."),
    np.array([-0.05, -0.2, -0.01, -0.001, -1.0, -2.0, -0.5]),
)
GOLDEN_SPANS = [(0, 2), (2, 4), (4, 6), (6, 8), (8, 12), (12, 15), (15, 19), (19, 20)]
# From the specification's page of formats, not from our code.
GOLDEN_WEIGHTS = [
    0.951229425, 0.818730753, 0.818730753, 0.990049834, 0.994525167, 0.290364722, 0.370932971, 0.606530660,
]  # fmt: skip


def _pieces(parts: tuple[tuple[bytes, ...], list[float]]) -> Pieces:
    return Pieces(parts[0], np.array(parts[1], dtype=np.float64))


def _edges(spans: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in spans]), np.array([b for _, b in spans])


def test_golden_weights_come_out_to_nine_digits() -> None:
    """The worked example of the specification gives its raw weights."""
    confidence = reasoning_confidence(Trace(KEY, GOLDEN, pieces=GOLDEN_PIECES))
    assert confidence is not None
    assert spread(confidence, *_edges(GOLDEN_SPANS)) == pytest.approx(GOLDEN_WEIGHTS, abs=1e-9)


@given(st.data())
def test_weights_equal_a_loop_over_bytes(data: st.DataObject) -> None:
    """Pieces and tokens that cut the same bytes anywhere give the mean that a plain loop gives."""
    text = data.draw(texts).encode()
    pieces = _pieces(data.draw(pieces_of(text)))
    spans = data.draw(cuts(len(text)))
    confidence = reasoning_confidence(Trace(KEY, text.decode(), pieces=pieces))
    assert confidence is not None

    of_byte = [
        p
        for piece, lp in zip(pieces.spelled, pieces.logprobs, strict=True)
        for p in [np.exp(lp)] * len(piece)
    ]
    expected = [sum(of_byte[a:b]) / (b - a) for a, b in spans]
    found = spread(confidence, *_edges(spans))
    assert found == pytest.approx(expected, abs=1e-12)
    # Where spans partition the text, the byte-weighted mean of the weights is the mean confidence.
    lengths = [b - a for a, b in spans]
    assert np.average(found, weights=lengths) == pytest.approx(np.mean(of_byte), abs=1e-12)


@given(st.data())
def test_the_pieces_own_cuts_give_the_pieces_own_probabilities(data: st.DataObject) -> None:
    """A proxy with the weight model's tokens gets the weight model's probabilities."""
    text = data.draw(texts).encode()
    pieces = _pieces(data.draw(pieces_of(text)))
    confidence = reasoning_confidence(Trace(KEY, text.decode(), pieces=pieces))
    assert confidence is not None
    ends = np.cumsum([len(piece) for piece in pieces.spelled])
    starts = ends - [len(piece) for piece in pieces.spelled]
    assert spread(confidence, starts, ends) == pytest.approx(np.exp(pieces.logprobs), abs=1e-12)


@given(st.data(), texts, st.booleans(), st.sampled_from(["", "Sure:\n```json\n", "{not json} "]))
def test_json_escapes_carry_the_mean_of_their_raw_bytes(
    data: st.DataObject, text: str, ascii_only: bool, lead: str
) -> None:
    """R under a JSON key: unescaped bytes keep their probability, an escape gives its mean."""
    literal = json.dumps(text, ensure_ascii=ascii_only)
    reply = f'{lead}{{"other": ["{{}}", 1], "reasoning": {literal}, "final_answer": "7"}}'
    pieces = _pieces(data.draw(pieces_of(reply.encode())))
    trace = Trace(KEY, text, reply=reply, pieces=pieces)
    found = reasoning_confidence(trace)

    raw = [
        p
        for piece, lp in zip(pieces.spelled, pieces.logprobs, strict=True)
        for p in [np.exp(lp)] * len(piece)
    ]
    at = reply.encode().index(f'"reasoning": {literal}'.encode()) + len(b'"reasoning": "')
    expected: list[float] = []
    for char in text:  # json.dumps writes each character alone, so its literal can be measured alone
        written = len(json.dumps(char, ensure_ascii=ascii_only).encode()) - 2
        probabilities = raw[at : at + written]
        num_bytes = len(char.encode())
        escaped = json.dumps(char, ensure_ascii=ascii_only) != f'"{char}"'
        expected += [sum(probabilities) / written] * num_bytes if escaped else probabilities
        at += written
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_surrogate_pair_is_one_escape_of_twelve_bytes() -> None:
    """All four bytes of an emoji carry the mean over both halves of its escape."""
    reply = '{"reasoning": "a\\ud83d\\ude00"}'
    spelled = (b'{"reasoning": "a', b"\\ud83d", b"\\ude00", b'"}')
    pieces = Pieces(spelled, np.log([0.9, 0.2, 0.6, 1.0]))
    found = reasoning_confidence(Trace(KEY, "a😀", reply=reply, pieces=pieces))
    assert found == pytest.approx([0.9, 0.4, 0.4, 0.4, 0.4])


def test_a_span_may_hold_escaped_or_plain_text() -> None:
    """reasoning_span is read as it stands, else through its escapes."""
    reply = 'x "line\\nbreak" y'
    assert locate_reasoning(reply, "line\nbreak", (3, 14)).escaped
    assert not locate_reasoning(reply, "line\\nbreak", (3, 14)).escaped


@pytest.mark.parametrize(
    ("reply", "reasoning", "span", "message"),
    [
        ("no such words", "because", None, "stands nowhere in the reply"),
        ("so so", "so", None, "stands 2 times in the reply"),
        ("aaa", "aa", None, "stands 2 times in the reply"),
        ("abc", "b", (1, 9), "outside the reply's 3 bytes"),
        ("abc", "b", (0, 1), "expected the reasoning, which begins 'b'"),
    ],
)
def test_reasoning_that_cannot_be_found_is_refused(
    reply: str, reasoning: str, span: tuple[int, int] | None, message: str
) -> None:
    """R that is not, or not once, in the reply has no weights."""
    with pytest.raises(AlignmentError, match=message.replace("(", r"\(")):
        locate_reasoning(reply, reasoning, span)


def test_the_last_of_repeated_json_keys_counts() -> None:
    """As in json.loads."""
    reply = '{"reasoning": "one", "reasoning": "two"}'
    place = locate_reasoning(reply, "two", None)
    assert reply[place.start : place.end] == "two"
    assert place.start > reply.index("one")


def test_pieces_that_do_not_spell_are_refused_with_the_first_byte() -> None:
    """The message names the byte and shows both sides."""
    pieces = Pieces((b"So", b" 3"), np.array([-0.1, -0.1]))
    with pytest.raises(
        AlignmentError, match=r"pieces stop spelling the text at byte 3: text has b'2', pieces have b'3'"
    ):
        reasoning_confidence(Trace(KEY, "So 2", pieces=pieces))


@given(texts.map(str.encode), texts.map(str.encode))
def test_the_byte_named_is_the_first_that_differs(spelled: bytes, text: bytes) -> None:
    """Everything before the named byte agrees, and it does not."""
    if spelled == text:
        check_spelled(spelled, text, what="tokens")
        return
    with pytest.raises(AlignmentError) as caught:
        check_spelled(spelled, text, what="tokens")
    at = int(str(caught.value).split("at byte ")[1].split(":")[0])
    assert spelled[:at] == text[:at]
    assert spelled[at : at + 1] != text[at : at + 1]


@given(st.data(), texts, st.booleans())
def test_spans_partition_the_trace_and_leave_the_separator_out(
    data: st.DataObject, text: str, dummy: bool
) -> None:
    """However " " + R is cut, with a dummy space or not, the scored spans cover R exactly once."""
    reasoning = text.encode()
    fed = (b" " if dummy else b"") + b" " + reasoning
    tokens = [fed[a:b] for a, b in data.draw(cuts(len(fed)))]
    spans = trace_spans(tokens, reasoning)
    assert spans.start[0] == 0
    assert spans.end[-1] == len(reasoning)
    assert spans.start[1:].tolist() == spans.end[:-1].tolist()
    assert (spans.end > spans.start).all()
    for index, start, end in zip(spans.index, spans.start, spans.end, strict=True):
        assert tokens[index].endswith(reasoning[start:end])


def test_tokens_without_trace_bytes_are_not_scored() -> None:
    """The separator alone, a dummy prefix and empty tokens are fed only."""
    spans = trace_spans([b" ", b" ", b"", b"a", b"", b"b"], b"ab")
    assert spans.index.tolist() == [3, 5]


def test_one_dummy_space_is_allowed_and_two_are_not() -> None:
    """check_tokens counts the dummy, and refuses anything else."""
    assert check_tokens(b"ab", b"ab") == 0
    assert check_tokens(b" ab", b"ab") == 1
    with pytest.raises(AlignmentError):
        check_tokens(b"  ab", b"ab")


def test_byte_level_alphabet_is_gpt2s() -> None:
    """Every byte has one stand-in, as the tokenizers library writes it."""
    from tokenizers.pre_tokenizers import ByteLevel

    stand_ins = ByteLevel.alphabet()
    assert len(stand_ins) == 256
    assert sorted(spell_token(char, Spelling.BYTE_LEVEL) for char in stand_ins) == [
        bytes([b]) for b in range(256)
    ]
    written = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("é 日\n")[0][0]
    assert spell_token(written, Spelling.BYTE_LEVEL) == "é 日\n".encode()
