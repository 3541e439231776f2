"""The arithmetic of bench/real_text: exact orders, published pairs, the weight model's own loss, expectations."""

from __future__ import annotations

import numpy as np
import pytest
from bench.real_text.expected import EXPECTED, Seen
from bench.real_text.orders import exact
from bench.real_text.published import MODELS, pairs
from bench.real_text.readings import difference, weight_giver
from scipy.stats import kendalltau

from rbridge.records import Pieces, Trace, TraceKey


@pytest.mark.parametrize("one", [[1, 2, 3], [3, 1, 2], [2, 4, 1, 3], [5, 4, 3, 2, 1], [1, 2, 4, 3, 5]])
def test_exact_orders_agree_with_scipys_exact_test(one: list[int]) -> None:
    """Without ties the share of orders as high is scipy's one-sided exact p value."""
    other = list(range(len(one)))
    theirs = kendalltau(one, other, method="exact", alternative="greater")
    ours = exact(one, other)
    assert ours.tau == pytest.approx(theirs.statistic)
    assert ours.as_high == pytest.approx(theirs.pvalue)


def test_three_things_can_show_nothing() -> None:
    """Of six orders none is outside 95 %: the interval of chance is everything."""
    assert exact([1, 2, 3], [1, 2, 3]).chance == (-1.0, 1.0)
    assert exact([1, 2, 3], [1, 2, 3]).as_high == pytest.approx(1 / 6)


def test_five_things_can_show_something() -> None:
    """Of 120 orders of five 95 % lie within .8 (two with tau 1 or -1, eight with .8 or -.8: 110 of 120 below .8)."""
    assert exact([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).chance == pytest.approx((-0.8, 0.8))


def test_the_published_pairs_are_nine_and_all_in_the_order_of_size() -> None:
    """The null by parameters gets every published pair, as the log says."""
    benchmarks = {name for model in MODELS for name in model.accuracy}
    every = [pair for name in sorted(benchmarks) for pair in pairs(name)]
    assert len(every) == 9
    assert all(better.parameters > worse.parameters for better, worse in every)


def test_the_weight_models_loss_is_what_its_weights_say() -> None:
    """Six bytes with probabilities 1/2 and 1/4: 3 bits, so half a bit a byte."""
    pieces = Pieces((b"abc", b" de"), np.log([0.5, 0.25]))
    trace = Trace(TraceKey("gsm8k", "1", "v"), "abc de", pieces=pieces, weight_source="m")
    assert weight_giver([trace], limit=1) == {("R^phi", "gsm8k"): {"1": pytest.approx(0.5)}}


def test_a_difference_is_paired_over_shared_problems() -> None:
    """Differences 1 and 3: mean 2, standard error sqrt(2) / sqrt(2) = 1."""
    assert difference({"a": 2, "b": 5, "c": 9}, {"a": 1, "b": 2, "d": 0}) == (2.0, pytest.approx(1.0), 2)


def test_expectations_can_hold_and_can_fail() -> None:
    """On orders made as expected all nine hold; turned round, none but the warnings' count."""
    best = ["chains", "prose-chains30", "prose-chains10", "docs", "prose", "code", "gym", "formal"]
    prose = ["prose-chains30", "prose-chains10", "prose", "docs", "gym", "chains", "code", "formal"]
    order = dict.fromkeys(("gsm8k", "math500", "humaneval", "mmlu_stem"), best) | dict.fromkeys(
        ("csqa", "arc_challenge"), prose
    )
    good = {
        name: Seen(one, {"null_bits_per_byte": 0.8, "rbridge_shuffled": 1.0}, 0.9, "style")
        for name, one in order.items()
    }
    bad = {
        name: Seen(one[::-1], {"null_bits_per_byte": 0.1, "rbridge_shuffled": 0.2}, 0.1, "style")
        for name, one in order.items()
    }
    assert all(holds(good) for _, holds in EXPECTED)
    assert [holds(bad) for _, holds in EXPECTED] == [False] * 8 + [True]
