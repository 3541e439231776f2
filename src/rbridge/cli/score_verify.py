"""rbridge score --verify: random items of finished runs, scored again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rbridge.cli.output import print_json, say

if TYPE_CHECKING:
    from rbridge.cli.origins import Origin
    from rbridge.scoring.settings import ScoreSettings
    from rbridge.store.bundles import Bundle


def verify_runs(
    names: tuple[str, ...],
    bundle: Bundle,
    out: Path,
    settings: ScoreSettings,
    origin: Origin,
    *,
    num_items: int,
    json: bool,
) -> int:
    """Score items again and print how far they are from what is stored."""
    import numpy as np

    from rbridge.cli.shapes import verified_document
    from rbridge.cli.tables import print_verified
    from rbridge.errors import InputError
    from rbridge.scoring.settings import question_key
    from rbridge.scoring.verify import verify
    from rbridge.store.runs import read_runs

    runs = read_runs(out)
    if names:
        wanted = {checkpoint.name for checkpoint in origin.expand(names)}
        unscored = wanted - {run.manifest.checkpoint for run in runs}
        if unscored:
            raise InputError(f"{out}: has no run of {min(unscored)}; score it first, without --verify")
        runs = tuple(run for run in runs if run.manifest.checkpoint in wanted)
    found, failures = verify(
        runs,
        bundle,
        num_items=num_items,
        rng=np.random.default_rng(),
        find=lambda name: origin.expand([name])[0],
        prepare_for=origin.prepare_for,
        questions=settings.questions,
        key=question_key(bundle, settings),
        progress=say,
    )
    if json:
        print_json(verified_document(found))
    else:
        print_verified(found)
    for failure in failures:
        say(f"error: {failure.reason}")
    for one in found:
        if not one.holds:
            say(
                f"error: {one.run.folder}: a token's loss differs by {one.max_difference:.2g} nats, more than "
                f"{one.tolerance:.2g}: its numbers are not those of this machine and checkpoint; delete the run "
                "and score it again"
            )
    return 1 if failures or not all(one.holds for one in found) else 0
