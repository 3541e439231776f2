"""Stands in for ``vllm``: the classes of its offline interface that rbridge uses, as its API reference gives them.

``LLM.generate`` takes prompts of token ids and returns one ``RequestOutput`` each, in order. Its
``prompt_logprobs`` has an entry a prompt token: None for the first, then a map from token id to ``Logprob``
that holds the prompt's own token beside as many of the likeliest as were asked for. A transformers model computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers import AutoModelForCausalLM

__version__ = "0.33.0"


@dataclass
class Logprob:
    """A token's log-probability, its rank from 1 on, its text where a tokenizer is there."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class SamplingParams:
    """What is asked for; the rest of its options stay at their defaults."""

    max_tokens: int | None = 16
    temperature: float = 1.0
    prompt_logprobs: int | None = None
    detokenize: bool = True


@dataclass
class CompletionOutput:
    """What was generated."""

    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: list | None
    finish_reason: str | None = None


@dataclass
class RequestOutput:
    """The answer to one prompt."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int] | None
    prompt_logprobs: list[dict[int, Logprob] | None] | None
    outputs: list[CompletionOutput]
    finished: bool
    num_cached_tokens: int | None = 0


# What a test makes of each answer.
SPOIL: list[Callable[[RequestOutput], RequestOutput]] = []


@dataclass
class LLM:
    """A model in vLLM; options beyond these are at their defaults."""

    model: str
    dtype: str = "auto"
    skip_tokenizer_init: bool = False
    load_format: str = "auto"
    enable_prefix_caching: bool | None = None
    generation_config: str = "auto"
    seed: int = 0
    asked: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Load the weights."""
        self.core: Any = AutoModelForCausalLM.from_pretrained(
            self.model, dtype=getattr(torch, self.dtype)
        ).eval()
        self.max_model_len = self.core.config.max_position_embeddings

    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: SamplingParams,
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        """Answers in the order of the prompts."""
        assert not use_tqdm
        assert sampling_params.max_tokens == 1
        if self.skip_tokenizer_init and sampling_params.detokenize:
            raise ValueError("You can't set detokenize=True when skip_tokenizer_init=True")
        spoil = SPOIL[-1] if SPOIL else replace
        return [spoil(self._answer(str(i), prompt["prompt_token_ids"])) for i, prompt in enumerate(prompts)]

    @torch.inference_mode()
    def _answer(self, request: str, ids: list[int]) -> RequestOutput:
        if len(ids) + 1 > self.max_model_len:
            raise ValueError(
                f"The decoder prompt (length {len(ids)}) is longer than the maximum model length of "
                f"{self.max_model_len}."
            )
        logprobs = self.core(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        entries: list[dict[int, Logprob] | None] = [None]
        for at, token in enumerate(ids[1:]):
            own = logprobs[at, token]
            entries.append({token: Logprob(float(own), int((logprobs[at] > own).sum()) + 1)})
        generated = CompletionOutput(0, "", [int(logprobs[-1].argmax())], None, None, "length")
        return RequestOutput(request, None, list(ids), entries, [generated], finished=True)
