"""What chance finds of a benchmark's texts: whole texts, texts' own 8-grams, and fresh text of the same kind."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.quality import NgramIndex, chance, judge, share
from rbridge.recipes import SourceContamination, check_contamination, read_recipes
from rbridge.records import Trace, TraceKey
from tests.commands import rbridge
from tests.reports import make_bundle

words = st.lists(st.sampled_from("abc"), max_size=14)


def naive_grams(text: list[str]) -> set[tuple[str, ...]]:
    """The 8-grams of a text."""
    return {tuple(text[at : at + 8]) for at in range(len(text) - 7)}


@given(st.lists(words, min_size=1, max_size=4), st.lists(words, max_size=3), st.data())
def test_own_words_and_whole_texts_are_those_of_the_rule(
    texts: list[list[str]], corpus: list[list[str]], data: st.DataObject
) -> None:
    """As slices and sets give them; some documents hold a text, some only its middle, some one over a break."""
    planted = data.draw(st.lists(st.sampled_from(texts), max_size=2))
    documents = [*corpus, *(["a", *text, "zebra"] for text in planted), *(text[1:] for text in planted)]
    index = NgramIndex([" ".join(text) for text in texts])
    for document in documents:
        index.read(" ".join(document))
    found = index.found()
    seen = set().union(*map(naive_grams, documents))
    for at, text in enumerate(texts):
        own = naive_grams(text).difference(*(naive_grams(two) for to, two in enumerate(texts) if to != at))
        assert found.own[at] == (len(own & seen) / len(own) if len(own) >= 8 else None)
        whole = any(
            document[first : first + len(text)] == text
            for document in documents
            for first in range(len(document) - len(text) + 1)
        )
        assert found.whole[at] == (whole if len(text) >= 8 else None)


def exact_p(num: int, n: int, of: int, fresh: int) -> float:
    """Fisher's test, one-sided, as the sum of hypergeometric chances."""
    every = num + of
    ways = math.comb(n + fresh, every)
    return sum(math.comb(n, k) * math.comb(fresh, every - k) for k in range(num, min(n, every) + 1)) / ways


@pytest.mark.parametrize(
    ("own", "fresh_own", "whole", "fresh_whole"),
    [((9, 40), (1, 30), (3, 50), (2, 30)), ((0, 40), (0, 30), (12, 50), (0, 30)), ((5, 9), (0, 9), (4, 50), (0, 30))],
)  # fmt: skip
def test_the_p_value_is_fishers_of_the_stronger_measure_twice(
    own: tuple[int, int], fresh_own: tuple[int, int], whole: tuple[int, int], fresh_whole: tuple[int, int]
) -> None:
    """Summed by hand; a measure of fewer than ten texts tells nothing."""
    found = chance(share(*own), share(*fresh_own), share(*fresh_own), share(*whole), share(*fresh_whole))
    by_own = exact_p(*own, *fresh_own) if min(own[1], fresh_own[1]) >= 10 else 1.0
    assert found is not None
    assert found.p_value == pytest.approx(min(1.0, 2 * min(by_own, exact_p(*whole, *fresh_whole))))


def test_fewer_than_ten_fresh_texts_show_no_chance() -> None:
    """Then the count is taken as it is, and said to be."""
    assert chance(share(3, 40), share(0, 9), share(0, 9), share(3, 40), share(0, 9)) is None
    judged = judge(share(3, 40), None)
    assert (judged.verdict, judged.leaked, judged.interval) == ("found", 3 / 40, share(3, 40).interval)
    assert "no fresh text" in judged.why
    assert judge(share(0, 40), None).verdict == "none"
    assert judge(share(0, 0), None).leaked is None


@pytest.mark.parametrize(
    ("contaminated", "near", "own", "fresh_own", "whole", "fresh_whole", "expected"),
    [
        (0, 0, 0, 0, 0, 0, ("none", 0.0)),
        (0, 30, 0, 5, 0, 5, ("none", 0.0)),  # fresh text is found, the benchmark's is not
        (1, 1, 1, 0, 0, 0, ("cannot tell", None)),  # one of 100, and fresh text comes a quarter as far
        (1, 0, 1, 0, 1, 1, ("cannot tell", None)),
        (10, 0, 10, 0, 10, 0, ("found", 0.1)),  # no fresh text comes near
        (95, 97, 95, 94, 60, 57, ("cannot tell", None)),
        (95, 97, 95, 94, 90, 40, ("found", None)),
    ],
)
def test_a_count_is_judged_by_fresh_text(
    contaminated: int, near: int, own: int, fresh_own: int, whole: int, fresh_whole: int,
    expected: tuple[str, float | None],
) -> None:  # fmt: skip
    """Of 100 texts and as many fresh ones."""
    level = chance(*(share(num, 100) for num in (own, fresh_own, near, whole, fresh_whole)))
    judged = judge(share(contaminated, 100), level)
    assert judged.verdict == expected[0]
    if expected[1] is not None or judged.verdict == "cannot tell":
        assert judged.leaked == expected[1]
        return
    # Of those that chance would not have found (60 of 100), 50 more than chance finds were put there.
    assert judged.leaked == pytest.approx(0.5 / 0.6)
    low, high = newcombe((whole, 100), (fresh_whole, 100))
    assert judged.interval == pytest.approx((low / 0.6, min(1.0, high / 0.6)))


def newcombe(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """The interval of a difference of shares from both shares' score intervals (Newcombe 1998, method 10)."""

    def wilson(num: int, n: int) -> tuple[float, float, float]:
        z, at = 1.959964, num / n
        middle, half = at + z * z / (2 * n), z * math.sqrt(at * (1 - at) / n + z * z / (4 * n * n))
        return at, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)

    (p, low, high), (q, least, most) = wilson(*one), wilson(*other)
    return p - q - math.hypot(p - low, most - q), p - q + math.hypot(high - p, q - least)


def test_newcombes_interval_is_his() -> None:
    """His example: 56 of 70 less 48 of 80 (table II, a)."""
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def sums(rng: random.Random, num: int, names: str = "Ann Ben Cid Dot") -> list[Trace]:
    """Traces of a world with a few thousand problems, all different."""
    found: dict[str, Trace] = {}
    while len(found) < num:
        name, one, two, gone = (
            rng.choice(names.split()),
            rng.randint(5, 13),
            rng.randint(5, 13),
            rng.randint(2, 9),
        )
        question = f"{name} has {one} red pens and finds {two} more , then loses {gone} . How many are left ?"
        total = one + two
        reasoning = (
            f"First {one} + {two} = {total} . Then {total} - {gone} = {total - gone} . {name} has some left ."
        )
        found.setdefault(
            question, Trace(TraceKey("pens", str(len(found)), "w"), reasoning, question=question)
        )
    return list(found.values())


def recipes_of(folder: Path, **sources: Sequence[Trace]) -> Path:
    """A recipe file whose sources hold worked problems, one a document."""
    for name, traces in sources.items():
        lines = [json.dumps({"text": f"{one.question} {one.reasoning}"}) for one in traces]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    file = folder / "recipes.yaml"
    mix = dict.fromkeys(sources, 1)
    named = {name: {"jsonl": f"{name}.jsonl"} for name in sources}
    file.write_text(json.dumps({"sources": named, "recipes": {"all": {"phases": [{"mix": mix}]}}}))
    return file


def traces_rows(file: Path, traces: Sequence[Trace]) -> dict[str, SourceContamination]:
    """What the check says of the traces, by source."""
    rows = check_contamination(read_recipes(file), traces, progress=lambda _: None)
    return {row.source: row for row in rows if row.what == "traces"}


def test_a_language_of_few_forms_is_no_leak_but_planted_copies_are_found(tmp_path: Path) -> None:
    """Chance makes most traces in 1,500 other problems, and here and there one in 30; of 120, 15 planted ones show."""
    every = sums(random.Random(0), 40 + 1500)
    asked, others = every[:40], every[40:]
    few = {f"few{at}": others[30 * at : 30 * at + 30] for at in range(20)}
    file = recipes_of(tmp_path, many=others, leaky=[*others[:120], *asked[:15]], **few)
    rows = traces_rows(file, asked)
    assert rows["many"].contaminated.num > 20
    assert (rows["many"].judged.verdict, rows["many"].judged.leaked) == ("cannot tell", None)
    assert rows["many"].backwards.num == 0
    assert sum(rows[name].contaminated.num for name in few) > 0
    assert not any(rows[name].judged.verdict == "found" for name in few)
    leaky = rows["leaky"].judged
    assert leaky.verdict == "found"
    assert leaky.interval is not None
    assert leaky.interval[0] < 15 / 40 < leaky.interval[1]


def test_twins_in_the_bundle_are_not_looked_for(tmp_path: Path) -> None:
    """They are no part of the benchmark, unless the bundle is all twins."""
    traces = sums(random.Random(1), 30)
    file = recipes_of(tmp_path, heap=traces[:5])
    twins = [replace(one, key=replace(one.key, problem_id=f"{one.key.problem_id}-twin1")) for one in traces]
    assert traces_rows(file, [*traces, *twins])["heap"].contaminated.n == 30
    assert traces_rows(file, twins)["heap"].contaminated.n == 30


def test_fresh_text_may_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of reasoning without arithmetic only a given bundle shows what chance finds; then nothing is refused."""
    every = [
        replace(one, reasoning=f"{one.question} Count them all , and take away those that are lost .")
        for one in sums(random.Random(2), 80)
    ]
    asked, fresh = every[:40], every[40:]
    file = recipes_of(tmp_path, heap=[*asked[:10], *fresh[:9]])
    make_bundle(tmp_path / "asked", asked)
    make_bundle(tmp_path / "fresh", fresh)
    command = ("recipes", "check", file, "--traces", tmp_path / "asked", "--refuse", "0.1", "--json")
    alone = rbridge(capsys, *command)
    assert alone.status == 1
    assert [row["chance"] for row in alone.document["sources"]] == [None, None]
    told = rbridge(capsys, *command, "--fresh", tmp_path / "fresh")
    assert (told.status, told.document["refused"]) == (0, [])
    assert [row["judged"]["verdict"] for row in told.document["sources"]] == ["cannot tell"] * 2
    row = next(row for row in told.document["sources"] if row["what"] == "traces")
    # By the words that they share all 40 are found; ten stand whole.
    assert (row["contaminated"]["num"], row["chance"]["whole"]["num"]) == (40, 10)
    assert (row["chance"]["fresh_whole"]["num"], row["chance"]["fresh_whole"]["n"]) == (9, 40)
    assert "cannot tell: heap holds 40/40" in told.err
