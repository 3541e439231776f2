"""Shares, repetition, cutting and packing of recipes, to the token."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbridge.errors import InputError
from rbridge.recipes import (
    Base,
    Mix,
    Phase,
    Recipe,
    RecipeFile,
    Source,
    TokenisedSource,
    mix_recipe,
    open_mix,
)
from rbridge.recipes import mix as mixing
from rbridge.recipes.draw import draw_pieces, pool_of, stream
from rbridge.recipes.repetition import match_repetition

WINDOW = 16


def source(name: str, lengths: list[int], first_id: int = 0, available: int | None = None) -> TokenisedSource:
    """A source whose every token is a different id, so that it can be told where each came from."""
    ends = np.cumsum(lengths)
    ids = np.arange(first_id, first_id + ends[-1])
    return TokenisedSource(
        name, f"{name}-{lengths}", ids, ends, whole=True, available=available or int(ends[-1])
    )


def recipes(*phases: Phase, target: int | None = None, base: Phase | None = None) -> RecipeFile:
    """A file with a recipe ``r``, on a base ``b`` where one is given."""
    found = {
        "r": Recipe(phases=phases, base=None if base is None else Base(recipe="b"), target_tokens=target)
    }
    if base is not None:
        found["b"] = Recipe(phases=(base,))
    return RecipeFile(sources={"a": Source(text="a"), "b": Source(text="b")}, recipes=found)


def mixed(
    file: RecipeFile, sources: list[TokenisedSource], folder: Path, *, tokens=0, seed=0, name="r"
) -> Mix:
    """A laid-out recipe."""
    by_name = {one.name: one for one in sources}
    return mix_recipe(file, name, by_name, size_tokens=tokens, window=WINDOW, seed=seed, folder=folder)


def read(mix: Mix) -> list[int]:
    """All token ids in the order of training."""
    return [int(token) for number in range(len(mix.ends)) for token in mix.window(number)]


lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(lengths, st.integers(0, 2000), st.integers(1, 2000))
def test_draws_come_nearest_to_what_is_asked(documents: list[int], skip: int, asked: int):
    """No other number of pieces comes nearer, going round a source as often as it takes."""
    pieces = draw_pieces(np.cumsum(documents), window=WINDOW, rng=stream("x"))
    assert pieces.lengths.sum() == sum(documents)
    assert pieces.lengths.max() <= WINDOW
    several = np.tile(pieces.lengths, 1 + (skip + asked) // sum(documents) + 1)
    totals = np.concatenate([[0], np.cumsum(several)])
    nearest = pieces.nearest(asked)
    assert abs(totals[nearest] - asked) == np.abs(totals - asked).min()
    pool = pool_of(pieces, pool_tokens=asked, skip_tokens=skip)
    assert abs(pool.lengths.sum() - asked) <= WINDOW


@settings(max_examples=25)
@given(lengths, lengths, st.integers(1, 9), st.integers(1, 9), st.integers(60, 900), st.booleans())
def test_shares_hold_within_one_document(
    tmp_path_factory, left, right, weight_a, weight_b, tokens, small_blocks
):
    """Of each source in each phase, however the phase is cut into blocks."""
    file = recipes(Phase(mix={"a": weight_a, "b": weight_b}, share=0.5), Phase(mix={"a": 1}, share=0.5))
    sources = [source("a", left), source("b", right, first_id=10**6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixing, "_BLOCK", 50 if small_blocks else 10**6)
        try:
            mix = mixed(file, sources, tmp_path_factory.mktemp("mix"), tokens=tokens)
        except InputError:  # a share that is under half a document, as below
            assert tokens / 2 * min(weight_a, weight_b) / (weight_a + weight_b) <= WINDOW
            return
    first, second = mix.plan.phases
    share = weight_a / (weight_a + weight_b)
    assert abs(first.read["a"] - share * first.budget) <= WINDOW + 1
    assert abs(first.read["b"] - (1 - share) * first.budget) <= WINDOW + 1
    assert abs(second.read["a"] - second.budget) <= WINDOW + 1
    boundary = sum(len(mix.window(number)) for number in range(first.num_windows))
    counted = Counter("b" if token >= 10**6 else "a" for token in read(mix)[:boundary])
    assert dict(counted) == {name: num for name, num in first.read.items() if num}
    assert all(len(mix.window(number)) <= WINDOW for number in range(len(mix.ends)))


def test_only_documents_longer_than_a_window_are_cut(tmp_path: Path):
    """Each shorter one stands whole in a window; a longer one in pieces of a window and a rest; nothing is lost."""
    sizes = [5, 16, 17, 40, 3, 9]
    file = recipes(Phase(mix={"a": 1}))
    mix = mixed(file, [source("a", sizes)], tmp_path, tokens=sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    whole = [
        set(range(start, start + size)) for start, size in zip(starts, sizes, strict=True) if size <= WINDOW
    ]
    windows = [set(mix.window(number).tolist()) for number in range(len(mix.ends))]
    assert all(any(document <= window for window in windows) for document in whole)
    assert sorted(read(mix)) == list(range(sum(sizes)))
    assert mix.plan.num_cut == {"a": 2}
    assert sorted(mix.units["length"].tolist()) == sorted([5, 16, 16, 1, 16, 16, 8, 3, 9])


def test_repetition_is_the_targets(tmp_path: Path):
    """By hand: 1,000 of 10,000 tokens, half of them from 200: the target reads 500 x 100 / 10 of 200 = 25 times."""
    asked, held = {"a": 500, "b": 500}, {"a": 200, "b": 90_000}
    scarce, plenty = match_repetition(asked, held, held, budget=1_000, target_tokens=10_000)
    assert (scarce.target_repeats, scarce.pool, scarce.repeats) == (25.0, 20, 25.0)
    assert (plenty.target_repeats, plenty.pool, plenty.repeats) == (pytest.approx(5_000 / 90_000), 500, 1.0)
    file = recipes(Phase(mix={"a": 1, "b": 1}, tokens=1_000), target=10_000)
    mix = mixed(file, [source("a", [4] * 50), source("b", [4] * 22_500, first_id=10**6)], tmp_path)
    seen = Counter(read(mix))
    of_a = {num for token, num in seen.items() if token < 10**6}
    assert (sum(token < 10**6 for token in seen), of_a) == (20, {25})
    assert {num for token, num in seen.items() if token >= 10**6} == {1}


def test_without_a_target_a_source_repeats_only_where_it_must():
    """And the plan says so; a source of unknown size is not matched either."""
    [short] = match_repetition({"a": 300}, {"a": 100}, {"a": 100}, budget=300, target_tokens=None)
    assert (short.pool, short.repeats, short.target_repeats) == (100, 3.0, None)
    assert "target_tokens is not given" in str(short.note)
    [unknown] = match_repetition({"a": 50}, {"a": 100}, {"a": None}, budget=50, target_tokens=1_000)
    assert (unknown.pool, unknown.target_repeats) == (50, None)
    assert "give 'available'" in str(unknown.note)
    [cut] = match_repetition({"a": 50}, {"a": 10}, {"a": 10_000}, budget=100, target_tokens=40_000)
    assert (cut.target_repeats, cut.pool, cut.repeats) == (2.0, 10, 5.0)
    assert "too little of it is on disk" in str(cut.note)


def test_a_seed_fixes_the_order_and_sources_are_shared_by_recipes(tmp_path: Path):
    """The same call gives the same windows; another mixture reads the same documents, another seed others."""
    sources = [source("a", [5] * 400), source("b", [7] * 400, first_id=10**6)]
    first = mixed(recipes(Phase(mix={"a": 1, "b": 1}, tokens=600)), sources, tmp_path / "1")
    again = mixed(recipes(Phase(mix={"a": 1, "b": 1}, tokens=600)), sources, tmp_path / "2")
    assert read(first) == read(again)
    other = mixed(recipes(Phase(mix={"a": 1}, tokens=300)), sources, tmp_path / "1")
    assert set(read(other)) == {token for token in read(first) if token < 10**6}
    seeded = mixed(recipes(Phase(mix={"a": 1}, tokens=300)), sources, tmp_path / "1", seed=1)
    assert set(read(seeded)) != set(read(other))


def test_a_layout_is_found_again_and_opened_by_its_hash(tmp_path: Path):
    """Nothing is written twice."""
    sources = [source("a", [5] * 40)]
    file = recipes(Phase(mix={"a": 1}, tokens=100))
    first = mixed(file, sources, tmp_path)
    written = (tmp_path / first.plan.sha256[:32] / "units.bin").stat().st_mtime_ns
    mixed(file, sources, tmp_path)
    assert (tmp_path / first.plan.sha256[:32] / "units.bin").stat().st_mtime_ns == written
    opened = open_mix(first.plan.sha256, tmp_path, {"a": sources[0]})
    assert (opened.plan, read(opened)) == (first.plan, read(first))


def test_a_recipe_on_a_base_reads_on_where_the_base_stopped(tmp_path: Path):
    """No document of an abundant source comes twice, and base and continuation are its beginning."""
    sources = [source("a", [5] * 400)]
    file = recipes(Phase(mix={"a": 1}, tokens=200), base=Phase(mix={"a": 1}, tokens=300))
    base, further = mixed(file, sources, tmp_path, name="b"), mixed(file, sources, tmp_path)
    assert not set(read(base)) & set(read(further))
    together = mixed(recipes(Phase(mix={"a": 1}, tokens=500)), sources, tmp_path)
    assert set(read(base)) | set(read(further)) == set(read(together))


def test_a_budget_below_a_document_is_refused(tmp_path: Path):
    """Instead of a phase without one of its sources."""
    file = recipes(Phase(mix={"a": 1, "b": 99}, tokens=100))
    with pytest.raises(InputError, match="recipe r, phase 1: 1 tokens of a are asked for"):
        mixed(file, [source("a", [9] * 9), source("b", [5] * 400)], tmp_path)
