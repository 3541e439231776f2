"""Made-up traces, runs, rankings and comparisons, and a page with every part on it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from rbridge.answers.rank import RankedGroup, RankQuestion, rank_groups, rank_runs
from rbridge.rank import Agreement
from rbridge.records import Labels, ScoredTrace, TokenScores, Trace, TraceKey
from rbridge.report import ComparisonRow, Gain, Page, RecordedTargets, build_page, heat_map
from rbridge.store.bundles import Bundle, read_bundle, write_bundle
from rbridge.store.runs import Run, RunManifest, RunStore, read_runs

REASONING = "Okay. 7 + 7 = 14. So 14 - 5 = 9."
QUESTION = "Finn has 7 stamps, doubles, gives 5. How many?"
RECIPES = {"good": 0.3, "fair": 0.6, "twin": 0.6, "poor": 1.2, "worst": 1.6}
TARGETS = {"good": 0.8, "fair": 0.6, "twin": 0.55, "poor": 0.3, "worst": 0.2}
RECORDED = RecordedTargets(
    "accuracy of 283k-parameter models", "rbridge miniature targets", "2026-11-20", 2, 300
)


def make_traces(benchmark: str, count: int, reasoning: str = REASONING) -> list[Trace]:
    """Traces of one benchmark, all with the same words."""
    return [
        Trace(TraceKey(benchmark, str(n), "writer"), reasoning, question=QUESTION, weight_source="self")
        for n in range(count)
    ]


def score_trace(trace: Trace, loss: float, rng: np.random.Generator, *, weighed: bool = True) -> ScoredTrace:
    """A trace as a proxy of that mean loss might have read it, in tokens of up to four bytes."""
    num_bytes = len(trace.reasoning.encode())
    edges = np.append(np.arange(0, num_bytes, 4), num_bytes)
    num = len(edges) - 1
    tokens = TokenScores(
        nll=loss * rng.uniform(0.8, 1.2, num),
        weight=rng.beta(4, 1, num) if weighed else None,
        start=edges[:-1],
        end=edges[1:],
        num_bytes=num_bytes,
    )
    return ScoredTrace(trace.key, 0, trace.weight_source if weighed else None, tokens)


def make_manifest(checkpoint: str, bundle: Bundle, **facts: object) -> RunManifest:
    """A manifest of made-up facts about a run on that bundle."""
    known = {
        "key": checkpoint.encode().hex().ljust(64, "0"),
        "checkpoint": checkpoint,
        "revision": None,
        "weights_sha256": "ab" * 32,
        "tokenizer_sha256": "cd" * 32,
        "architecture": "X",
        "parameters": 47_136,
        "context_length": 128,
        "dtype": "float32",
        "device": "cpu",
        "threads": 2,
        "prefix_ids": [],
        "bundle": str(bundle.path),
        "bundle_sha256": bundle.manifest.content_sha256,
        "weight_sources": ["self"],
        "question_sources": {"sums": "bundle"},
        "shots": 0,
        "limit": None,
        "benchmarks": ["sums"],
        "num_scored": len(bundle.traces),
        "skipped": [],
        "versions": {"python": "3.11.7"},
        "created": "2026-11-24T00:10:00+00:00",
        "seconds": 1.25,
        "max_probe_difference": 2.4e-7,
    }
    return RunManifest.model_validate({**known, **facts})


def make_bundle(path: Path, traces: list[Trace], **facts: object) -> Bundle:
    """A bundle on disk, read back."""
    write_bundle(path, traces, **facts)
    return read_bundle(path)


def make_runs(
    root: Path, bundle: Bundle, recipes: dict[str, float], *, seeds: int = 2, weighed: bool = True
) -> tuple[Run, ...]:
    """Runs of every recipe and seed on a bundle, written by the store and read back."""
    rng = np.random.default_rng(7)
    store = RunStore(root)
    for recipe, loss in recipes.items():
        for seed in range(seeds):
            scored = [score_trace(trace, loss, rng, weighed=weighed) for trace in bundle.traces]
            labels = Labels(recipe=recipe, seed=seed, size="p32", tokens=150_000)
            store.finish(make_manifest(f"{recipe}-s{seed}", bundle, labels=labels), scored)
    return read_runs(root)


def write_table(path: Path, columns: list[str], rows: list[list[object]]) -> Path:
    """A CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def make_page(root: Path, *, show_text: bool = True) -> Page:
    """A page with every part on it: five recipes of two seeds, targets, nulls, a heat-map."""
    traces = make_traces("sums", 12)
    bundle = make_bundle(root / "bundle", traces, name="sums-12")
    runs = make_runs(root / "runs", bundle, RECIPES)
    targets = write_table(root / "targets.csv", ["recipe", "acc"], [[*pair] for pair in TARGETS.items()])
    ranked = {
        metric: rank_runs(runs, RankQuestion(root / "runs", proxy=metric, target="acc", targets=targets))[0]
        for metric in ("rbridge", "trace_nll")
    }
    observations = write_table(
        root / "dose.csv",
        ["recipe", "dose", "acc"],
        [[recipe, dose, TARGETS[recipe]] for recipe, dose in zip(RECIPES, (5, 4, 4, 1, 2), strict=True)],
    )
    dose = rank_groups(RankQuestion(observations, proxy="dose", higher=True, target="acc", by=()))[0]
    rows = [
        ComparisonRow.of(ranked["rbridge"], kind="score", gains=(Gain("dose", 0.05, (-0.2, 0.3)),)),
        ComparisonRow.of(ranked["trace_nll"], kind="control"),
        replace(ComparisonRow.of(dose, kind="null", meaning="trace-like tokens"), group="sums"),
    ]
    scored = {one.key: one for one in runs[0].scored()}
    return build_page(
        title="Five recipes",
        now="2026-11-24",
        groups=[ranked["rbridge"]],
        comparison=rows,
        runs=runs,
        bundles=[bundle],
        heatmaps=[heat_map(traces[0], scored[traces[0].key], checkpoint="fair-s0")],
        recorded_targets=RECORDED,
        show_text=show_text,
    )


def ranked(values: dict[str, list[float]], tmp_path: Path, **question: object) -> RankedGroup:
    """A ranking of a table: recipes with a value for each seed, lower is better."""
    rows = [[name, seed, value] for name, seeds in values.items() for seed, value in enumerate(seeds)]
    table = write_table(tmp_path / "table.csv", ["recipe", "seed", "loss"], rows)
    return rank_groups(RankQuestion(table, proxy="loss", lower=True, by=(), **question))[0]


def made_agreement(
    accuracy: float | None,
    interval: tuple[float, float] | None = (0.6, 0.9),
    *,
    pairs: int = 28,
    p_value: float = 0.04,
) -> Agreement:
    """Agreement of eight recipes with a target."""
    return Agreement(
        decision_accuracy=accuracy,
        interval=interval,
        kendall_tau=0.5,
        p_value=p_value,
        num_recipes=8,
        num_pairs=pairs,
        num_ties=0,
        one_seed=0.7,
        num_seeds=2,
        reason=None if accuracy is not None else "made up",
    )


def comparison_row(
    name: str,
    kind: str,
    accuracy: float | None,
    interval: tuple[float, float] | None = (0.6, 0.9),
    **more: object,
) -> ComparisonRow:
    """A row of that decision accuracy."""
    pairs = more.pop("pairs", 28)
    found = made_agreement(accuracy, interval, pairs=pairs, p_value=more.pop("p_value", 0.04))
    return ComparisonRow(name, "", kind, lower_is_better=True, agreement=found, **more)


DOSE = comparison_row("dose", "null", 0.65)
