"""rbridge report: one page from score runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.offline import forbid_network
from rbridge.cli.output import say


def report(
    runs: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("report.html"),
    traces: str | None = None,
    proxy: str = "rbridge",
    targets: Path | None = None,
    target: str | None = None,
    voice: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    weights: str | None = None,
    null: Path | None = None,
    declaration: Path | None = None,
    contamination: Path | None = None,
    refuse_contaminated: float | None = None,
    heat: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    title: str = "rBridge",
    text: bool = True,
    offline: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a page from score runs: ranking with intervals, score against target, tokens, provenance.

    Example: rbridge report runs -o report.html --traces starter --heat gsm8k/428

    Parameters
    ----------
    runs
        The folder that "rbridge score -o" wrote.
    out
        The page, one file that needs no network; replaced if it exists.
    traces
        The bundle that was scored, for heat-maps: a folder, or "starter".
    proxy
        Metric to rank by.
    targets
        CSV of target values (recipe, benchmark if they differ by it, and the target's column).
    target
        Column of --targets.
    voice
        Show these voices' traces only; without it, the voices of a problem are averaged in rankings.
    weights
        Whose weights: self, or a weight model's name; needed where several models' stand side by side.
    null
        CSV that rbridge null wrote: stands beside the proxy.
    declaration
        File of rbridge declare: rankings then say "declared" where metric and benchmark are those named.
    contamination
        What rbridge recipes check --json wrote; RUNS/contamination.json is read without being named.
    refuse_contaminated
        Write nothing and exit with 1 where more of the benchmark's questions or traces than this share was put
        into a recipe's sources, where a recipe was not checked, or where one has seen problems by their twins.
    heat
        Traces to show token by token, on the first run's losses: problem_id, or benchmark/problem_id.
    title
        Of the page.
    text
        --no-text leaves out every word of traces and questions.
    offline
        Use no network. A report needs none; this proves it.
    """
    if offline:
        forbid_network()
    from rbridge.answers.beside import beside_runs
    from rbridge.answers.combined import combine_groups
    from rbridge.answers.contaminated import known_of, read_checked, refuse
    from rbridge.answers.declared import check_date, status
    from rbridge.answers.rank import RankQuestion, rank_runs
    from rbridge.errors import InputError
    from rbridge.report import build_page, comparison_rows, heat_map, render, with_companions
    from rbridge.store.declarations import read_declaration
    from rbridge.store.files import write_bytes
    from rbridge.store.settled import read_whole_runs
    from rbridge.store.views import View
    from rbridge.traces.named import open_bundle

    found = read_whole_runs(runs, View(voice, weights))
    bundle = None if traces is None else open_bundle(traces)
    if heat and bundle is None:
        raise InputError(
            "--heat needs the text of the traces: add --traces BUNDLE, the bundle that was scored"
        )
    question = RankQuestion(source=runs, proxy=proxy, target=target, targets=targets, null=null)
    heatmaps = []
    if bundle is not None:
        for name in heat:
            trace = bundle.trace(name)
            heatmaps.append(
                heat_map(trace, found[0].trace(trace.key), checkpoint=found[0].manifest.checkpoint)
            )
    named = None if declaration is None else read_declaration(declaration)
    if named is not None:
        check_date(named, found)
    beheld = beside_runs(rank_runs(found, question), found, question) if len(found) > 1 else []
    known = known_of(
        [one.ranked for one in beheld],
        checked=read_checked(contamination, runs),
        runs=found,
        by=question.by,
    )
    if refusal := refuse(known, refuse_contaminated):
        say(refusal)
        return 1
    today = datetime.now(UTC)
    page = build_page(
        title=title,
        now=f"{today.day} {today:%B %Y}",
        groups=[with_companions(one) for one in beheld],
        combined=combine_groups([one.ranked for one in beheld], question),
        statuses=[status(one, named, dated=True) for one in beheld],
        seen=[one.lines() for one in known],
        comparison=comparison_rows(beheld),
        runs=found,
        bundles=() if bundle is None else (bundle,),
        heatmaps=heatmaps,
        show_text=text,
    )
    write_bytes(out, render(page).encode())
    say(f"{out}: {len(found)} runs")
    return 0
