"""A look at an endpoint before it is paid: does it give what a trace needs?

One question in the very form of the benchmark's, then one open question's first token at temperature 0
and at temperature 1: the two distributions are the same where log-probabilities are raw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from openai import APIStatusError, BadRequestError

from rbridge.align import cut_reply
from rbridge.benchmarks import Problem
from rbridge.errors import AlignmentError, InputError
from rbridge.traces.generate.calls import Caller, prompt_bytes
from rbridge.traces.generate.pieces import fit_pieces
from rbridge.traces.generate.prompt import chat_messages
from rbridge.traces.generate.reply import RawPiece, Reply, read_reply

_QUESTION = "A cup of tea is 3 € and a piece of cake is 4 € more. What do the two cost together, in €? 😀"
_OPEN = [{"role": "user", "content": "Name a town, any one. Reply with its name alone."}]
_TRIES = 2
_TOP = 5
# Servers' own noise from batch to batch is a tenth of a nat at most; temperature moves whole nats.
_NOISE = 0.35
# A first token surer than that says nothing of temperature.
_SURE = -0.02
_RUN = 16
WEIGH = (
    "take another endpoint, or import its replies without 'pieces' (rbridge traces import) and let a local model "
    "weigh them (rbridge traces weigh --model)"
)


@dataclass(frozen=True)
class Probe:
    """What an endpoint was found to give.

    Attributes:
        logprobs_mode: ``raw`` (the same at temperature 0 and 1), ``processed`` (they differ) or
            ``not known`` (the server does not show enough to tell).
        thinking: whether the model thinks before it writes.
        flags: what a reader of the bundle should know, one line each.
        bytes_per_token: of the prompt.
        model, fingerprint: as the server names what it runs, or None.
    """

    logprobs_mode: str
    thinking: bool
    flags: tuple[str, ...]
    bytes_per_token: float
    model: str | None
    fingerprint: str | None


async def probe(caller: Caller, max_tokens: int) -> Probe:
    """Look at the endpoint.

    Args:
        caller: that pays.
        max_tokens: of the run.

    Raises:
        InputError: no log-probabilities, or ones that no trace can be made of, with the remedy.
        openai.OpenAIError: no reply.
    """
    problem = Problem(caller.benchmark, "", _QUESTION, _QUESTION, "10", choices=("7", "10"))
    messages = chat_messages(problem)
    reply, thinking, flags = await _look(caller, messages, max_tokens, _TRIES)
    pieces = reply.pieces or ()
    mode = await _mode(caller)
    if mode == "processed":
        flags.append(
            "log-probabilities are not raw: an open question's first token has others at temperature 0 than at 1"
        )
    _check_certainty(pieces, mode, flags)
    tokens = reply.prompt_tokens or prompt_bytes(messages)
    return Probe(
        mode, thinking, tuple(flags), prompt_bytes(messages) / tokens, reply.model, reply.fingerprint
    )


async def _look(
    caller: Caller, messages: list[dict[str, str]], max_tokens: int, tries: int
) -> tuple[Reply, bool, list[str]]:
    """Ask and examine; one bad reply is no proof, so there is another try."""
    try:
        reply = await _ask(caller, messages, max_tokens)
        return reply, *_examine(reply)
    except InputError:
        if tries == 1:
            raise
    return await _look(caller, messages, max_tokens, tries - 1)


async def _ask(caller: Caller, messages: list[dict[str, str]], max_tokens: int) -> Reply:
    try:
        _, body = await caller.call(None, messages, max_tokens)
    except BadRequestError as error:
        if "max_completion_tokens" not in str(error) or caller.limit_field != "max_tokens":
            raise
        caller.limit_field = "max_completion_tokens"
        _, body = await caller.call(None, messages, max_tokens)
    try:
        return read_reply(body)
    except ValueError as error:
        raise InputError(
            f"{caller.endpoint.host}: {error}; expected an OpenAI-compatible chat endpoint"
        ) from None


def _examine(reply: Reply) -> tuple[bool, list[str]]:
    flags: list[str] = []
    if reply.pieces is None:
        raise InputError(
            f"the endpoint gives no log-probabilities for {reply.model or 'this model'}: {WEIGH}"
        )
    if not reply.content:
        flags.append(f"the probe's reply was empty (finish_reason {reply.finish_reason})")
        return bool(reply.thinking), flags
    try:
        fitted = fit_pieces(reply.content, reply.pieces, reply.thinking)
    except AlignmentError as error:
        raise InputError(f"the endpoint's log-probabilities are of no use: {error}: {WEIGH}") from None
    if cut_reply(reply.content) is None:
        flags.append("the probe's reply was not the JSON object that was asked for")
    thinking = bool(fitted.hidden_bytes or reply.thinking or "</think>" in reply.content)
    if fitted.hidden_bytes:
        flags.append(
            f"a span of thinking hides in the log-probabilities ({fitted.hidden_bytes} bytes in the probe): it is "
            "cut off, and what is left is the confidence of a model that has thought already"
        )
    elif thinking:
        flags.append(
            "the model thinks before it writes: its confidence is that of one that has thought already"
        )
    unlikely = sum(
        bool(p.top) and p.logprob is not None and p.top[0] - p.logprob > _NOISE for p in reply.pieces
    )
    if unlikely:
        flags.append(
            f"{unlikely} of the probe's {len(reply.pieces)} tokens are not the likeliest: not greedy"
        )
    return thinking, flags


async def _mode(caller: Caller) -> str:
    cold, hot = await _first_token(caller, 0.0), await _first_token(caller, 1.0)
    shown = min(len(cold), len(hot))
    if shown < 2:
        return "not known"
    pairs = list(zip(cold, hot, strict=False))
    if max(abs(a - b) for a, b in pairs) > _NOISE:
        return "processed"
    return "raw" if cold[0] < _SURE else "not known"  # a sure token is the same at any temperature


async def _first_token(caller: Caller, temperature: float) -> tuple[float, ...]:
    try:
        _, body = await caller.call(None, _OPEN, 1, temperature=temperature, top_logprobs=_TOP)
        pieces = read_reply(body).pieces
    except (APIStatusError, ValueError):  # some servers want longer replies, or no temperature
        return ()
    return pieces[0].top if pieces else ()


def _check_certainty(pieces: Sequence[RawPiece], mode: str, flags: list[str]) -> None:
    sure = [piece.logprob is not None and piece.logprob >= 0.0 for piece in pieces]
    longest = max((len(list(run)) for certain, run in groupby(sure) if certain), default=0)
    if len(sure) >= _RUN // 2 and all(sure) and mode != "raw":
        raise InputError(
            f"all {len(sure)} probabilities of the probe are exactly 1: the server reports them after temperature "
            f"(vLLM: --logprobs-mode raw_logprobs): {WEIGH}"
        )
    if longest >= _RUN:
        flags.append(f"{longest} tokens in a row have a probability of exactly 1")
