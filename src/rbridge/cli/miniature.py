"""rbridge miniature: the whole claim in a small world with known answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rbridge.cli.output import figure, interval, print_json, print_table, say

if TYPE_CHECKING:
    from rbridge.answers.savings import SavingsAnswer
    from rbridge.miniature.confidence import Confidence
    from rbridge.miniature.study import Plan
    from rbridge.miniature.verdict import Line


def miniature(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("miniature"),
    full: Annotated[bool, Parameter(negative="")] = False,
    recipes: Path | None = None,
    seeds: str | None = None,
    frontier_vocab: int = 400,
    frontier_whole_numbers: Annotated[bool, Parameter(negative="")] = False,
    frontier_seed: int = 0,
    processes: int = 2,
    so_far: Annotated[bool, Parameter(negative="")] = False,
    record: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train proxies and targets on candidate recipes, score the proxies, hold every metric against the targets.

    Example: rbridge miniature -o miniature
    Example: rbridge miniature --full -o miniature-full
    Example: rbridge miniature --recipes mine.json --seeds 7,8 --frontier-vocab 320 -o mine

    Parameters
    ----------
    out
        Folder for models, traces and runs; what is finished there is kept, so a stopped run goes on.
    full
        All 42 recipes in ten families and three seeds (hours); without it 14 recipes and two seeds.
    recipes
        JSON of your own recipes instead: [{"name": "mine", "parts": [{"style": "standard", "share": 0.9}]}].
    seeds
        Of proxies and targets, such as 0,1,2.
    frontier_vocab
        Most tokens that the frontier model's tokenizer has.
    frontier_whole_numbers
        The frontier model reads whole numbers, not digits.
    frontier_seed
        Of the frontier model's weights and documents.
    processes
        Models trained at once, one core each.
    so_far
        Train nothing; tell what the whole rounds (a size and seed, all recipes) say that are finished.
    record
        Folder to write the tables into as well (the package's own with "make miniature-full").
    json
        Print JSON instead of tables.
    """
    from rbridge.demo.page import write_page
    from rbridge.miniature.confidence import confidence, confidence_document
    from rbridge.miniature.results import write_results
    from rbridge.miniature.so_far import finished_models
    from rbridge.miniature.study import read_study, run_study
    from rbridge.miniature.verdict import document, saved, verdict
    from rbridge.store.files import write_json

    plan = _plan(full, recipes, seeds, frontier_vocab, frontier_whole_numbers, frontier_seed)
    started = time.monotonic()

    def progress(line: str) -> None:
        say(f"[{time.monotonic() - started:5.0f} s] {line}")

    if so_far:
        models = finished_models(out, plan)
        study = read_study(out, plan, models, processes=processes, progress=progress)
    else:
        study = run_study(out, plan, processes=processes, progress=progress)
    results = out / "results"
    write_results(study, results)
    lines, savings, sure = verdict(results), saved(results), confidence(plan.recipes, results)
    found = {**document(lines, savings), **confidence_document(sure)}
    write_json(results / "verdict.json", found)
    page = write_page(study, results, sure)
    if record is not None:
        _copy(results, out / "traces.jsonl", record)
    if json:
        print_json(found)
    else:
        _print(lines, savings, sure, results)
        print(f"The page: {page}")
    return 0


def _copy(results: Path, traces: Path, folder: Path) -> None:
    from rbridge.store.files import write_bytes

    folder.mkdir(parents=True, exist_ok=True)
    for file in [*results.glob("*.csv"), *results.glob("*.json"), traces]:
        write_bytes(folder / file.name, file.read_bytes())


def _plan(
    full: bool, recipes: Path | None, seeds: str | None, vocab: int, whole_numbers: bool, frontier_seed: int
) -> Plan:
    from dataclasses import replace

    from rbridge.miniature.families import ALL, FEW
    from rbridge.miniature.full import FEW_SEEDS, SEEDS
    from rbridge.miniature.jobs import FRONTIER
    from rbridge.miniature.recipe_file import read_recipes
    from rbridge.miniature.study import Plan
    from rbridge.miniature.vocabularies import frontier_name

    candidates = (ALL if full else FEW) if recipes is None else read_recipes(recipes)
    return Plan(
        recipes=candidates,
        seeds=(SEEDS if full else FEW_SEEDS) if seeds is None else _seeds(seeds),
        frontier=replace(
            FRONTIER, seed=frontier_seed, tokenizer=frontier_name(vocab, whole_numbers=whole_numbers)
        ),
    )


def _seeds(text: str) -> tuple[int, ...]:
    from rbridge.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts) or len(set(parts)) < len(parts):
        raise InputError(f"--seeds {text}: expected different whole numbers, such as 0,1,2")
    return tuple(int(part) for part in parts)


def _print(lines: Sequence[Line], savings: SavingsAnswer, sure: Sequence[Confidence], folder: Path) -> None:
    for part in dict.fromkeys(line.part for line in lines):
        print_table(
            f"{part}: against the targets' accuracy",
            (
                "size", "ordered by", "kind", "recipes", "seeds", "tau", "decision accuracy",
                "on resolved pairs", "gain of rbridge", "note",
            ),
            [_row(line) for line in lines if line.part == part],
            text_columns=3,
        )  # fmt: skip
        print()
    _print_savings(savings)
    _print_confidence(sure)
    print(f"Tables: {folder} (rbridge rank {folder}/proxies.csv --by size --target accuracy asks them)")


def _row(line: Line) -> tuple[str, ...]:
    resolved = "–"
    if line.resolved is not None:
        resolved = f"{line.resolved:.2f} {interval(line.resolved_interval, 2)} of {line.num_resolved}"
    return (
        line.size,
        line.metric,
        line.kind,
        str(line.num_recipes),
        str(line.num_seeds),
        figure(line.kendall_tau, 2),
        "–" if line.accuracy is None else f"{line.accuracy:.2f} {interval(line.interval, 2)}",
        resolved,
        "–" if line.gain is None else f"{line.gain:+.2f} {interval(line.gain_interval, 2)}",
        line.abstain or "",
    )


def _print_savings(savings: SavingsAnswer) -> None:
    print("Saving in FLOPs of rbridge over the best of the others, at equal decision accuracy:")
    for one, ends in zip(savings.savings, savings.intervals, strict=True):
        said = one.reason if one.saving is None else f"{one.saving:.1f}x"
        low, high = ends or (None, None)
        print(
            f"  {one.point.value:.3f} at {one.point.flops:.2e} FLOPs: {said} [{figure(low, 2)}, {figure(high, 2)}]"
        )
    print()


def _print_confidence(sure: Sequence[Confidence]) -> None:
    print_table(
        "Pairs called at 90 %: wanted are 88 to 95 % right (chance 50 %), and 60 % of the resolved pairs called",
        (
            "ordered by",
            "size",
            "pairs of",
            "by",
            "recipes",
            "correlation",
            "resolved",
            "called",
            "right",
            "note",
        ),
        [
            (
                one.metric,
                one.size,
                one.part,
                one.rule,
                str(one.num_recipes),
                "–"
                if one.learnt is None
                else f"{one.learnt.correlation:.2f} {interval(one.learnt.interval, 2)}",
                str(one.calls.num_held),
                "–" if one.calls.share_called is None else f"{one.calls.share_called:.0%}",
                _right(one),
                one.abstain or "",
            )
            for one in sure
        ],
        text_columns=4,
    )


def _right(one: Confidence) -> str:
    if one.calls.share_right is None:
        return "–"
    low, high = one.calls.right_interval or (None, None)
    return f"{one.calls.share_right:.0%} [{figure(low, 2)}, {figure(high, 2)}]"
