"""What stands in a ledger, as records."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from rbridge.benchmarks import Problem


class Identity(BaseModel):
    """What fixes a series' replies: two of these are never mixed.

    Attributes:
        model: as the endpoint names it.
        template_sha256: of the wording around the questions.
        temperature, top_p: of the decoding.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    template_sha256: str
    temperature: float
    top_p: float


class Facts(BaseModel):
    """What is known of a series beside its replies.

    Attributes:
        hosts, models: that were asked, and what the servers say that they ran.
        flags: of the probes.
        logprobs_mode: as the probes found, None before the first.
        source: where the questions were read.
        num_problems: asked for so far.
        max_tokens: of the last run.
        price: what money was counted by, or None.
        licence, allowed_use: as the user states them, or None.
    """

    model_config = ConfigDict(frozen=True)

    hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    logprobs_mode: str | None = None
    source: str = ""
    num_problems: int = 0
    max_tokens: int = 0
    price: str | None = None
    licence: str | None = None
    allowed_use: str | None = None


@dataclass(frozen=True)
class Item:
    """What became of a problem.

    Attributes:
        problem_id: which.
        kind: ``trace``, or a skip: ``reply`` (another try would not mend it), ``length`` (a higher
            ``--max-tokens`` would) or ``refused`` (the server took no money; it may be asked again).
        reason: of a skip; empty for a trace.
        call: the call whose reply is the trace, or None.
        thinking: whether the model thought before it wrote.
    """

    problem_id: str
    kind: str
    reason: str = ""
    call: int | None = None
    thinking: bool = False


@dataclass(frozen=True)
class StoredTrace:
    """What a trace is made of again.

    Attributes:
        problem: as it was asked.
        voice: whose text it is.
        call: number of the call that brought it.
        correct: whether its answer is right; None where that was not or could not be checked.
        thinking: whether the model thought before it wrote.
        body: raw reply; empty where it was not asked for.
    """

    problem: Problem
    voice: str
    call: int
    correct: bool | None
    thinking: bool
    body: bytes


@dataclass(frozen=True)
class Spending:
    """Calls, tokens and money of a series, probes included.

    Attributes:
        calls: answered ones.
        lost: calls that were sent and never answered: counted as paid in full.
        tokens_in, tokens_out: as billed.
        dollars: what they cost, lost ones at their worst case.
    """

    calls: int
    lost: int
    tokens_in: int
    tokens_out: int
    dollars: float
