"""Evaluate checkpoints on benchmarks: find, ask, keep, judge. Nothing finished is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rbridge import __version__
from rbridge.benchmarks import Problem, ProblemSet, closing_words, load_problems, stops_of
from rbridge.errors import InputError, RBridgeError
from rbridge.evaluate.endpoint import Server, ask, refuse_cap
from rbridge.evaluate.tasks import EvaluateSettings, Task, build_tasks, prompts_sha256
from rbridge.evaluate.verdicts import cutter, judge
from rbridge.grading import checker_of, require_checker
from rbridge.metric.generation import chance_level, constant_answer
from rbridge.records import Labels
from rbridge.store.evaluations import (
    FORMAT_VERSION,
    Evaluation,
    EvaluationManifest,
    EvaluationStore,
    Reply,
    SkippedProblem,
)
from rbridge.store.files import sha256_json

if TYPE_CHECKING:
    from rbridge.evaluate.local import LocalGenerator
    from rbridge.scoring.checkpoints import Checkpoint
    from rbridge.scoring.names import ParsedLabels
    from rbridge.scoring.source import Ready
    from rbridge.scoring.tokenizer import ProxyTokenizer

Say = Callable[[str], None]
# Seconds between two writes of what a running evaluation has given so far.
_KEEP_EVERY = 5.0


@dataclass(frozen=True)
class Evaluated:
    """What came of it: evaluations in the order of checkpoints and benchmarks, and why others are missing."""

    evaluations: tuple[Evaluation, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """One benchmark, ready to be asked."""

    problems: ProblemSet
    checker: Any
    prompts_sha256: str


def evaluate_checkpoints(
    checkpoints: Sequence[Checkpoint],
    store: EvaluationStore,
    settings: EvaluateSettings,
    *,
    labels: Mapping[str, Labels],
    progress: Say,
) -> Evaluated:
    """Evaluate transformers checkpoints; one that cannot be evaluated stops no other.

    Args:
        checkpoints: from ``rbridge.scoring.checkpoints.expand``.
        store: where evaluations are kept.
        settings: how they are asked.
        labels: by checkpoint name, over what the checkpoint says of itself.
        progress: told one line at a time.

    Raises:
        InputError: a setting or a benchmark that cannot be.
        MissingExtra, MissingTool: the answers cannot be checked here.
    """
    settings.check()
    wanted = [_asked(name, settings, progress) for name in settings.benchmarks]
    done: list[Evaluation] = []
    failures: list[str] = []
    for number, checkpoint in enumerate(checkpoints, start=1):
        progress(f"[{number}/{len(checkpoints)}] {checkpoint.name}")
        try:
            done += _Local(checkpoint, store, settings, labels, progress).run(wanted)
        except RBridgeError as error:
            failures.append(str(error))
    return Evaluated(tuple(done), tuple(failures))


def evaluate_endpoint(
    models: Sequence[str],
    server: Server,
    store: EvaluationStore,
    settings: EvaluateSettings,
    *,
    labels: Mapping[str, Labels],
    progress: Say,
) -> Evaluated:
    """Evaluate models of a server; what it did not answer stays open, and the same command goes on.

    Raises:
        InputError: a setting or a benchmark that cannot be.
        MissingExtra, MissingTool: the answers cannot be checked here.
    """
    settings.check()
    wanted = [_asked(name, settings, progress) for name in settings.benchmarks]
    done: list[Evaluation] = []
    failures: list[str] = []
    for model in models:
        refuse_cap(server, model)
        for asked in wanted:
            try:
                done.append(_served(model, server, asked, store, settings, labels.get(model), progress))
            except RBridgeError as error:
                failures.append(str(error))
    return Evaluated(tuple(done), tuple(failures))


def _asked(benchmark: str, settings: EvaluateSettings, progress: Say) -> _Asked:
    found = load_problems(benchmark, settings.questions)
    found = replace(found, problems=found.problems[: settings.limit])
    checker = checker_of(found.problems[0])
    if checker is None:
        progress(f"answers of {benchmark} stay unchecked: it names no checker (rbridge benchmarks add)")
    require_checker(checker)
    return _Asked(found, checker, prompts_sha256(found.problems, settings.shots))


class _Local:
    """One checkpoint; its model is loaded when the first benchmark needs it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        store: EvaluationStore,
        settings: EvaluateSettings,
        labels: Mapping[str, Labels],
        progress: Say,
    ) -> None:
        from rbridge.scoring.names import with_parsed

        self._checkpoint = checkpoint
        self._store = store
        self._settings = settings
        given = labels.get(checkpoint.name.rstrip("/"), checkpoint.labels)
        self._labels: ParsedLabels = with_parsed(given, checkpoint.name)
        self._progress = progress
        self._generator: LocalGenerator | None = None
        self._context: int | None = None
        self._parameters: int | None = None

    def run(self, wanted: Sequence[_Asked]) -> list[Evaluation]:
        """All benchmarks, from the store or asked now."""
        from rbridge.scoring import hf
        from rbridge.scoring.tokenizer_files import Tokenizers

        def is_finished(ready: Ready) -> bool:
            tokenizer = ready.tokenizer()
            return all(self._finished(ready, tokenizer, asked) is not None for asked in wanted)

        ready = hf.prepare(
            self._checkpoint,
            is_finished,
            dtype=self._settings.dtype,
            device=self._device(),
            batch_tokens=self._settings.batch_tokens,
            keep_downloads=self._settings.keep_downloads,
            tokenizers=Tokenizers(),
        )
        try:
            tokenizer = ready.tokenizer()
            return [self._one(ready, tokenizer, asked) for asked in wanted]
        finally:
            ready.release()

    def _one(self, ready: Ready, tokenizer: ProxyTokenizer, asked: _Asked) -> Evaluation:
        key = self._key(ready, tokenizer, asked)
        done = self._finished(ready, tokenizer, asked)
        if done is not None:
            self._progress(f"  {asked.problems.benchmark}: evaluated already")
            self._store.drop(key)
            if done.manifest.labels == self._labels.labels:
                return done
            return self._store.relabel(done, self._labels.labels, self._labels.parsed)
        started = time.monotonic()
        generator = self._loaded(ready, tokenizer)
        tasks, skipped = build_tasks(
            asked.problems.problems,
            self._settings,
            encode=lambda text: [*tokenizer.prefix_ids, *tokenizer.encode(text)],
            context_length=self._context,
        )
        cut = cutter(asked.problems.benchmark)
        keeper = _Keeper(self._store, key, tasks, self._progress)
        with keeper:
            for replies in generator.replies(
                keeper.missing(),
                cut=cut,
                max_tokens=self._settings.max_tokens,
                temperature=self._settings.temperature,
                batch_tokens=self._settings.batch_tokens,
            ):
                ready.check_unchanged()
                for reply in replies:
                    keeper.came(reply)
        judged = judge(
            keeper.in_order(), asked.problems.by_id, asked.checker, last=False, encode=tokenizer.encode
        )
        manifest = EvaluationManifest(
            **_common(key, asked, self._settings, skipped, started),
            checkpoint=self._checkpoint.name,
            labels=self._labels.labels,
            parsed_labels=list(self._labels.parsed),
            engine=ready.engine,
            revision=self._checkpoint.revision,
            weights_sha256=ready.weights_sha256,
            tokenizer_sha256=tokenizer.sha256,
            parameters=self._parameters,
            dtype=self._settings.dtype,
            device=self._device(),
            versions=_versions("torch", "transformers", "tokenizers"),
        )
        return self._store.finish(manifest, self._name(asked), judged)

    def _finished(self, ready: Ready, tokenizer: ProxyTokenizer, asked: _Asked) -> Evaluation | None:
        return self._store.finished(self._key(ready, tokenizer, asked), self._name(asked))

    def _name(self, asked: _Asked) -> str:
        return f"{self._checkpoint.name}-{asked.problems.benchmark}"

    def _key(self, ready: Ready, tokenizer: ProxyTokenizer, asked: _Asked) -> str:
        return _key(
            asked,
            self._settings,
            {
                "engine": ready.engine,
                "weights": ready.weights_sha256,
                "tokenizer": tokenizer.sha256,
                "prefix": tokenizer.prefix_ids,
                "dtype": self._settings.dtype,
            },
        )

    def _loaded(self, ready: Ready, tokenizer: ProxyTokenizer) -> LocalGenerator:
        from rbridge.evaluate.local import LocalGenerator

        if self._generator is None:
            assert ready.load is not None  # transformers has it
            loaded = ready.load()
            self._generator = LocalGenerator(loaded.model, tokenizer, name=self._checkpoint.name)
            self._context = loaded.context_length
            self._parameters = loaded.parameters
            if not self._generator.padded:
                self._progress("  reads padding, so only prompts of equal length stand in a batch: slower")
        return self._generator

    def _device(self) -> str:
        if self._settings.device is not None:
            return self._settings.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def _served(
    model: str,
    server: Server,
    asked: _Asked,
    store: EvaluationStore,
    settings: EvaluateSettings,
    labels: Labels | None,
    progress: Say,
) -> Evaluation:
    benchmark = asked.problems.benchmark
    engine = "chat" if server.chat else "completions"
    key = _key(asked, settings, {"engine": engine, "endpoint": server.url, "model": model})
    name = f"{model}-{benchmark}"
    given = labels or Labels()
    done = store.finished(key, name)
    if done is not None:
        progress(f"{model}: {benchmark}: evaluated already")
        return done if done.manifest.labels == given else store.relabel(done, given, ())
    started = time.monotonic()
    tasks, _ = build_tasks(asked.problems.problems, settings, encode=None, context_length=None)
    keeper = _Keeper(store, key, tasks, progress)
    stops = () if server.chat else stops_of(benchmark).anywhere
    with keeper:
        came = ask(
            server,
            model,
            keeper.missing(),
            cut=cutter(benchmark),
            stops=stops,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            came=keeper.came,
        )
    if server.price is not None:
        progress(f"{model}: {benchmark}: ${came.dollars:.4f} spent now ({server.price.source})")
    refused = {one.problem_id: one for one in came.refused}
    left = [task for task in keeper.missing() if task.problem.problem_id not in refused]
    if left:
        why = came.stopped or f"the server failed on {left[0].problem.problem_id}"
        raise InputError(
            f"{model}: {len(left)} of {len(tasks)} replies of {benchmark} are missing ({why}); what came is kept: "
            "the same command goes on"
        )
    judged = judge(
        [reply for reply in keeper.in_order() if reply.problem_id not in refused],
        asked.problems.by_id,
        asked.checker,
        last=server.chat,
        encode=None,
    )
    manifest = EvaluationManifest(
        **_common(key, asked, settings, list(refused.values()), started),
        checkpoint=model,
        labels=given,
        engine=engine,
        endpoint=server.url,
        versions=_versions("openai"),
    )
    return store.finish(manifest, name, judged)


class _Keeper:
    """Replies of one evaluation: those that were kept, and those that come."""

    def __init__(self, store: EvaluationStore, key: str, tasks: Sequence[Task], progress: Say) -> None:
        self._store = store
        self._key = key
        self._tasks = tasks
        self._progress = progress
        self._replies = {(one.problem_id, one.sample): one for one in store.kept(key)}
        self._fresh: list[Reply] = []
        self._last = time.monotonic()
        if self._replies:
            progress(f"  going on after {len(self._replies)} of {len(tasks)} replies")

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """Keep what came, whatever ended the block."""
        self._write()

    def missing(self) -> list[Task]:
        """What has no reply yet."""
        return [task for task in self._tasks if task.name not in self._replies]

    def came(self, reply: Reply) -> None:
        """Take a reply, and write what came every few seconds."""
        self._replies[reply.problem_id, reply.sample] = reply
        self._fresh.append(reply)
        if time.monotonic() - self._last > _KEEP_EVERY:
            self._write()
            self._progress(f"  {len(self._replies)} of {len(self._tasks)} replies")

    def in_order(self) -> Iterable[Reply]:
        """Replies in the order of the tasks; those that are missing left out."""
        return [self._replies[task.name] for task in self._tasks if task.name in self._replies]

    def _write(self) -> None:
        self._last = time.monotonic()
        if self._fresh:
            self._store.keep(self._key, self._fresh)
            self._fresh.clear()


def _key(asked: _Asked, settings: EvaluateSettings, source: Mapping[str, Any]) -> str:
    return sha256_json(
        {
            "format": FORMAT_VERSION,
            "benchmark": asked.problems.benchmark,
            "prompts": asked.prompts_sha256,
            "read": [
                asked.checker,
                closing_words(asked.problems.benchmark),
                stops_of(asked.problems.benchmark).every,
            ],
            "shots": settings.shots,
            "samples": settings.samples,
            "temperature": settings.temperature,
            "seed": settings.seed if settings.temperature else None,
            "max_tokens": settings.max_tokens,
            **source,
        }
    )


def _common(
    key: str, asked: _Asked, settings: EvaluateSettings, skipped: list[SkippedProblem], started: float
) -> dict[str, Any]:
    problems: Sequence[Problem] = asked.problems.problems
    return {
        "key": key,
        "benchmark": asked.problems.benchmark,
        "checker": asked.checker,
        "question_source": asked.problems.source,
        "prompts_sha256": asked.prompts_sha256,
        "shots": settings.shots,
        "samples": settings.samples,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "max_tokens": settings.max_tokens,
        "num_problems": len(problems),
        "skipped": skipped,
        "chance": chance_level([None if one.choices is None else len(one.choices) for one in problems]),
        "constant_answer": constant_answer([one.answer for one in problems]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
    }


def _versions(*packages: str) -> dict[str, str]:
    return {"rbridge": __version__, **{name: version(name) for name in packages}}
