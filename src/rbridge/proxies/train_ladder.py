"""A ladder of proxies: every recipe, size and seed as a job, planned before anything trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedTokenizerFast

from rbridge.compute import training_flops
from rbridge.errors import InputError
from rbridge.proxies.job import Places, ProxyJob, TrainedProxy, finished, job_key, train_job
from rbridge.proxies.rungs import DecoderSize, learning_rate_of
from rbridge.proxies.trainer import num_steps, tokens_by_step
from rbridge.proxies.vocabulary import as_vocabulary, open_tokenizer, trained_tokenizer
from rbridge.recipes import Mix, RecipeFile, TokenisedSource, mix_recipe, show_count, tokenise
from rbridge.records import Labels
from rbridge.scoring.checkpoints import Checkpoint, context_length, expand, weights_sha256

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LadderSettings:
    """Choices that hold for all models of a ladder.

    Attributes:
        tokenizer: a folder or hub name; trained on the sources where left out.
        vocab_size: of a trained one; 2,048 for sizes below 4M, else 50,304.
        tokens: every size's budget, in place of its own.
        window: tokens of a window, in place of the size's own.
        learning_rate: a rule's name, or the peak itself.
        checkpoints: how many are kept, evenly over the tokens, the last at the end; or
        at_tokens: budgets after which one is kept, the end besides.
        compiled: whether torch.compile is used.
    """

    tokenizer: str | None = None
    vocab_size: int | None = None
    tokens: int | None = None
    window: int | None = None
    learning_rate: str = "small"
    checkpoints: int = 5
    at_tokens: tuple[int, ...] = ()
    compiled: bool = False


@dataclass(frozen=True)
class PlannedProxy:
    """A job, and what is known of it before it is trained.

    Attributes:
        job: the model.
        mix: what it reads.
        flops: of its own training, 6ND.
        done: whether it is finished already.
        depth: how many recipes stand below it; those must be trained first.
    """

    job: ProxyJob
    mix: Mix
    flops: float
    done: bool
    depth: int


@dataclass(frozen=True)
class _Frame:
    """What a size gives a job: of the ladder, or read off a base checkpoint."""

    name: str
    shape: DecoderSize | None
    window: int
    batch: int
    num_tokens: int
    parameters: int


def plan_ladder(
    recipes: RecipeFile,
    sizes: Sequence[DecoderSize],
    seeds: Sequence[int],
    out: Path,
    settings: LadderSettings = LadderSettings(),
    *,
    progress: Progress,
) -> tuple[PlannedProxy, ...]:
    """Every model of a ladder, bases before what stands on them; sources are tokenised and mixed, nothing trains.

    Args:
        recipes: the candidates.
        sizes: ladder sizes; a recipe on a base checkpoint has that checkpoint's size instead.
        seeds: of weights, documents and order.
        out: the ladder's folder.
        settings: for all models.
        progress: told what is being done.

    Raises:
        InputError: a source, tokenizer or base cannot be read, or a budget holds too few steps.
        MissingExtra: a hub dataset is asked for and ``datasets`` is not installed.
    """
    used = {source for recipe in recipes.recipes.values() for phase in recipe.phases for source in phase.mix}
    sources = {name: source for name, source in recipes.sources.items() if name in used}
    tokenizer, places = _tokenizer(recipes, sources, sizes, out, settings, progress)
    vocabulary = as_vocabulary(tokenizer, where=places.tokenizer)
    tokenised: dict[str, TokenisedSource] = {}
    for name, source in sources.items():
        tokenised[name] = tokenise(name, source, vocabulary, places.tokens)
        progress(f"source {name}: {show_count(tokenised[name].num_tokens)} tokens")
    planned: dict[tuple[str, str, int], PlannedProxy] = {}
    for name in sorted(recipes.recipes, key=lambda one: len(recipes.chain(one))):
        for frame in _frames(recipes, name, sizes, len(tokenizer), settings):
            for seed in seeds:
                planned[name, frame.name, seed] = _plan(
                    recipes, name, frame, seed, tokenised, places, vocabulary.sha256, settings, planned
                )
    return tuple(planned.values())


def train_ladder(
    planned: Sequence[PlannedProxy],
    *,
    progress: Progress,
    workers: int = 1,
    devices: Mapping[str, Any] | None = None,
) -> tuple[TrainedProxy, ...]:
    """Train what is planned and not finished yet, bases first.

    Args:
        planned: of ``plan_ladder``.
        progress: told of each model.
        workers: processes of one thread each that train side by side; 1 trains in this process.
        devices: TrainingArguments that say where training runs.

    Raises:
        InputError: a base cannot be loaded, or a loss is not finite.
    """
    from rbridge.proxies.workers import train_side_by_side

    jobs = [one.job for one in sorted(planned, key=lambda one: one.depth)]
    found: list[TrainedProxy] = []
    trained = (
        train_side_by_side(jobs, workers, devices)
        if workers > 1
        else (train_job(job, devices=devices) for job in jobs)
    )
    for one in trained:
        found.append(one)
        what = f"{one.seconds:.0f} s" if one.trained else "found finished"
        progress(f"{one.job.name}: {show_count(one.labels.tokens or 0)} tokens, {what}")
    order = {one.job.folder: number for number, one in enumerate(planned)}
    return tuple(sorted(found, key=lambda one: order[one.job.folder]))


def _tokenizer(
    recipes: RecipeFile,
    sources: Mapping[str, Any],
    sizes: Sequence[DecoderSize],
    out: Path,
    settings: LadderSettings,
    progress: Progress,
) -> tuple[PreTrainedTokenizerFast, Places]:
    bases = sorted({base for name in recipes.recipes if (base := recipes.base_checkpoint(name)) is not None})
    named = settings.tokenizer or (bases[0] if bases else None)
    if named is not None:
        tokenizer = open_tokenizer(named)
        _refuse_other_tokenizers(tokenizer, named, bases)
        return tokenizer, Places(out, named)
    vocab_size = settings.vocab_size or (50_304 if any(size.window >= 2048 for size in sizes) else 2_048)
    folder = out / "tokenizer"
    progress(f"tokenizer: {vocab_size} ids, trained on the sources unless it stands in {folder}")
    return trained_tokenizer(sources, vocab_size=vocab_size, folder=folder), Places(out, str(folder))


def _refuse_other_tokenizers(tokenizer: PreTrainedTokenizerFast, named: str, bases: Sequence[str]) -> None:
    ours = as_vocabulary(tokenizer, where=named).sha256
    for base in bases:
        theirs = as_vocabulary(open_tokenizer(base), where=base).sha256
        if theirs != ours:
            raise InputError(
                f"{base}: its tokenizer is not that of {named}; all models of a ladder read with one tokenizer, so "
                "give recipes on other bases a file of their own"
            )


def _frames(
    recipes: RecipeFile, name: str, sizes: Sequence[DecoderSize], vocab_size: int, settings: LadderSettings
) -> list[_Frame]:
    base = recipes.base_checkpoint(name)
    if base is not None:
        return [_frame_of_base(base, recipes.recipes[name].fixed_tokens, settings)]
    return [
        _Frame(
            size.name,
            size,
            settings.window or size.window,
            # Another window keeps the tokens of a step.
            max(1, round(size.batch * size.window / (settings.window or size.window))),
            settings.tokens or size.num_tokens,
            size.parameters(vocab_size),
        )
        for size in sizes
    ]


def _frame_of_base(base: str, tokens: int | None, settings: LadderSettings) -> _Frame:
    [checkpoint] = expand([base])
    config = AutoConfig.from_pretrained(checkpoint.source, revision=checkpoint.revision)
    parameters = _count_parameters(config)
    window = settings.window or min(2048, context_length(config) or 2048)
    # The batch of Porian et al. (2024), as in rungs.py.
    batch = max(1, round(160 * 2048 / window * (parameters / 108e6) ** (2 / 3)))
    assert tokens is not None  # a recipe on a checkpoint gives its tokens; the file was checked
    return _Frame(checkpoint.labels.size or show_count(parameters), None, window, batch, tokens, parameters)


def _count_parameters(config: Any) -> int:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return int(AutoModelForCausalLM.from_config(config).num_parameters())


def _plan(
    recipes: RecipeFile,
    name: str,
    frame: _Frame,
    seed: int,
    tokenised: Mapping[str, TokenisedSource],
    places: Places,
    tokenizer_sha256: str,
    settings: LadderSettings,
    planned: Mapping[tuple[str, str, int], PlannedProxy],
) -> PlannedProxy:
    recipe = recipes.recipes[name]
    mix = mix_recipe(
        recipes,
        name,
        tokenised,
        size_tokens=frame.num_tokens,
        window=frame.window,
        seed=seed,
        folder=places.mixes,
    )
    shape, base, base_sha256, base_labels = frame.shape, None, None, Labels()
    if recipe.base is not None and recipe.base.recipe is not None:
        below = planned[recipe.base.recipe, frame.name, seed].job
        shape, base, base_sha256 = None, str(below.final), below.key
        base_labels = _labels_when_done(below, planned)
    elif recipe.base is not None and recipe.base.checkpoint is not None:
        checkpoint: Checkpoint
        [checkpoint] = expand([recipe.base.checkpoint])
        base, base_sha256, base_labels = recipe.base.checkpoint, weights_sha256(checkpoint), checkpoint.labels
    schedules = tuple(phase.schedule for phase in recipe.phases)
    peak = learning_rate_of(settings.learning_rate, frame.parameters)
    kept = _kept_steps(mix, frame.batch, settings, name)
    key = job_key(
        shape=shape,
        base=base_sha256,
        mix=mix.plan.sha256,
        schedules=schedules,
        peak=peak,
        batch=frame.batch,
        kept=kept,
        seed=seed,
        tokenizer=tokenizer_sha256,
        compiled=settings.compiled,
    )
    job = ProxyJob(
        key, name, frame.name, seed, shape, base, base_labels, mix.plan.sha256, schedules, peak, frame.batch,
        kept, frame.parameters, places, settings.compiled,
    )  # fmt: skip
    flops = training_flops(float(frame.parameters), float(mix.plan.num_tokens))
    return PlannedProxy(job, mix, flops, finished(job) is not None, len(recipes.chain(name)) - 1)


def _labels_when_done(job: ProxyJob, planned: Mapping[tuple[str, str, int], PlannedProxy]) -> Labels:
    """Tokens and FLOPs that a recipe's finished model will have behind it, its own bases' included."""
    below = planned[job.recipe, job.size, job.seed]
    return Labels(
        tokens=(job.base_labels.tokens or 0) + below.mix.plan.num_tokens,
        flops=(job.base_labels.flops or 0.0) + below.flops,
    )


def _kept_steps(mix: Mix, batch: int, settings: LadderSettings, name: str) -> tuple[int, ...]:
    """Steps at which a checkpoint is kept: the first whose tokens reach each of the asked budgets."""
    steps = num_steps(mix, batch)
    tokens = tokens_by_step(mix, batch)
    if settings.at_tokens:
        wanted = [num for num in settings.at_tokens if num < int(tokens[-1])]
    else:
        wanted = [
            int(tokens[-1]) * number // settings.checkpoints for number in range(1, settings.checkpoints)
        ]
    found = sorted({int((tokens < num).sum()) + 1 for num in wanted} | {steps})
    if not settings.at_tokens and len(found) < settings.checkpoints:
        raise InputError(
            f"recipe {name}: {steps} steps of {batch} windows hold no {settings.checkpoints} checkpoints; give more "
            "tokens, a smaller window, or fewer --checkpoints"
        )
    return tuple(found)
