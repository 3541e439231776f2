"""rbridge targets: target accuracies from the result files of evaluation harnesses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rbridge.cli.output import say

targets = App(help="Target accuracies from evaluation harnesses.")


@targets.command(name="import")
def import_targets(
    *files: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    stage: str | None = None,
    metric: Annotated[tuple[str, ...], Parameter(negative="")] = (),
) -> int:
    """Read target accuracies from result files into a CSV that rank and fit take.

    Example: rbridge targets import a=runs/a/results_1.json b=runs/b/metrics.json -o targets.csv

    Parameters
    ----------
    files
        Result files of lm-evaluation-harness (results_*.json), OLMES (metrics.json, *-all.jsonl) or
        lighteval (results_*.json), each as FILE or RECIPE=FILE; without a label the recipe is the
        model that the file names.
    out
        CSV to write: recipe, benchmark, stage, metric, value, stderr, n, task, model, source, and size,
        tokens, seed, step where a file or a name in it says them (step1000-tokens4B, step5725-seed-14).
    stage
        Stage of training of these models (base, sft, rl, ...), kept in its column.
    metric
        Metric to take, such as acc_norm or "exact_match,strict-match"; repeated, the first that a
        task has. By default primary_score, exact_match, pass@1, acc, ... in that order.
    """
    from rbridge.answers.result_files import read_result_files, targets_csv
    from rbridge.errors import InputError
    from rbridge.store.files import refuse_existing, write_bytes

    if not files:
        raise InputError(
            "no file to import; expected result files of lm-evaluation-harness, OLMES or lighteval"
        )
    refuse_existing(out)
    rows, skipped = read_result_files(files, stage=stage, metrics=metric)
    if not rows:
        raise InputError(f"no target found: {skipped[0] if skipped else 'the files hold no tasks'}")
    write_bytes(out, targets_csv(rows))
    for line in skipped:
        say(f"skipped {line}")
    print(
        f"{out}: {len(rows)} targets of {len({row.recipe for row in rows})} recipes, {len(skipped)} skipped"
    )
    return 0
