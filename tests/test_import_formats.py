"""Traces in other people's formats: made-up files of the published schemas, and every way they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.align import LOG_ZERO, reasoning_confidence, spread
from rbridge.metric import trace_values
from rbridge.records import TokenScores, Trace
from rbridge.store.bundles import read_bundle
from rbridge.traces.formats import ImportSettings, read_traces
from rbridge.traces.marks import unmark
from tests.commands import rbridge
from tests.strategies import texts


def _write(path: Path, *objects: Any) -> Path:
    lines = [item if isinstance(item, str) else json.dumps(item) for item in objects]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _read(path: Path, **settings: Any) -> tuple[Trace, ...]:
    read = read_traces([path], ImportSettings(**settings))
    assert read.bad == ()
    return read.traces


def _reasons(path: Path, **settings: Any) -> list[str]:
    return [
        f"{bad.place.rpartition('/')[2]} {bad.reason}"
        for bad in read_traces([path], ImportSettings(**settings)).bad
    ]


MASKED = {"question": "2 + 3?", "reasoning": "So <span>2 + 3\n= 5</span>, é<span>done<\\span>."}


def test_marks_become_weights_of_zero_and_one(tmp_path: Path) -> None:
    """Spans over newlines and both ways of closing; the marks are no part of R; the probabilities are exact."""
    (trace,) = _read(_write(tmp_path / "m.jsonl", MASKED), benchmark="math500", voice="gpt-4o")
    assert trace.reasoning == "So 2 + 3\n= 5, édone."
    assert (str(trace.key), trace.weight_source) == ("math500/0/gpt-4o", "marks")
    confidence = reasoning_confidence(trace)
    assert confidence is not None
    inside = np.zeros(len(trace.reasoning.encode()))
    inside[3:12] = 1
    inside[16:20] = 1
    assert confidence.tolist() == inside.tolist()


def test_the_score_of_a_mask_is_the_plain_zero_one_weighting(tmp_path: Path) -> None:
    """Bit for bit: sum of the losses inside, over all tokens; a token cut by a mark weighs its bytes inside."""
    (trace,) = _read(_write(tmp_path / "m.jsonl", MASKED), benchmark="b")
    confidence = reasoning_confidence(trace)
    assert confidence is not None
    edges = [0, 3, 7, 12, 16, 20, 21]  # on the marks
    start, end = np.array(edges[:-1]), np.array(edges[1:])
    nll = np.array([2.0, 0.3, 1.7, 0.11, 3.3, 0.7])
    weight = spread(confidence, start, end)
    values = trace_values(TokenScores(nll, weight, start, end, 21), benchmark_range=(0.0, 1.0))
    naive = sum(loss * mark for loss, mark in zip(nll, [0, 1, 1, 0, 1, 0], strict=True)) / 6
    assert (values.rbridge, values.rbridge_unnormalised) == (naive, naive)
    assert spread(confidence, np.array([0]), np.array([12])).tolist() == [9 / 12]


def test_no_infinity_reaches_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight of 0 is a finite log-probability in parquet and JSON, and comes back as exactly 0."""
    file = _write(tmp_path / "m.jsonl", MASKED)
    made = rbridge(capsys, "traces", "import", file, "--benchmark", "b", "-o", tmp_path / "b")
    assert made.status == 0, made.err
    pieces = pl.read_parquet(tmp_path / "b" / "traces.parquet")["pieces"].explode().struct.field("logprob")
    assert pieces.to_list() == [LOG_ZERO, 0.0, LOG_ZERO, 0.0, LOG_ZERO]
    assert np.exp(LOG_ZERO) == 0.0
    (line,) = rbridge(capsys, "traces", "export", tmp_path / "b", "-o", "-").lines
    _write(tmp_path / "again.jsonl", line)
    (back,) = _read(tmp_path / "again.jsonl")
    (first,) = read_bundle(tmp_path / "b").traces
    assert (back.key, back.reasoning, back.weight_source) == (first.key, first.reasoning, "marks")
    assert back.pieces is not None
    assert back.pieces.logprobs.tolist() == pieces.to_list()
    shown = rbridge(capsys, "traces", "show", tmp_path / "b", "0")
    assert "nobody's probabilities" in shown.out


@pytest.mark.parametrize(
    ("reasoning", "reason"),
    [
        ("a <span>b <span>c</span>", "a <span> inside another at character 10"),
        ("a</span> b", "a </span> that was not opened at character 1"),
        ("a <span>b</span> c <\\span>", "a <\\span> that was not opened at character 19"),
        ("a <span>b", "the last <span> is not closed"),
        ("<span></span>", "reasoning: empty"),
    ],
)
def test_marks_that_do_not_pair_are_refused(tmp_path: Path, reasoning: str, reason: str) -> None:
    """With the place, and the others stay good."""
    file = _write(tmp_path / "m.jsonl", MASKED, {**MASKED, "reasoning": reasoning})
    (found,) = _reasons(file, format="rbridge-mask", benchmark="b")
    assert found.startswith("m.jsonl:2 ")
    assert reason in found


def test_a_text_without_marks_has_no_weights(tmp_path: Path) -> None:
    """Nothing marked is no mask of ones: the plain loss remains."""
    (trace,) = _read(_write(tmp_path / "m.jsonl", {"question": "q", "reasoning": "plain"}),
                     format="rbridge-mask", benchmark="b")  # fmt: skip
    assert (trace.pieces, trace.weight_source) == (None, None)


@given(st.lists(st.tuples(st.booleans(), texts), min_size=1, max_size=6))
def test_unmarking_gives_back_what_was_marked(parts: list[tuple[bool, str]]) -> None:
    """Over any text without marks of its own: the text, and the marked bytes."""
    marked = "".join(f"<span>{text}</span>" if inside else text for inside, text in parts)
    text, pieces = unmark(marked)
    assert text == "".join(part for _, part in parts)
    if pieces is not None:
        assert [piece["text"] for piece in pieces if piece["logprob"] == 0.0] == [
            t for inside, t in parts if inside
        ]
        assert "".join(piece["text"] for piece in pieces) == text


REPLY = '{"reasoning": "So \\"2 + 3\\" = 5 é.", "final_answer": "5"}'
TOKENS = [
    '{"',
    "reasoning",
    '": "',
    "So",
    ' \\"',
    "2",
    " + 3",
    '\\" =',
    " 5",
    " é",
    '.", "',
    'final_answer": "5"}',
]


def _logprobs(tokens: list[str]) -> list[dict[str, Any]]:
    return [
        {"token": token, "bytes": list(token.encode()), "logprob": -0.1 * (i + 1)}
        for i, token in enumerate(tokens)
    ]


def _row(**changes: Any) -> dict[str, Any]:
    start = REPLY.encode().index(b"So")
    end = REPLY.encode().index(b'", "final')
    row = {"question": "2 + 3?", "frontier_response": REPLY, "frontier_logprobs": _logprobs(TOKENS), "task": "gsm8k",
           "reasoning_byte_start": start, "reasoning_byte_end": end}  # fmt: skip
    return {**row, **changes}


def test_rows_are_found_in_their_reply(tmp_path: Path) -> None:
    """A thinking channel in front of the response moves nothing; escapes are undone; the weights are its own."""
    thinking = _logprobs(["<|channel|>", "So I think", "<|message|>", *TOKENS, "<|return|>"])
    file = _write(tmp_path / "r.jsonl", _row(id=7), _row(id=8, frontier_logprobs=thinking))
    plain, long = _read(file, voice="gpt-oss")
    assert (str(plain.key), plain.reasoning, plain.weight_source) == (
        "gsm8k/7/gpt-oss",
        'So "2 + 3" = 5 é.',
        "self",
    )
    one, other = reasoning_confidence(plain), reasoning_confidence(long)
    assert one is not None
    assert other is not None
    assert len(one) == len('So "2 + 3" = 5 é.'.encode())
    assert one[0] == pytest.approx(np.exp(-0.4))  # "So" is the fourth token
    assert other[0] == pytest.approx(np.exp(-0.7))


def test_a_response_without_json_is_cut_at_its_bytes(tmp_path: Path) -> None:
    r"""Verbatim: a \frac in plain text is no escape."""
    text = "Think: so \\frac{1}{2} é. Answer 5"
    start, end = len(b"Think: "), len("Think: so \\frac{1}{2} é.".encode())
    row = _row(frontier_response=text, frontier_logprobs=_logprobs(["Think:", " so", " \\frac{1}{2} é.", " Answer 5"]),
               reasoning_byte_start=start, reasoning_byte_end=end)  # fmt: skip
    (trace,) = _read(_write(tmp_path / "r.jsonl", row))
    assert trace.reasoning == "so \\frac{1}{2} é."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"frontier_logprobs": _logprobs(TOKENS[1:])}, "the tokens spell the response 0 times"),
        ({"frontier_logprobs": _logprobs([*TOKENS, *TOKENS])}, "the tokens spell the response 2 times"),
        (
            {"frontier_logprobs": [*_logprobs(TOKENS[:-1]), {"token": TOKENS[-1], "logprob": None}]},
            "has no logprob",
        ),
        ({"frontier_logprobs": [{"token": "x", "bytes": [255], "logprob": -1}]}, "spell no UTF-8 text"),
        ({"frontier_logprobs": {}}, "expected a list of objects"),
        ({"reasoning_byte_end": 500}, "outside the response's"),
        ({"reasoning_byte_start": None}, "reasoning_byte_start: none of"),
        ({"reasoning_byte_end": REPLY.encode().index("é".encode()) + 1}, "cut a character in two"),
        ({"task": None}, "give --benchmark NAME"),
    ],
)
def test_a_row_that_does_not_spell_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """Never searched for, never filled."""
    (found,) = _reasons(_write(tmp_path / "r.jsonl", _row(), _row(**changes)), format="rows")
    assert found.startswith("r.jsonl:2 ")
    assert reason in found


def test_replies_need_no_log_probabilities(tmp_path: Path) -> None:
    """A JSON reply gives reasoning and answer, wherever it stands; any other reply is R as it is."""
    wrapped = 'Here: ```json\n{"meta": {"a": 1}, "reasoning": "So 5.", "final_answer": 5}\n```'
    rows = [
        {"benchmark": "gsm8k", "problem_id": 3, "question": "q", "reply": wrapped},
        {"benchmark": "gsm8k", "id": "x", "question": "q", "completion": "So it is 6.", "answer": "6"},
    ]
    one, other = _read(_write(tmp_path / "r.jsonl", *rows))
    assert (one.reasoning, one.answer, one.reply, one.pieces) == ("So 5.", "5", wrapped, None)
    assert (other.key.problem_id, other.reasoning, other.answer) == ("x", "So it is 6.", "6")


def _published(folder: Path, **row_changes: Any) -> list[Path]:
    completions = [
        {"idx": 0, "question": "2 + 3?", "response": {"reasoning": 'So "2 + 3" = 5 é.', "final_answer": "5"}},
        {"idx": 1, "question": "2 + 4?", "reasoning": "So 6.", "final_answer": 6},
    ]
    second = ['{"reasoning": "So', " 6", '.", "final_answer": 6}']
    rows = [{"idx": 0, **token} for token in _logprobs(TOKENS)] + [
        {"idx": 1, **token} for token in _logprobs(second)
    ]
    (folder / "gpt4o.json").write_text(json.dumps(completions))
    part = len(rows) // 2
    return [
        folder / "gpt4o.json",
        _write(folder / "p0.jsonl", *[{**row, **row_changes} for row in rows[:part]]),
        _write(folder / "p1.jsonl", *rows[part:]),
    ]


def test_the_published_set_is_put_together_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Completions from the list, tokens from the parts, one completion across two parts."""
    files = _published(tmp_path)
    done = rbridge(capsys, "traces", "import", *files, "--format", "rbridge", "--benchmark", "gsm8k",
                   "--voice", "gpt-4o", "-o", tmp_path / "b")  # fmt: skip
    assert done.status == 0, done.err
    one, other = read_bundle(tmp_path / "b").traces
    assert (one.reasoning, one.answer, one.weight_source) == ('So "2 + 3" = 5 é.', "5", "self")
    confidence = reasoning_confidence(other)
    assert confidence is not None
    assert confidence.tolist() == pytest.approx([np.exp(-0.1)] * 2 + [np.exp(-0.2)] * 2 + [np.exp(-0.3)])


def test_columns_of_other_names_can_be_told(tmp_path: Path) -> None:
    """The published page does not name them."""
    files = _published(tmp_path)
    for part in files[1:]:
        part.write_text(part.read_text().replace('"idx"', '"sample"').replace('"logprob"', '"lp"'))
    files[0].write_text(files[0].read_text().replace('"idx"', '"sample"'))
    settings = ImportSettings("rbridge", "v", "gsm8k", {"id": "sample", "logprob": "lp"})
    read = read_traces(files, settings)
    assert read.bad == ()
    assert len(read.traces) == 2


def test_tokens_and_completions_that_lack_each_other_are_refused(tmp_path: Path) -> None:
    """A part that was left out, rows without an id, a list that was left out."""
    files = _published(tmp_path)
    lacking = read_traces(files[:2], ImportSettings("rbridge", "v", "b")).bad
    assert "is not its JSON key" in lacking[0].reason
    assert "completion '1' has no token rows" in lacking[1].reason
    orphans = read_traces(files[2:], ImportSettings("rbridge", "v", "b")).bad
    assert "tokens of '1' belong to no completion" in orphans[-1].reason
    nameless = read_traces(_published(tmp_path, idx=None), ImportSettings("rbridge", "v", "b")).bad
    assert "id of a token row: none of" in nameless[0].reason


def test_skip_bad_works_for_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The good ones are written, the bad ones are listed in the manifest; without it nothing is."""
    file = _write(tmp_path / "m.jsonl", MASKED, {**MASKED, "reasoning": "<span>"})
    arguments = ("traces", "import", file, "--benchmark", "b", "-o", tmp_path / "b")
    refused = rbridge(capsys, *arguments)
    assert (refused.status, (tmp_path / "b").exists()) == (1, False)
    assert "m.jsonl:2: reasoning: the last <span> is not closed (1 bad lines of 2" in refused.err
    assert rbridge(capsys, *arguments, "--skip-bad").status == 0
    (skip,) = read_bundle(tmp_path / "b").manifest.skipped
    assert skip.place.endswith("m.jsonl:2")


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            [{"question": "q", "reasoning": "plain"}],
            "cannot tell its format from the keys question, reasoning",
        ),
        ([MASKED], "of what benchmark they are: give --benchmark"),
        ([{"token": "a", "logprob": -1}], "cannot tell its format"),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], objects: list[Any], message: str
) -> None:
    """No format is guessed where two would fit."""
    done = rbridge(capsys, "traces", "import", _write(tmp_path / "f.jsonl", *objects), "-o", tmp_path / "b")
    assert done.status == 1
    assert message in done.err


def test_parquet_is_read_as_rows(tmp_path: Path) -> None:
    """As the hub gives the masked set."""
    pl.DataFrame([MASKED]).write_parquet(tmp_path / "m.parquet")
    (trace,) = _read(tmp_path / "m.parquet", benchmark="b")
    assert trace.weight_source == "marks"
