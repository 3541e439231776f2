"""From a chat completion's bytes to a trace: exact through every escape and cut, or refused with its place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.align import cut_reply, reasoning_confidence
from rbridge.benchmarks import Problem
from rbridge.errors import AlignmentError
from rbridge.traces.generate.cut import Kept, Malformed, Unusable, judge, read_trace
from rbridge.traces.generate.pieces import fit_pieces
from rbridge.traces.generate.reply import RawPiece, read_reply
from tests.frontier import completion, good_reply, tokens_of
from tests.strategies import cuts, texts

PROBLEM = Problem("mine", "1", "2 + 3?", "2 + 3?", "5")
_LATEX = [r"\frac{1}{2}", 'a\n"b" \\ \t', "é😀\u2028\x00", "\\\\n"]
_SHORT = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\t": "\\t",
    "\r": "\\r",
    "\b": "\\b",
    "\f": "\\f",
    "/": "\\/",
}


def _read(body: dict[str, Any]) -> Kept | Malformed | Unusable:
    return read_trace(PROBLEM, "v", json.dumps(body).encode())


def _kept(body: dict[str, Any]) -> Kept:
    found = _read(body)
    assert isinstance(found, Kept), found
    return found


def _reason(body: dict[str, Any]) -> str:
    found = _read(body)
    assert not isinstance(found, Kept)
    assert "\n" not in found.reason
    return found.reason


def _escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


@st.composite
def _escaped(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """A text, and for each of its characters the JSON it is written as and how many bytes it has."""
    text = draw(
        st.one_of(
            texts.filter(str.strip),
            st.sampled_from(_LATEX),
        )
    )
    written = []
    for char in text:
        forms = [_escape(char), _escape(char).upper().replace("\\U", "\\u")]
        forms += [_SHORT[char]] if char in _SHORT else []
        forms += [char] if char >= " " and char not in '"\\' else []
        written.append(draw(st.sampled_from(forms)))
    return text, written


@given(_escaped(), st.data())
def test_every_byte_has_the_probability_of_the_tokens_that_wrote_it(
    escaped: tuple[str, list[str]], data: st.DataObject
) -> None:
    """The oracle writes the JSON itself: unescaped bytes keep their token's, an escape spreads its mean."""
    text, written = escaped
    before, after = ' {"final_answer": "5 \\u00e9", "reasoning" :\n"', '"}'
    raw = (before + "".join(written) + after).encode()
    spans = data.draw(cuts(len(raw)))
    logprobs = data.draw(st.lists(st.floats(-12, 0), min_size=len(spans), max_size=len(spans)))
    of_byte = [np.exp(logprob) for (a, b), logprob in zip(spans, logprobs, strict=True) for _ in range(a, b)]
    at = len(before.encode())
    expected: list[float] = []
    for char, form in zip(text, written, strict=True):
        own = of_byte[at : at + len(form.encode())]
        at += len(own)
        expected += own if form == char else [sum(own) / len(own)] * len(char.encode())
    tokens = [
        {"token": raw[a:b].decode(errors="replace"), "bytes": list(raw[a:b]), "logprob": logprob}
        for (a, b), logprob in zip(spans, logprobs, strict=True)
    ]
    found = _read(completion(raw.decode(), tokens))
    if isinstance(found, Malformed):  # a \f or \b before a letter is taken for broken LaTeX
        assert "LaTeX is not escaped" in found.reason
        assert any(form in ("\\f", "\\b", "\\r", "\\t", "\\n") for form in written)
        return
    if isinstance(found, Unusable):
        assert "U+FFFD stands in the reply" in found.reason
        assert "\N{REPLACEMENT CHARACTER}" in text
        return
    assert found.trace.reasoning == text
    assert found.trace.answer == "5 é"
    confidence = reasoning_confidence(found.trace)
    assert confidence is not None
    np.testing.assert_allclose(confidence, expected, rtol=1e-12)


@given(texts.filter(str.strip), texts, st.booleans(), st.integers(1, 5))
def test_what_python_writes_as_json_is_read_back(
    reasoning: str, answer: str, ascii_only: bool, size: int
) -> None:
    """ensure_ascii or not, whatever the tokens' size."""
    content = json.dumps({"reasoning": reasoning, "final_answer": answer}, ensure_ascii=ascii_only)
    found = _read(completion(content, tokens_of(content, size=size)))
    if isinstance(found, Unusable):
        assert "\N{REPLACEMENT CHARACTER}" in content
        return
    if isinstance(found, Malformed):
        assert "LaTeX" in found.reason
        return
    assert (found.trace.reasoning, found.trace.answer) == (reasoning, answer)
    assert found.trace.reply == content
    assert found.trace.weight_source == "self"


def test_the_object_may_stand_in_a_fence_and_numbers_keep_their_writing() -> None:
    """26.0 stays 26.0, null is no answer, of a repeated key the last counts."""
    cut = cut_reply('Here:\n```json\n{"reasoning": "a", "final_answer": 26.0, "reasoning": "b é"}\n```')
    assert cut is not None
    assert (cut.reasoning, cut.final_answer) == ("b é", "26.0")
    none = cut_reply('{"reasoning": "a", "final_answer": null}')
    assert none is not None
    assert none.final_answer is None
    assert cut_reply('{"reasoning": 5}') is None
    assert cut_reply("[" * 100_000 + '{"reasoning": ' + "[" * 100_000) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("I think it is 5.", "no JSON object with a string under 'reasoning'"),
        ('{"reasoning": "So 5", ', "no JSON object"),
        ('{"final_answer": "5"}', "no JSON object"),
        ('{"reasoning": " ", "final_answer": "5"}', "'reasoning' is empty"),
        (r'{"reasoning": "\frac{1}{2}", "final_answer": "5"}', "LaTeX is not escaped"),
        (r'{"reasoning": "2 \times 3", "final_answer": "5"}', "LaTeX is not escaped"),
        (r'{"reasoning": "a \ud83d b", "final_answer": "5"}', "half a surrogate pair"),
        ("", "the reply is empty (finish_reason stop)"),
        (None, "the reply is empty"),
    ],
)
def test_a_malformed_reply_gets_one_more_try_and_is_then_skipped(content: str | None, reason: str) -> None:
    """Not two, not none."""
    body = json.dumps(completion(content, tokens_of(content or "x"))).encode()
    assert isinstance(read_trace(PROBLEM, "v", body), Malformed)
    assert judge(PROBLEM, "v", []) is None
    assert judge(PROBLEM, "v", [body]) is None
    skip = judge(PROBLEM, "v", [body, body])
    assert isinstance(skip, Unusable)
    assert reason in skip.reason
    assert "after 2 tries" in skip.reason
    good = json.dumps(good_reply("So 5", "5")).encode()
    assert isinstance(judge(PROBLEM, "v", [body, good]), Kept)


def test_escaped_latex_and_a_newline_before_a_word_are_right() -> None:
    """What the check for broken LaTeX must let pass."""
    content = r'{"reasoning": "\\frac12 \\times\nnot so\r\nnow\tthen", "final_answer": "5"}'
    assert _kept(completion(content, tokens_of(content))).trace.reasoning == (
        "\\frac12 \\times\nnot so\r\nnow\tthen"
    )


def test_a_reply_that_was_cut_off_says_what_helps() -> None:
    """finish_reason=length is no malformed reply: another try would end the same."""
    content = '{"reasoning": "So'
    found = _read(completion(content, tokens_of(content), finish_reason="length"))
    assert found == Unusable(
        "the reply was cut off after 6 tokens; a higher --max-tokens lets it end", "length"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: None, "no log-probabilities"),
        (lambda _: [], "no log-probabilities"),
        (lambda tokens: tokens[:-1], "stop spelling the text at byte"),
        (lambda tokens: tokens[1:], "stop spelling the text at byte 0"),
        (lambda tokens: [{**tokens[0], "bytes": [0, 1]}, *tokens[1:]], "stop spelling the text at byte 0"),
        (
            lambda tokens: [*tokens[:4], {**tokens[4], "logprob": None}, *tokens[5:]],
            "piece 4 (b': \"') has no",
        ),
        (
            lambda tokens: [*tokens[:4], {**tokens[4], "logprob": -9999.0}, *tokens[5:]],
            "is no log-probability",
        ),
        (lambda tokens: [*tokens[:4], {**tokens[4], "logprob": float("-inf")}, *tokens[5:]], "piece 4"),
        (lambda tokens: [*tokens[:4], {**tokens[4], "logprob": float("nan")}, *tokens[5:]], "piece 4"),
        (lambda tokens: [*tokens[:4], {**tokens[4], "logprob": 0.5}, *tokens[5:]], "is above 0"),
        (
            lambda tokens: [{**tokens[0], "token": "x", "bytes": list(b"x")}, *tokens],
            "stand before the reply",
        ),
    ],
)
def test_tokens_that_do_not_spell_the_reply_are_a_skip_with_the_place(change: Any, reason: str) -> None:
    """Never a shorter array, never a probability of 1 or 0 in place of an unknown one."""
    content = '{"reasoning": "So 5 é", "final_answer": "5"}'
    found = _read(completion(content, change(tokens_of(content))))
    assert isinstance(found, Unusable)
    assert reason in found.reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"error": "x"}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_completion_is_malformed(body: bytes) -> None:
    """A proxy's page, an error under status 200."""
    found = read_trace(PROBLEM, "v", body)
    assert isinstance(found, Malformed)
    assert found.reason.startswith("the reply is no chat completion: ")


def test_pieces_without_bytes_are_read_from_their_text() -> None:
    """Dynamo PR#6953, Ollama: bytes may be null."""
    content = '{"reasoning": "So é", "final_answer": "5"}'
    tokens = [{"token": char, "bytes": None, "logprob": -0.5} for char in content]
    trace = _kept(completion(content, tokens)).trace
    assert trace.pieces is not None
    assert trace.pieces.spelled == tuple(char.encode() for char in content)


def _pieces(*texts: str | bytes) -> list[RawPiece]:
    return [
        RawPiece(text, None, -0.25 * index)
        if isinstance(text, str)
        else RawPiece(text.decode(errors="replace"), text, -0.25 * index)
        for index, text in enumerate(texts)
    ]


LOST = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("content", "texts", "spelled"),
    [
        ("a é b", ("a ", LOST, LOST, " b"), (b"a ", b"\xc3", b"\xa9", b" b")),
        ("a é b", ("a" + " " + LOST, LOST + " b"), (b"a \xc3", b"\xa9 b")),
        ("€", (LOST, b"\x82\xac"), (b"\xe2", b"\x82\xac")),
        ("€ x", (LOST.encode(), LOST.encode(), LOST.encode(), b" x"), (b"\xe2", b"\x82", b"\xac", b" x")),
        ("😀", (b"\xf0\x9f", LOST), (b"\xf0\x9f", b"\x98\x80")),
    ],
)
def test_lost_bytes_come_back_where_only_one_way_fits(
    content: str, texts: tuple[str | bytes, ...], spelled: tuple[bytes, ...]
) -> None:
    """ollama#13497: U+FFFD as text, or as bytes 239 191 189."""
    fitted = fit_pieces(content, _pieces(*texts))
    assert fitted.pieces.spelled == spelled
    assert fitted.pieces.logprobs.tolist() == [-0.25 * index for index in range(len(spelled))]


@pytest.mark.parametrize(
    ("content", "texts", "message"),
    [
        ("€", (LOST, LOST), "it may end at any of the reply's bytes 1, 2"),
        ("a😀", ("a", "", "", "😀"), "piece 1 is empty before"),
        ("a" + LOST, ("a", LOST), "the server lost what stood there"),
        ("ab", ("a", LOST), "stop spelling the text at byte 1"),
    ],
)
def test_lost_bytes_are_refused_where_nobody_can_tell(
    content: str, texts: tuple[str, ...], message: str
) -> None:
    """vllm#27300: empty strings before the character; two ways to cut three bytes."""
    with pytest.raises(AlignmentError, match=r"piece|lost|stop spelling") as caught:
        fit_pieces(content, _pieces(*texts))
    assert message in str(caught.value)


@given(texts, st.data())
def test_what_comes_back_from_lost_bytes_is_never_wrong(text: str, data: st.DataObject) -> None:
    """Whatever tokens lose their bytes, the result is the true one or a refusal."""
    raw = text.encode()
    true = [raw[a:b] for a, b in data.draw(cuts(len(raw)))]
    try:
        fitted = fit_pieces(text, [RawPiece(one.decode(errors="replace"), None, -0.1) for one in true])
    except AlignmentError:
        return
    assert fitted.pieces.spelled == tuple(true)


def test_closing_tokens_and_lost_white_space_do_no_harm() -> None:
    """VLLM reports the end-of-turn token, templates leave a newline before the reply."""
    fitted = fit_pieces('{"a"}', _pieces("\n{", '"a"', "}", "<|im_end|>"))
    assert (fitted.text, fitted.hidden_bytes) == ('\n{"a"}', 0)
    assert b"".join(fitted.pieces.spelled) == b'\n{"a"}'
    assert fit_pieces(' {"a"}\n', _pieces('{"a"', "}", "")).text == '{"a"}'


def test_a_hidden_span_of_thinking_is_cut_off_where_its_end_is_sure() -> None:
    """sglang#25055: log-probabilities cover <think>...</think>, the reply does not."""
    content = '{"reasoning": "So 5 é", "final_answer": "5"}'
    tokens = tokens_of("<think>Is it {5}? é Yes.</think>") + tokens_of("\n\n") + tokens_of(content)
    kept = _kept(completion(content, tokens))
    assert kept.thinking
    assert kept.trace.reply == content
    assert kept.trace.pieces is not None
    assert kept.trace.pieces.logprobs.tolist() == [token["logprob"] for token in tokens_of(content)]
    # The server's own word for the thinking is as good as a mark, and a mark in the middle is none.
    plain = tokens_of("Is it 5? Yes.") + tokens_of(content)
    assert isinstance(_read(completion(content, plain)), Unusable)
    shown = completion(content, plain, message={"reasoning_content": "Is it 5? Yes."})
    assert _kept(shown).thinking


def test_thinking_that_shares_a_token_with_the_reply_is_refused() -> None:
    """One probability cannot be halved."""
    content = '{"reasoning": "So 5", "final_answer": "5"}'
    tokens = [
        {"token": "<think>5</think", "logprob": -0.1},
        {"token": ">{", "logprob": -0.1},
        *({"token": char, "logprob": -0.1} for char in content[1:]),
    ]
    assert "holds the end of a hidden span of thinking" in _reason(completion(content, tokens))


def test_thinking_that_the_reply_shows_is_passed_over() -> None:
    """Its own JSON, too."""
    content = '<think>{"reasoning": "no"}</think>\n{"reasoning": "yes", "final_answer": "5"}'
    kept = _kept(completion(content, tokens_of(content)))
    assert (kept.trace.reasoning, kept.thinking) == ("yes", True)
    assert kept.trace.reasoning_span is not None
    start, end = kept.trace.reasoning_span
    assert content.encode()[start:end] == b"yes"


def test_a_draft_in_shown_thinking_is_never_the_reply() -> None:
    """Also where the template opened the thinking, and nothing usable follows; a mark in a string is text."""
    draft = '{"reasoning": "draft", "final_answer": "5"}'
    assert "no JSON object" in _reason(completion(f"{draft} hm </think> 5"[1:], tokens_of("x")))
    assert "no JSON object" in _reason(completion(f"<think>{draft}</think> It is 5.", tokens_of("x")))
    content = json.dumps({"reasoning": "a </think>{ b", "final_answer": "</think>{"})
    assert _kept(completion(content, tokens_of(content))).trace.reasoning == "a </think>{ b"


def test_usage_and_names_are_read() -> None:
    """What is billed, and what the server says that it ran."""
    reply = read_reply(json.dumps(good_reply("a", "b")).encode())
    assert (reply.prompt_tokens, reply.model) == (120, "scripted-1")
