"""Score checkpoints on a bundle: find, encode, run, keep. Nothing finished is computed again."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
import tokenizers
import torch
import transformers
from jaxtyping import Float

from rbridge import __version__
from rbridge.benchmarks import resolve_questions
from rbridge.errors import InputError, RBridgeError
from rbridge.records import Labels, ScoredTrace, TokenScores, TokenStatistics, TraceKey
from rbridge.scoring import hf
from rbridge.scoring.ahead import prepared, prepared_ahead
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.encode import Encoded, prompts
from rbridge.scoring.encodings import Encodings
from rbridge.scoring.names import ParsedLabels, with_parsed
from rbridge.scoring.precision import half_error, sample
from rbridge.scoring.readings import Reader, read_further
from rbridge.scoring.settings import ScoreSettings, question_key, select_traces
from rbridge.scoring.source import Ready, Source, prove
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.scoring.tokenizer_files import Tokenizers
from rbridge.scoring.windows import join_parts, whole_key
from rbridge.store.bundles import Bundle
from rbridge.store.files import sha256_json
from rbridge.store.runs import FORMAT_VERSION, HalfError, Run, RunManifest, RunStore, skip_rows

# Makes a checkpoint ready, told how to find out that its run is finished already; see ``hf.prepare``.
Prepare = Callable[[Checkpoint, Callable[[Ready], bool]], Ready]

# Seconds between two writes of what a running checkpoint has given so far.
_KEEP_EVERY = 5.0


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


def sweep(
    checkpoints: Iterable[Checkpoint],
    bundle: Bundle,
    store: RunStore,
    settings: ScoreSettings,
    *,
    labels: Mapping[str, Labels] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    prepare: Prepare | None = None,
    finished: Callable[[Run], None] = lambda _: None,
) -> Sweep:
    """Score every checkpoint on the bundle's traces and keep each run as it is finished.

    Args:
        checkpoints: from ``expand``; they may come while others are scored.
        bundle: traces.
        store: where runs are kept; a finished one is not computed again, a half-finished one goes
            on where it stopped.
        settings: see ``ScoreSettings``.
        labels: by checkpoint name; they win over what a checkpoint says of itself, and that over the
            step and tokens that its name tells.
        progress: told one line at a time what is being done.
        prepare: makes a checkpoint ready; transformers by default.
        finished: told each run as it is finished.

    Returns:
        The runs, and the checkpoints that failed: one bad checkpoint does not stop the others.

    Raises:
        InputError: the traces' questions cannot be had, or the settings do not fit the bundle.
    """
    jobs = make_jobs(bundle, store, settings, progress)
    return run_jobs(jobs, checkpoints, labels=labels, prepare=prepare, finished=finished)


def make_jobs(
    bundle: Bundle, store: RunStore, settings: ScoreSettings, progress: Callable[[str], None] = lambda _: None
) -> Jobs:
    """What all checkpoints of a sweep share: the traces with their questions, the store.

    Raises:
        InputError: the traces' questions cannot be had, or the settings do not fit the bundle.
    """
    key = question_key(bundle, settings)
    resolved = resolve_questions(select_traces(bundle, settings), settings.questions, key=key)
    # Refuses worked examples that do not exist before any model is loaded.
    read = [[str(trace.key), prompts(trace, settings.shots)] for trace in resolved.traces]
    readings = sha256_json(read if settings.window is None else [*read, asdict(settings.window)])
    encodings = Encodings(resolved.traces, settings.shots, settings.window)
    return Jobs(bundle, encodings, resolved.sources, readings, settings, store, progress)


def run_jobs(
    jobs: Jobs,
    checkpoints: Iterable[Checkpoint],
    *,
    labels: Mapping[str, Labels] | None = None,
    prepare: Prepare | None = None,
    finished: Callable[[Run], None] = lambda _: None,
) -> Sweep:
    """``sweep`` with what its checkpoints share made before."""
    settings, progress = jobs.settings, jobs.progress
    prepare = prepare or transformers_prepare(settings, settings.dtype)
    runs: list[Run] = []
    failures: list[Failure] = []
    listed = isinstance(checkpoints, Sequence)
    total = f"/{len(checkpoints)}" if isinstance(checkpoints, Sequence) else ""
    stream = (prepared_ahead if listed else prepared)(checkpoints, jobs.preparing(prepare))
    for number, (checkpoint, ready) in enumerate(stream, start=1):
        progress(f"[{number}{total}] {checkpoint.name}{_run_by(checkpoint, ready)}")
        try:
            run = jobs.run(checkpoint, ready, labels_of(checkpoint, labels or {}))
            if settings.further.anything:
                jobs.read_further(checkpoint, run)
        except RBridgeError as error:
            failures.append(Failure(checkpoint.name, str(error)))
            progress(f"  failed: {error}")
            continue
        runs.append(run)
        failures.extend(_shortcomings(run))
        finished(run)
    return Sweep(tuple(runs), tuple(failures))


def transformers_prepare(settings: ScoreSettings, dtype: str, gguf: str = hf.AUTO) -> Prepare:
    """What makes a folder, a hub name or a GGUF file ready for transformers; see ``hf.prepare`` for ``gguf``."""
    return partial(
        hf.prepare,
        gguf=gguf,
        dtype=dtype,
        device=settings.device or _best_device(),
        batch_tokens=settings.batch_tokens,
        keep_downloads=settings.keep_downloads or settings.further.anything,  # these read it once more
        tokenizers=Tokenizers(),
    )


def labels_of(checkpoint: Checkpoint, given: Mapping[str, Labels]) -> ParsedLabels:
    """What is said of a checkpoint: given labels, else its own, else what its name tells."""
    return with_parsed(given.get(checkpoint.name, checkpoint.labels), checkpoint.name)


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


def _run_by(checkpoint: Checkpoint, ready: Ready | RBridgeError) -> str:
    """What runs a checkpoint, where it is not transformers or might not have been: a GGUF file has two readers."""
    if isinstance(ready, RBridgeError) or (ready.engine == hf.ENGINE and checkpoint.gguf_file is None):
        return ""
    return f" ({ready.engine})"


@dataclass(frozen=True)
class Some:
    """A checkpoint's scores so far: the key of its run, its tokenizer, traces."""

    key: str
    tokenizer_sha256: str
    scored: tuple[ScoredTrace, ...]


@dataclass(frozen=True)
class Jobs:
    """Checkpoints on one bundle, one after the other."""

    bundle: Bundle
    encodings: Encodings
    question_sources: Mapping[str, str]
    readings_sha256: str
    settings: ScoreSettings
    store: RunStore
    progress: Callable[[str], None]

    def preparing(self, prepare: Prepare) -> Callable[[Checkpoint], Ready]:
        """``prepare``, told how to find out that a run is finished before its weights are fetched."""

        def one(checkpoint: Checkpoint) -> Ready:
            def is_finished(ready: Ready) -> bool:
                key = self._key(checkpoint, ready, ready.tokenizer())
                return self.store.finished(key, checkpoint.name) is not None

            return prepare(checkpoint, is_finished)

        return one

    def run(self, checkpoint: Checkpoint, ready: Ready | RBridgeError, labels: ParsedLabels) -> Run:
        """The finished run: from the store, or computed."""
        if isinstance(ready, RBridgeError):
            raise ready
        try:
            tokenizer = ready.tokenizer()
            key = self._key(checkpoint, ready, tokenizer)
            done = self.store.finished(key, checkpoint.name)
            if done is None:
                return self._compute(key, checkpoint, ready, tokenizer, labels)
        finally:
            ready.release()
        self.progress("  scored already")
        self.store.drop_partial(key)  # of a process that died after it had finished
        return (
            done
            if done.manifest.labels == labels.labels
            else self.store.relabel(done, labels.labels, labels.parsed)
        )

    def some(self, checkpoint: Checkpoint, ready: Ready | RBridgeError, wanted: Collection[TraceKey]) -> Some:
        """Scores of some of the traces, kept as those of an unfinished run: a later sweep completes it."""
        if isinstance(ready, RBridgeError):
            raise ready
        try:
            tokenizer = ready.tokenizer()
            key = self._key(checkpoint, ready, tokenizer)
            done = self.store.finished(key, checkpoint.name)
            if done is not None:
                return Some(key, tokenizer.sha256, done.stored())
            source = ready.open()
            prove(source)
            encoded, _ = self.encodings.of(tokenizer, source.context_length)
            _refuse_unknown_ids(checkpoint, source, encoded)
            chosen = [item for item in encoded if whole_key(item.key) in wanted]
            parts = self._score(key, ready, source, chosen)
            ready.check_unchanged()
            return Some(key, tokenizer.sha256, tuple(join_parts(parts)))
        finally:
            ready.release()

    def read_further(self, checkpoint: Checkpoint, run: Run) -> None:
        """The further readings that are asked for, beside the finished run."""
        reader = Reader(
            checkpoint,
            dtype=self.settings.dtype,
            device=self.settings.device or _best_device(),
            shots=self.settings.shots,
            batch_tokens=self.settings.batch_tokens,
        )
        read_further(
            run,
            reader,
            self.encodings.traces,
            self.settings.further,
            questions=self.settings.questions,
            progress=self.progress,
        )

    def _compute(
        self, key: str, checkpoint: Checkpoint, ready: Ready, tokenizer: ProxyTokenizer, labels: ParsedLabels
    ) -> Run:
        started = time.monotonic()
        source = ready.open()
        difference = prove(source)
        encoded, skips = self.encodings.of(tokenizer, source.context_length)
        _refuse_unknown_ids(checkpoint, source, encoded)
        parts = self._score(key, ready, source, encoded)
        ready.check_unchanged()
        scored = join_parts(parts)
        error = self._half_error(ready, encoded, parts) if encoded else None
        manifest = RunManifest(
            key=key,
            checkpoint=checkpoint.name,
            labels=labels.labels,
            parsed_labels=list(labels.parsed),
            revision=checkpoint.revision,
            weights_sha256=ready.weights_sha256,
            tokenizer_sha256=tokenizer.sha256,
            engine=ready.engine,
            architecture=source.architecture,
            parameters=source.parameters,
            active_parameters=source.active_parameters,
            context_length=source.context_length,
            dtype=self.settings.dtype,
            device=self.settings.device or _best_device(),
            threads=torch.get_num_threads(),
            prefix_ids=tokenizer.prefix_ids,
            bundle=str(self.bundle.path),
            bundle_sha256=self.bundle.manifest.content_sha256,
            weight_sources=sorted({trace.weight_source or "none" for trace in self.encodings.traces}),
            question_sources=dict(self.question_sources),
            shots=self.settings.shots,
            limit=self.settings.limit,
            benchmarks=sorted({trace.key.benchmark for trace in self.encodings.traces}),
            num_scored=len(scored),
            skipped=skip_rows(skips),
            versions=_versions(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - started, 3),
            max_probe_difference=difference,
            ways=dict(source.ways),
            half_error=error,
        )
        return self.store.finish(manifest, scored)

    def _half_error(
        self, ready: Ready, encoded: Sequence[Encoded], scored: Sequence[ScoredTrace]
    ) -> HalfError | None:
        """What half precision moved, on a sample scored again in float32; None where that cannot be told."""
        if self.settings.dtype == "float32" or ready.open_float32 is None:
            return None
        error = half_error({one.key: one.tokens.nll for one in scored}, ready.open_float32(), sample(encoded))
        self.progress(
            f"  {self.settings.dtype} against float32 on {error.num_traces} traces: a token's loss moves by "
            f"{error.token_rms:.2g} nats (root mean square), a trace's mean loss by {error.trace_mean:.2g} "
            f"(at most {error.trace_max:.2g})"
        )
        return error

    def _key(self, checkpoint: Checkpoint, ready: Ready, tokenizer: ProxyTokenizer) -> str:
        return sha256_json(
            {
                "engine_format": FORMAT_VERSION,
                "engine": ready.engine,
                "weights": ready.weights_sha256,
                "revision": checkpoint.revision,
                "tokenizer": tokenizer.sha256,
                "prefix": tokenizer.prefix_ids,
                "dtype": self.settings.dtype,
                "bundle": self.bundle.manifest.content_sha256,
                "readings": self.readings_sha256,
                **({"token_statistics": True} if self.settings.token_statistics else {}),
            }
        )

    def _score(self, key: str, ready: Ready, source: Source, encoded: Sequence[Encoded]) -> list[ScoredTrace]:
        """Losses of every trace, batch by batch; what an interrupted run left is not run again."""
        kept = {scored.key: scored for scored in self.store.partial(key)}
        if kept:
            self.progress(f"  going on after {len(kept)} of {len(encoded)} traces")
        fresh: list[ScoredTrace] = []
        last = time.monotonic()
        try:
            for items in source.batches(encoded):
                missing = [item for item in items if item.key not in kept]
                if not missing:
                    continue
                read = zip(missing, self._read(source, missing), strict=True)
                fresh.extend(as_scored(item, *one) for item, one in read)
                if time.monotonic() - last > _KEEP_EVERY:
                    self._keep(key, ready, fresh, kept)
                    self.progress(f"  {len(kept)} of {len(encoded)} traces")
                    last = time.monotonic()
        finally:  # whatever ends the loop, Ctrl-C or a full disk later on, finished batches stay
            self._keep(key, ready, fresh, kept)
        return [kept[item.key] for item in encoded]

    def _read(
        self, source: Source, items: Sequence[Encoded]
    ) -> Sequence[tuple[Float[np.ndarray, " tokens"], TokenStatistics | None]]:
        """Losses, and statistics where they are asked for, of a batch."""
        if not self.settings.token_statistics:
            return [(nll, None) for nll in source.losses(items)]
        assert source.statistics is not None  # a model that is here has them; others were refused
        return source.statistics(items)

    def _keep(
        self, key: str, ready: Ready, fresh: list[ScoredTrace], kept: dict[TraceKey, ScoredTrace]
    ) -> None:
        """Write the batches since the last write, so that they outlive an interruption."""
        if fresh:
            ready.check_unchanged()
            self.store.append(key, fresh)
            kept |= {scored.key: scored for scored in fresh}
            fresh.clear()


def _refuse_unknown_ids(checkpoint: Checkpoint, source: Source, encoded: Sequence[Encoded]) -> None:
    highest = max((max(item.ids) for item in encoded), default=0)
    if highest >= source.vocabulary:
        raise InputError(
            f"{checkpoint.name}: its tokenizer gives id {highest}, its model knows ids below "
            f"{source.vocabulary}; is the tokenizer another model's?"
        )


def as_scored(
    item: Encoded, nll: Float[np.ndarray, " tokens"], statistics: TokenStatistics | None = None
) -> ScoredTrace:
    """The losses of one encoded trace, beside its weights and spans."""
    tokens = TokenScores(
        nll=nll.astype(np.float64),
        weight=item.weight,
        start=item.start,
        end=item.end,
        num_bytes=item.num_bytes,
        statistics=statistics,
    )
    window = None if item.window is None else (item.window.size, item.window.stride)
    return ScoredTrace(item.key, item.shots, item.weight_source, tokens, item.other_weights, window)


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
