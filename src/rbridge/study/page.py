"""The study's page: its ranking, and what was declared, planned, found contaminated, and not done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from rbridge.report import (
    ContaminationRow,
    FitRow,
    Plan,
    PlanRow,
    StudyPart,
    TrainedRow,
    UnitRow,
    build_page,
    comparison_rows,
    heat_map,
    render,
    with_companions,
)
from rbridge.store.declarations import Declaration, read_declaration
from rbridge.store.files import write_bytes
from rbridge.study.answer import DECLARATION, FIT, answer, now
from rbridge.study.execute import Outcome, Progress
from rbridge.study.results import Results
from rbridge.study.units import Unit
from rbridge.traces.named import open_bundle

PAGE = "report.html"


def report(results: Results, _unit: Unit, _: Progress) -> Outcome:
    """Write the page from what is done."""
    study, wanted = results.study, results.study.spec.report
    found = answer(results)
    bundle = open_bundle(study.bundle)
    heats = []
    for name in wanted.heat:
        trace = bundle.trace(name)
        run = found.runs[study.spec.scoring.last - 1]  # the first model, finished
        heats.append(heat_map(trace, run.trace(trace.key), checkpoint=run.manifest.checkpoint))
    today = now()
    page = build_page(
        title=wanted.title or study.spec.name,
        now=f"{today.day} {today:%B %Y}",
        groups=[with_companions(one) for one in found.beheld],
        combined=found.combined,
        statuses=found.statuses,
        notes=[one.lines() for one in found.known],
        comparison=comparison_rows(found.beheld),
        runs=found.runs,
        bundles=(bundle,),
        heatmaps=heats,
        recipes={name: in_words(results, name) for name in study.recipes.recipes},
        show_text=wanted.text,
        study=StudyPart(
            name=study.spec.name,
            verdict=found.verdict,
            declaration=_declared(read_declaration(study.file(DECLARATION))),
            statuses=tuple(dict.fromkeys(status.text for status in found.statuses)),
            contamination=tuple(_contamination(results)),
            refuse_above=study.spec.contamination.refuse_above,
            plan=_plan(results),
            undone=tuple(_undone(results)),
            trained=tuple(_trained(results)),
            fits=tuple(_fits(results)),
        ),
    )
    write_bytes(study.file(PAGE), render(page).encode())
    return Outcome({"verdict": found.verdict})


def in_words(results: Results, name: str) -> str:
    """What a recipe is made of."""
    recipe = results.study.recipes.recipes[name]
    phases = []
    for phase in recipe.phases:
        budget = (
            f"{phase.tokens:,} tokens: " if phase.tokens else (f"{phase.share:.0%}: " if phase.share else "")
        )
        mix = ", ".join(f"{share:.0%} {source}" for source, share in phase.shares.items())
        phases.append(f"{budget}{mix}")
    base = recipe.base
    start = "" if base is None else f"from {base.recipe or base.checkpoint}; "
    return start + "; then ".join(phases)


def _declared(found: Declaration) -> tuple[tuple[str, str], ...]:
    return (
        ("decision", found.decision),
        ("metric", found.metric),
        ("benchmarks", ", ".join(found.benchmarks)),
        ("margin", f"{found.margin:g}"),
        ("declared", found.created),
        ("hash", found.sha256[:12]),
    )


def _contamination(results: Results) -> Iterator[ContaminationRow]:
    for unit, found in results.of("source"):
        for row in found["contamination"]:
            share, null = row["contaminated"], row["backwards"]
            yield ContaminationRow(
                source=unit.id.removeprefix("source/"),
                benchmark=row["benchmark"],
                what=row["what"],
                share=share["value"],
                interval=_pair(share["interval"]),
                n=share["n"],
                null=null["value"],
                fresh=None if row["chance"] is None else row["chance"]["fresh_own"]["value"],
                verdict=row["judged"]["verdict"],
                too_short=row["too_short"],
                first=tuple(row["first"]),
            )


def _pair(value: Sequence[float] | None) -> tuple[float, float] | None:
    return None if value is None else (value[0], value[1])


def _plan(results: Results) -> Plan | None:
    if not results.done("plan"):
        return None
    found: dict[str, Any] = results.found("plan")
    order: list[str | None] = [*found["order"], *([None] * len(found["not_scored"]))]
    return Plan(
        rows=tuple(
            PlanRow(
                kept=choice["kept"],
                chosen=choice["kept"] == found["keep"],
                recipe=recipe,
                best_survives=choice["best_survives"],
                best_chosen=choice["best_chosen"],
                regret=choice["regret"],
                flops=choice["flops"],
                saving=choice["saving"],
            )
            for choice, recipe in zip(found["choices"], order, strict=True)
        ),
        how=(
            f"order by {found['by']}; decision accuracy taken as {found['stage1_accuracy']:g} (stage 1) and "
            f"{found['stage2_accuracy']:g} (stage 2); {found['worlds']:,} simulated searches"
        ),
        null=(
            f"a recipe picked blindly: best chosen {found['null']['best_chosen']:.3f}, "
            f"regret {found['null']['regret']:.3f}"
        ),
    )


def _undone(results: Results) -> Iterator[UnitRow]:
    """Every failure, and in one row what is behind it."""
    behind: dict[str, list[str]] = {}
    for name, place in results.places.items():
        if place.state == "failed":
            yield UnitRow(name, place.state, place.reason or "")
        elif place.state == "waiting" and place.settled:
            behind.setdefault(place.reason or "", []).append(name)
    for reason, names in behind.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield UnitRow(f"{names[0]}{more}", "waiting", reason)


def _trained(results: Results) -> Iterator[TrainedRow]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for unit, found in results.of("train"):
        groups.setdefault((str(unit.size), str(unit.recipe)), []).append(found)
    for (size, recipe), models in groups.items():
        labels = [found["labels"] for found in models]
        yield TrainedRow(
            recipe=recipe,
            size=size,
            seeds=len(models),
            parameters=labels[0]["parameters"],
            tokens=fmean(one["tokens"] for one in labels),
            flops=fmean(one["flops"] for one in labels),
            seconds=sum(found["seconds"] for found in models),
            repeats="; ".join(_repeats(one) for one in models[0]["repetitions"] if one["repeats"] > 1),
        )


def _repeats(found: Mapping[str, Any]) -> str:
    target, note = found["target_repeats"], found["note"]
    there = "" if target is None else f", {target:.3g} at the target"
    return f"{found['source']} {found['repeats']:.3g} times{there}{'' if note is None else f' ({note})'}"


def _fits(results: Results) -> Iterator[FitRow]:
    if not results.done("fit"):
        return
    for group in json.loads(results.study.file(FIT).read_bytes())["groups"]:
        yield FitRow(
            group=", ".join(group["group"].values()),
            n=group["n"],
            family=group["family"],
            train_r2=group["train_r2"],
            test_mae=group["test_mae"],
            null_mae=group["nulls"]["mean"]["test_mae"],
            reason=group["reason"],
        )
