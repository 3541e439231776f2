"""A recipe's training windows, laid out on disk before training: which pieces of which source share each one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from rbridge.errors import InputError
from rbridge.recipes.draw import Pieces, draw_pieces, pool_of, stream
from rbridge.recipes.packing import share_windows
from rbridge.recipes.repetition import Repetition, match_repetition
from rbridge.recipes.spec import RecipeFile
from rbridge.recipes.tokens import TokenisedSource
from rbridge.store.files import new_folder, sha256_json, write_json

_VERSION = 1
# Tokens mixed at a time: every block of a phase holds the asked shares, and memory holds one.
_BLOCK = 1 << 26
_ABOUT = "mix.json"
_UNIT = np.dtype([("source", "<u2"), ("start", "<i8"), ("length", "<i4")])


@dataclass(frozen=True)
class PhaseMix:
    """What a phase reads.

    Attributes:
        budget: tokens asked for.
        num_windows: windows that hold them.
        asked, read: tokens by source.
    """

    budget: int
    num_windows: int
    asked: Mapping[str, int]
    read: Mapping[str, int]


@dataclass(frozen=True)
class MixPlan:
    """What a recipe reads in one run, as numbers.

    Attributes:
        sha256: of everything that decides it.
        window: tokens.
        phases: in order.
        repetitions: how often each source repeats, here and in the large run.
        num_cut: documents longer than a window, by source, in all that is on disk.
    """

    sha256: str
    window: int
    phases: tuple[PhaseMix, ...]
    repetitions: tuple[Repetition, ...]
    num_cut: Mapping[str, int]

    @property
    def num_windows(self) -> int:
        """Of all phases."""
        return sum(phase.num_windows for phase in self.phases)

    @property
    def num_tokens(self) -> int:
        """Tokens of documents, padding left out."""
        return sum(sum(phase.read.values()) for phase in self.phases)


@dataclass(frozen=True)
class Mix:
    """A laid-out recipe, whose windows are read off the disk.

    Attributes:
        plan: its numbers.
        sources: its sources' tokens, in the order that ``units`` counts them.
        units: pieces in the order of training: source, start among its ids, length.
        ends: where each window ends in ``units``.
    """

    plan: MixPlan
    sources: tuple[TokenisedSource, ...]
    units: np.ndarray
    ends: Int[np.ndarray, " windows"]

    def window(self, number: int) -> Int[np.ndarray, " tokens"]:
        """Token ids of a window, padding left out."""
        first = int(self.ends[number - 1]) if number else 0
        units = self.units[first : int(self.ends[number])]
        return np.concatenate([
            self.sources[unit["source"]].ids[unit["start"] : unit["start"] + unit["length"]] for unit in units
        ]).astype(np.int64)  # fmt: skip


def mix_recipe(
    recipes: RecipeFile,
    name: str,
    sources: Mapping[str, TokenisedSource],
    *,
    size_tokens: int,
    window: int,
    seed: int,
    folder: Path,
) -> Mix:
    """Lay out a recipe's windows, or take them from ``folder`` where they stand.

    Each source is drawn to its share of the tokens of each phase, within one document (or window, where
    documents are longer). The order of a source's documents hangs on seed and source alone, so that recipes
    that share a source read the same documents of it. A recipe with a base goes on where the base stopped.

    Args:
        recipes: the file.
        name: of the recipe.
        sources: at least those of its phases and its bases'.
        size_tokens: the size's own budget, for phases that ask for a share of it.
        window: tokens of a window; a longer document is cut at its borders.
        seed: of documents and order.
        folder: where layouts are kept.

    Raises:
        InputError: the budget holds not even a document of some source.
    """
    budgets = recipes.recipes[name].budgets(size_tokens)
    asked = _asked(recipes, name, budgets)
    used = sorted({source for phase in asked for source in phase})
    skipped = _read_by_bases(recipes, name, size_tokens)
    key = sha256_json([
        _VERSION, [[source, sources[source].sha256, sources[source].available] for source in used],
        asked, skipped, recipes.target_of(name), window, seed,
    ])  # fmt: skip
    place = folder / key[:32]
    if not (place / _ABOUT).is_file():
        totals = {source: sum(phase.get(source, 0) for phase in asked) for source in used}
        repetitions = match_repetition(
            totals,
            {source: sources[source].num_tokens for source in used},
            {source: sources[source].available for source in used},
            budget=sum(budgets),
            target_tokens=recipes.target_of(name),
        )
        pools, num_cut = _pools(repetitions, sources, skipped, window=window, seed=seed)
        plan = MixPlan(key, window, (), repetitions, num_cut)
        hashes = {source: sources[source].sha256 for source in used}
        _write(place, name, plan, asked, pools, hashes, seed=seed)
    return open_mix(key, folder, {source: sources[source] for source in used})


def _asked(recipes: RecipeFile, name: str, budgets: Sequence[int]) -> list[dict[str, int]]:
    """Tokens by source of each phase."""
    phases = recipes.recipes[name].phases
    return [
        {source: round(share * budget) for source, share in phase.shares.items()}
        for phase, budget in zip(phases, budgets, strict=True)
    ]


def _read_by_bases(recipes: RecipeFile, name: str, size_tokens: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for below in recipes.chain(name)[:-1]:
        for phase in _asked(recipes, below, recipes.recipes[below].budgets(size_tokens)):
            for source, num in phase.items():
                found[source] = found.get(source, 0) + num
    return found


def _pools(
    repetitions: Sequence[Repetition],
    sources: Mapping[str, TokenisedSource],
    skipped: Mapping[str, int],
    *,
    window: int,
    seed: int,
) -> tuple[dict[str, Pieces], dict[str, int]]:
    pools: dict[str, Pieces] = {}
    num_cut: dict[str, int] = {}
    for one in repetitions:
        pieces = draw_pieces(sources[one.source].ends, window=window, rng=stream("source", seed, one.source))
        # What the large run repeats, it repeats from base to mid-training too: the same pool serves both.
        scarce = one.target_repeats is not None and one.target_repeats > 1
        skip = 0 if scarce else skipped.get(one.source, 0)
        pools[one.source] = pool_of(pieces, pool_tokens=one.pool, skip_tokens=skip)
        num_cut[one.source] = pieces.num_cut
    return pools, num_cut


def _write(
    place: Path,
    name: str,
    plan: MixPlan,
    asked: Sequence[Mapping[str, int]],
    pools: Mapping[str, Pieces],
    hashes: Mapping[str, str],
    *,
    seed: int,
) -> None:
    order = {source: number for number, source in enumerate(pools)}
    done = dict.fromkeys(pools, 0)
    phases = []
    try:
        with new_folder(place) as scratch:
            with (scratch / "units.bin").open("wb") as units, (scratch / "ends.bin").open("wb") as ends:
                for number, phase in enumerate(asked):
                    num_windows, read = 0, dict.fromkeys(phase, 0)
                    for block, drawn in enumerate(_blocks(phase, pools, done)):
                        rng = stream("order", seed, number, block)
                        for members in _lay_out(drawn, order, window=plan.window, rng=rng):
                            units.write(members.tobytes())
                            ends.write(np.int64(units.tell() // _UNIT.itemsize).tobytes())
                            num_windows += 1
                        for source, pieces in drawn.items():
                            read[source] += int(pieces.lengths.sum())
                    _refuse_empty(name, number, phase, read)
                    phases.append(PhaseMix(sum(phase.values()), num_windows, dict(phase), read))
            laid_out = replace(plan, phases=tuple(phases))
            write_json(scratch / _ABOUT, {"format_version": _VERSION, "sources": hashes, **asdict(laid_out)})
    except (InputError, OSError):
        if not (place / _ABOUT).is_file():  # else another process was quicker
            raise


def _refuse_empty(name: str, number: int, asked: Mapping[str, int], read: Mapping[str, int]) -> None:
    for source, num in read.items():
        if not num:
            raise InputError(
                f"recipe {name}, phase {number + 1}: {asked[source]} tokens of {source} are asked for, and its next "
                "document is more than twice as long; give the phase more tokens, or the source a finer 'split'"
            )


def _blocks(
    asked: Mapping[str, int], pools: Mapping[str, Pieces], done: dict[str, int]
) -> Iterator[dict[str, Pieces]]:
    """The phase's pieces, a block at a time; ``done`` counts the tokens asked for so far, so no error adds up."""
    num_blocks = -(-sum(asked.values()) // _BLOCK)
    started = dict(done)
    for block in range(num_blocks):
        drawn = {}
        for source, num in asked.items():
            until = started[source] + num * (block + 1) // num_blocks
            pool = pools[source]
            drawn[source] = pool.part(pool.nearest(done[source]), pool.nearest(until))
            done[source] = until
        yield drawn


def _lay_out(
    drawn: Mapping[str, Pieces], order: Mapping[str, int], *, window: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Windows in random order, each the units that it holds."""
    units = np.concatenate([_units(order[source], pieces) for source, pieces in drawn.items()])
    units = units[rng.permutation(len(units))]
    shared = share_windows(units["length"].tolist(), window)
    return [units[shared[at]] for at in rng.permutation(len(shared))]


def _units(source: int, pieces: Pieces) -> np.ndarray:
    units = np.empty(len(pieces.starts), _UNIT)
    units["source"], units["start"], units["length"] = source, pieces.starts, pieces.lengths
    return units


def open_mix(sha256: str, folder: Path, sources: Mapping[str, TokenisedSource]) -> Mix:
    """The layout that ``mix_recipe`` kept in ``folder`` under its hash, with the sources of ``mix_sources``."""
    place = folder / sha256[:32]
    about = _about(place)
    plan = MixPlan(
        sha256=about["sha256"],
        window=about["window"],
        phases=tuple(PhaseMix(**phase) for phase in about["phases"]),
        repetitions=tuple(Repetition(**one) for one in about["repetitions"]),
        num_cut=about["num_cut"],
    )
    units = np.memmap(place / "units.bin", dtype=_UNIT, mode="r")
    ends = np.memmap(place / "ends.bin", dtype=np.int64, mode="r")
    return Mix(plan, tuple(sources[name] for name in about["sources"]), units, ends)


def mix_sources(sha256: str, folder: Path) -> dict[str, str]:
    """The hash of each source's tokens in a layout, under which ``open_tokens`` finds them."""
    return dict(_about(folder / sha256[:32])["sources"])


def _about(place: Path) -> dict[str, Any]:
    return dict(json.loads((place / _ABOUT).read_bytes()))
