"""The miniature's study from recipes to scored proxies: train everything, write the traces, score, count the nulls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rbridge.answers.null import NullRow, null_rows
from rbridge.errors import InputError
from rbridge.miniature.dose import trace_like_share
from rbridge.miniature.frontier import VOICE
from rbridge.miniature.full import LADDER, SEEDS, TARGET, study_jobs
from rbridge.miniature.jobs import FRONTIER, Job, Trained
from rbridge.miniature.recipes import Recipe
from rbridge.miniature.run import run_miniature
from rbridge.miniature.voices import VOICES, bundle_of
from rbridge.proxies.ladder import Size
from rbridge.proxies.pool import training_pool
from rbridge.scoring.checkpoints import expand
from rbridge.scoring.readings import Wanted
from rbridge.scoring.sweep import ScoreSettings, sweep
from rbridge.store.bundles import Bundle, read_bundle
from rbridge.store.files import write_bytes
from rbridge.store.runs import Run, RunStore

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a study is made of.

    Attributes:
        recipes: the candidates.
        seeds: of proxies and targets.
        ladder: sizes of the proxies, smallest first; the two largest read every voice.
        target: size of the targets.
        frontier: the model that writes the traces.
        num_traces: verified traces to write.
        voices: styles in which the same problems are written as well.
    """

    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...] = SEEDS
    ladder: tuple[Size, ...] = LADDER
    target: Size = TARGET
    frontier: Job = FRONTIER
    num_traces: int = 40
    voices: tuple[str, ...] = VOICES

    @property
    def jobs(self) -> list[Job]:
        """Every proxy and target, in the order in which they are trained."""
        return study_jobs(self.recipes, seeds=self.seeds, ladder=self.ladder, target=self.target)


@dataclass(frozen=True)
class Study:
    """What came out, before anything is ranked.

    Attributes:
        plan: what was asked for.
        models: every finished proxy and target.
        runs: of the proxies, by size.
        doses: share of trace-like text, by recipe.
        nulls: n-gram null, a row a recipe.
        bundle: the traces.
    """

    plan: Plan
    models: tuple[Trained, ...]
    runs: Mapping[str, tuple[Run, ...]]
    doses: Mapping[str, float]
    nulls: tuple[NullRow, ...]
    bundle: Bundle

    @property
    def targets(self) -> tuple[Trained, ...]:
        """The finished targets."""
        return tuple(model for model in self.models if model.labels.size == self.plan.target.name)


def run_study(out: Path, plan: Plan, *, processes: int, progress: Progress) -> Study:
    """Do everything that ``out`` does not hold yet; a stopped run goes on.

    Args:
        out: folder for ``proxies/`` (and targets), ``frontier/``, ``traces.jsonl``, ``bundle/``, ``runs/<size>/``.
        plan: what to do.
        processes: workers that train and score, one core each.
        progress: told one line at a time.
    """
    trained = run_miniature(
        out,
        jobs=plan.jobs,
        frontier=plan.frontier,
        num_traces=plan.num_traces,
        processes=processes,
        progress=progress,
    )
    return read_study(out, plan, trained.proxies, processes=processes, progress=progress)


def read_study(
    out: Path, plan: Plan, models: Sequence[Trained], *, processes: int = 1, progress: Progress
) -> Study:
    """Score the proxies among ``models``, sizes side by side, and count the nulls; what is there is kept."""
    bundle = bundle_of(out / "traces.jsonl", out / "bundle", voices=plan.voices)
    runs = _score_all(out, plan, models, processes=processes, progress=progress)
    texts = {recipe.name: _sample(out / "texts", recipe, plan) for recipe in plan.recipes}
    spoken = [trace for trace in bundle.traces if trace.key.voice == VOICE]
    traces = [trace.reasoning for trace in spoken]
    return Study(
        plan=plan,
        models=tuple(models),
        runs=runs,
        doses={name: trace_like_share(_read(file), traces) for name, file in texts.items()},
        nulls=tuple(null_rows([f"{name}={file}" for name, file in texts.items()], spoken)),
        bundle=bundle,
    )


def _score_all(
    out: Path, plan: Plan, models: Sequence[Trained], *, processes: int, progress: Progress
) -> Mapping[str, tuple[Run, ...]]:
    """Each size's runs. The largest sizes read every voice, so they start first."""
    folders = {
        size: [str(model.folder) for model in models if model.labels.size == size.name]
        for size in plan.ladder
    }
    progress(f"scoring {sum(map(len, folders.values()))} proxies")
    with training_pool(processes) as pool:
        running = {
            size: pool.submit(_score, out, size.name, folders[size], every_voice=size in plan.ladder[-2:])
            for size in reversed(plan.ladder)
            if folders[size]
        }
        return {size.name: running[size].result() for size in plan.ladder if size in running}


def _score(out: Path, size: str, folders: Sequence[str], *, every_voice: bool) -> tuple[Run, ...]:
    """In a worker: score the proxies of one size."""
    settings = ScoreSettings(
        shots=0,
        device="cpu",
        voices=() if every_voice else (VOICE,),
        further=Wanted(margin=True, gold=True, baselines=True),
    )
    result = sweep(expand(folders), read_bundle(out / "bundle"), RunStore(out / "runs" / size), settings)
    if result.failures:
        raise InputError(result.failures[0].reason)
    return result.runs


def _sample(folder: Path, recipe: Recipe, plan: Plan) -> Path:
    """The text that the middle proxy of the first seed reads, one JSON line a document: equal in size for all."""
    from rbridge.miniature.train import job_texts

    texts = job_texts(Job(recipe, plan.ladder[len(plan.ladder) // 2], plan.seeds[0], 0))
    file = folder / f"{recipe.name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(file, "".join(f"{json.dumps({'text': text})}\n" for text in texts).encode())
    return file


def _read(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
