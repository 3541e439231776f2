"""Score checkpoints on a bundle: find, encode, run, keep. Nothing finished is computed again."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import tokenizers
import torch
import transformers
from jaxtyping import Float

from rbridge import __version__
from rbridge.benchmarks import resolve_questions
from rbridge.errors import InputError, RBridgeError
from rbridge.records import Labels, ScoredTrace, Skip, TokenScores, TokenStatistics, Trace, TraceKey
from rbridge.scoring.checkpoints import Checkpoint, LoadedModel, load_model, load_tokenizer, weights_sha256
from rbridge.scoring.encode import Encoded, encode_trace, prompts
from rbridge.scoring.engine import Engine
from rbridge.scoring.precision import half_error, sample
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.bundles import Bundle
from rbridge.store.files import sha256_json
from rbridge.store.runs import FORMAT_VERSION, HalfError, Run, RunManifest, RunStore, skip_rows

# Seconds between two writes of what a running checkpoint has given so far.
_KEEP_EVERY = 5.0


@dataclass(frozen=True)
class ScoreSettings:
    """How checkpoints are scored; what changes numbers goes into every run's key.

    Attributes:
        shots: worked examples before each question.
        benchmarks: names to score, or empty for all.
        limit: traces a benchmark, the first of the bundle, or None for all.
        questions: where questions come from (see ``rbridge.benchmarks``).
        dtype: of weights and activations; the log-softmax is float32 always.
        device: a torch device, or None for the GPU where there is one.
        batch_tokens: tokens a batch.
        token_statistics: keep rank, entropy and margins of every prediction too.
    """

    shots: int = 5
    benchmarks: tuple[str, ...] = ()
    limit: int | None = None
    questions: str = "auto"
    dtype: str = "float32"
    device: str | None = None
    batch_tokens: int = 4096
    token_statistics: bool = False


@dataclass(frozen=True)
class Failure:
    """A checkpoint that could not be scored, or whose tokenizer refused traces, and why."""

    checkpoint: str
    reason: str


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave: runs in the order of the checkpoints, and the failures."""

    runs: tuple[Run, ...]
    failures: tuple[Failure, ...]


def select_traces(bundle: Bundle, settings: ScoreSettings) -> tuple[Trace, ...]:
    """The bundle's traces that the settings ask for, in its order.

    Raises:
        InputError: a benchmark that the bundle has no trace of.
    """
    unknown = [name for name in settings.benchmarks if name not in bundle.manifest.counts]
    if unknown:
        raise InputError(
            f"{bundle.path}: holds no trace of {unknown[0]!r}; it has {', '.join(sorted(bundle.manifest.counts))}"
        )
    taken: dict[tuple[str, str], int] = {}
    selected = []
    for trace in bundle.traces:
        group = (trace.key.benchmark, trace.key.voice)
        taken[group] = taken.get(group, 0) + 1
        wanted = not settings.benchmarks or trace.key.benchmark in settings.benchmarks
        if wanted and (settings.limit is None or taken[group] <= settings.limit):
            selected.append(trace)
    return tuple(selected)


def sweep(
    checkpoints: Sequence[Checkpoint],
    bundle: Bundle,
    store: RunStore,
    settings: ScoreSettings,
    *,
    labels: Mapping[str, Labels] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """Score every checkpoint on the bundle's traces and keep each run as it is finished.

    Args:
        checkpoints: from ``expand``.
        bundle: traces.
        store: where runs are kept; a finished one is not computed again, a half-finished one goes
            on where it stopped.
        settings: see ``ScoreSettings``.
        labels: by checkpoint name; they win over what a checkpoint says of itself.
        progress: told one line at a time what is being done.

    Returns:
        The runs, and the checkpoints that failed: one bad checkpoint does not stop the others.

    Raises:
        InputError: the traces' questions cannot be had, or the settings do not fit the bundle.
    """
    resolved = resolve_questions(select_traces(bundle, settings), settings.questions)
    # Refuses worked examples that do not exist before any model is loaded.
    readings = sha256_json([[str(trace.key), prompts(trace, settings.shots)] for trace in resolved.traces])
    runs: list[Run] = []
    failures: list[Failure] = []
    for number, checkpoint in enumerate(checkpoints, start=1):
        progress(f"[{number}/{len(checkpoints)}] {checkpoint.name}")
        try:
            job = _Job(
                checkpoint, bundle, resolved.traces, resolved.sources, readings, settings, store, progress
            )
            run = job.run((labels or {}).get(checkpoint.name, checkpoint.labels))
        except RBridgeError as error:
            failures.append(Failure(checkpoint.name, str(error)))
            progress(f"  failed: {error}")
            continue
        runs.append(run)
        failures.extend(_shortcomings(run))
    return Sweep(tuple(runs), tuple(failures))


def _shortcomings(run: Run) -> list[Failure]:
    """What a user must know of a run beyond its listed skips: traces refused, or nothing scored at all."""
    name, skipped = run.manifest.checkpoint, run.manifest.skipped
    refused = [row for row in skipped if row.refused]
    if run.manifest.num_scored == 0:
        first = (refused or skipped)[0]
        reason = f"none of the {len(skipped)} traces can be scored; "
    elif refused:
        first = refused[0]
        reason = f"its tokenizer cannot spell {len(refused)} of the traces (the others are scored and kept); "
    else:
        return []
    return [Failure(name, f"{name}: {reason}the first: {first.benchmark}/{first.problem_id}: {first.reason}")]


@dataclass(frozen=True)
class _Job:
    """One checkpoint on one bundle."""

    checkpoint: Checkpoint
    bundle: Bundle
    traces: Sequence[Trace]
    question_sources: Mapping[str, str]
    readings_sha256: str
    settings: ScoreSettings
    store: RunStore
    progress: Callable[[str], None]

    def run(self, labels: Labels) -> Run:
        """The finished run: from the store, or computed."""
        weights = weights_sha256(self.checkpoint)
        tokenizer = load_tokenizer(self.checkpoint)
        key = self._key(weights, tokenizer)
        done = self.store.finished(key, self.checkpoint.name)
        if done is not None:
            self.progress("  scored already")
            return done if done.manifest.labels == labels else self.store.relabel(done, labels)
        return self._compute(key, weights, tokenizer, labels)

    def _compute(self, key: str, weights: str, tokenizer: ProxyTokenizer, labels: Labels) -> Run:
        started = time.monotonic()
        device = self.settings.device or _best_device()
        loaded = load_model(self.checkpoint, dtype=self.settings.dtype, device=device)
        engine = Engine(loaded.model, name=self.checkpoint.name)
        encoded, skips = self._encode(tokenizer, loaded)
        highest = max((max(item.ids) for item in encoded), default=0)
        if highest >= engine.vocabulary:
            raise InputError(
                f"{self.checkpoint.name}: its tokenizer gives id {highest}, its model knows ids below "
                f"{engine.vocabulary}; is the tokenizer another model's?"
            )
        scored = self._score(key, engine, encoded)
        error = self._half_error(encoded, scored, device) if encoded else None
        manifest = RunManifest(
            key=key,
            checkpoint=self.checkpoint.name,
            labels=labels,
            revision=self.checkpoint.revision,
            weights_sha256=weights,
            tokenizer_sha256=tokenizer.sha256,
            architecture=loaded.architecture,
            parameters=loaded.parameters,
            context_length=loaded.context_length,
            dtype=self.settings.dtype,
            device=device,
            threads=torch.get_num_threads(),
            prefix_ids=tokenizer.prefix_ids,
            bundle=str(self.bundle.path),
            bundle_sha256=self.bundle.manifest.content_sha256,
            weight_sources=sorted({trace.weight_source or "none" for trace in self.traces}),
            question_sources=dict(self.question_sources),
            shots=self.settings.shots,
            limit=self.settings.limit,
            benchmarks=sorted({trace.key.benchmark for trace in self.traces}),
            num_scored=len(scored),
            skipped=skip_rows(skips),
            versions=_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - started, 3),
            max_probe_difference=engine.max_probe_difference,
            ways=engine.ways,
            half_error=error,
        )
        return self.store.finish(manifest, scored)

    def _half_error(
        self, encoded: Sequence[Encoded], scored: Sequence[ScoredTrace], device: str
    ) -> HalfError | None:
        """What half precision moved, on a sample scored again in float32; None for float32."""
        if self.settings.dtype == "float32":
            return None
        model = load_model(self.checkpoint, dtype="float32", device=device).model
        error = half_error(
            {one.key: one.tokens.nll for one in scored},
            Engine(model, name=self.checkpoint.name),
            sample(encoded),
            batch_tokens=self.settings.batch_tokens,
        )
        self.progress(
            f"  {self.settings.dtype} against float32 on {error.num_traces} traces: a token's loss moves by "
            f"{error.token_rms:.2g} nats (root mean square), a trace's mean loss by {error.trace_mean:.2g} "
            f"(at most {error.trace_max:.2g})"
        )
        return error

    def _key(self, weights: str, tokenizer: ProxyTokenizer) -> str:
        return sha256_json(
            {
                "engine_format": FORMAT_VERSION,
                "weights": weights,
                "revision": self.checkpoint.revision,
                "tokenizer": tokenizer.sha256,
                "prefix": tokenizer.prefix_ids,
                "dtype": self.settings.dtype,
                "bundle": self.bundle.manifest.content_sha256,
                "readings": self.readings_sha256,
                **({"token_statistics": True} if self.settings.token_statistics else {}),
            }
        )

    def _encode(self, tokenizer: ProxyTokenizer, loaded: LoadedModel) -> tuple[list[Encoded], list[Skip]]:
        encoded: list[Encoded] = []
        skips: list[Skip] = []
        for trace in self.traces:
            found = encode_trace(
                trace, tokenizer, shots=self.settings.shots, context_length=loaded.context_length
            )
            if isinstance(found, Skip):
                skips.append(found)
            else:
                encoded.append(found)
        return encoded, skips

    def _score(self, key: str, engine: Engine, encoded: Sequence[Encoded]) -> list[ScoredTrace]:
        """Losses of every trace, batch by batch; what an interrupted run left is not run again."""
        kept = {scored.key: scored for scored in self.store.partial(key)}
        if kept:
            self.progress(f"  going on after {len(kept)} of {len(encoded)} traces")
        fresh: list[ScoredTrace] = []
        last = time.monotonic()
        try:
            for items in self._batches(engine, encoded):
                if all(item.key in kept for item in items):
                    continue
                if self.settings.token_statistics:
                    read = engine.statistics(items)
                    fresh.extend(_scored(item, *one) for item, one in zip(items, read, strict=True))
                else:
                    read = engine.losses(items)
                    fresh.extend(_scored(item, nll) for item, nll in zip(items, read, strict=True))
                if time.monotonic() - last > _KEEP_EVERY:
                    self._keep(key, fresh, kept)
                    self.progress(f"  {len(kept)} of {len(encoded)} traces")
                    last = time.monotonic()
        finally:  # whatever ends the loop, Ctrl-C or a full disk later on, finished batches stay
            self._keep(key, fresh, kept)
        return [kept[item.key] for item in encoded]

    def _batches(self, engine: Engine, encoded: Sequence[Encoded]) -> Iterator[list[Encoded]]:
        yield from engine.plan(encoded, self.settings.batch_tokens)

    def _keep(self, key: str, fresh: list[ScoredTrace], kept: dict[TraceKey, ScoredTrace]) -> None:
        """Write the batches since the last write, so that they outlive an interruption."""
        if fresh:
            self.store.append(key, fresh)
            kept |= {scored.key: scored for scored in fresh}
            fresh.clear()


def _scored(
    item: Encoded, nll: Float[np.ndarray, " tokens"], statistics: TokenStatistics | None = None
) -> ScoredTrace:
    tokens = TokenScores(
        nll=nll.astype(np.float64),
        weight=item.weight,
        start=item.start,
        end=item.end,
        num_bytes=item.num_bytes,
        statistics=statistics,
    )
    return ScoredTrace(item.key, item.shots, item.weight_source, tokens)


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _versions() -> dict[str, str]:
    return {
        "rbridge": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
    }
