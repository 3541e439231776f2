"""What a study makes: checked sources, a tokenizer, trained proxies, their scores, evaluated targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rbridge.errors import InputError
from rbridge.recipes.spec import Phase, Recipe, RecipeFile
from rbridge.records import Trace
from rbridge.store.files import replaced_folder, write_bytes
from rbridge.study.build import recipe_sources
from rbridge.study.execute import Outcome, Progress
from rbridge.study.read import BASE, Study, questions_of, selected
from rbridge.study.results import Results
from rbridge.study.spec import Ladder, Measured, TokenizerTraining
from rbridge.study.units import Unit

TOKENIZER = "tokenizer"
PROXIES = "proxies"
RUNS = "runs"
EVALUATIONS = "evaluations"
NULLS = "nulls"


def check_source(results: Results, unit: Unit, progress: Progress) -> Outcome:
    """Read a source whole: what of the benchmarks' questions and traces stands in it."""
    from rbridge.recipes import check_contamination

    study = results.study
    name = unit.id.removeprefix("source/")
    alone = RecipeFile(
        sources={name: study.recipes.sources[name]}, recipes={name: Recipe(phases=(Phase(mix={name: 1.0}),))}
    )
    found = check_contamination(alone, _traces(study), progress=progress)
    return Outcome({"contamination": [asdict(one) for one in found]})


def check_recipe(results: Results, unit: Unit, _: Progress) -> Outcome:
    """The worst that was found in a recipe's sources; refused where that is more than the study allows.

    Raises:
        InputError: it is.
    """
    study = results.study
    assert unit.recipe is not None
    rows = [
        row
        for source in recipe_sources(study.recipes, unit.recipe)
        for row in results.found(f"source/{source}")["contamination"]
        if row["contaminated"]["value"] is not None
    ]
    worst = max(
        rows, key=lambda row: (row["judged"]["leaked"] or 0.0, row["contaminated"]["value"]), default=None
    )
    limit = study.spec.contamination.refuse_above
    share = 0.0 if worst is None else worst["judged"]["leaked"] or 0.0
    if worst is not None and limit is not None and share > limit:
        raise InputError(
            f"recipe {unit.recipe}: {share:.1%} of the {worst['what']} of {worst['benchmark']} stand in its source "
            f"{worst['source']} (such as {', '.join(worst['first'])}), and the study refuses more than {limit:.1%}: "
            "take them out of the source, or leave the benchmark out"
        )
    return Outcome({"worst": worst})


def make_tokenizer(results: Results, _unit: Unit, _: Progress) -> Outcome:
    """The tokenizer that all models read with, in the results' folder."""
    from rbridge.proxies.vocabulary import open_tokenizer, trained_tokenizer

    study = results.study
    folder = study.file(TOKENIZER)
    training = study.spec.tokenizer
    if isinstance(training, TokenizerTraining):
        sources = {name: study.recipes.sources[name] for name in training.sources}
        tokenizer = trained_tokenizer(
            sources, vocab_size=training.vocab_size, folder=folder, sample_chars=training.sample_chars
        )
    else:
        tokenizer = open_tokenizer(str(study.tokenizer))
        with replaced_folder(folder) as scratch:
            tokenizer.save_pretrained(scratch)
    return Outcome({"vocab_size": len(tokenizer)})


def tokenise_source(results: Results, unit: Unit, _: Progress) -> Outcome:
    """A source as token ids, which all its recipes are mixed from."""
    from rbridge.proxies.job import Places
    from rbridge.proxies.vocabulary import as_vocabulary, open_tokenizer
    from rbridge.recipes import tokenise

    study = results.study
    name = unit.id.removeprefix("tokens/")
    places = Places(study.file(PROXIES), str(study.file(TOKENIZER)))
    vocabulary = as_vocabulary(open_tokenizer(places.tokenizer), where=places.tokenizer)
    found = tokenise(name, study.recipes.sources[name], vocabulary, places.tokens)
    return Outcome({"tokens": found.num_tokens, "documents": len(found.ends), "whole": found.whole})


def train(results: Results, unit: Unit, progress: Progress) -> Outcome:
    """One model; where an earlier run was stopped, it goes on from there to the same weights."""
    from rbridge.proxies.job import train_job
    from rbridge.proxies.rungs import size_named
    from rbridge.proxies.train_ladder import LadderSettings, PlannedProxy, plan_ladder

    study = results.study
    assert unit.recipe is not None
    assert unit.size is not None
    assert unit.seed is not None
    ladder = ladder_of(study, unit.size)
    settings = LadderSettings(
        tokenizer=str(study.file(TOKENIZER)),
        tokens=ladder.tokens,
        window=ladder.window,
        learning_rate=ladder.learning_rate,
        checkpoints=ladder.checkpoints,
    )
    chain = study.recipes.chain(unit.recipe)
    recipes = study.recipes.model_copy(
        update={"recipes": {name: study.recipes.recipes[name] for name in chain}}
    )
    sizes = [] if unit.size == BASE else [size_named(unit.size)]
    planned: Sequence[PlannedProxy] = plan_ladder(
        recipes, sizes, [unit.seed], study.file(PROXIES), settings, progress=progress
    )
    job = planned[-1].job
    if (
        unit.size == BASE
    ):  # the ladder names it for the checkpoint's size, which is known only when it is read
        below = {one.job.recipe: replace(one.job, size=BASE) for one in planned}
        base = job.base if len(chain) == 1 else str(below[chain[-2]].final)
        job = replace(job, size=BASE, base=base)
    done = train_job(job)
    return Outcome(
        {
            "checkpoint": str(job.final.relative_to(study.out)),
            "labels": asdict(done.labels),
            "seconds": done.seconds,
            "repetitions": [asdict(one) for one in planned[-1].mix.plan.repetitions],
        }
    )


def score(results: Results, unit: Unit, progress: Progress) -> Outcome:
    """Scores on the traces of a trained model's last checkpoints.

    Raises:
        InputError: one of them cannot be scored, or not on a single trace.
    """
    from rbridge.scoring.checkpoints import expand
    from rbridge.scoring.readings import Wanted
    from rbridge.scoring.sweep import ScoreSettings, sweep
    from rbridge.store.runs import RunStore
    from rbridge.traces.named import open_bundle

    study = results.study
    asked = study.spec.scoring
    settings = ScoreSettings(
        shots=asked.shots,
        benchmarks=study.benchmarks,
        limit=asked.limit,
        questions=questions_of(study.path, asked.questions),
        dtype=asked.dtype,
        batch_tokens=asked.batch_tokens,
        further=Wanted(margin=asked.margin, gold=asked.gold),
    )
    folders = last_checkpoints(_checkpoint(results, unit), asked.last)
    named = [
        replace(one, name=str(Path(one.name).relative_to(study.out)))
        for one in expand([str(one) for one in folders])
    ]
    result = sweep(named, open_bundle(study.bundle), RunStore(study.file(RUNS)), settings, progress=progress)
    if len(result.runs) < len(named) or not all(run.manifest.num_scored for run in result.runs):
        raise InputError(result.failures[0].reason)
    runs = tuple(f"{RUNS}/{run.folder.name}" for run in result.runs)
    return Outcome({"runs": list(runs), "notes": [failure.reason for failure in result.failures]}, runs)


def evaluate(results: Results, unit: Unit, progress: Progress) -> Outcome:
    """A target's accuracy, by generation.

    Raises:
        InputError: it cannot be evaluated.
    """
    from rbridge.evaluate.run import evaluate_checkpoints
    from rbridge.evaluate.tasks import EvaluateSettings
    from rbridge.scoring.checkpoints import expand
    from rbridge.store.evaluations import EvaluationStore

    study = results.study
    targets = study.spec.targets
    assert isinstance(targets, Measured)
    settings = EvaluateSettings(
        benchmarks=study.benchmarks,
        shots=targets.shots,
        max_tokens=targets.max_tokens,
        limit=targets.limit,
        questions=questions_of(study.path, targets.questions),
    )
    checkpoints = expand([str(_checkpoint(results, unit))])
    store = EvaluationStore(study.file(EVALUATIONS))
    result = evaluate_checkpoints(checkpoints, store, settings, labels={}, progress=progress)
    if result.failures:
        raise InputError(result.failures[0])
    outputs = tuple(f"{EVALUATIONS}/{one.folder.name}" for one in result.evaluations)
    return Outcome({"evaluations": list(outputs)}, outputs)


def null(results: Results, unit: Unit, progress: Progress) -> Outcome:
    """How well a recipe's text alone predicts the traces."""
    from rbridge.answers.null import null_rows, write_null_csv

    study = results.study
    assert unit.recipe is not None
    sample = study.file(f"{NULLS}/{unit.recipe}.txt")
    sample.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(sample, "\n\n".join(_sample(study, unit.recipe)).encode())
    rows = null_rows([f"{unit.recipe}={sample}"], _traces(study), progress=progress)
    write_null_csv(study.file(f"{NULLS}/{unit.recipe}.csv"), rows)
    return Outcome({"rows": [row.document() for row in rows]})


def ladder_of(study: Study, size: str) -> Ladder:
    """The ladder that a size stands in; no two have the same."""
    targets = study.spec.targets
    every = (*study.ladders, *((targets.train,) if isinstance(targets, Measured) else ()))
    return next(ladder for ladder in every if size in ladder.sizes)


def outputs_of(unit: Unit) -> tuple[str, ...]:
    """Files and folders that a unit makes, as far as they are known before."""
    if unit.kind == "train":
        return (f"{PROXIES}/{unit.recipe}/{unit.size}/seed-{unit.seed}",)
    if unit.kind == "null":
        return (f"{NULLS}/{unit.recipe}.csv",)
    known: dict[str, tuple[str, ...]] = {
        "tokenizer": (TOKENIZER,),
        "plan": ("plan.json",),
        "targets": ("targets.csv",),
        "rank": ("rank.json",),
        "fit": ("fit.json",),
        "report": ("report.html",),
    }
    return known.get(unit.kind, ())


def _checkpoint(results: Results, unit: Unit) -> Path:
    """The finished model that a unit is about."""
    (model,) = (name for name in unit.needs if results.graph.units[name].kind == "train")
    return results.study.out / results.found(model)["checkpoint"]


def last_checkpoints(final: Path, num: int) -> list[Path]:
    """A model's last kept checkpoints, the finished one last.

    Raises:
        InputError: fewer are there.
    """
    kept = sorted(final.parent.glob("step-*"), key=_step)
    if len(kept) < num:
        raise InputError(
            f"{final.parent}: {len(kept)} checkpoints are there, and scoring.last averages {num}: "
            "remove the folder, so that the model is trained again, or lower scoring.last"
        )
    return kept[-num:]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _traces(study: Study) -> tuple[Trace, ...]:
    """The traces that are scored, with their questions."""
    from rbridge.benchmarks import resolve_questions
    from rbridge.traces.named import open_bundle

    traces = selected(open_bundle(study.bundle), study.benchmarks, study.spec.scoring.limit)
    return tuple(resolve_questions(traces, questions_of(study.path, study.spec.scoring.questions)).traces)


def _sample(study: Study, name: str) -> Iterator[str]:
    """Documents of a recipe, each source's first ones, in the shares in which it is read."""
    from rbridge.recipes.documents import documents

    recipe = study.recipes.recipes[name]
    weights: dict[str, float] = {}
    for phase, budget in zip(recipe.phases, recipe.budgets(1_000_000), strict=True):
        for source, share in phase.shares.items():
            weights[source] = weights.get(source, 0.0) + share * budget
    total = sum(weights.values())
    for source, weight in weights.items():
        left = round(study.spec.report.null_bytes * weight / total)
        for text in documents(source, study.recipes.sources[source]):
            if left <= 0:
                break
            yield text[:left]
            left -= len(text)
