"""Teacher-force a local model over traces: for want of the writer's log-probabilities, or beside them.

The weights are then another model's confidence in the writer's words, and say so everywhere:
only the writer's own probabilities may be called frontier confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from rbridge.align import MARKS, SELF, add_weights
from rbridge.errors import InputError
from rbridge.records import Pieces, ScoredTrace, Trace, Weights
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
    """Traces of a bundle with the pieces and log-probabilities of a local model, beside what they have.

    The model is run as a proxy is, so that an interrupted call goes on where it stopped; its token
    losses become the log-probabilities, its tokens the pieces, cut to the bytes of R.

    Args:
        bundle: traces; weights that they carry already stay, in front of the new ones.
        checkpoint: the weight model.
        store: where its run is kept meanwhile.
        settings: as for scoring.
        name: what tables call the weight model.
        progress: told one line at a time what is being done.

    Returns:
        All traces in the bundle's order, and what the manifest says of the weight model.

    Raises:
        InputError: the model cannot read all of the traces, or they have weights of that name already.
    """
    if name in (SELF, "none", MARKS):
        raise InputError(f"--model-name {name}: means something else; give the model a name of its own")
    if name in bundle.manifest.weight_sources:
        raise InputError(
            f"{bundle.path}: has weights of {name!r} already: give the model another --model-name"
        )
    result = sweep([checkpoint], bundle, store, settings, progress=progress)
    if result.failures:
        raise InputError(result.failures[0].reason)
    run = result.runs[0]
    scored = {one.key: one for one in run.stored()}
    skipped = run.manifest.skipped
    if skipped:
        raise InputError(
            f"{name}: {len(skipped)} traces have no weights from it, {skipped[0].benchmark}/{skipped[0].problem_id} "
            f"for one ({skipped[0].reason}); weigh with another model, or leave them out of the bundle"
        )
    return [_weighed(trace, scored[trace.key], name) for trace in bundle.traces], _weight_model(run, name)


def _weighed(trace: Trace, scored: ScoredTrace, name: str) -> Trace:
    return add_weights(trace, Weights(name, _pieces(trace, scored)))


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
            "log-probabilities of this model, teacher-forced over the traces; they are not the writer's own"
        ),
    )
