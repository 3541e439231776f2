"""Read traces behind other problems' questions, for the question margin (``metric.margin``).

The other questions of a problem are the K = 4 of its benchmark that are nearest in length (UTF-8 bytes),
ties by problem_id. A number token holds only ASCII digits, beside spaces; at those tokens the loss is also
taken among all number tokens of the vocabulary. Cost: K + 1 readings of every trace, one sequence at a
time.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from rbridge.benchmarks import build_prompt
from rbridge.errors import InputError
from rbridge.metric.margin import QuestionReading
from rbridge.records import Skip, Trace
from rbridge.scoring.encode import Encoded, encode_trace
from rbridge.scoring.tokenizer import ProxyTokenizer

NUM_OTHERS = 4
_NUMBER = re.compile(rb" *[0-9]+ *")
# Rows of logits in float32 at a time.
_CHUNK = 128


def nearest_questions(
    traces: Sequence[Trace], *, count: int = NUM_OTHERS
) -> dict[tuple[str, str], list[Trace]]:
    """For each problem, traces that carry its nearest other questions, nearest first.

    Args:
        traces: with their questions resolved.
        count: other questions a problem; fewer where the benchmark has not that many.
    """
    problems: dict[str, dict[str, Trace]] = {}
    for trace in traces:
        problems.setdefault(trace.key.benchmark, {}).setdefault(trace.key.problem_id, trace)
    return {
        (benchmark, name): _nearest(trace, [*of_benchmark.values()], count)
        for benchmark, of_benchmark in problems.items()
        for name, trace in of_benchmark.items()
    }


def _nearest(trace: Trace, candidates: Sequence[Trace], count: int) -> list[Trace]:
    length = len(_question(trace).encode())
    others = [other for other in candidates if _question(other) != _question(trace)]
    others.sort(key=lambda other: (abs(len(_question(other).encode()) - length), other.key.problem_id))
    return others[:count]


def _question(trace: Trace) -> str:
    """What the proxy reads before the trace, worked examples aside."""
    if trace.prompt is not None:
        return trace.prompt
    assert trace.question is not None  # resolve_questions has filled it
    return build_prompt(trace.key.benchmark, trace.question, trace.choices, shots=0)


def number_ids(tokenizer: ProxyTokenizer, vocabulary: int) -> list[int]:
    """Ids below ``vocabulary`` whose token is ASCII digits beside spaces."""
    return [
        index
        for index, spelled in tokenizer.vocabulary()
        if index < vocabulary and _NUMBER.fullmatch(spelled)
    ]


@dataclass(frozen=True)
class OtherQuestions:
    """What reads traces behind other questions.

    Attributes:
        model: in evaluation mode.
        name: of the checkpoint, for errors.
        tokenizer: its own.
        shots: worked examples asked for.
        context_length: most tokens the model takes, or None.
        vocabulary: ids that the model knows are below it.
    """

    model: Any
    name: str
    tokenizer: ProxyTokenizer
    shots: int
    context_length: int | None
    vocabulary: int

    def read(self, traces: Sequence[Trace]) -> Iterator[QuestionReading]:
        """Every trace behind its own question, then behind the others.

        A trace that cannot be scored is passed over (the run lists it); so is another question behind
        which the trace would have fewer worked examples or no room.
        """
        numbers = number_ids(self.tokenizer, self.vocabulary)
        others = nearest_questions(traces)
        for trace in traces:
            right = self._encode(trace)
            if isinstance(right, Skip):
                continue
            yield self._reading(right, trace.key.problem_id, numbers)
            for other in others[trace.key.benchmark, trace.key.problem_id]:
                asked = replace(trace, question=other.question, choices=other.choices, prompt=other.prompt)
                encoded = self._encode(asked)
                if not isinstance(encoded, Skip) and encoded.shots == right.shots:
                    yield self._reading(encoded, other.key.problem_id, numbers)

    def _encode(self, trace: Trace) -> Encoded | Skip:
        return encode_trace(trace, self.tokenizer, shots=self.shots, context_length=self.context_length)

    def _reading(self, item: Encoded, asked: str, numbers: Sequence[int]) -> QuestionReading:
        logits_NV = logits_at(self.model, item.ids, item.scored)
        target_N = torch.tensor([item.ids[at] for at in item.scored], device=logits_NV.device)
        nll = _losses(logits_NV, target_N)
        if not np.isfinite(nll).all():
            raise InputError(f"{self.name}: a loss of {item.key} is not finite; score in float32")
        known = {index: place for place, index in enumerate(numbers)}
        number_at = np.array(
            [row for row, index in enumerate(target_N.tolist()) if index in known], dtype=np.int64
        )
        number_nll = np.zeros(0)
        if len(number_at):
            at = torch.as_tensor(number_at, device=logits_NV.device)
            among = logits_NV[at][:, torch.tensor(numbers, device=logits_NV.device)]
            places = torch.tensor([known[int(target_N[row])] for row in number_at], device=logits_NV.device)
            number_nll = _losses(among, places)
        return QuestionReading(
            key=item.key,
            shots=item.shots,
            asked=asked,
            nll=nll,
            number_at=number_at,
            number_nll=number_nll,
            num_bytes=item.num_bytes,
        )


@torch.inference_mode()
def logits_at(model: Any, ids: Sequence[int], scored: np.ndarray) -> torch.Tensor:
    """Logits that predict the tokens at ``scored``, (N, V), by the model's own forward, one sequence alone."""
    device = next(model.parameters()).device
    before = torch.as_tensor(np.asarray(scored) - 1, device=device)  # position i predicts token i + 1
    ids_1T = torch.tensor([list(ids)], device=device)
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        return model(input_ids=ids_1T, use_cache=False, logits_to_keep=before).logits[0]
    return model(input_ids=ids_1T, use_cache=False).logits[0, before]


def _losses(logits_NV: torch.Tensor, target_N: torch.Tensor) -> Float[np.ndarray, " tokens"]:
    """-ln p of the targets, float32, in chunks of rows."""
    parts = []
    for logits, target in zip(logits_NV.split(_CHUNK), target_N.split(_CHUNK), strict=True):
        rows = logits.float()
        parts.append(rows.logsumexp(-1) - rows.gather(1, target[:, None])[:, 0])
    return torch.cat(parts).cpu().numpy().astype(np.float64)
