"""rbridge null: how well a recipe's text alone predicts the traces, without a proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.output import figure, print_json, print_table, say


def null(
    *samples: str,
    traces: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Score traces by an n-gram model of a sample of each recipe: what a proxy must beat to be worth training.

    Example: rbridge null fineweb=fineweb.txt code=code/ --traces starter -o null.csv

    Parameters
    ----------
    samples
        RECIPE=PLACE or PLACE (then the recipe is the place's name without its ending): a text file, a
        .jsonl file with a field text, or a folder of text files. Samples of about equal size compare best.
    traces
        A bundle: a folder, or "starter" for the one that ships.
    out
        CSV to write: a row a recipe and benchmark, to be given to rank --null.
    json
        Print the rows as JSON too.
    """
    from rbridge.answers.null import null_rows, write_null_csv
    from rbridge.traces.named import open_bundle

    rows = null_rows(samples, open_bundle(traces).traces, progress=say)
    write_null_csv(out, rows)
    if json:
        print_json({"format_version": 1, "nulls": [row.document() for row in rows]})
    else:
        print_table(
            "Data-only null: bits a byte of the traces under counts of each recipe (lower is better)",
            ("recipe", "benchmark", "null_bits_per_byte", "traces", "sample bytes"),
            [
                (
                    row.recipe,
                    row.benchmark,
                    figure(row.bits_per_byte),
                    str(row.num_traces),
                    str(row.sample_bytes),
                )
                for row in rows
            ],
            text_columns=2,
        )
    return 0
