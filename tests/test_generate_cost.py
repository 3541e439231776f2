"""Money: prices from the table or the user, and a purse that nothing overdraws."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.errors import InputError
from rbridge.traces.generate.cost import CapReached, Price, Purse, find_price


@pytest.mark.parametrize(
    ("model", "endpoint", "dollars"),
    [
        # Both list prices are of 2025 and stand in the providers' own pages: $2.50/$10, $0.15/$0.60.
        ("gpt-4o", "https://api.openai.com/v1", 12.5),
        ("gpt-4o-mini", "https://api.openai.com/v1", 0.75),
        ("gpt-4o", "http://localhost:4000/v1", 12.5),  # a gateway on this machine
    ],
)
def test_known_models_have_list_prices(model: str, endpoint: str, dollars: float) -> None:
    """A million tokens in and a million out; the table is in the wheel, no network is asked."""
    price = find_price(model, endpoint, None, None)
    assert price is not None
    assert price.dollars(1_000_000, 1_000_000) == pytest.approx(dollars)


def test_a_price_that_is_given_wins_and_an_unknown_one_is_none() -> None:
    """Never a price of 0 for what nobody knows."""
    given_price = find_price("gpt-4o", "https://api.openai.com/v1", 1.0, 2.0)
    assert given_price is not None
    assert given_price.dollars(500_000, 250_000) == pytest.approx(1.0)
    assert find_price("Qwen/Qwen2.5-7B-Instruct", "http://localhost:8000/v1", None, None) is None
    for pair in ((1.0, None), (None, 1.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(InputError, match="expected both"):
            find_price("gpt-4o", "https://api.openai.com/v1", *pair)


@given(
    st.floats(0.01, 2.0),
    st.lists(st.tuples(st.floats(0.001, 0.3), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=25),
    st.integers(1, 6),
    st.integers(0, 2**32),
)
def test_no_order_of_replies_and_losses_overdraws_the_purse(
    cap: float, calls: list[tuple[float, float, int]], workers: int, seed: int
) -> None:
    """The oracle adds up what the server may bill: replies at their cost, lost tries at their worst case."""
    rng = random.Random(seed)
    billed = 0.0

    async def work(queue: list[tuple[float, float, int]], purse: Purse) -> None:
        nonlocal billed
        while queue:
            worst, share, losses = queue.pop()
            bill = await purse.hold(worst)
            try:
                for number in range(losses + 1):
                    bill.sending()
                    if number < losses and rng.random() < 0.5:
                        bill.refused()
                    else:
                        billed += worst * share if number == losses else worst
                    assert billed <= cap * (1 + 1e-9)
                    for _ in range(rng.randrange(3)):
                        await asyncio.sleep(0)
            except CapReached:
                bill.close(None)
                raise
            bill.close(worst * share)

    async def run(purse: Purse) -> None:
        results = await asyncio.gather(*(work(calls, purse) for _ in range(workers)), return_exceptions=True)
        assert all(result is None or isinstance(result, CapReached) for result in results), results

    purse = Purse(cap, 0.0)
    total = sum(worst * (1 + losses) for worst, _, losses in calls)
    asyncio.run(run(purse))
    assert purse.paid == pytest.approx(billed)
    if total <= cap:
        assert not calls  # nothing is refused that the cap covers in the worst case


def test_a_purse_without_a_cap_only_counts() -> None:
    """No price, no cap: nothing is refused."""

    async def run() -> float:
        purse = Purse(None, 1.0)
        bill = await purse.hold(10.0)
        bill.sending()
        bill.close(2.0)
        return purse.paid

    assert asyncio.run(run()) == 3.0
    assert Price("given", per_million=(1.0, 2.0)).dollars(1, 1) == pytest.approx(3e-6)
