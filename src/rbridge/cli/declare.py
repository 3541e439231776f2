"""rbridge declare: name metric, benchmarks, decision and margin before any score exists."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.output import say


def declare(
    *,
    metric: str,
    benchmarks: Annotated[tuple[str, ...], Parameter(negative="")],
    decision: str,
    margin: float,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
) -> int:
    """Write down what will be decided, and on what, before anything is scored; rank --declaration holds to it.

    Example: rbridge declare --metric rbridge --benchmarks gsm8k --decision "train the first" --margin 0.01 -o d.json

    Parameters
    ----------
    metric
        The one metric that decides.
    benchmarks
        Benchmarks that it is decided on (repeat, or separate by commas).
    decision
        What will be done, in words.
    margin
        Recipes whose metric differs by no more than this count as equally good, in the metric's unit.
    out
        File to write; an existing one is never changed.
    """
    from rbridge.store.declarations import write_declaration

    names = [name for part in benchmarks for name in part.split(",") if name]
    found = write_declaration(
        out, metric=metric, benchmarks=names, decision=decision, margin=margin, now=datetime.now(UTC)
    )
    say(f"{out}: declared {found.created}, {found.sha256[:12]}")
    return 0
