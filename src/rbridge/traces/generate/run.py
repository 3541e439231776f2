"""Ask for what is missing, within the cap, and write the bundle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openai import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    UnprocessableEntityError,
)

from rbridge.benchmarks import Problem, ProblemSet
from rbridge.errors import InputError
from rbridge.store.bundles import MANIFEST, BundleManifest
from rbridge.store.files import refuse_existing
from rbridge.traces.generate.bundle import Check, write_series_bundle
from rbridge.traces.generate.calls import Caller, prompt_bytes
from rbridge.traces.generate.client import KEY_ENV, Endpoint, explain
from rbridge.traces.generate.cost import CapReached, Purse
from rbridge.traces.generate.cut import Kept, judge, read_trace, was_cut_off
from rbridge.traces.generate.entries import Item
from rbridge.traces.generate.ledger import Ledger, ledger_path
from rbridge.traces.generate.probe import WEIGH, Probe, probe
from rbridge.traces.generate.prompt import chat_messages
from rbridge.traces.generate.series import Say, Series, Settings

# Tokens of a reply where nothing is known yet: the paper's traces have 122 to 353.
_TYPICAL_TOKENS = 400
_SECONDS_BETWEEN_LINES = 5.0
# So many requests in a row without a reply, and the endpoint is taken for down.
_FAILURES = 8


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        manifest: of the bundle; None where there is no trace to write.
        num_asked: problems that were asked now.
        num_missing: problems that still have no reply.
        stopped: why the run ended before everything was asked, or None.
    """

    manifest: BundleManifest | None
    num_asked: int
    num_missing: int
    stopped: str | None


def generate(
    problems: ProblemSet, settings: Settings, out: Path, *, check: Check | None, progress: Say
) -> Outcome:
    """Ask an endpoint for the traces that a bundle lacks.

    Args:
        problems: the benchmark's.
        settings: the endpoint, the model, the limits.
        out: the bundle; its ledger stands beside it.
        check: whether an answer is right, where that can be told here.
        progress: told one line at a time.

    Raises:
        InputError: the bundle is not this run's to go on with, the endpoint cannot give traces, or the
            cap cannot be held.
    """
    if settings.max_cost is not None and settings.price is None:
        raise InputError(
            f"--max-cost: the price of {settings.model} is not known: give --price-in and --price-out, dollars "
            "per million tokens (0 and 0 for a model of your own)"
        )
    path = ledger_path(out)
    if not path.exists():
        refuse_existing(out)
    ledger = Ledger(path)
    try:
        series = Series(ledger, problems, settings)
        run = _Run(series, settings, progress)
        if run.wanted:
            asyncio.run(run.ask())
        changed = bool(run.wanted) or series.terms_changed or not (out / MANIFEST).is_file()
        if not changed:
            progress(f"{out}: complete, nothing to ask for")
        manifest = write_series_bundle(series, out, check=check, progress=progress, changed=changed)
        return Outcome(manifest, len(run.wanted), len(series.missing()), run.stopped)
    finally:
        ledger.close()


class _Run:
    """One run over one series: what was wanted, how far it came, and why it stopped."""

    def __init__(self, series: Series, settings: Settings, progress: Say) -> None:
        self.series = series
        self.ledger = series.ledger
        self.settings = settings
        self.progress = progress
        self.wanted = series.missing()
        self.stopped: str | None = None
        self._key = (series.benchmark, series.voice)
        self._failures = 0
        self._done = 0
        self._started = self._said = time.monotonic()

    async def ask(self) -> None:
        """Probe the endpoint, then ask for everything that is missing."""
        purse = Purse(self.settings.max_cost, self.ledger.spending().dollars)
        caller = self._caller(purse)
        try:
            caller.price_left_behind()
            found = await self._probe(caller)
            for flag in found.flags:
                self.progress(f"note: {flag}")
            self.series.note(found, caller.endpoint.host, self.settings)
            self._estimate(found)
            self._started = time.monotonic()
            queue = iter(self.wanted)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.settings.concurrency, len(self.wanted))):
                    group.create_task(self._work(queue, caller))
        except CapReached as error:
            self.stopped = str(error)
        finally:
            await caller.endpoint.close()
        self._tell(purse.paid, last=True)

    def _caller(self, purse: Purse) -> Caller:
        settings, series = self.settings, self.series
        return Caller(
            endpoint=self._endpoint(settings.endpoint),
            ledger=self.ledger,
            purse=purse,
            price=settings.price,
            key=settings.key,
            benchmark=series.benchmark,
            voice=series.voice,
            model=settings.model,
        )

    def _endpoint(self, url: str) -> Endpoint:
        return Endpoint(url, self.settings.key, timeout=self.settings.timeout, retries=self.settings.retries)

    async def _probe(self, caller: Caller) -> Probe:
        try:
            return await probe(caller, self.settings.max_tokens)
        except CapReached:
            raise
        except OpenAIError as error:
            if not isinstance(error, NotFoundError) or caller.endpoint.url.endswith("/v1"):
                raise self._refusal(error, caller) from None
        await caller.endpoint.close()  # the URL was given without its /v1
        caller.endpoint = self._endpoint(f"{caller.endpoint.url}/v1")
        return await self._probe(caller)

    def _refusal(self, error: OpenAIError, caller: Caller) -> InputError:
        said = explain(error, self.settings.key)
        remedy = "is the endpoint running, and the URL right?"
        if isinstance(error, AuthenticationError | PermissionDeniedError):
            remedy = f"is the key right? It is read from {KEY_ENV}, or the variable that --key-env names"
        elif isinstance(error, NotFoundError):
            remedy = f"has the endpoint a model {self.settings.model!r}, and the URL its /v1?"
        elif isinstance(error, APIStatusError) and error.status_code == 429:
            remedy = "wait, or raise the limit of your account; a lower --concurrency helps, too"
        if "logprobs" in said:
            remedy = WEIGH
        return InputError(f"{caller.endpoint.url}: {said}: {remedy}")

    def _estimate(self, found: Probe) -> None:
        number = len(self.wanted)
        tokens_in = int(sum(prompt_bytes(chat_messages(p)) for p in self.wanted) / found.bytes_per_token)
        likely, most = number * _TYPICAL_TOKENS, number * self.settings.max_tokens
        line = (
            f"{self.series.benchmark}: {number} of {len(self.series.problems.problems)} problems to ask for, about "
            f"{tokens_in:,} tokens in and {likely:,} out"
        )
        price = self.settings.price
        if price is None:
            self.progress(f"{line}; the price of {self.settings.model} is not known, so money is not counted")
            return
        self.progress(
            f"{line}: about ${price.dollars(tokens_in, likely):.2f}, at most ${price.dollars(tokens_in, most):.2f} "
            f"({price.source})"
        )

    async def _work(self, queue: Iterator[Problem], caller: Caller) -> None:
        for problem in queue:
            if self.stopped is not None:
                return
            await self._one(problem, caller)
            self._tell(caller.purse.paid)

    async def _one(self, problem: Problem, caller: Caller) -> None:
        """Ask until the problem has a trace or a skip, or until that cannot be had now."""
        replies = self._replies(problem)
        while (found := judge(problem, self.settings.voice, [body for _, body in replies])) is None:
            try:
                replies.append(
                    await caller.call(problem.problem_id, chat_messages(problem), self.settings.max_tokens)
                )
                self._failures = 0
            except CapReached as error:
                self.stopped = str(error)
                return
            except OpenAIError as error:
                self._failed(problem, error, caller)
                return
        call = replies[-1][0]
        self._done += 1
        if isinstance(found, Kept):
            item = Item(problem.problem_id, "trace", call=call, thinking=found.thinking)
        else:
            item = Item(problem.problem_id, found.kind, found.reason, call)
            self.progress(f"skipped {problem.benchmark}/{problem.problem_id}: {found.reason}")
        self.ledger.settle(*self._key, item)

    def _replies(self, problem: Problem) -> list[tuple[int, bytes]]:
        """What came in earlier runs, but for replies that were cut off at fewer tokens than now."""
        voice, limit = self.settings.voice, self.settings.max_tokens
        return [
            (call, body)
            for call, max_tokens, body in self.ledger.replies(*self._key, problem.problem_id)
            if max_tokens >= limit or not was_cut_off(read_trace(problem, voice, body))
        ]

    def _failed(self, problem: Problem, error: OpenAIError, caller: Caller) -> None:
        """A request that got no reply: the problem stays open, or is skipped where it is the problem's own."""
        self._failures += 1
        said = explain(error, self.settings.key)
        broke = isinstance(error, APIStatusError) and error.code == "insufficient_quota"
        if isinstance(error, AuthenticationError | PermissionDeniedError | NotFoundError) or broke:
            self.stopped = str(self._refusal(error, caller))
        elif self._failures >= _FAILURES:
            self.stopped = (
                f"{caller.endpoint.host} failed {self._failures} times in a row, the last time with: {said}"
            )
        if isinstance(error, BadRequestError | UnprocessableEntityError):
            reason = f"the server refused it: {said}"
            self.ledger.settle(*self._key, Item(problem.problem_id, "refused", reason))
            self.progress(f"skipped {problem.benchmark}/{problem.problem_id}: {reason}")
        else:
            self.progress(f"{problem.benchmark}/{problem.problem_id} stays open: {said}")

    def _tell(self, paid: float, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = self._done / max(now - self._started, 1e-9)
        left = len(self.wanted) - self._done
        money = "" if self.settings.price is None else f", ${paid:.4f} spent"
        cap = "" if self.settings.max_cost is None else f" of ${self.settings.max_cost:g}"
        wait = f", {left / rate / 60:.0f} min to go" if rate and left and not last else ""
        self.progress(
            f"{self.series.benchmark}: {self._done} of {len(self.wanted)} done, {rate:.1f} a second{money}{cap}{wait}"
        )
