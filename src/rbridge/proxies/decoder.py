"""Fresh decoder models: Llama's, so that every engine can load them."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rbridge.proxies.rungs import MLP_RATIO, DecoderSize


def new_decoder(size: DecoderSize, *, vocab_size: int, end_id: int, seed: int) -> LlamaForCausalLM:
    """A model with weights drawn from ``seed``, in float32 on the CPU."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=size.width,
        intermediate_size=MLP_RATIO * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.window,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_id,
        pad_token_id=None,  # an id here would keep its embedding from learning, and padding has no loss anyway
        use_cache=False,
        attention_dropout=0.0,
    )
    model = LlamaForCausalLM(config)
    _draw_weights(model, seed)
    return model


@torch.no_grad()
def _draw_weights(model: LlamaForCausalLM, seed: int) -> None:
    """Standard parametrisation: each matrix with variance 1 / its inputs, residual outputs over 2 L as well.

    So activations start at unit scale whatever the width, the sum of 2 L residual branches adds no more than one
    of them, and logits (tied, inputs normed) have unit variance (Radford et al. 2019; Groeneveld et al. 2024).
    Draws are cut at three standard deviations.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() != 2:
            continue  # gains of norms stay 1
        spread = weight.shape[1] ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            spread /= (2 * model.config.num_hidden_layers) ** 0.5
        torch.nn.init.trunc_normal_(weight, std=spread, a=-3 * spread, b=3 * spread, generator=generator)
