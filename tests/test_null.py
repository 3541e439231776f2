"""The data-only null against a naive n-gram model, and its command."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbridge.cli import run
from rbridge.metric.ngram import byte_model
from tests.commands import rbridge


def _naive_bits(documents: list[bytes], text: bytes, order: int) -> list[float]:
    """Witten-Bell by dictionaries, straight from the formula."""
    counts: dict[bytes, Counter[int]] = defaultdict(Counter)
    for document in documents:
        for end in range(len(document)):
            for k in range(min(order - 1, end) + 1):
                counts[document[end - k : end]][document[end]] += 1

    def probability(context: bytes, byte: int) -> float:
        shorter = probability(context[1:], byte) if context else 1 / 256
        found = counts.get(context)
        if not found:
            return shorter
        return (found[byte] + len(found) * shorter) / (sum(found.values()) + len(found))

    return [
        -math.log2(probability(text[max(0, end - order + 1) : end], text[end])) for end in range(len(text))
    ]


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=30).map(lambda b: bytes(x % 4 for x in b)), max_size=4),
    st.binary(min_size=1, max_size=20).map(lambda b: bytes(x % 5 for x in b)),
    st.integers(1, 8),
)
def test_counting_by_sorting_is_counting_by_dictionary(
    documents: list[bytes], text: bytes, order: int
) -> None:
    """Every byte's bits, for every order, with bytes that the sample never has."""
    found = byte_model(documents, order=order).bits(text)
    assert found.tolist() == pytest.approx(_naive_bits(documents, text, order))


def test_probabilities_add_up_to_one() -> None:
    """Over all 256 next bytes, behind known and unknown contexts."""
    model = byte_model([b"abracadabra", b"abc"])
    for context in (b"", b"abra", b"xyz", b"dabra"):
        total = sum(2 ** -float(model.bits(context + bytes([byte]))[-1]) for byte in range(256))
        assert total == pytest.approx(1.0)


@pytest.fixture
def bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Two traces about sums."""
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": "?",
            "reasoning": f"So 2 + {i} = {i + 2}.",
        }
        for i in range(2)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(tmp_path / "t.jsonl"), "-o", str(tmp_path / "bundle")]) == 0
    capsys.readouterr()
    return tmp_path / "bundle"


def test_a_recipe_of_such_text_predicts_the_traces(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file, a folder and a .jsonl; the CSV is ranked as any other."""
    (tmp_path / "sums.txt").write_text("So 1 + 3 = 4. So 5 + 1 = 6. " * 20)
    (tmp_path / "prose").mkdir()
    (tmp_path / "prose" / "one.txt").write_text("It was the best of times. " * 20)
    (tmp_path / "code.jsonl").write_text(json.dumps({"text": "def f(x): return x\n" * 20}))
    result = rbridge(
        capsys, "null", tmp_path / "sums.txt", f"novel={tmp_path / 'prose'}", tmp_path / "code.jsonl",
        "--traces", bundle, "-o", tmp_path / "null.csv", "--json",
    )  # fmt: skip
    rows = {row["recipe"]: row for row in result.document["nulls"]}
    assert set(rows) == {"sums", "novel", "code"}
    sample = [("So 1 + 3 = 4. So 5 + 1 = 6. " * 20).encode()]
    expected = [
        sum(_naive_bits(sample, text, 8)) / len(text) for text in (b"So 2 + 0 = 2.", b"So 2 + 1 = 3.")
    ]
    assert rows["sums"]["null_bits_per_byte"] == pytest.approx(sum(expected) / 2)
    assert rows["sums"]["num_traces"] == 2
    ranked = rbridge(capsys, "rank", tmp_path / "null.csv", "--proxy", "null_bits_per_byte", "--json")
    assert ranked.document["groups"][0]["order"][0]["recipe"] == "sums"


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "no sample given"),
        (["gone.txt"], "gone.txt: no such file or folder"),
        (["empty.txt"], "empty.txt: holds no text"),
        (["bad.jsonl"], "bad.jsonl:1: expected an object with a field 'text'"),
        (["x=ok.txt", "x=ok.txt"], "recipe 'x' is given twice"),
    ],
)
def test_bad_samples_get_one_line(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    samples: list[str],
    message: str,
) -> None:
    """Exit 1, the place, and nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "ok.txt").write_text("ok")
    (tmp_path / "bad.jsonl").write_text("{}")
    result = rbridge(capsys, "null", *samples, "--traces", bundle, "-o", tmp_path / "null.csv")
    assert (result.status, result.out) == (1, "")
    assert message in result.err
    assert not (tmp_path / "null.csv").exists()
