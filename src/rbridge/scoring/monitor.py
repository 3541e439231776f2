"""Score a model that is being trained, on few traces, for little of its time."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from rbridge.benchmarks import resolve_questions
from rbridge.errors import InputError
from rbridge.metric import mean_over_traces, trace_values
from rbridge.records import Skip, Trace
from rbridge.scoring.encode import Encoded, encode_trace
from rbridge.scoring.hf import model_source
from rbridge.scoring.source import prove
from rbridge.scoring.sweep import as_scored
from rbridge.scoring.tokenizer import ProxyTokenizer

# Traces of each benchmark that tell how much traces vary, before it is known how many are needed.
PILOT = 16


class Monitor:
    """Means of a model's score over a subset of traces, the same at every look.

    The subset's size is chosen at the first look, for each benchmark: 16 traces drawn at random give
    the standard deviation s of a trace's score, and n = (s / stderr)^2 traces, at least 16 and at most
    all, give a mean whose standard error is about ``stderr`` nats. Since later looks read the same
    traces, the difference of two looks is known better than either.
    """

    def __init__(
        self,
        traces: Sequence[Trace],
        tokenizer: ProxyTokenizer,
        *,
        stderr: float = 0.03,
        shots: int = 0,
        questions: str = "auto",
        batch_tokens: int = 4096,
        seed: int = 0,
        max_overhead: float = 0.01,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Draw the order of the traces.

        Args:
            traces: a bundle's.
            tokenizer: the model's.
            stderr: nats a token; what the mean over a benchmark's traces may err by.
            shots: worked examples before each question.
            questions: where questions come from.
            batch_tokens: padded tokens a batch.
            seed: of the order in which traces are drawn.
            max_overhead: share of the training time that looks may take.
            clock: seconds.

        Raises:
            InputError: the traces' questions cannot be had.
        """
        if not traces:
            raise InputError("no traces to score the model on; expected a bundle that holds some")
        self._tokenizer = tokenizer
        self._stderr = stderr
        self._shots = shots
        self._batch_tokens = batch_tokens
        self._max_overhead = max_overhead
        self._clock = clock
        self._started = clock()
        self._spent = 0.0
        self._last = 0.0
        self._chosen: list[Encoded] | None = None
        resolved = resolve_questions(traces, questions).traces
        order = np.random.default_rng(seed).permutation(len(resolved))
        self._drawn: dict[str, list[Trace]] = defaultdict(list)
        for index in order:
            self._drawn[resolved[index].key.benchmark].append(resolved[index])

    @property
    def overhead(self) -> float:
        """Share of the time since the start that went into looks."""
        return self._spent / max(self._clock() - self._started, 1e-9)

    def can_afford(self) -> bool:
        """Whether one more look like the last keeps the overhead within its limit."""
        if self._chosen is None:
            return True
        elapsed = self._clock() - self._started + self._last
        return self._spent + self._last <= self._max_overhead * elapsed

    def look(self, model: PreTrainedModel) -> dict[str, float]:
        """Score the model as it is now; it comes back in the mode that it was in.

        Returns:
            ``rbridge/<benchmark>`` (nats a token, lower is better; left out where traces have no
            weights), ``trace_nll/<benchmark>``, each with ``_stderr`` and ``_num_traces``, and
            ``rbridge/overhead``.

        Raises:
            InputError: the model's parameters are sharded, or it fails the self-test.
        """
        _refuse_sharded(model)
        began = self._clock()
        was_training = model.training
        model.eval()
        try:
            found = self._means(model)
        finally:
            model.train(was_training)
            self._last = self._clock() - began
            self._spent += self._last
        return found | {"rbridge/overhead": self.overhead}

    def _means(self, model: PreTrainedModel) -> dict[str, float]:
        source = model_source(model, name="the model in training", batch_tokens=self._batch_tokens)
        prove(source)

        def scores(items: Sequence[Encoded]) -> dict[str, list[tuple[float | None, float]]]:
            values = defaultdict(list)
            for batch in source.batches(items):
                for item, nll in zip(batch, source.losses(batch), strict=True):
                    one = trace_values(as_scored(item, nll).tokens)
                    values[item.key.benchmark].append((one.rbridge, one.trace_nll))
            return values

        if self._chosen is None:
            encoded = self._encode(source.context_length)
            pilot = scores([item for items in encoded.values() for item in items[:PILOT]])
            self._chosen = [
                item
                for benchmark, items in encoded.items()
                for item in items[: num_traces(_shown(pilot[benchmark]), self._stderr)]
            ]
        logged: dict[str, float] = {}
        for benchmark, rows in scores(self._chosen).items():
            weighted = [one for one, _ in rows if one is not None]
            for name, column in (("rbridge", weighted), ("trace_nll", [plain for _, plain in rows])):
                if column:
                    mean = mean_over_traces(column)
                    logged[f"{name}/{benchmark}"] = mean.mean
                    logged[f"{name}/{benchmark}_num_traces"] = float(mean.n)
                    if mean.stderr is not None:
                        logged[f"{name}/{benchmark}_stderr"] = mean.stderr
        return logged

    def _encode(self, context_length: int | None) -> dict[str, list[Encoded]]:
        found: dict[str, list[Encoded]] = {}
        for benchmark, traces in self._drawn.items():
            encoded = [
                encode_trace(trace, self._tokenizer, shots=self._shots, context_length=context_length)
                for trace in traces
            ]
            if kept := [item for item in encoded if not isinstance(item, Skip)]:
                found[benchmark] = kept
        if not found:
            raise InputError(
                "the model in training can read none of the traces; are they longer than its context?"
            )
        return found


def num_traces(pilot: Sequence[float], stderr: float) -> int:
    """Traces whose mean has about this standard error, at least those of the pilot.

    n = (s / stderr)^2 with s the pilot's standard deviation (n - 1).

    >>> num_traces([1.0, 2.0, 3.0], 0.1)
    100
    >>> num_traces([1.0, 1.0, 1.0], 0.1)
    3
    """
    spread = float(np.std(pilot, ddof=1)) if len(pilot) > 1 else 0.0
    return max(len(pilot), math.ceil((spread / stderr) ** 2 - 1e-9))


def _shown(rows: Sequence[tuple[float | None, float]]) -> list[float]:
    """The score that will be watched: rBridge, or the plain loss where there are no weights."""
    return [plain if weighted is None else weighted for weighted, plain in rows]


def _refuse_sharded(model: torch.nn.Module) -> None:
    """FSDP and ZeRO-3 leave a process with a part of each parameter, or with none of it."""
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "full_tensor") or parameter.numel() == 0:
            raise InputError(
                f"the model in training is sharded ({name} is not whole on this process), so it cannot be scored "
                "here; score its checkpoints beside it: rbridge score --watch DIR --traces ... -o RUNS"
            )
