"""rbridge score --until-settled: no more traces than the order needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rbridge.cli.output import print_json, say

if TYPE_CHECKING:
    from rbridge.cli.origins import Origin
    from rbridge.records import Labels
    from rbridge.scoring.settings import ScoreSettings
    from rbridge.scoring.settle import Until
    from rbridge.store.bundles import Bundle


def settle(
    names: tuple[str, ...],
    bundle: Bundle,
    out: Path,
    settings: ScoreSettings,
    origin: Origin,
    *,
    until: Until,
    labels: Mapping[str, Labels],
    weights: str | None,
    json: bool,
) -> int:
    """Score until the order is settled, and print it."""
    from rbridge.cli.settled import print_settled, settled_document
    from rbridge.cli.shapes import score_document
    from rbridge.scoring.settle import score_until_settled
    from rbridge.scoring.sweep import make_jobs
    from rbridge.store.runs import RunStore
    from rbridge.store.views import View

    view = View(weights=weights)
    found = score_until_settled(
        make_jobs(bundle, RunStore(out), settings, say),
        origin.expand(names),
        until,
        labels=labels,
        prepare=origin.prepare_for(settings.dtype),
        document=settled_document,
        view=view,
    )
    if json:
        runs = [run.seen(view) for run in found.runs]
        print_json({**score_document(runs), "settled": settled_document(found)})
    else:
        print_settled(found)
    for failure in found.failures:
        say(f"error: {failure.reason}")
    return 1 if found.failures else 0
