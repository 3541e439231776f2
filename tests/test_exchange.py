"""The exchange JSONL: lossless for what is right, one clear line for what is not."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.records import Pieces, Trace, TraceKey
from rbridge.traces.exchange import Imported, export_lines, read_exchange
from tests.strategies import pieces_of, texts

GOOD: dict[str, Any] = {
    "benchmark": "gsm8k",
    "problem_id": "428",
    "voice": "gpt-4o",
    "question": "Two and three?",
    "reasoning": "So 5.",
    "answer": "5",
    "correct": True,
    "pieces": [
        {"text": "So", "logprob": -0.1},
        {"bytes": [32, 53], "logprob": -0.2},
        {"text": ".", "logprob": 0},
    ],
}


def _read(tmp_path: Path, *lines: dict[str, Any] | str) -> Imported:
    file = tmp_path / "t.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return read_exchange([file], default_voice="unknown")


def test_a_good_line_gives_its_trace(tmp_path: Path) -> None:
    """Every field arrives; weights without a source are the writer's own."""
    read = _read(tmp_path, GOOD)
    assert read.bad == ()
    (trace,) = read.traces
    assert trace.key == TraceKey("gsm8k", "428", "gpt-4o")
    assert trace.pieces is not None
    assert trace.pieces.spelled == (b"So", b" 5", b".")
    assert trace.pieces.logprobs.tolist() == [-0.1, -0.2, 0.0]
    assert (trace.weight_source, trace.answer, trace.correct) == ("self", "5", True)


def test_the_starters_form_is_read(tmp_path: Path) -> None:
    """item_id may be a number, and the question may be left to its hash."""
    line = {
        "benchmark": "gsm8k",
        "item_id": 32,
        "question_sha256": "ab",
        "reasoning": "R",
        "answer": "5",
        "correct": True,
    }
    (trace,) = _read(tmp_path, line).traces
    assert trace.key == TraceKey("gsm8k", "32", "unknown")
    assert trace.pieces is None
    assert trace.weight_source is None


def test_bytes_win_over_text(tmp_path: Path) -> None:
    """Servers write a replacement character as the text of half a character."""
    pieces = [
        {"text": "\ufffd", "bytes": [0xC3], "logprob": -1},
        {"text": "\ufffd", "bytes": [0xA9], "logprob": -2},
    ]
    (trace,) = _read(tmp_path, {**GOOD, "reasoning": "é", "pieces": pieces}).traces
    assert trace.pieces is not None
    assert trace.pieces.spelled == (b"\xc3", b"\xa9")


@pytest.mark.parametrize("logprob", [1e-6, 1e-9, 0.0])
def test_a_rounding_above_zero_reads_as_zero(tmp_path: Path, logprob: float) -> None:
    """Up to 1e-6 it is rounding."""
    pieces = [{"text": "So 5.", "logprob": logprob}]
    (trace,) = _read(tmp_path, {**GOOD, "pieces": pieces}).traces
    assert trace.pieces is not None
    assert trace.pieces.logprobs.tolist() == [0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reasoning": ""}, "reasoning: empty"),
        ({"reasoning": None}, "reasoning: Input should be a valid string"),
        ({"problem_id": None}, "problem_id: missing"),
        ({"problem_id": True}, "problem_id: Input should be a valid string"),
        ({"question": None}, "question: missing"),
        ({"reasoning": "So 6."}, "pieces stop spelling the text at byte 3"),
        ({"pieces": [{"text": "So 5.", "logprob": 2e-6}]}, r"pieces\[0\]: logprob 2e-06 is above 0"),
        ({"pieces": [{"text": "So 5.", "logprob": -9999}]}, "is no log-probability"),
        ({"pieces": [{"text": "So 5.", "logprob": float("nan")}]}, "is no log-probability"),
        ({"pieces": [{"text": "So 5.", "logprob": float("-inf")}]}, "is no log-probability"),
        (
            {"pieces": [{"text": "So 5.", "logprob": None}]},
            "pieces.0.logprob: Input should be a valid number",
        ),
        (
            {"pieces": [{"text": "So 5.", "logprob": "-0.1"}]},
            "pieces.0.logprob: Input should be a valid number",
        ),
        ({"pieces": [{"logprob": -0.1}]}, r"pieces\[0\]: a piece needs 'bytes' or 'text'"),
        ({"pieces": [{"bytes": [256], "logprob": -0.1}]}, "bytes must be numbers from 0 to 255"),
        ({"pieces": []}, "pieces stop spelling the text at byte 0"),
        ({"reasoning": "a\ud800b", "pieces": None}, "reasoning: holds half of a surrogate pair"),
        ({"choices": ["a", "\udc00"]}, "choices: holds half of a surrogate pair"),
        ({"correct": "yes"}, "correct: Input should be a valid boolean"),
        ({"reply": "So 5. So 5."}, "pieces stop spelling the text"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """One line: where, and what is wrong; the good line before it stays good."""
    other = {**GOOD, "problem_id": "1"}
    read = _read(tmp_path, other, {**GOOD, **change})
    assert len(read.traces) == 1
    (bad,) = read.bad
    assert bad.place.endswith("t.jsonl:2")
    assert "\n" not in bad.reason
    assert re.search(message, bad.reason)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON at character"),
        ("[1]", "expected a JSON object, found a list"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_line_that_is_no_object_is_refused(tmp_path: Path, line: str, message: str) -> None:
    """Broken JSON, another type, broken UTF-8."""
    file = tmp_path / "t.jsonl"
    file.write_bytes(line.encode("utf-8", "surrogateescape"))
    (bad,) = read_exchange([file], default_voice="v").bad
    assert message in bad.reason


def test_a_repeated_key_is_a_bad_line_and_the_first_stays(tmp_path: Path) -> None:
    """A key names one trace; another voice is another key."""
    read = _read(tmp_path, GOOD, {**GOOD, "answer": "6"}, {**GOOD, "voice": "claude"})
    assert [trace.answer for trace in read.traces] == ["5", "5"]
    assert "comes twice" in read.bad[0].reason


def test_unknown_keys_are_named(tmp_path: Path) -> None:
    """A misspelt key must not vanish without a word."""
    assert _read(tmp_path, {**GOOD, "peices": []}).unknown_keys == ("peices",)


@given(st.data(), texts, st.booleans())
def test_export_then_import_gives_the_same_trace(data: st.DataObject, text: str, in_reply: bool) -> None:
    """Nothing is lost on the way, bytes that cut characters included."""
    reply = json.dumps({"reasoning": text}) if in_reply else None
    spelled, logprobs = data.draw(pieces_of((reply or text).encode()))
    trace = Trace(
        TraceKey("b", "1", "v"),
        text,
        question="q",
        choices=("a", "b"),
        reply=reply,
        pieces=Pieces(spelled, np.array(logprobs)),
        weight_source="self",
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.jsonl"
        file.write_text("\n".join(export_lines([trace])), encoding="utf-8")
        read = read_exchange([file], default_voice="other")
    assert read.bad == ()
    (back,) = read.traces
    assert back.pieces is not None
    assert trace.pieces is not None
    assert back.pieces.spelled == trace.pieces.spelled
    assert back.pieces.logprobs.tolist() == trace.pieces.logprobs.tolist()
    assert (back.key, back.reasoning, back.reply, back.choices) == (trace.key, text, reply, ("a", "b"))
