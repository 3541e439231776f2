"""Which models of a plan are finished, so that a run that goes on can be read in the middle."""

from __future__ import annotations

from pathlib import Path

from rbridge.errors import InputError
from rbridge.miniature.jobs import Trained, finished
from rbridge.miniature.study import Plan


def finished_models(out: Path, plan: Plan) -> list[Trained]:
    """The finished models among those of whole rounds: a size and seed counts where every recipe has it.

    Raises:
        InputError: no round of proxies, or none of targets, is whole.
    """
    rounds: dict[tuple[str, int], list[Trained | None]] = {}
    for job in plan.jobs:
        done = finished(job, out / "proxies" / job.name)
        rounds.setdefault((job.size.name, job.seed), []).append(done)
    whole = {name: models for name, models in rounds.items() if None not in models}
    sizes = {size for size, _ in whole}
    if plan.target.name not in sizes or len(sizes) < 2:
        raise InputError(
            f"{out}: no whole round of proxies and targets is finished ({len(whole)} of {len(rounds)} rounds are); "
            "let the run go on"
        )
    return [model for models in whole.values() for model in models if model is not None]
