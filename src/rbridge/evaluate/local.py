"""Replies of a transformers checkpoint: batches sorted by length, padded on the left, with a key-value cache.

A reply depends on its prompt, weights and seed alone, not on what else is in its batch: padding is masked (and
proven on made-up prompts when the model is loaded; one that reads padding all the same is only given prompts of
equal length together), and every row draws from a generator of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from rbridge.errors import InputError
from rbridge.evaluate.tasks import Task
from rbridge.scoring.engine import HALF_TOLERANCE, TOLERANCE
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.evaluations import Reply

# Whether a reply as far as it goes has ended, and how much of it counts: text, ended.
Cut = Callable[[str], tuple[str, bool]]

_PROBE_LONG, _PROBE_SHORT, _PROBE_STEPS = 17, 5, 3
# Rounding in a whole vocabulary's log-probabilities, against that of one token's.
_OF_ALL = 20


class LocalGenerator:
    """Writes replies with a model in memory.

    Attributes:
        padded: whether prompts of unequal length stand in one batch.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: ProxyTokenizer, *, name: str) -> None:
        """Take a model in evaluation mode; ``name`` stands in errors."""
        self._model: Any = model
        self._tokenizer = tokenizer
        self._name = name
        self._device = next(model.parameters()).device
        embeddings: Any = model.get_input_embeddings()
        rows = int(embeddings.weight.shape[0])
        self._rows = rows
        self._ends = _end_ids(self._model)
        self._known = _known_ids(tokenizer, self._ends, rows, self._device)
        # What the checkpoint would add of its own (penalties, forced tokens, a temperature) is no part of the
        # measure; generate() takes it from here.
        self._model.generation_config = GenerationConfig()
        self.padded = _pads_exactly(self._model, min(tokenizer.vocabulary_size, rows), self._device)

    def replies(
        self, tasks: Sequence[Task], *, cut: Cut, max_tokens: int, temperature: float, batch_tokens: int
    ) -> Iterator[list[Reply]]:
        """Replies batch by batch, the longest prompts first.

        Args:
            tasks: with their ids.
            cut: where a reply ends.
            max_tokens: the most tokens of a reply.
            temperature: 0 is greedy.
            batch_tokens: prompt and reply tokens of a batch, padding included.

        Raises:
            InputError: a prompt has ids that the model does not know.
        """
        highest = max((max(task.ids) for task in tasks), default=0)
        if highest >= self._rows:
            raise InputError(
                f"{self._name}: its tokenizer gives id {highest}, its model knows ids below {self._rows}; is the "
                "tokenizer another model's?"
            )
        for batch in plan_batches(
            tasks, max_tokens=max_tokens, batch_tokens=batch_tokens, padded=self.padded
        ):
            yield self._in_memory(batch, cut, max_tokens, temperature)

    def _in_memory(self, batch: Sequence[Task], cut: Cut, max_tokens: int, temperature: float) -> list[Reply]:
        """A batch, in halves where it does not fit a GPU's memory."""
        try:
            return self._write(batch, cut, max_tokens, temperature)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            torch.cuda.empty_cache()
        half = len(batch) // 2
        return [
            reply
            for part in (batch[:half], batch[half:])
            for reply in self._in_memory(part, cut, max_tokens, temperature)
        ]

    @torch.inference_mode()
    def _write(self, batch: Sequence[Task], cut: Cut, max_tokens: int, temperature: float) -> list[Reply]:
        width = max(len(task.ids) for task in batch)
        ids_BT = torch.zeros((len(batch), width), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, task in enumerate(batch):
            ids_BT[row, width - len(task.ids) :] = torch.tensor(task.ids)
            mask_BT[row, width - len(task.ids) :] = 1
        ended = _Ended(self._tokenizer, self._ends, cut, width, len(batch))
        processors: list[LogitsProcessor] = [_Known(self._known)]
        if temperature > 0:
            processors.append(_Drawn(temperature, [task.seed for task in batch]))
        config = GenerationConfig(
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,  # its end is told by _Ended, row by row
            use_cache=True,
        )
        self._model.generate(
            ids_BT.to(self._device),
            attention_mask=mask_BT.to(self._device),
            generation_config=config,
            logits_processor=LogitsProcessorList(processors),
            stopping_criteria=StoppingCriteriaList([ended]),
        )
        return [
            Reply(
                problem_id=task.problem.problem_id,
                sample=task.sample,
                shots=task.shots,
                text=cut(ended.text(row))[0],
                finish=ended.finish[row] or "length",
                num_tokens=ended.num_tokens[row],
            )
            for row, task in enumerate(batch)
        ]


def plan_batches(
    tasks: Sequence[Task], *, max_tokens: int, batch_tokens: int, padded: bool
) -> Iterator[list[Task]]:
    """Tasks in batches of at most ``batch_tokens``, the longest prompts first; at least one task each."""
    batch: list[Task] = []
    for task in sorted(tasks, key=lambda one: (-len(one.ids), one.name)):
        if batch:
            full = (len(batch) + 1) * (len(batch[0].ids) + max_tokens) > batch_tokens
            if full or not (padded or len(task.ids) == len(batch[0].ids)):
                yield batch
                batch = []
        batch.append(task)
    if batch:
        yield batch


class _Ended(StoppingCriteria):
    """Follows every row's text, and tells which have ended."""

    def __init__(
        self, tokenizer: ProxyTokenizer, ends: frozenset[int], cut: Cut, width: int, rows: int
    ) -> None:
        self._tokenizer = tokenizer
        self._ends = ends
        self._cut = cut
        self._width = width
        self._written = [bytearray() for _ in range(rows)]
        self.num_tokens = [0] * rows
        self.finish: list[str | None] = [None] * rows

    def __call__(self, input_ids: torch.LongTensor, _scores: Any, **_: Any) -> torch.BoolTensor:
        for row, index in enumerate(input_ids[:, -1].tolist()):
            if self.finish[row] is not None:
                continue
            self.num_tokens[row] += 1
            if index in self._ends:
                self.finish[row] = "end"
                continue
            self._written[row] += self._tokenizer.spell([index])[0]
            if self._cut(self.text(row))[1]:
                self.finish[row] = "stop"
        done = [one is not None for one in self.finish]
        return torch.tensor(done, device=input_ids.device)  # type: ignore[return-value]

    def text(self, row: int) -> str:
        """What a row has written; bytes that are no UTF-8 stand as U+FFFD."""
        return self._written[row].decode("utf-8", errors="replace")


class _Known(LogitsProcessor):
    """Rows of the embedding that no token uses cannot be written."""

    def __init__(self, known_V: torch.Tensor) -> None:
        self._unknown_V = ~known_V

    def __call__(self, _ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return scores.masked_fill(self._unknown_V, -torch.inf)  # type: ignore[return-value]


class _Drawn(LogitsProcessor):
    """Sampling as an argmax: logits / T plus Gumbel noise, each row's from a generator of its own.

    The largest of them is a draw from softmax(logits / T) (Gumbel 1954), so the greedy loop samples, and a row's
    draws do not depend on the other rows. Noise is drawn on the CPU: the same on every device.
    """

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        self._temperature = temperature
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, _ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        noise_BV = torch.stack(
            [
                torch.empty(scores.shape[1], dtype=torch.float64)
                .exponential_(generator=one)
                .clamp_min_(1e-300)
                .log_()
                for one in self._generators
            ]
        )
        drawn = scores.double() / self._temperature - noise_BV.to(scores.device)
        return drawn.float()  # type: ignore[return-value]


def _end_ids(model: Any) -> frozenset[int]:
    """Ids that end a text, as the checkpoint's generation settings or its config name them."""
    found: set[int] = set()
    for config in (model.generation_config, model.config.get_text_config()):
        ends = getattr(config, "eos_token_id", None)
        found |= set(ends) if isinstance(ends, list) else set() if ends is None else {ends}
    return frozenset(found)


def _known_ids(
    tokenizer: ProxyTokenizer, ends: frozenset[int], rows: int, device: torch.device
) -> torch.Tensor:
    known_V = torch.zeros(rows, dtype=torch.bool)
    known_V[[index for index, _ in tokenizer.vocabulary() if index < rows]] = True
    known_V[[index for index in ends if index < rows]] = True
    return known_V.to(device)


@torch.inference_mode()
def _pads_exactly(model: Any, vocabulary: int, device: torch.device) -> bool:
    """Whether a prompt's predictions are the same alone and padded on the left beside a longer one."""
    ids = np.random.default_rng(0).integers(0, vocabulary, size=_PROBE_LONG).tolist()
    short = ids[:_PROBE_SHORT]
    alone = _probe(model, [short], [0], device)[-1]
    beside = _probe(
        model, [ids, [0] * (_PROBE_LONG - _PROBE_SHORT) + short], [0, _PROBE_LONG - _PROBE_SHORT], device
    )
    tolerance = _OF_ALL * TOLERANCE if model.dtype == torch.float32 else HALF_TOLERANCE
    return bool((alone - beside[-1]).abs().max() <= tolerance)


def _probe(model: Any, rows: Sequence[list[int]], pads: Sequence[int], device: torch.device) -> torch.Tensor:
    """Log-probabilities of the first tokens that a greedy loop writes, by row, step and id."""
    mask_BT = torch.tensor([[0] * pad + [1] * (len(row) - pad) for row, pad in zip(rows, pads, strict=True)])
    config = GenerationConfig(
        max_new_tokens=_PROBE_STEPS,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
        return_dict_in_generate=True,
        output_logits=True,
    )
    found = model.generate(
        torch.tensor(rows, device=device), attention_mask=mask_BT.to(device), generation_config=config
    )
    return torch.stack([step.float().log_softmax(-1) for step in found.logits], dim=1)
