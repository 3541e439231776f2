"""What a ranking says of its seeds."""

from __future__ import annotations

from rbridge.rank import Pilot, Ranking, Replicates, uneven_seed_noise

CONDITIONAL = (
    "conditional on these checkpoints: one seed a recipe shows nothing of the variation between seeds, "
    "so no probability of being better or best is given"
)


def seed_notes(replicates: Replicates, ranking: Ranking, pilot: Pilot | None) -> tuple[str, ...]:
    """What the intervals take for granted of the variation between seeds, one line each."""
    if not ranking.resampled:
        return ()
    noise = ranking.noise
    if noise is None:
        return (CONDITIONAL,)
    if pilot is not None:
        how = f"seed noise is pooled with a pilot's, {pilot.freedom} degrees of freedom"
    elif noise.pooled:
        how = "seed noise is pooled over recipes: their variances spread no more than chance has them do"
    else:
        how = (
            "seed noise is each recipe's own, drawn towards the others' "
            f"(worth {noise.prior_freedom:.1f} degrees of freedom)"
        )
    blocks = ("seeds that all recipes share are blocks in their differences",) if noise.blocks else ()
    uneven = [
        f"seeds of {recipe} vary {ratio:.0f} times as much as the others' (F test, p < 0.01)"
        for recipe, ratio in uneven_seed_noise(replicates)
    ]
    return (how, *blocks, *uneven)
