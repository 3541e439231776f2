"""Recipe files, sources, token caches and learning-rate schedules."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.errors import InputError
from rbridge.recipes import Schedule, Source, Vocabulary, learning_rates, parse_count, read_recipes, tokenise
from rbridge.recipes.documents import documents, source_digest
from tests.ladders import write_recipes

DOCS = Path(__file__).parent.parent / "docs" / "recipes.md"


def test_the_example_in_the_docs_is_a_recipe_file(tmp_path: Path):
    """Its phases, budgets and chain are what the page says."""
    [example] = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    file = tmp_path / "recipes.yaml"
    file.write_text(example)
    found = read_recipes(file, sources=False)
    assert found.recipes["maths"].phases[0].shares == {"web": 0.7, "math": 0.3}
    assert found.recipes["maths"].budgets(1000) == (900, 100)
    assert found.recipes["edu-anneal"].budgets(1000) == (20_000_000,)
    assert found.chain("edu-anneal") == ("plain", "edu-anneal")
    assert found.target_of("plain") == 100 * 10**9
    assert found.sources["web"].paths == (str(tmp_path / "data/web/*.txt"),)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("  heap: {text: heap.txt, split: paragraph}", "  heap: {txt: heap.txt}", 3, "did you mean 'text'"),
        ("heap: 1, wrap: 1", "heap: 1, warp: 1", 8, "no source 'warp'; did you mean 'wrap'?"),
        ("{heap: 1}", "{heap: -1}", 11, "greater than 0"),
        ("tokens: 1500", "tokens: many", 16, "expected a count such as 400M"),
        ("tokens: 1500", "tokens: 1500\n        share: 0.5", 15, "expected tokens or share, found both"),
        ("kind: linear", "kind: linear, decay: 0.5", 17, "'decay' belongs to wsd"),
        ("{recipe: heap}", "{recipe: heaps}", 13, "no recipe 'heaps'; did you mean 'heap'?"),
        ("{recipe: heap}", "{recipe: more}", 13, "its own base"),
        ("  both:", "  heap:", 9, "key 'heap' comes twice, first in line 6"),
        ("split: paragraph}\n  wrap", "split: paragraph, jsonl: a}\n  wrap", 3, "exactly one of text, jsonl"),
        (
            "      - mix: {heap: 1}\n",
            "      - mix: {heap: 1}\n        share: 0.5\n",
            9,
            "shares add up to 0.5",
        ),
        ("{heap: 1}", "{heap: 1", 12, "no YAML"),
        ("text: heap.txt", "text: heep.txt", 3, "heep.txt: no such file; expected a path, a glob"),
        ("text: wrap.txt", "text: empty", 4, "empty: no file in it to read; expected a path, a glob"),
        ("text: wrap.txt", "text: blank.txt", 4, "source wrap: no text in"),
        ("text: wrap.txt, split: paragraph", "jsonl: wrap.txt", 4, "wrap.txt:1: no JSON"),
        ("text: wrap.txt, split: paragraph", "jsonl: rows.jsonl", 4, "no text under 'text' (found body)"),
    ],
)
def test_a_fault_is_told_with_its_line_and_a_remedy(
    tmp_path: Path, old: str, new: str, line: int, message: str
):
    """Nothing starts before the whole file is right."""
    file = write_recipes(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "rows.jsonl").write_text('{"body": "one"}\n')
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_recipes(file)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert "\n" not in str(caught.value)


@given(
    st.integers(1, 10**6), st.sampled_from([("", 1), ("k", 10**3), ("M", 10**6), ("B", 10**9), ("T", 10**12)])
)
def test_counts_have_units(number: int, unit: tuple[str, int]):
    """An integer and a unit are their product, however large."""
    assert parse_count(f"{number}{unit[0]}") == number * unit[1]


@pytest.mark.parametrize("bad", ["0", "1.5", "-3", "4X", "", 0, 0.5, True, None, "nan", math.inf])
def test_what_is_no_count_is_refused(bad: object):
    """No rounding, no guess."""
    with pytest.raises((ValueError, OverflowError)):
        parse_count(bad)


# Sources


def test_a_folder_stands_for_its_files_of_the_kind(tmp_path: Path):
    """At any depth, in order of name; hidden files and files of another kind are left out."""
    for name in ("b.jsonl", "in/a.jsonl", "in/.git/c.jsonl", ".d.jsonl", "notes.txt"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"text": name}) + "\n")
    assert list(documents("a", Source(jsonl=str(tmp_path / "data")))) == ["b.jsonl", "in/a.jsonl"]
    texts = list(documents("a", Source(text=str(tmp_path / "data"))))
    assert len(texts) == 3
    assert "notes.txt" in texts[-1]


def test_every_kind_of_file_gives_its_texts(tmp_path: Path):
    """The same three texts come out of text, JSONL (gzipped too) and Parquet; empty ones are left out."""
    texts = ["one é", "two\nlines", "three"]
    (tmp_path / "a.txt").write_text("one é\n\ntwo\nlines\n\n\nthree")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in [*texts, " "]))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    pl.DataFrame({"text": [*texts, None]}).write_parquet(tmp_path / "a.parquet")
    paragraphs = list(documents("a", Source(text=str(tmp_path / "a.txt"), split="paragraph")))
    assert [text.strip("\n") for text in paragraphs] == texts
    assert list(documents("a", Source(jsonl=str(tmp_path / "a.jsonl"), field="body"))) == texts
    assert list(documents("a", Source(jsonl=str(tmp_path / "*.gz")))) == texts
    assert list(documents("a", Source(parquet=str(tmp_path / "a.parquet")))) == texts
    assert len(list(documents("a", Source(text=str(tmp_path / "a.txt"), split="line")))) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"other": 1}\n', r"a.jsonl:2: no text under 'text' \(found other\)"),
        ("a.jsonl", b"{\n", r"a.jsonl:1: no JSON"),
        ("a.parquet", b"PAR0", r"a.parquet: no Parquet"),
        ("b.txt", b"", r"no such file"),
    ],
)
def test_a_damaged_source_is_told_with_its_place(tmp_path: Path, name: str, content: bytes, message: str):
    """File and line, what was found, what to do."""
    (tmp_path / name).write_bytes(content)
    kind = {"a.jsonl": "jsonl", "a.parquet": "parquet", "b.txt": "text"}[name]
    place = tmp_path / ("missing.txt" if kind == "text" else name)
    with pytest.raises(InputError, match=message):
        list(documents("a", Source.model_validate({kind: str(place)})))


def test_a_hub_dataset_is_streamed_at_the_commit_that_names_it(monkeypatch: pytest.MonkeyPatch):
    """The revision is resolved once, read there, and part of the digest; no row beyond ``take`` is asked for."""
    asked: list[dict[str, object]] = []
    read: list[int] = []

    def rows():
        for number in range(1000):
            read.append(number)
            yield {"text": f"row {number}"}

    def load_dataset(path: str, name: str | None, **named: object):
        asked.append({"path": path, "name": name, **named})
        return rows()

    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "dataset_info",
        lambda *_, **__: SimpleNamespace(sha="c0ffee"),
    )
    source = Source(hub="made/up", config="small", take=4, revision="main")
    stream = documents("edu", source)
    assert [next(stream), next(stream)] == ["row 0", "row 1"]
    assert asked == [
        {"path": "made/up", "name": "small", "split": "train", "revision": "c0ffee", "streaming": True}
    ]
    assert read == [0, 1]
    assert source_digest("edu", source) != source_digest("edu", source.model_copy(update={"config": "large"}))


# Tokens


def letters(log: list[int]) -> Vocabulary:
    """A vocabulary of code points that counts the texts it is given."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        log.append(len(texts))
        return [[*map(ord, text), 0] for text in texts]

    return Vocabulary(encode, 1 << 21, "letters")


def test_a_source_is_tokenised_once_and_again_when_its_text_changes(tmp_path: Path):
    """The cache hangs on content, not on names or dates, and holds what was encoded."""
    log: list[int] = []
    file = tmp_path / "a.txt"
    file.write_text("ab\ncd\u20ac\n")
    source = Source(text=str(file), split="line")
    first = tokenise("a", source, letters(log), tmp_path / "cache")
    assert first.ids.tolist() == [97, 98, 0, 99, 100, 0x20AC, 0]
    assert first.ends.tolist() == [3, 7]
    assert (first.whole, first.available) == (True, 7)
    file.rename(tmp_path / "b.txt")
    moved = Source(text=str(tmp_path / "b.txt"), split="line", available=1000)
    again = tokenise("b", moved, letters(log), tmp_path / "cache")
    assert (again.sha256, again.available, log) == (first.sha256, 1000, [2])
    (tmp_path / "b.txt").write_text("ab\ncd\u20ac!\n")
    assert tokenise("b", moved, letters(log), tmp_path / "cache").sha256 != first.sha256
    assert log == [2, 2]


def test_take_ends_reading_with_the_document_that_reaches_it(tmp_path: Path):
    """And how much the source has in all is then not known."""
    (tmp_path / "a.txt").write_text("abc\ndef\nghi\n")
    found = tokenise(
        "a", Source(text=str(tmp_path / "a.txt"), split="line", take=5), letters([]), tmp_path / "cache"
    )
    assert found.ends.tolist() == [4, 8]
    assert (found.whole, found.available) == (False, None)


# Schedules


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Schedule(kind="wsd", warmup=0.2, decay=0.4), [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
        (Schedule(kind="wsd", decay=0), [1] * 10),
        (Schedule(kind="linear", warmup=0.5, floor=0.5), [0.2, 0.4, 0.6, 0.8, 1, 1, 0.9, 0.8, 0.7, 0.6]),
        (Schedule(kind="cosine", peak=0.5), [(1 + math.cos(math.pi * step / 10)) / 4 for step in range(10)]),
    ],
)
def test_a_schedule_by_hand(schedule: Schedule, wanted: list[float]):
    """Ten steps of a first phase that starts from a base, peak 1 or its own."""
    rate = learning_rates([schedule], [10], peak=1.0, fresh=False)
    assert [rate(step) for step in range(10)] == pytest.approx(wanted)


def test_phases_follow_one_another():
    """A phase that stays up is followed by one that falls from there; fresh weights warm up by themselves."""
    rate = learning_rates([Schedule(decay=0), Schedule(kind="linear")], [40, 50], peak=1.0, fresh=True)
    assert [rate(step) for step in (0, 1, 2, 39, 40, 45, 49)] == pytest.approx([0.5, 1, 1, 1, 1, 0.5, 0.1])
