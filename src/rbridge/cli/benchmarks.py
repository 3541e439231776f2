"""rbridge benchmarks: what questions are known, and whether they are at hand."""

from __future__ import annotations

from cyclopts import App

from rbridge.cli.output import print_table

benchmarks = App(help="Benchmarks whose questions and prompts are known.")


@benchmarks.command(name="list")
def list_benchmarks() -> int:
    """List the benchmarks, and where their questions can be had on this machine.

    Example: rbridge benchmarks list
    """
    from rbridge.benchmarks import benchmark_statuses

    print_table(
        "Benchmarks",
        ("name", "form", "source", "questions' licence", "problems"),
        [
            (row.name, row.form, row.source or "not at hand", row.licence, str(row.num_problems or "–"))
            for row in benchmark_statuses()
        ],
        text_columns=4,
    )
    return 0
