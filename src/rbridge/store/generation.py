"""How traces were asked for, as a bundle's manifest tells it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Generation(BaseModel):
    """How one voice's traces of one benchmark were asked for.

    Attributes:
        benchmark, voice, model: the series, and the model as its endpoint names it.
        served: models and fingerprints that the servers named.
        hosts: of the endpoints, without any credential.
        prompt_sha256: of the wording around the questions.
        temperature, top_p, max_tokens: decoding.
        logprobs_mode: ``raw``, ``processed``, ``not known`` or ``mixed``, as the probes found.
        flags: what the probes found that a reader should know.
        first, last: dates of the first and the last call.
        questions: where they were read.
        num_problems, num_traces, num_skipped, num_missing: asked for, in the bundle, listed under the
            manifest's ``skipped``, still without a reply.
        num_correct, num_wrong: by the benchmark's checker; the others could not be told.
        num_thinking: traces that were written after thinking.
        num_calls, num_lost: replies, probes and second tries included; and calls that were never answered.
        prompt_tokens, completion_tokens: as billed.
        cost_usd: lost calls at their worst case; None where the price is not known.
        price: what it was counted by, or None.
    """

    model_config = ConfigDict(extra="ignore")

    benchmark: str
    voice: str
    model: str
    served: list[str]
    hosts: list[str]
    prompt_sha256: str
    temperature: float
    top_p: float
    max_tokens: int
    logprobs_mode: str
    flags: list[str]
    first: str
    last: str
    questions: str
    num_problems: int
    num_traces: int
    num_missing: int
    num_correct: int
    num_wrong: int
    num_thinking: int
    num_skipped: int
    num_calls: int
    num_lost: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    price: str | None
