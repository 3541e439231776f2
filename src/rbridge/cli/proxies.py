"""rbridge proxies: small models trained on candidate recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from rbridge.cli.choices import listed
from rbridge.cli.output import figure, print_json, print_table, say

if TYPE_CHECKING:
    from rbridge.proxies.job import TrainedProxy
    from rbridge.proxies.train_ladder import PlannedProxy

proxies = App(help="Proxies: small models, trained on candidate recipes or fine-tuned.")


@proxies.command
def train(
    recipes: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    size: Annotated[tuple[str, ...], Parameter(negative="")] = ("4M",),
    seed: Annotated[tuple[str, ...], Parameter(negative="")] = ("0",),
    recipe: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    tokens: str | None = None,
    tokenizer: str | None = None,
    vocab_size: int | None = None,
    window: int | None = None,
    learning_rate: str = "small",
    checkpoints: int = 5,
    at_tokens: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    workers: int = 1,
    compile: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002, the option's name
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train a model of each size and seed on every recipe of a file (docs/recipes.md).

    Sources are tokenised and mixed first, and the plan is printed. A model that is finished is not trained
    again; one that was stopped goes on, to the same weights; a changed recipe trains again what depends on it.

    Example: rbridge proxies train recipes.yaml --size 1M,4M --seed 0,1,2 -o proxies

    Parameters
    ----------
    recipes
        The recipe file.
    out
        Folder of the models: OUT/RECIPE/SIZE/seed-SEED/step-STEP, which rbridge score reads.
    size
        DataDecide's 4M to 1B, or 50k, 100k, 200k, 500k, 1M (repeat, or separate by commas).
    seed
        Of weights, documents and their order (repeat, or separate by commas).
    recipe
        These recipes, and what they stand on, only.
    tokens
        Budget of every size, such as 20M, in place of its own.
    tokenizer
        A folder or hub name; trained on the sources if left out.
    vocab_size
        Of a trained tokenizer; 2048 for sizes below 4M, else 50304.
    window
        Tokens of a training window, in place of the size's own (512 below 4M, else 2048).
    learning_rate
        The peak: a rule (small, datadecide, tiny) or a number.
    checkpoints
        How many are kept, evenly over the tokens, the last at the end.
    at_tokens
        Keep one after these budgets instead, and one at the end.
    workers
        Models trained side by side, one thread each; 1 trains in this process, on its GPU where there is one.
    compile
        Use torch.compile.
    dry_run
        Print the plan and train nothing.
    json
        Print JSON instead of tables.
    """
    from rbridge.errors import InputError
    from rbridge.proxies.processes import first_goes_first, is_first
    from rbridge.proxies.rungs import parse_tokens, size_named
    from rbridge.proxies.train_ladder import LadderSettings, plan_ladder, train_ladder
    from rbridge.recipes import read_recipes

    if workers < 1 or checkpoints < 1:
        raise InputError(f"--workers {workers}, --checkpoints {checkpoints}: expected at least 1")
    found = read_recipes(recipes)
    if recipe:
        found = found.only(listed(recipe))
    settings = LadderSettings(
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        tokens=None if tokens is None else parse_tokens(tokens),
        window=window,
        learning_rate=learning_rate,
        checkpoints=checkpoints,
        at_tokens=tuple(parse_tokens(one) for one in listed(at_tokens)),
        compiled=compile,
    )
    sizes = [size_named(name) for name in listed(size)]
    progress = say if is_first() else _silent
    with first_goes_first():
        planned = plan_ladder(found, sizes, _seeds(seed), out, settings, progress=progress)
    if not json and is_first():
        _print_plan(planned)
    trained = () if dry_run else train_ladder(planned, progress=progress, workers=workers)
    if not is_first():
        return 0
    if json:
        print_json(_document(planned, trained))
    elif trained:
        say(f"score them: rbridge score '{out}/*/*/*/step-*' --traces starter -o runs")
    return 0


def _silent(_: str) -> None:
    """What torchrun's other processes say."""


def _seeds(given: Sequence[str]) -> list[int]:
    from rbridge.errors import InputError

    parts = listed(given)
    if not parts or not all(part.isdecimal() for part in parts):
        raise InputError(f"--seed {','.join(parts)}: expected whole numbers from 0, such as 0,1,2")
    return list(dict.fromkeys(map(int, parts)))


def _print_plan(planned: Sequence[PlannedProxy]) -> None:
    from rbridge.recipes import show_count

    print_table(
        "Models (FLOPs by 6ND, N all parameters)",
        ("recipe", "size", "seed", "parameters", "tokens", "steps", "peak rate", "FLOPs", "state"),
        [
            (
                one.job.recipe,
                one.job.size,
                str(one.job.seed),
                show_count(one.job.parameters),
                show_count(one.mix.plan.num_tokens),
                str(one.job.kept[-1]),
                figure(one.job.peak),
                f"{one.flops:.3g}",
                "finished" if one.done else "to train",
            )
            for one in planned
        ],
        text_columns=2,
    )
    first = {(one.job.recipe, one.job.size): one for one in reversed(planned)}
    print_table(
        "Sources (of the first seed; repeats at the target: '–' where target_tokens or the source's size is not given)",
        ("recipe", "size", "source", "asked", "read", "drawn from", "repeats", "at the target", "note"),
        [
            (
                one.job.recipe,
                one.job.size,
                part.source,
                show_count(part.asked),
                show_count(sum(phase.read.get(part.source, 0) for phase in one.mix.plan.phases)),
                show_count(part.pool),
                figure(part.repeats, 2),
                figure(part.target_repeats, 2),
                part.note or "",
            )
            for one in reversed(first.values())
            for part in one.mix.plan.repetitions
        ],
        text_columns=3,
    )


def _document(planned: Sequence[PlannedProxy], trained: Sequence[TrainedProxy]) -> dict[str, Any]:
    by_folder = {one.job.folder: one for one in trained}
    return {
        "format_version": 1,
        "models": [
            {
                "recipe": one.job.recipe,
                "size": one.job.size,
                "seed": one.job.seed,
                "key": one.job.key,
                "parameters": one.job.parameters,
                "tokens": one.mix.plan.num_tokens,
                "steps": one.job.kept[-1],
                "learning_rate": one.job.peak,
                "flops": one.flops,
                "base": one.job.base,
                "mix": asdict(one.mix.plan),
                "checkpoints": [str(one.job.checkpoint(step)) for step in one.job.kept],
                "finished": one.done or one.job.folder in by_folder,
                "trained": by_folder[one.job.folder].trained if one.job.folder in by_folder else False,
                "seconds": by_folder[one.job.folder].seconds if one.job.folder in by_folder else None,
            }
            for one in planned
        ],
    }
