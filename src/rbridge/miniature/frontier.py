"""The miniature's frontier model writes its reasoning down, with the log-probability of every token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.align.spelling import Spelling, spell_token
from rbridge.errors import InputError
from rbridge.miniature.replies import Reply, reply
from rbridge.miniature.world import ANSWER, Problem, draw_problem, read_answer, stream
from rbridge.store.files import write_bytes

BENCHMARK = "miniature"
VOICE = "miniature-frontier"
_MOST_ASKED = 4  # problems for each trace wanted


def write_traces(frontier: Path, path: Path, *, num_traces: int) -> int:
    """Write verified traces of held-out problems as exchange JSONL, one a line.

    The model samples one reply a problem at temperature 1. A reply that does not end in the right answer is
    left out. The answer sentence is no part of a trace.

    Args:
        frontier: the frontier model's folder.
        path: the file to write; it appears whole or not at all.
        num_traces: how many; problems are drawn until there are so many right replies.

    Returns:
        The number of replies left out.

    Raises:
        InputError: fewer than a quarter of the replies are right: such a model is no frontier.
    """
    rng = stream("traces")
    problems = [draw_problem(rng, split="traces") for _ in range(_MOST_ASKED * num_traces)]
    lines: list[str] = []
    for asked, (problem, said) in enumerate(_replies(frontier, problems, batch=num_traces), start=1):
        num_tokens = num_trace_tokens(said) if read_answer(said.text) == problem.answer else None
        if num_tokens is not None:
            lines.append(json.dumps(trace(f"{len(lines):04d}", problem, said, num_tokens=num_tokens)))
        if len(lines) == num_traces:
            write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
            return asked - num_traces
    raise InputError(
        f"{frontier}: only {len(lines)} of {len(problems)} sampled replies end in the right answer; "
        "train the frontier model longer"
    )


def num_trace_tokens(said: Reply) -> int | None:
    """How many tokens spell the reply up to its answer sentence.

    None where one crosses that edge: a sampled reply may be spelled in unusual tokens.
    """
    num_bytes = len(ANSWER.sub("", said.text).encode())
    for count, token in enumerate(said.tokens, start=1):
        num_bytes -= len(spell_token(token, Spelling.BYTE_LEVEL))
        if num_bytes <= 0:
            return count if num_bytes == 0 else None
    return None


def trace(problem_id: str, problem: Problem, said: Reply, *, num_tokens: int) -> dict[str, Any]:
    """One exchange line: the first ``num_tokens`` tokens of a right reply, which spell its reasoning."""
    spelled = [spell_token(token, Spelling.BYTE_LEVEL) for token in said.tokens[:num_tokens]]
    spelled[0] = spelled[0].removeprefix(b" ")  # the space between prompt and trace is no trace byte
    return {
        "benchmark": BENCHMARK,
        "problem_id": problem_id,
        "voice": VOICE,
        "question": problem.question,
        "prompt": problem.prompt,
        "reasoning": b"".join(spelled).decode(),
        "answer": str(problem.answer),
        "correct": True,
        "pieces": [
            _piece(piece, logprob) for piece, logprob in zip(spelled, said.logprobs[:num_tokens], strict=True)
        ],
        "weight_source": "self",
    }


def _replies(frontier: Path, problems: list[Problem], *, batch: int) -> Iterator[tuple[Problem, Reply]]:
    model = AutoModelForCausalLM.from_pretrained(frontier)
    tokenizer = AutoTokenizer.from_pretrained(frontier)
    for first in range(0, len(problems), batch):
        some = problems[first : first + batch]
        prompts = [problem.prompt for problem in some]
        yield from zip(some, reply(model, tokenizer, prompts=prompts, sample_seed=first), strict=True)


def _piece(piece: bytes, logprob: float) -> dict[str, Any]:
    assert logprob <= 0, logprob
    try:
        return {"text": piece.decode(), "logprob": logprob}
    except UnicodeDecodeError:  # part of a character
        return {"bytes": list(piece), "logprob": logprob}
