"""What flows between the rooms: frozen rows, with arrays whose shapes are part of the type.

Arrays are numpy. Losses and log-probabilities are natural logarithms (nats); byte positions count
UTF-8 bytes of the trace, the reasoning R, from 0; spans are half open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, slots=True)
class TraceKey:
    """The name of a trace: one problem may have several voices."""

    benchmark: str
    problem_id: str
    voice: str

    def __str__(self) -> str:
        return f"{self.benchmark}/{self.problem_id}/{self.voice}"

    def answers_to(self, name: str) -> bool:
        """Whether a user means this trace: by problem, benchmark/problem, or all three."""
        return name in (self.problem_id, f"{self.benchmark}/{self.problem_id}", str(self))


def twin_of(problem_id: str) -> str | None:
    """The problem that this one repeats with other numbers, by its id; None of an id without such an ending.

    >>> twin_of("42-twin1"), twin_of("42")
    ('42', None)
    """
    match = re.fullmatch(r"(.+)-twin\d+", problem_id)
    return None if match is None else match[1]


@dataclass(frozen=True)
class Pieces:
    """Tokens of the model whose confidence weighs a trace.

    Attributes:
        spelled: the bytes of each piece; together they spell the reply, or the reasoning.
        logprobs: natural log-probability of each whole piece, at most 0.
    """

    spelled: tuple[bytes, ...]
    logprobs: Float[np.ndarray, " pieces"]


@dataclass(frozen=True)
class Weights:
    """Another model's confidence in a trace, beside the first.

    Attributes:
        source: the name of the model, never ``self``.
        pieces: its tokens; they spell the reasoning alone.
    """

    source: str
    pieces: Pieces


@dataclass(frozen=True)
class Trace:
    """A frontier model's reasoning about one problem, final answer removed.

    Attributes:
        key: benchmark, problem and voice.
        reasoning: the text R that a proxy is scored on.
        question: the problem's text, or None where a benchmark source supplies it.
        question_sha256: of the question as its source stores it.
        choices: the options of a multiple-choice problem, or None.
        prompt: what a proxy reads before R, verbatim, instead of the benchmark's template.
        answer: the writer's final answer.
        correct: whether the answer was checked and right.
        reply: the writer's raw reply, where it differs from the reasoning.
        reasoning_span: half-open byte span of R inside the reply.
        pieces: weight model's tokens, or None: then there is no weight and no rBridge score.
        weight_source: ``self`` (the writer's own probabilities) or the name of the model
            that was teacher-forced over the trace.
        other_weights: further models' confidence, each source once; none without ``pieces``.
    """

    key: TraceKey
    reasoning: str
    question: str | None = None
    question_sha256: str | None = None
    choices: tuple[str, ...] | None = None
    prompt: str | None = None
    answer: str | None = None
    correct: bool | None = None
    reply: str | None = None
    reasoning_span: tuple[int, int] | None = None
    pieces: Pieces | None = None
    weight_source: str | None = None
    other_weights: tuple[Weights, ...] = ()


@dataclass(frozen=True)
class TokenStatistics:
    """What a proxy predicted at each scored token, beside the token's own probability.

    Attributes:
        token: the token's id, by which its frequency is counted.
        rank: 1 + the number of tokens that it held likelier than the right one.
        entropy: of its prediction, nats.
        logit_margin: highest logit less the second highest.
        probability_margin: highest probability less the second highest.
    """

    token: Int[np.ndarray, " tokens"]
    rank: Int[np.ndarray, " tokens"]
    entropy: Float[np.ndarray, " tokens"]
    logit_margin: Float[np.ndarray, " tokens"]
    probability_margin: Float[np.ndarray, " tokens"]


@dataclass(frozen=True)
class TokenScores:
    """One trace as one proxy read it, raw: everything else is computed from this.

    Attributes:
        nll: -ln p(token | everything before it), nats, for the T scored tokens.
        weight: mean frontier probability over each token's trace bytes, in [0, 1];
            None where the trace has no pieces.
        start, end: each token's half-open span of trace bytes, never empty.
        num_bytes: UTF-8 bytes of the trace.
        statistics: the rest of each prediction, or None where it was not asked for.
    """

    nll: Float[np.ndarray, " tokens"]
    weight: Float[np.ndarray, " tokens"] | None
    start: Int[np.ndarray, " tokens"]
    end: Int[np.ndarray, " tokens"]
    num_bytes: int
    statistics: TokenStatistics | None = None


@dataclass(frozen=True)
class ScoredTrace:
    """Raw token scores of a trace.

    Attributes:
        key: the trace.
        shots: worked examples that stood before it.
        weight_source: whose confidence weighs it (see ``Trace``), or None.
        tokens: losses, weights and spans.
        other_weights: raw weights by further sources, which the bundle holds side by side.
        window: bytes of R in a window and bytes that each next one adds, where the trace was read in
            several windows; None where it was read whole.
    """

    key: TraceKey
    shots: int
    weight_source: str | None
    tokens: TokenScores
    other_weights: Mapping[str, Float[np.ndarray, " tokens"]] = field(default_factory=dict)
    window: tuple[int, int] | None = None


@dataclass(frozen=True)
class Skip:
    """A trace that has no score, and why.

    Attributes:
        key: the trace.
        reason: one line.
        refused: the tokenizer cannot spell the trace: a fault to mend, not a property to note.
    """

    key: TraceKey
    reason: str
    refused: bool = False


@dataclass(frozen=True)
class Labels:
    """What a checkpoint is: known from its ``rbridge.json``, a labels table, or not at all."""

    recipe: str | None = None
    seed: int | None = None
    size: str | None = None
    parameters: int | None = None
    tokens: int | None = None
    step: int | None = None
    flops: float | None = None
    schedule: str | None = None
    learning_rate: float | None = None


__all__ = [
    "Labels",
    "Pieces",
    "ScoredTrace",
    "Skip",
    "TokenScores",
    "TokenStatistics",
    "Trace",
    "TraceKey",
    "Weights",
]
