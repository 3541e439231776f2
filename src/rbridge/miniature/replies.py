"""Let a model answer prompts, greedily or by sampling, and check its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from rbridge.miniature.world import Problem, read_answer

MAX_REPLY = 80  # tokens; the longest right chain has 57 in the frontier's tokens, 48 in the proxies'


@dataclass(frozen=True)
class Reply:
    """What a model wrote, token by token, the end-of-text token left out.

    Attributes:
        text: the tokens decoded.
        tokens: vocabulary strings.
        logprobs: of each token, natural log, at temperature 1.
    """

    text: str
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]


def num_right(model: Any, tokenizer: PreTrainedTokenizerFast, *, problems: Sequence[Problem]) -> int:
    """How many problems the model's greedy reply ends in the right answer for."""
    replies = reply(model, tokenizer, prompts=[problem.prompt for problem in problems], sample_seed=None)
    return sum(
        read_answer(said.text) == problem.answer for said, problem in zip(replies, problems, strict=True)
    )


@torch.inference_mode()
def reply(
    model: Any,
    tokenizer: Any,
    *,
    prompts: Sequence[str],
    sample_seed: int | None,
) -> list[Reply]:
    """The model's replies, in the order of the prompts.

    Args:
        model: a causal language model that transformers can generate with.
        tokenizer: its own, a fast one.
        prompts: all are answered in one batch.
        sample_seed: of samples at temperature 1, or None for greedy replies.
    """
    model.eval()
    asked = tokenizer(list(prompts), padding=True, padding_side="left", return_tensors="pt").to(model.device)
    how = GenerationConfig(
        do_sample=sample_seed is not None,
        top_k=None if sample_seed is None else 0,  # 0: from the whole vocabulary
        max_new_tokens=MAX_REPLY,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    if sample_seed is not None:
        torch.manual_seed(sample_seed)  # generate() draws from the global stream
    out = model.generate(
        input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], generation_config=how
    )
    ids_BT = out.sequences[:, asked["input_ids"].shape[1] :]
    # In float64 a log-softmax is never above 0.
    logprobs_BT = torch.stack(
        [
            logits_BV.double().log_softmax(-1).gather(1, ids_B[:, None])[:, 0]
            for logits_BV, ids_B in zip(out.logits, ids_BT.T, strict=True)
        ],
        dim=1,
    )
    return [
        _reply(tokenizer, ids, logprobs)
        for ids, logprobs in zip(ids_BT.tolist(), logprobs_BT.tolist(), strict=True)
    ]


def _reply(tokenizer: Any, ids: list[int], logprobs: list[float]) -> Reply:
    length = ids.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in ids else len(ids)
    return Reply(
        text=tokenizer.decode(ids[:length]),
        tokens=tuple(tokenizer.convert_ids_to_tokens(ids[:length])),
        logprobs=tuple(logprobs[:length]),
    )
