"""rbridge proxies sft: fine-tune a proxy briefly on a task before it is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import print_table, say


def sft(
    checkpoint: str,
    *,
    benchmark: str,
    data: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    epochs: float = 2.0,
    learning_rate: float = 2e-5,
    batch: int = 8,
    max_length: int = 1024,
    limit: int | None = None,
    seed: int = 0,
    device: str | None = None,
    offline: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Fine-tune a proxy on a task's questions and answers (intermediate SFT); rbridge score reads the result.

    The loss is on the answer alone: the worked solution, where there is one, and the closing words. Labels are
    carried over, so that rankings before and after stand side by side.

    Example: rbridge proxies sft ckpt/recipe-a --benchmark gsm8k --data gsm8k-train.jsonl -o sft/recipe-a

    Parameters
    ----------
    checkpoint
        A local folder, or a hub name with @revision or not.
    benchmark
        Whose prompts and closing words are learnt; one that we do not know has the plain ones.
    data
        JSONL of problems (problem_id, question, answer; choices, solution where there are any), or "hub" for the
        benchmark's own training split (GSM8K, ARC, CommonsenseQA).
    out
        Folder to write, in the form of any checkpoint.
    epochs
        Passes over the data.
    learning_rate
        The highest; it warms up over 5 % of the steps and falls to 0.
    batch
        Examples a step.
    max_length
        The most tokens of an example; longer ones are left out and counted.
    limit
        The first so many examples.
    seed
        Of the order of examples.
    device
        Such as cpu or cuda:1; the GPU where there is one.
    offline
        Use no network: hub names come from the cache alone.
    """
    if offline:
        forbid_network()
    import dataclasses

    from rbridge.benchmarks.training import training_problems
    from rbridge.errors import InputError
    from rbridge.proxies.sft import SftSettings, fine_tune
    from rbridge.scoring.checkpoints import expand

    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: expected at least 1")
    found = expand([checkpoint])
    if len(found) != 1:
        raise InputError(f"{checkpoint}: {len(found)} checkpoints; expected one, since --out is one folder")
    problems = training_problems(benchmark, data)
    settings = SftSettings(
        epochs=epochs,
        learning_rate=learning_rate,
        batch=batch,
        max_length=max_length,
        seed=seed,
        device=device,
    )
    wanted = dataclasses.replace(problems, problems=problems.problems[:limit])
    tuned = fine_tune(found[0], wanted, out, settings, progress=say)
    print_table(
        f"{out}: fine-tuned on {wanted.source}",
        ("checkpoint", "examples", "too long", "steps", "first loss", "last loss"),
        [
            (
                checkpoint,
                str(tuned.num_examples),
                str(tuned.num_too_long),
                str(tuned.num_steps),
                f"{tuned.first_loss:.4f}",
                f"{tuned.last_loss:.4f}",
            )
        ],
    )
    return 0
