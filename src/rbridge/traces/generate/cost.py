"""What replies cost, and a purse that no request may overdraw."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version

from openai import OpenAIError

from rbridge.errors import InputError


class CapReached(OpenAIError):
    """No request fits under the cap any more.

    An ``OpenAIError``, since the SDK passes those on at once: one raised before a retry ends it.
    """


@dataclass(frozen=True)
class Price:
    """What a model's tokens cost.

    Attributes:
        source: where the price is from, for people.
        model: name under which genai-prices has it; None where the user gave the price.
        endpoint: URL that tells genai-prices the provider, or None.
        per_million: dollars per million tokens in and out, as the user gave them; None where
            genai-prices has them.
    """

    source: str
    model: str | None = None
    endpoint: str | None = None
    per_million: tuple[float, float] | None = None

    def dollars(self, tokens_in: int, tokens_out: int) -> float:
        """The price of one request; what a provider's cache takes off is not counted."""
        if self.per_million is not None:
            return (tokens_in * self.per_million[0] + tokens_out * self.per_million[1]) / 1e6
        from genai_prices import Usage, calc_price

        assert self.model is not None  # one of the two is given
        usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out)
        return float(calc_price(usage, self.model, provider_api_url=self.endpoint).total_price)


def find_price(model: str, endpoint: str, price_in: float | None, price_out: float | None) -> Price | None:
    """The price of a model at an endpoint, from the table that genai-prices carries; the network is not asked.

    Args:
        model: as the endpoint names it.
        endpoint: its URL, which tells the provider.
        price_in, price_out: dollars per million tokens, where the user gives them.

    Returns:
        The price, or None where it is not known: a local model, or one too new for the table.

    Raises:
        InputError: one of the two prices alone, or one below 0.
    """
    if price_in is not None or price_out is not None:
        if price_in is None or price_out is None or not (0 <= price_in < 1e6 and 0 <= price_out < 1e6):
            raise InputError(
                f"--price-in {price_in} --price-out {price_out}: expected both, in dollars per million tokens"
            )
        return Price(
            f"${price_in:g} in, ${price_out:g} out per million tokens, as given",
            per_million=(price_in, price_out),
        )
    from genai_prices import Usage, calc_price

    for url in (endpoint, None):
        with suppress(LookupError):
            found = calc_price(Usage(input_tokens=1, output_tokens=1), model, provider_api_url=url)
            name = f"{found.model.id} at {found.provider.id}, genai-prices {version('genai-prices')}"
            return Price(name, model=model, endpoint=url)
    return None


class Purse:
    """Money paid and money held for requests under way; together they never pass the cap."""

    def __init__(self, cap: float | None, paid: float) -> None:
        self.cap = cap
        self.paid = paid
        self._held: list[float] = []
        self._freed = asyncio.Event()

    async def hold(self, worst: float) -> Bill:
        """Set a request's worst case aside, waiting for those under way where it does not fit yet.

        Raises:
            CapReached: it does not fit, and nothing is under way that could make room.
        """
        while not self._fits(worst):
            if not self._held:
                raise CapReached(self._full(worst))
            self._freed.clear()
            await self._freed.wait()
        self._held.append(worst)
        return Bill(self, worst)

    def lose(self, worst: float) -> None:
        """Count a reply that never came as paid in full."""
        self.paid += worst

    def check(self, worst: float) -> None:
        """Make sure that what is held for a call still fits before it is tried again.

        Raises:
            CapReached: it does not.
        """
        if not self._fits(0.0):
            raise CapReached(self._full(worst))

    def settle(self, worst: float, cost: float) -> None:
        """Put what was held back and pay the cost."""
        self._held.remove(worst)
        self.paid += cost
        self._freed.set()

    def _fits(self, more: float) -> bool:
        return self.cap is None or self.paid + sum(self._held) + more <= self.cap

    def _full(self, worst: float) -> str:
        return (
            f"${self.paid:.4f} are spent and the next reply may cost ${worst:.4f}: --max-cost {self.cap:g} does "
            "not cover it"
        )


@dataclass
class Bill:
    """One call's account: how often it was sent, and how much was lost on the way.

    Attributes:
        purse: that pays.
        worst: dollars that one try may cost.
        lost: dollars of tries that were sent and never answered: they may have been billed.
    """

    purse: Purse
    worst: float
    lost: float = 0.0
    _waiting: bool = field(default=False, repr=False)

    def sending(self) -> None:
        """A try goes out; the one before, if nobody answered it, is lost.

        Raises:
            CapReached: the cap does not cover another try.
        """
        self.give_up()
        if self.lost:
            self.purse.check(self.worst)
        self._waiting = True

    def refused(self) -> None:
        """The server answered a try with an error status: nothing is billed for it."""
        self._waiting = False

    def give_up(self) -> None:
        """Nobody will answer the try that is out."""
        if self._waiting:
            self.lost += self.worst
            self.purse.lose(self.worst)
        self._waiting = False

    def close(self, cost: float | None) -> None:
        """The call is over: answered at this cost, or (None) not at all."""
        if cost is None:
            self.give_up()
        self._waiting = False
        self.purse.settle(self.worst, cost or 0.0)
