"""Teacher-force a local model over traces whose writer gave no log-probabilities.

The weights are then another model's confidence in the writer's words, and say so everywhere:
only the writer's own probabilities may be called frontier confidence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from rbridge.errors import InputError
from rbridge.records import Pieces, ScoredTrace, Trace
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.sweep import ScoreSettings, sweep
from rbridge.store.bundles import Bundle, WeightModel
from rbridge.store.runs import Run, RunStore


def weigh(
    bundle: Bundle,
    checkpoint: Checkpoint,
    store: RunStore,
    settings: ScoreSettings,
    *,
    name: str,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Trace], WeightModel]:
    """Traces of a bundle with the pieces and log-probabilities of a local model.

    The model is run as a proxy is, so that an interrupted call goes on where it stopped; its token
    losses become the log-probabilities, its tokens the pieces, cut to the bytes of R.

    Args:
        bundle: traces; those that have pieces of their writer's own are left as they are.
        checkpoint: the weight model.
        store: where its run is kept meanwhile.
        settings: as for scoring.
        name: what tables call the weight model.
        progress: told one line at a time what is being done.

    Returns:
        All traces in the bundle's order, and what the manifest says of the weight model.

    Raises:
        InputError: the model cannot read all of the traces.
    """
    result = sweep([checkpoint], bundle, store, settings, progress=progress)
    if result.failures:
        raise InputError(result.failures[0].reason)
    run = result.runs[0]
    scored = {one.key: one for one in run.scored()}
    skipped = run.manifest.skipped
    if skipped:
        raise InputError(
            f"{name}: {len(skipped)} traces have no weights from it, {skipped[0].benchmark}/{skipped[0].problem_id} "
            f"for one ({skipped[0].reason}); weigh with another model, or leave them out of the bundle"
        )
    return [_weighed(trace, scored[trace.key], name) for trace in bundle.traces], _weight_model(run, name)


def _weighed(trace: Trace, scored: ScoredTrace, name: str) -> Trace:
    if trace.weight_source == "self":
        return trace
    # The pieces spell the reasoning alone, so a reply kept beside it would contradict them.
    return dataclasses.replace(
        trace, reply=None, reasoning_span=None, pieces=_pieces(trace, scored), weight_source=name
    )


def _pieces(trace: Trace, scored: ScoredTrace) -> Pieces:
    reasoning = trace.reasoning.encode()
    spans: Sequence[tuple[int, int]] = list(
        zip(scored.tokens.start.tolist(), scored.tokens.end.tolist(), strict=True)
    )
    # A loss can come out a rounding below 0; a log-probability cannot be above it.
    return Pieces(tuple(reasoning[start:end] for start, end in spans), np.minimum(-scored.tokens.nll, 0.0))


def _weight_model(run: Run, name: str) -> WeightModel:
    return WeightModel(
        name=name,
        sha256=run.manifest.weights_sha256,
        dtype=run.manifest.dtype,
        date=datetime.now(UTC).date().isoformat(),
        shots=run.manifest.shots,
        engine=f"transformers {run.manifest.versions['transformers']}, torch {run.manifest.versions['torch']}",
        note=(
            "log-probabilities of this model, teacher-forced over the traces; they stand in for the writer's own, "
            "which its API does not give"
        ),
    )
