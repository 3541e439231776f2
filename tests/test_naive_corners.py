"""Corners where scorers go wrong, against the naive oracle: control tokens, rotary borders, contexts, bad lines."""

import math
from pathlib import Path

import pytest

from tests import checkpoints, naive
from tests.naive_cases import (
    VALUES,
    attempt,
    close,
    furthest,
    losses_of,
    rbridge,
    row_of,
    shown_items,
    shown_tokens,
    write_rows,
)

# ---------------------------------------------------------------------------------------------------
# Corners
# ---------------------------------------------------------------------------------------------------


def scored_alone(name: str, rows: list[dict], root: Path, *options: object) -> tuple[dict, dict, dict, dict]:
    """One checkpoint on these traces: the product's items and tokens, the oracle's values and skips.

    The exit status is left open: the specification does not say what it is where some traces cannot be scored.
    """
    root.mkdir(exist_ok=True)
    folder = checkpoints.build(name, root / name)
    rbridge("traces", "import", write_rows(root / "rows.jsonl", rows), "-o", root / "bundle")
    attempt(
        "score", folder, "--traces", root / "bundle", "--shots", 0, "-o", root / "runs", "--json", *options
    )
    items = {key[2:]: row for key, row in shown_items(root / "runs").items()}
    tokens = {key[2:]: found for key, found in shown_tokens(root / "runs", rows).items()}
    context = checkpoints.EVERY_RECIPE[name].context
    scored, skipped = naive.score_rows(rows, naive.Reader(folder), naive.load_model(folder), context)
    return items, tokens, scored, skipped


def agrees(expected: naive.Expected, item: dict, tokens: list[dict]) -> bool:
    """Whether a trace was scored as the oracle has it."""
    return [(row["start"], row["end"]) for row in tokens] == expected.spans and all(
        close(expected.values[value], item[value]) for value in VALUES if value != "rbridge_benchmark_minmax"
    )


@pytest.mark.parametrize("name", ["llama2", "mistral", "gemma2", "unigram"])
def test_a_space_mark_in_a_text_is_never_taken_for_a_space(name, tmp_path) -> None:
    """A literal U+2581 is three bytes: its trace is scored as such or skipped as "normalised"."""
    texts = ["a ▁ b", "▁", "x▁▁ y", "plain 5"]
    rows = [row_of(str(number), text, benchmark="marks") for number, text in enumerate(texts)]
    items, tokens, scored, _ = scored_alone(name, rows, tmp_path)
    for key, expected in scored.items():
        if items[key]["trace_nll"] is None:
            assert "▁" in texts[int(key[0])]
            assert items[key]["reason"] == "normalised"
        else:
            assert agrees(expected, items[key], tokens[key])


def test_a_spelled_byte_token_is_six_bytes(tmp_path) -> None:
    """Unigram takes the text "<0x0A>" for its byte token: six bytes, or not scored, with a reason."""
    texts = ["<0x0A> is a newline", "plain 5"]
    rows = [row_of(str(number), text, benchmark="bytes", prompt="Q:") for number, text in enumerate(texts)]
    items, tokens, scored, _ = scored_alone("unigram-control", rows, tmp_path)
    assert agrees(scored["1", "v"], items["1", "v"], tokens["1", "v"])
    if items["0", "v"]["trace_nll"] is None:
        assert items["0", "v"]["reason"]
    else:
        assert agrees(scored["0", "v"], items["0", "v"], tokens["0", "v"])


def test_a_control_token_that_the_model_lists_is_no_text(tmp_path) -> None:
    """Where encoding as text still gives the control token (Unigram), the trace is not scored with it."""
    texts = ["It ends with </s> here", "plain 5"]
    rows = [row_of(str(number), text, benchmark="control", prompt="Q:") for number, text in enumerate(texts)]
    items, tokens, scored, _ = scored_alone("unigram-control", rows, tmp_path)
    assert agrees(scored["1", "v"], items["1", "v"], tokens["1", "v"])
    start = texts[0].index("</s>")
    spans = [(row["start"], row["end"]) for row in tokens.get(("0", "v"), [])]
    assert (start, start + len("</s>")) not in spans, "the literal was fed to the model as its EOS token"


def test_a_batch_is_not_turned_by_its_longest_sequence(tmp_path) -> None:
    """Under "longrope" the factors depend on a sequence's own length, not on that of its batch."""
    long = "; ".join(f"{n} + {n} = {2 * n}" for n in range(1, 13))
    rows = [
        row_of(str(number), text, benchmark="rope", prompt="Q:")
        for number, text in enumerate([long, "So 5."])
    ]
    results = []
    for size in (64, 100_000):
        items, tokens, scored, _ = scored_alone(
            "longrope", rows, tmp_path / str(size), "--batch-tokens", size
        )
        assert len(scored["1", "v"].nll) < 16 < checkpoints.ROPE_BORDER < len(scored["0", "v"].nll)
        assert {key: agrees(expected, items[key], tokens[key]) for key, expected in scored.items()} == {
            ("0", "v"): True,
            ("1", "v"): True,
        }
        results.append(losses_of(tokens))
    assert furthest(*results) < 5e-5


def test_a_sequence_as_long_as_the_context_is_scored(tmp_path) -> None:
    """As many ids as positions fit; two more (one could go unread, being the last) are "too long"."""
    rows = []
    for extra in (0, 2):
        text = "5" + " 5" * (61 + extra)  # one token each
        rows.append(row_of(str(64 + extra), text, benchmark="context", prompt="Q:"))
    items, tokens, scored, skipped = scored_alone("short", rows, tmp_path)
    assert (list(scored), skipped) == ([("64", "v")], {("66", "v"): "too long"})
    assert agrees(scored["64", "v"], items["64", "v"], tokens["64", "v"])
    assert (items["66", "v"]["trace_nll"], items["66", "v"]["reason"]) == (None, "too long")


def altered(row: dict, place: int, **change: object) -> dict:
    """The row with one piece changed."""
    pieces = [dict(piece) for piece in row["pieces"]]
    pieces[place].update(change)
    return {**row, "pieces": pieces}


GOOD = {
    "benchmark": "lines",
    "problem_id": "1",
    "voice": "v",
    "question": "?",
    "reasoning": "é = 5",
    "pieces": [
        {"bytes": [195], "logprob": -0.1},
        {"bytes": [169, 32], "logprob": -2},
        {"text": "= 5", "logprob": 0},
    ],
}
LINES = {
    "good": GOOD,
    "rounding": altered(GOOD, 0, logprob=1e-6),
    "above rounding": altered(GOOD, 0, logprob=1.1e-6),
    "positive": altered(GOOD, 2, logprob=0.5),
    "unknown": altered(GOOD, 1, logprob=-9999),
    "unknown as a float": altered(GOOD, 1, logprob=-9999.0),
    "infinite": altered(GOOD, 1, logprob=-math.inf),
    "not a number": altered(GOOD, 1, logprob=math.nan),
    "nearly impossible": altered(GOOD, 1, logprob=-9998.0),
    "other text": altered(GOOD, 2, text="= 6"),
    "bytes win": altered(GOOD, 0, text="anything"),
    "bytes win though wrong": altered(GOOD, 2, bytes=[33]),
    "piece missing": {**GOOD, "pieces": GOOD["pieces"][:-1]},
    "piece too many": {**GOOD, "pieces": [*GOOD["pieces"], {"text": ".", "logprob": -1}]},
    "composed otherwise": {**GOOD, "reasoning": "e\u0301 = 5"},
    "reply spelled by R's pieces": {**GOOD, "reply": "Now é = 5"},
    "reply without R": {**GOOD, "reply": "é = 5", "reasoning": "é = 6"},
    "reply with R once": {**GOOD, "reply": "é = 5", "reasoning": "5"},
    "reply with R twice": {**GOOD, "reply": "é = 5", "reasoning": " "},
    "span": {**GOOD, "reply": "é = 5", "reasoning": "5", "reasoning_span": [5, 6]},
    "span of characters": {**GOOD, "reply": "é = 5", "reasoning": "5", "reasoning_span": [4, 5]},
}


@pytest.mark.parametrize("label", LINES)
def test_the_same_lines_are_refused(label, tmp_path) -> None:
    """A line that the oracle refuses is exit 1 and writes nothing; any other is imported."""
    row = LINES[label]
    try:
        naive.confidence_of(row)
        refused = False
    except naive.RefusedError:
        refused = True
    status, _ = attempt(
        "traces", "import", write_rows(tmp_path / "x.jsonl", [row]), "-o", tmp_path / "bundle"
    )
    assert status == int(refused)
    assert (tmp_path / "bundle").exists() == (not refused)
