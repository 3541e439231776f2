"""The demo from end to end: score a real model, train proxies, rank recipes, write the page."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from rbridge.benchmarks import resolve_questions
from rbridge.demo.compare import Compared, compare
from rbridge.demo.real import score_real_model
from rbridge.errors import InputError
from rbridge.miniature.dose import trace_like_share
from rbridge.miniature.jobs import proxy_jobs
from rbridge.miniature.recipes import RECIPES, Recipe
from rbridge.miniature.run import MiniatureRun, run_miniature
from rbridge.miniature.targets import COMMAND, Recorded, recorded
from rbridge.miniature.train import job_texts
from rbridge.miniature.voices import bundle_of
from rbridge.report import HeatMap, RecordedTargets, build_page, heat_map, render
from rbridge.scoring.checkpoints import expand
from rbridge.scoring.sweep import ScoreSettings, sweep
from rbridge.store.bundles import Bundle
from rbridge.store.files import write_bytes
from rbridge.store.runs import Run, RunStore
from rbridge.traces.named import STARTER, open_bundle

# The trace that is shown token by token. Pictures show GSM8K, MATH or HumanEval: ARC is share-alike.
SHOWN = "gsm8k/98"


# The miniature's styles as a reader of the page needs them.
_STYLES = {
    "standard": "right, in the words of the frontier's traces",
    "15 % of steps wrong": "in the traces' words, each step wrong with probability 15 %",
    "50 % of steps wrong": "in the traces' words, each step wrong with probability 50 %",
    "of another problem": "in the traces' words, right sums that belong to another question",
    "other words": "right, in words that the traces never use: the declared trap of any score by likelihood",
}


@dataclass(frozen=True)
class Demo:
    """What the demo gave.

    Attributes:
        page: the HTML file.
        real: the real model's run on the starter traces.
        proxies: runs of the miniature's proxies.
        compared: their ranking, beside controls and nulls.
        targets: the recorded accuracies that it is held against.
    """

    page: Path
    real: Run
    proxies: tuple[Run, ...]
    compared: Compared
    targets: Recorded


def run_demo(out: Path, *, progress: Callable[[str], None]) -> Demo:
    """Run the main job on what ships; what an earlier call finished in ``out`` is kept.

    The real model is scored in this process, on one thread, while two others train the miniature.

    Raises:
        InputError: a package that carries a model or questions is missing.
    """
    torch.set_num_threads(1)
    store = RunStore(out / "runs")
    starter = open_bundle(STARTER)
    with ThreadPoolExecutor(1) as background:
        training = background.submit(
            run_miniature,
            out / "miniature",
            jobs=proxy_jobs(),
            progress=lambda line: progress(f"miniature: {line}"),
        )
        real = score_real_model(starter, store, progress=lambda line: progress(f"starter: {line}"))
        miniature = training.result()
    bundle = bundle_of(miniature.traces, out / "miniature" / "bundle")
    proxies = _score_proxies(miniature, bundle, store, progress)
    targets = recorded()
    compared = compare(
        proxies,
        targets=targets.path,
        accuracies=[(str(m.labels.recipe), m.labels.seed or 0, m.accuracy) for m in miniature.proxies],
        dose=_doses(bundle),
    )
    page = out / "report.html"
    write_bytes(page, _page(starter, bundle, real, proxies, compared, targets).encode())
    return Demo(page, real, proxies, compared, targets)


def _score_proxies(
    miniature: MiniatureRun, bundle: Bundle, store: RunStore, progress: Callable[[str], None]
) -> tuple[Run, ...]:
    checkpoints = expand([str(model.folder) for model in miniature.proxies])
    progress(f"miniature: scoring {len(checkpoints)} proxies on {len(bundle.traces)} traces")
    result = sweep(checkpoints, bundle, store, ScoreSettings(shots=0))
    if result.failures:
        raise InputError(result.failures[0].reason)
    return result.runs


def _doses(bundle: Bundle) -> dict[str, float]:
    traces = [trace.reasoning for trace in bundle.traces]
    return {job.recipe.name: trace_like_share(job_texts(job), traces) for job in proxy_jobs(seeds=(0,))}


def _page(
    starter: Bundle,
    bundle: Bundle,
    real: Run,
    proxies: tuple[Run, ...],
    compared: Compared,
    targets: Recorded,
) -> str:
    today = datetime.now(UTC)
    page = build_page(
        title="A real model on real traces, and eight recipes in a small world",
        now=f"{today.day} {today:%B %Y}",
        groups=(compared.ranking,),
        comparison=compared.rows,
        runs=(real, *proxies),
        bundles=(starter, bundle),
        heatmaps=(_heat(starter, real),),
        recipes={recipe.name: _in_words(recipe) for recipe in RECIPES},
        recorded_targets=RecordedTargets(
            what=(
                f"accuracy of {targets.num_seeds} models a recipe of {targets.parameters:,} parameters, trained on "
                f"{targets.tokens:,} tokens, on {targets.num_problems} held-out problems"
            ),
            command=COMMAND,
            recorded=targets.date,
            num_seeds=targets.num_seeds,
            num_problems=targets.num_problems,
        ),
    )
    return render(page)


def _in_words(recipe: Recipe) -> str:
    parts = [f"{100 * part.share:.0f} % reasoning, {_STYLES[part.style]}" for part in recipe.parts]
    rest = 1 - sum(part.share for part in recipe.parts)
    return "; ".join([*parts, f"{100 * rest:.0f} % Python source text"])


def _heat(starter: Bundle, real: Run) -> HeatMap:
    trace = starter.trace(SHOWN)
    (asked,) = resolve_questions([trace]).traces
    return heat_map(
        trace, real.trace(trace.key), checkpoint=real.manifest.checkpoint, question=asked.question
    )
