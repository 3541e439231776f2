"""Scores as they are: every checkpoint on every benchmark, and what was run in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rbridge.align.sources import whose_weights
from rbridge.answers.scores import ScoreRow, score_rows
from rbridge.metric import metric_named
from rbridge.records import Labels, TraceKey
from rbridge.report.text import plural
from rbridge.store.bundles import Bundle
from rbridge.store.runs import Run, RunManifest

# Columns of the table; the other variants are a `rbridge show --json` away.
SHOWN = ("rbridge", "trace_nll", "trace_bits_per_byte")


@dataclass(frozen=True)
class Material:
    """What was run on one bundle.

    Attributes:
        bundle: its name.
        num_checkpoints, num_recipes: of the runs on it; recipes 0 where no run names one.
        num_seeds: fewest and most seeds a recipe and size; None without recipes.
        num_scored: traces scored by at least one checkpoint.
        num_skipped: skips, summed over checkpoints.
        benchmarks, voices: of the traces, sorted.
        shots: the shots that were asked for.
        weights: whose confidence weighs the traces, as a sentence.
    """

    bundle: str
    num_checkpoints: int
    num_recipes: int
    num_seeds: tuple[int, int] | None
    num_scored: int
    num_skipped: int
    benchmarks: tuple[str, ...]
    voices: tuple[str, ...]
    shots: tuple[int, ...]
    weights: str


@dataclass(frozen=True)
class ScoreTable:
    """All checkpoints of one bundle.

    Attributes:
        bundle: its name.
        weights: whose confidence weighs the traces, as a sentence.
        metrics: columns, those that at least one row has.
        footnotes: what the metrics are, and why cells are empty.
    """

    bundle: str
    weights: str
    metrics: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    footnotes: tuple[str, ...]


@dataclass(frozen=True)
class RunScores:
    """What the page needs of one run, so that its token scores can be let go.

    Attributes:
        keys: traces that it scored.
        rows: a row per benchmark, voice and shots.
    """

    manifest: RunManifest
    bundle: str
    keys: frozenset[TraceKey]
    rows: tuple[ScoreRow, ...]


def read_scores(run: Run, bundles: Sequence[Bundle]) -> RunScores:
    """Means of one run; its tokens are read here and nowhere else."""
    scored = run.scored()
    keys = frozenset(one.key for one in scored)
    return RunScores(run.manifest, bundle_name(run.manifest, bundles), keys, score_rows(run, scored))


def bundle_name(manifest: RunManifest, bundles: Sequence[Bundle]) -> str:
    """The name of a run's bundle: its own where it is at hand, else its folder's."""
    for bundle in bundles:
        if bundle.manifest.content_sha256 == manifest.bundle_sha256:
            return bundle.manifest.name
    return manifest.bundle.rstrip("/").rsplit("/", 1)[-1] or manifest.bundle_sha256[:12]


def score_tables(runs: Sequence[RunScores]) -> tuple[ScoreTable, ...]:
    """A table per bundle, in the order of the runs."""
    return tuple(_table(found) for found in _by_bundle(runs).values())


def materials(runs: Sequence[RunScores]) -> tuple[Material, ...]:
    """What was run, a line per bundle."""
    return tuple(_material(found) for found in _by_bundle(runs).values())


def _by_bundle(runs: Sequence[RunScores]) -> dict[str, list[RunScores]]:
    found: dict[str, list[RunScores]] = {}
    for run in runs:
        found.setdefault(run.manifest.bundle_sha256, []).append(run)
    return found


def _table(runs: Sequence[RunScores]) -> ScoreTable:
    rows = tuple(row for run in runs for row in run.rows)
    shown = tuple(name for name in SHOWN if any(name in row.means for row in rows))
    return ScoreTable(
        bundle=runs[0].bundle,
        weights=whose_weights(_sources(runs)),
        metrics=shown,
        rows=rows,
        footnotes=tuple(_footnotes(rows, shown)),
    )


def _footnotes(rows: Sequence[ScoreRow], shown: Sequence[str]) -> Iterator[str]:
    for name in shown:
        known = metric_named(name)
        assert known is not None  # SHOWN are metrics of the catalogue
        yield f"{name}: {known.meaning}, {known.unit}."
    if "rbridge" not in shown:
        yield "No rbridge: the traces have no weights."
    if any(row.num_scored == 0 for row in rows):
        yield "Where n is 0 every trace was skipped, for reasons under Provenance."
    if any(mean.stderr is None for row in rows for mean in row.means.values()):
        yield "A single trace has no standard error."
    constant = sum(row.num_constant for row in rows)
    if constant:
        yield f"MinMax is undefined on {plural(constant, 'scored trace')} of constant weights, which count as 1."


def _material(runs: Sequence[RunScores]) -> Material:
    scored = {key for run in runs for key in run.keys}
    seeds = _seeds([run.manifest.labels for run in runs])
    rows = [row for run in runs for row in run.rows]
    return Material(
        bundle=runs[0].bundle,
        num_checkpoints=len(runs),
        num_recipes=len({recipe for recipe, _ in seeds}),
        num_seeds=(min(seeds.values()), max(seeds.values())) if seeds else None,
        num_scored=len(scored),
        num_skipped=sum(row.num_skipped for row in rows),
        benchmarks=tuple(sorted({row.benchmark for row in rows})),
        voices=tuple(sorted({row.voice for row in rows})),
        shots=tuple(sorted({run.manifest.shots for run in runs})),
        weights=whose_weights(_sources(runs)),
    )


def _seeds(labels: Sequence[Labels]) -> dict[tuple[str, str | None], int]:
    """Seeds of each recipe at each size; checkpoints without one count each, those of one training count once."""
    named = {(one.recipe, one.size, one.seed) for one in labels if one.recipe and one.seed is not None}
    unnamed = [(one.recipe, one.size) for one in labels if one.recipe and one.seed is None]
    return Counter([*((recipe, size) for recipe, size, _ in named), *unnamed])


def _sources(runs: Sequence[RunScores]) -> set[str]:
    return {source for run in runs for source in run.manifest.weight_sources}
