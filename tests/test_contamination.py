"""Benchmark text planted in a corpus is found, clean text is not."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.quality import NgramIndex, is_contaminated
from rbridge.traces.named import open_bundle
from tests.commands import rbridge
from tests.ladders import FILE, write_recipes

few_words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=40).map(" ".join)


def naive_share(text: str, corpus: list[str]) -> float | None:
    """The rule as it is written down, on lists of words."""

    def grams(one: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+|[^\w\s]", one.casefold())
        return {tuple(words[at : at + 8]) for at in range(len(words) - 7)}

    own = grams(text)
    seen = set().union(*[grams(one) for one in corpus]) if corpus else set()
    return len(own & seen) / len(own) if own else None


@given(st.lists(few_words, min_size=1, max_size=4), st.lists(few_words, max_size=4))
def test_shares_are_those_of_the_rule(texts: list[str], corpus: list[str]):
    """Forwards and backwards, as sets of 8-grams give them."""
    index = NgramIndex(texts)
    for document in corpus:
        index.read(document)
    found = index.found()
    assert list(found.share) == [naive_share(text, corpus) for text in texts]
    assert list(found.backwards) == [naive_share(" ".join(text.split()[::-1]), corpus) for text in texts]


def test_planted_text_is_found_in_the_midst_of_other_text():
    """Whole, in capitals and on other lines, or with a word changed; not where a third of it is left."""
    text = " ".join(f"word{number}" for number in range(60))
    words = text.split()
    changed = " ".join("other" if at == 30 else word for at, word in enumerate(words))
    plants = {text.upper().replace(" ", "\n"): True, changed: True, " ".join(words[:20]): False, "": False}
    for plant, wanted in plants.items():
        index = NgramIndex([text])
        index.read(f"something before {plant} something behind")
        [share] = index.found().share
        assert is_contaminated(share) is wanted, plant[:20]


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Recipes of which one source holds ten of the starter's traces, between its own paragraphs."""
    file = write_recipes(tmp_path)
    traces = [trace.reasoning for trace in open_bundle("starter").traces if trace.key.benchmark == "gsm8k"]
    planted = random.Random(0).sample([text for text in traces if len(text.split()) > 20], 10)
    source = tmp_path / "heap.txt"
    source.write_text(source.read_text() + "\n\n".join(planted))
    assert "heap.txt" in FILE
    return file


def test_the_check_counts_a_planted_leak_and_refuses(leaky: Path, capsys: pytest.CaptureFixture[str]):
    """Ten of 100 in the source that holds them, none in the other, none backwards; and 1 is the exit status."""
    result = rbridge(capsys, "recipes", "check", leaky, "--traces", "starter", "--refuse", "0.05", "--json")
    assert result.status == 1
    rows = [row for row in result.document["sources"] if row["what"] == "traces"]
    found = {(row["source"], row["benchmark"]): row["contaminated"] for row in rows}
    assert (found["heap", "gsm8k"]["num"], found["heap", "gsm8k"]["n"]) == (10, 100)
    assert found["heap", "gsm8k"]["interval"][0] < 0.1 < found["heap", "gsm8k"]["interval"][1]
    assert all(share["num"] == 0 for key, share in found.items() if key != ("heap", "gsm8k"))
    assert all(row["backwards"]["num"] == 0 for row in result.document["sources"])
    assert result.document["recipes"]["more"]["source"] == "heap"  # through its base
    assert len(result.document["refused"]) == 1
    assert "refused: heap holds 10/100" in result.err
    assert rbridge(capsys, "recipes", "check", leaky, "--traces", "starter", "--refuse", "0.2").status == 0


def test_a_share_above_one_cannot_be_refused(leaky: Path, capsys: pytest.CaptureFixture[str]):
    """A percentage is told apart from a share."""
    result = rbridge(capsys, "recipes", "check", leaky, "--traces", "starter", "--refuse", "5")
    assert (result.status, result.err) == (1, "error: --refuse 5.0: expected a share from 0 to 1\n")
