"""rbridge show: what runs hold, per benchmark, per trace or per token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.output import print_json, print_json_lines, say


def show(
    runs: Path,
    *,
    items: Annotated[bool, Parameter(negative="")] = False,
    trace: str | None = None,
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    weights: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show what score runs hold: means per benchmark, every trace, or the tokens of one.

    Example: rbridge show runs --items --json

    Parameters
    ----------
    runs
        The folder that "rbridge score -o" wrote, or one run in it.
    items
        One row a trace.
    trace
        One row a token of this trace: its problem_id, or benchmark/problem_id.
    voice
        Show these voices' traces only.
    weights
        Whose weights: self, or a weight model's name; needed where several models' stand side by side.
    json
        Print JSON, one object a line for traces and tokens.
    """
    from rbridge.cli.shapes import item_documents, score_document, token_documents
    from rbridge.cli.tables import print_items, print_scores, print_tokens
    from rbridge.store.runs import read_runs
    from rbridge.store.settled import scored_in_part
    from rbridge.store.views import View

    if part := scored_in_part(runs):
        say(f"{part}; they are not shown here")
    found = read_runs(runs, View(voice, weights))
    if trace is not None:
        documents = token_documents(found, trace)
        print_json_lines(documents) if json else print_tokens(documents)
    elif items:
        documents = item_documents(found)
        print_json_lines(documents) if json else print_items(documents)
    elif json:
        print_json(score_document(found))
    else:
        print_scores(found)
    return 0
