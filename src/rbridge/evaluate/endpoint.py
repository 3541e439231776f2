"""Replies of an OpenAI-compatible endpoint: plain completions of the same prompts, or a chat that is told the form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from openai import APIStatusError, BadRequestError, NotFoundError, OpenAIError, UnprocessableEntityError

from rbridge.benchmarks import closing_words
from rbridge.errors import InputError
from rbridge.evaluate.tasks import Task
from rbridge.store.evaluations import Reply, SkippedProblem
from rbridge.traces.generate.client import Endpoint, Key, explain
from rbridge.traces.generate.cost import Bill, CapReached, Price, Purse
from rbridge.traces.generate.reply import read_reply

# What servers take at most.
_MOST_STOPS = 4
# Tokens that a chat template may add to a prompt, generously.
_TEMPLATE_TOKENS = 512
# So many requests in a row without a reply, and the endpoint is taken for down.
_FAILURES = 8
_FORM = "\n\nThink step by step. End with the answer in exactly this form: {closing}"


@dataclass(frozen=True)
class Server:
    """How a server is asked.

    Attributes:
        url: checked (``rbridge.traces.generate.check_endpoint``).
        key: its key.
        chat: ask it as a chat; else as plain completions.
        concurrency: requests under way at once.
        timeout: seconds that a reply may take.
        retries: of the SDK, after 408, 409, 429, 5xx and lost connections.
        price: of the model's tokens, or None where it is not known.
        max_cost: dollars that this run may cost, or None.
    """

    url: str
    key: Key
    chat: bool = False
    concurrency: int = 8
    timeout: float = 600.0
    retries: int = 5
    price: Price | None = None
    max_cost: float | None = None


@dataclass
class Asked:
    """What came of asking, beside the replies.

    Attributes:
        refused: problems that the server will not answer, for a reason of their own.
        stopped: why the run ended early, or None.
        dollars: spent, where the price is known.
    """

    refused: list[SkippedProblem]
    stopped: str | None = None
    dollars: float = 0.0


def ask(
    server: Server,
    model: str,
    tasks: Sequence[Task],
    *,
    cut: Callable[[str], tuple[str, bool]],
    stops: Sequence[str],
    max_tokens: int,
    temperature: float,
    came: Callable[[Reply], None],
) -> Asked:
    """Ask for every task; ``came`` is told each reply as it comes.

    Args:
        server: how it is asked.
        model: as the server names it.
        tasks: without ids.
        cut: where a reply ends.
        stops: texts that no reply holds; a server is sent the first four of them. A chat ends by itself.
        max_tokens: the most tokens of a reply.
        temperature: 0 is greedy.
        came: keeps it.
    """
    return asyncio.run(_Run(server, model, cut, stops, max_tokens, temperature, came).every(tasks))


class _Run:
    def __init__(
        self,
        server: Server,
        model: str,
        cut: Callable[[str], tuple[str, bool]],
        stops: Sequence[str],
        max_tokens: int,
        temperature: float,
        came: Callable[[Reply], None],
    ) -> None:
        self._server = server
        self._model = model
        self._cut = cut
        self._stops = list(stops[:_MOST_STOPS])
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._came = came
        self._limit_field = "max_tokens"
        self._failures = 0
        self._purse = Purse(server.max_cost, 0.0)
        self._found = Asked([])

    async def every(self, tasks: Sequence[Task]) -> Asked:
        """Ask for all tasks, so many at once."""
        endpoint = Endpoint(
            self._server.url, self._server.key, timeout=self._server.timeout, retries=self._server.retries
        )
        queue = iter(tasks)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._server.concurrency, len(tasks))):
                    group.create_task(self._work(queue, endpoint))
        finally:
            await endpoint.close()
        self._found.dollars = self._purse.paid
        return self._found

    async def _work(self, queue: Iterator[Task], endpoint: Endpoint) -> None:
        for task in queue:
            if self._found.stopped is not None:
                return
            try:
                self._came(await self._one(task, endpoint))
                self._failures = 0
            except CapReached as error:
                self._found.stopped = str(error)
            except OpenAIError as error:
                self._failed(task, error)

    async def _one(self, task: Task, endpoint: Endpoint) -> Reply:
        prompt = self._prompt(task)
        worst = self._dollars(len(prompt.encode()) + _TEMPLATE_TOKENS, self._max_tokens)
        bill = await self._purse.hold(worst)
        try:
            body = await self._send(task, prompt, bill, endpoint)
        except BaseException:  # Ctrl-C, too, closes the books
            bill.close(None)
            raise
        try:
            text, finish, tokens_in, tokens_out = _read(body, chat=self._server.chat)
        except ValueError as error:
            bill.close(worst)
            raise OpenAIError(str(error)) from None
        bill.close(
            self._dollars(
                len(prompt.encode()) if tokens_in is None else tokens_in,
                self._max_tokens if tokens_out is None else tokens_out,
            )
        )
        # A server says "stop" for the model's own end and for a stop alike, and leaves the stop out.
        kept, stopped = self._cut(text)
        ended = "length" if finish == "length" else "end"
        return Reply(
            task.problem.problem_id, task.sample, task.shots, kept, "stop" if stopped else ended, tokens_out
        )

    async def _send(self, task: Task, prompt: str, bill: Bill, endpoint: Endpoint) -> bytes:
        options: dict[str, Any] = {
            "model": self._model, "temperature": self._temperature, self._limit_field: self._max_tokens
        }  # fmt: skip
        if self._temperature > 0:
            options["seed"] = task.seed
        try:
            if self._server.chat:
                return await endpoint.ask(
                    bill, [{"role": "user", "content": prompt}], logprobs=False, **options
                )
            return await endpoint.complete(bill, prompt, stop=self._stops, **options)
        except BadRequestError as error:
            newer = "max_completion_tokens"
            if newer not in str(error) or self._limit_field == newer:
                raise
            self._limit_field = newer  # OpenAI's later models call it so
        return await self._send(task, prompt, bill, endpoint)

    def _prompt(self, task: Task) -> str:
        if not self._server.chat:
            return task.prompt
        closing = closing_words(task.problem.benchmark).replace("{answer}", "<answer>")
        return task.prompt.removesuffix("\nAnswer:") + _FORM.replace("{closing}", closing)

    def _failed(self, task: Task, error: OpenAIError) -> None:
        said = explain(error, self._server.key)
        self._failures += 1
        if isinstance(error, NotFoundError) or (
            isinstance(error, APIStatusError) and error.status_code in (401, 403)
        ):
            self._found.stopped = (
                f"{self._server.url}: {said}: check --endpoint (its /v1), the model and the key"
            )
        elif isinstance(error, BadRequestError | UnprocessableEntityError):
            reason = f"the server refused it: {said}"
            self._found.refused.append(SkippedProblem(problem_id=task.problem.problem_id, reason=reason))
        elif self._failures >= _FAILURES:
            self._found.stopped = (
                f"{self._server.url} failed {self._failures} times in a row, the last time with: {said}"
            )

    def _dollars(self, tokens_in: int, tokens_out: int) -> float:
        price = self._server.price
        return 0.0 if price is None else price.dollars(tokens_in, tokens_out)


def _read(body: bytes, *, chat: bool) -> tuple[str, str | None, int | None, int | None]:
    """Text, finish reason, and tokens in and out.

    Raises:
        ValueError: it is no such reply.
    """
    if chat:
        reply = read_reply(body)
        return reply.content or "", reply.finish_reason, reply.prompt_tokens, reply.completion_tokens
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        usage = document.get("usage") or {}
        return (
            str(choice["text"]),
            choice.get("finish_reason"),
            usage.get("prompt_tokens"),
            usage.get("completion_tokens"),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ValueError(
            f"the reply is no completion: it begins {body[:60].decode(errors='replace')!r}"
        ) from None


def refuse_cap(server: Server, model: str) -> None:
    """Refuse a cap that cannot be held.

    Raises:
        InputError: the model's price is not known.
    """
    if server.max_cost is not None and server.price is None:
        raise InputError(
            f"--max-cost: the price of {model} is not known: give --price-in and --price-out, dollars per "
            "million tokens"
        )
