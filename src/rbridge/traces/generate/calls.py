"""One paid call: held in the purse, noted in the ledger before it goes out, kept before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rbridge.traces.generate.client import Endpoint, Key
from rbridge.traces.generate.cost import Price, Purse
from rbridge.traces.generate.ledger import Ledger
from rbridge.traces.generate.reply import Reply, read_reply

Messages = list[dict[str, str]]
# Tokens that a chat template may add to the messages, generously.
_TEMPLATE_TOKENS = 512
# Greedy; what log-probabilities are then is what the probe finds out.
DECODING = {"temperature": 0.0, "top_p": 1.0}


@dataclass
class Caller:
    """Pays for calls of one series.

    Attributes:
        endpoint: that is asked.
        ledger, purse, price, key: as their names say; price None where it is not known.
        benchmark, voice, model: the series.
        limit_field: how this server calls the most tokens of a reply.
    """

    endpoint: Endpoint
    ledger: Ledger
    purse: Purse
    price: Price | None
    key: Key
    benchmark: str
    voice: str
    model: str
    limit_field: str = "max_tokens"

    async def call(
        self, problem_id: str | None, messages: Messages, max_tokens: int, **options: Any
    ) -> tuple[int, bytes]:
        """Ask once, wait as long as the server says, and keep what comes.

        Args:
            problem_id: which problem, or None for a probe.
            messages: as in the chat API.
            max_tokens: the most that the reply may have.
            options: instead of ``DECODING``'s.

        Returns:
            Number of the call, and the raw body without any key that a server may echo.

        Raises:
            CapReached: the cap does not cover it.
            openai.OpenAIError: no reply.
        """
        worst = self._dollars(prompt_bytes(messages) + _TEMPLATE_TOKENS, max_tokens)
        bill = await self.purse.hold(worst)
        call = self.ledger.begin_call(self.benchmark, self.voice, problem_id, max_tokens, worst)
        sent = {"model": self.model, "top_logprobs": 1, **DECODING, **options, self.limit_field: max_tokens}
        try:
            body = self.key.redact_bytes(await self.endpoint.ask(bill, messages, **sent))
        except BaseException:  # Ctrl-C, too, closes the books
            bill.close(None)
            self.ledger.end_call(call, bill.lost)
            raise
        self.ledger.keep_reply(call, body)
        bill.close(self.settle_price(call, body, messages, max_tokens, bill.lost))
        return call, body

    def settle_price(
        self, call: int, body: bytes, messages: Messages, max_tokens: int, lost: float = 0.0
    ) -> float:
        """Note what a reply cost, and return it; tries that were lost before it are noted beside it."""
        tokens_in, tokens_out = billed_tokens(body, messages, max_tokens)
        cost = self._dollars(tokens_in, tokens_out)
        self.ledger.price_reply(call, cost + lost, tokens_in, tokens_out)
        return cost

    def price_left_behind(self) -> None:
        """Price replies that a kill left at their worst case, where they name their usage."""
        for call, worst, body in self.ledger.unpriced(self.benchmark, self.voice):
            try:
                reply = read_reply(body)
            except ValueError:
                continue
            if reply.prompt_tokens is not None and reply.completion_tokens is not None:
                self.purse.paid += self.settle_price(call, body, [], 0) - worst

    def _dollars(self, tokens_in: int, tokens_out: int) -> float:
        return 0.0 if self.price is None else self.price.dollars(tokens_in, tokens_out)


def prompt_bytes(messages: Messages) -> int:
    """UTF-8 bytes of the messages: no tokenizer makes more tokens of their text than that."""
    return sum(len(message["content"].encode()) for message in messages)


def billed_tokens(body: bytes, messages: Messages, max_tokens: int) -> tuple[int, int]:
    """Tokens in and out, as the server bills them; where it does not say, the most that they can be."""
    try:
        reply = read_reply(body)
    except ValueError:
        reply = Reply(None, None, None, None, None, None, None, None, None)
    tokens_in = prompt_bytes(messages) if reply.prompt_tokens is None else reply.prompt_tokens
    tokens_out = max_tokens if reply.completion_tokens is None else reply.completion_tokens
    return tokens_in, tokens_out
