"""Score random items of finished runs again and compare, token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rbridge.benchmarks import resolve_questions
from rbridge.errors import InputError, RBridgeError
from rbridge.records import ScoredTrace, Skip, Trace
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.encode import Encoded, cut_windows, encode_trace
from rbridge.scoring.source import prove
from rbridge.scoring.sweep import Failure, Prepare, as_scored
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.scoring.windows import Window, join_parts
from rbridge.store.bundles import Bundle
from rbridge.store.runs import Run


@dataclass(frozen=True)
class Verified:
    """What came out for one run.

    Attributes:
        run: the finished run.
        num_items, num_tokens: what was scored again.
        max_difference: largest difference of a token's loss, nats.
        tolerance: what rounding may make of it.
    """

    run: Run
    num_items: int
    num_tokens: int
    max_difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the run's numbers came out again."""
        return self.max_difference <= self.tolerance


def verify(
    runs: Sequence[Run],
    bundle: Bundle,
    *,
    num_items: int,
    rng: np.random.Generator,
    find: Callable[[str], Checkpoint],
    prepare_for: Callable[[str], Prepare],
    questions: str = "auto",
    key: bytes | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Verified], list[Failure]]:
    """Score random items of each run again, in other batches than the first time.

    Args:
        runs: finished runs; those of another bundle are left out, and said so.
        bundle: the traces.
        num_items: items of each run.
        rng: draws them.
        find: a checkpoint by the name that its run has.
        prepare_for: what makes a checkpoint ready, by the run's dtype.
        questions: where questions come from.
        key: what question hashes are salted with, where they are.
        progress: told one line at a time what is being done.

    Returns:
        What was compared, and the runs that could not be.

    Raises:
        InputError: no run is of this bundle.
    """
    ours = [run for run in runs if run.manifest.bundle_sha256 == bundle.manifest.content_sha256]
    if not ours:
        raise InputError(
            f"{bundle.path}: none of the {len(runs)} runs is of this bundle; name theirs with --traces"
        )
    if len(ours) < len(runs):
        progress(f"{len(runs) - len(ours)} runs are of another bundle and are left out")
    found: list[Verified] = []
    failures: list[Failure] = []
    for number, run in enumerate(ours, start=1):
        name = run.manifest.checkpoint
        progress(f"[{number}/{len(ours)}] {name}")
        try:
            one = _verify_one(
                run, bundle, num_items, rng, find(name), prepare_for(run.manifest.dtype), questions, key
            )
        except RBridgeError as error:
            failures.append(Failure(name, str(error)))
            progress(f"  failed: {error}")
            continue
        found.append(one)
    return found, failures


def _verify_one(
    run: Run,
    bundle: Bundle,
    num_items: int,
    rng: np.random.Generator,
    checkpoint: Checkpoint,
    prepare: Prepare,
    questions: str,
    key: bytes | None,
) -> Verified:
    stored = run.scored()
    if not stored:
        raise InputError(f"{run.folder}: has scored nothing, so there is nothing to verify")
    chosen = rng.choice(len(stored), size=min(num_items, len(stored)), replace=False)
    picked = {stored[index].key: stored[index] for index in chosen}
    traces = [trace for trace in bundle.traces if trace.key in picked]
    resolved = resolve_questions(traces, questions, key=key).traces
    ready = prepare(checkpoint, lambda _: False)
    try:
        if ready.weights_sha256 != run.manifest.weights_sha256:
            raise InputError(
                f"{checkpoint.name}: holds other weights than those that {run.folder.name} was scored with; "
                "score it again: it gets a run of its own"
            )
        source = ready.open()
        prove(source)
        tokenizer = ready.tokenizer()
        items = [
            part
            for trace in resolved
            for part in cut_windows(_encoded(trace, tokenizer, picked[trace.key], source.context_length))
        ]
        parts = {
            item.key: as_scored(item, nll)
            for batch in source.batches(items)
            for item, nll in zip(batch, source.losses(batch), strict=True)
        }
        again = join_parts([parts[item.key] for item in items])
        ready.check_unchanged()
    finally:
        ready.release()
    return Verified(
        run=run,
        num_items=len(again),
        num_tokens=sum(len(one.tokens.nll) for one in again),
        max_difference=max(_difference(run, picked[one.key], one) for one in again),
        tolerance=source.tolerance,
    )


def _encoded(
    trace: Trace, tokenizer: ProxyTokenizer, stored: ScoredTrace, context_length: int | None
) -> Encoded:
    window = None if stored.window is None else Window(*stored.window)
    found = encode_trace(trace, tokenizer, shots=stored.shots, context_length=context_length, window=window)
    if isinstance(found, Skip):
        raise InputError(
            f"{trace.key}: was scored, and now it is skipped ({found.reason}); another tokenizer?"
        )
    return found


def _difference(run: Run, stored: ScoredTrace, again: ScoredTrace) -> float:
    """Largest difference of a token's loss.

    Raises:
        InputError: the tokens or their weights are not even the same.
    """
    one, other = stored.tokens, again.tokens
    if not (np.array_equal(one.start, other.start) and np.array_equal(one.end, other.end)):
        raise InputError(
            f"{run.folder}: {stored.key}: its tokens are other ones now; has the tokenizer changed?"
        )
    if not _equal(one.weight, other.weight):
        raise InputError(
            f"{run.folder}: {stored.key}: its weights are other ones now; is the bundle another?"
        )
    return float(np.abs(one.nll - other.nll).max())


def _equal(one: Float[np.ndarray, " tokens"] | None, other: Float[np.ndarray, " tokens"] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.allclose(one, other, rtol=0, atol=1e-9)
