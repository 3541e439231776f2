"""Every metric that we know: what it is, its unit, and which way is better. Data, in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rbridge.errors import InputError
from rbridge.metric.options import CLOZE, SCALES
from rbridge.metric.token_statistics import statistic_columns


@dataclass(frozen=True)
class Metric:
    """A column that can be ranked.

    Attributes:
        name: the column's name.
        direction: ``lower`` or ``higher``, whichever is better.
        unit: what one unit of it is.
        meaning: one line.
        weighted: whether it needs the confidence of a frontier (or another weight) model.
    """

    name: str
    direction: str
    unit: str
    meaning: str
    weighted: bool = False


_CLOZE_MEANING = {
    "accuracy": ("fraction", "share of problems whose gold option is the likeliest"),
    "probability": ("probability", "mean probability of the gold option"),
    "total_probability": ("probability", "mean of the summed probabilities of all options"),
    "normalised_probability": ("probability", "mean of gold probability over total probability"),
    "margin": ("nats", "mean of ln p of the gold option less that of the best wrong one"),
}
_CLOZE = tuple(
    Metric(
        f"cloze_{name}{scale}", "higher", _CLOZE_MEANING[name][0],
        f"{_CLOZE_MEANING[name][1]}, ln p{scale.replace('_', ' ')}",
    )
    for scale in SCALES
    for name in CLOZE
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    Metric(
        "rbridge", "lower", "nats/token",
        "mean over the trace's tokens of loss x MinMax(confidence), MinMax over the trace", weighted=True,
    ),
    Metric(
        "rbridge_benchmark_minmax", "lower", "nats/token",
        "as rbridge, MinMax over all scored tokens of the benchmark", weighted=True,
    ),
    Metric(
        "rbridge_unnormalised", "lower", "nats/token",
        "mean of loss x confidence, as it is", weighted=True,
    ),
    Metric(
        "rbridge_per_byte", "lower", "nats/byte",
        "sum of loss x MinMax(confidence) over the trace's bytes", weighted=True,
    ),
    Metric(
        "rbridge_shuffled", "lower", "nats/token",
        "control: rbridge with its weights in random order (the mean over all orders)", weighted=True,
    ),
    Metric(
        "rbridge_inverted", "lower", "nats/token",
        "control: mean of loss x (1 - MinMax(confidence)): the tokens that the weight model was unsure of",
        weighted=True,
    ),
    Metric("trace_nll", "lower", "nats/token", "R^phi: mean loss over the trace's tokens, every weight 1"),
    Metric("trace_bits_per_byte", "lower", "bits/byte", "loss on the trace in bits, over its bytes"),
    Metric(
        "question_margin", "higher", "nats/token",
        "mean over the trace's tokens of ln p(token | its own question) - ln p(token | another question)",
    ),
    Metric(
        "question_margin_numbers", "higher", "nats/token",
        "as question_margin, over number tokens, renormalised among the vocabulary's number tokens",
    ),
    Metric(
        "question_margin_own_voice", "higher", "nats/token",
        "as question_margin, in the voice that the proxy finds likeliest, picked on other problems",
    ),
    Metric(
        "other_question_bits_per_byte", "lower", "bits/byte",
        "loss on the trace behind another problem's question: what its style alone explains",
    ),
    Metric(
        "gold_bits_per_byte", "lower", "bits/byte",
        "null: loss on the benchmark's own solution, or answer where it has none",
    ),
    Metric("generic_bits_per_byte", "lower", "bits/byte", "null: loss on a plain text"),
    Metric("null_bits_per_byte", "lower", "bits/byte", "null: an n-gram model of a sample of the recipe's text"),
    Metric(
        "twin_gap", "lower", "bits/byte",
        "by how much traces of problems are likelier than those of their twins: what having seen them adds",
    ),
    *_CLOZE,
    Metric("gold_label_nll", "lower", "nats/token", "mean loss on the benchmark's own gold answer"),
    Metric("trace_and_answer_nll", "lower", "nats/token", "mean loss on the trace with the gold answer behind it"),
    Metric("answer_given_trace_nll", "lower", "nats", "loss on the whole gold answer behind the trace"),
    Metric("accuracy", "higher", "fraction", "share of problems answered right"),
    Metric(
        "mpca", "higher", "probability", "mean probability of the whole gold answer behind the question (MPCA)"
    ),
    Metric(
        "token_edit_distance", "lower", "tokens",
        "TED: mean token edit distance between a generated reply and the benchmark's own solution",
    ),
    Metric(
        "token_edit_share", "lower", "fraction", "token edit distance over the tokens of the longer of the two texts"
    ),
    *(Metric(*column) for column in statistic_columns()),
)  # fmt: skip

_BY_NAME = {metric.name: metric for metric in METRICS}
_PASS_AT = re.compile(r"pass@([1-9]\d*)")


def metric_named(name: str) -> Metric | None:
    """The metric of that name, or None where the column is the user's own.

    >>> metric_named("pass@10").direction
    'higher'
    """
    if match := _PASS_AT.fullmatch(name):
        meaning = f"chance that one of {match[1]} sampled answers to a problem is right"
        return Metric(name, "higher", "probability", meaning)
    return _BY_NAME.get(name)


def lower_is_better(column: str, *, lower: bool, higher: bool) -> bool:
    """Which way a column is ranked.

    Args:
        column: its name.
        lower: the user said that lower is better.
        higher: the user said that higher is better.

    Raises:
        InputError: both were said, neither was for a column that we do not know, or the wrong one
            was for a metric that we know.
    """
    known = metric_named(column)
    if lower and higher:
        raise InputError(f"{column}: both --lower-is-better and --higher-is-better; give one")
    if known is None:
        if not lower and not higher:
            raise InputError(f"{column}: direction unknown; add --lower-is-better or --higher-is-better")
        return lower
    if (lower and known.direction == "higher") or (higher and known.direction == "lower"):
        raise InputError(
            f"{column}: of this metric {known.direction} is better; drop the option that says otherwise"
        )
    return known.direction == "lower"
