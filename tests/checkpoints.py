"""Small checkpoint folders of many architectures, each with a tokenizer of its kind.

Weights are random and scaled until predictions are peaked, biases and norms are random too, so that a
forgotten bias, softcap or logit scale shows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from tests.tokenizer_styles import (
    bloom_style,
    codegen_style,
    cohere_style,
    gemma_style,
    gpt2_style,
    lfm2_style,
    llama2_style,
    llama3_style,
    metaspace_style,
    neox_style,
    opt_style,
    qwen_style,
    unigram_control_style,
    unigram_style,
)

torch.set_num_threads(1)

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GQA = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 1024}


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is made, and what is known of it beforehand."""

    model_type: str
    tokenizer: Callable[[], PreTrainedTokenizerFast]
    options: dict = field(default_factory=dict)
    context: int = 1024  # longest sequence that fits
    bos: str | None = None  # what the tokenizer's convention puts before a text
    spare_rows: int = 0  # rows of the embedding that no token uses
    dtype: torch.dtype = torch.float32  # of the weights on disk
    truncation: int | None = None  # a truncation left behind in tokenizer.json
    tokenizer_class: str | None = None  # the class named on disk, which may rebuild the tokenizer


RECIPES = {
    "gpt2": Recipe(
        "gpt2", gpt2_style, {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 640}, context=640
    ),
    "llama3": Recipe("llama", llama3_style, GQA, bos="<|begin_of_text|>"),
    "llama2": Recipe("llama", llama2_style, {**GQA, "attention_bias": True}, bos="<s>"),
    "llama2-class": Recipe("llama", llama2_style, GQA, bos="<s>", tokenizer_class="LlamaTokenizer"),
    "neox": Recipe(
        "gpt_neox",
        neox_style,
        {**SMALL, "rotary_pct": 0.25, "max_position_embeddings": 1024},
        spare_rows=37,
        tokenizer_class="GPTNeoXTokenizer",
    ),
    "olmo2": Recipe("olmo2", neox_style, GQA, dtype=torch.bfloat16, truncation=16),
    "qwen3": Recipe(
        "qwen3",
        qwen_style,
        {**GQA, "head_dim": 16, "tie_word_embeddings": True},
        spare_rows=64,
        tokenizer_class="Qwen2Tokenizer",
    ),
    "gemma2": Recipe(
        "gemma2",
        gemma_style,
        {
            **GQA,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 24,
            "final_logit_softcapping": 6.0,
            "attn_logit_softcapping": 1.5,
        },
        bos="<bos>",
        tokenizer_class="GemmaTokenizer",
    ),
    "gemma3": Recipe(
        "gemma3_text",
        gemma_style,
        {
            **GQA,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 16,
            "sliding_window_pattern": 2,
        },
        bos="<bos>",
    ),
    "mistral": Recipe("mistral", metaspace_style, {**GQA, "sliding_window": 20}, bos="<s>"),
    "unigram": Recipe("llama", unigram_style, GQA, bos="<s>"),
    "cohere": Recipe(
        "cohere",
        cohere_style,
        {**GQA, "logit_scale": 0.25},
        bos="<BOS_TOKEN>",
        tokenizer_class="CohereTokenizer",
    ),
    "granite": Recipe(
        "granite",
        codegen_style,
        {**GQA, "logits_scaling": 4.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.5},
    ),
    "opt": Recipe(
        "opt",
        opt_style,
        {
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 1024,
            "pad_token_id": 1,
            "do_layer_norm_before": True,
        },
        bos="</s>",
    ),
    "bloom": Recipe("bloom", bloom_style, {"hidden_size": 48, "n_layer": 2, "n_head": 4}),
    "mpt": Recipe(
        "mpt",
        neox_style,
        {"d_model": 48, "n_layers": 2, "n_heads": 4, "expansion_ratio": 2, "max_seq_len": 1024},
    ),
    "phi": Recipe("phi", codegen_style, {**SMALL, "max_position_embeddings": 1024}),
    "mamba": Recipe(
        "mamba", neox_style, {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}, spare_rows=5
    ),
    "lfm2": Recipe(
        "lfm2",
        lfm2_style,
        {**GQA, "num_hidden_layers": 3, "full_attn_idxs": [1], "conv_L_cache": 3},
        bos="<|startoftext|>",
    ),
    "falcon-h1": Recipe(
        "falcon_h1",
        codegen_style,
        {
            **GQA,
            "head_dim": 16,
            "mamba_d_ssm": 64,
            "mamba_n_heads": 4,
            "mamba_d_head": 16,
            "mamba_d_state": 8,
            "mamba_n_groups": 1,
            "mamba_chunk_size": 16,
            "lm_head_multiplier": 0.3,
            "key_multiplier": 0.5,
        },
    ),
    "qwen3-moe": Recipe(
        "qwen3_moe",
        qwen_style,
        {**GQA, "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    ),
}

ROPE_BORDER = 64  # from this length on, "longrope" turns by other factors
ODD_RECIPES = {  # each for a test of its own
    "longrope": Recipe(
        "phi3",
        opt_style,
        {
            **GQA,
            "pad_token_id": 1,
            "original_max_position_embeddings": ROPE_BORDER,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 6,
                "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
                "original_max_position_embeddings": ROPE_BORDER,
            },
        },
        bos="</s>",
    ),
    "unigram-control": Recipe("llama", unigram_control_style, GQA, bos="<s>"),
    "short": Recipe(
        "gpt2", gpt2_style, {"n_embd": 48, "n_layer": 1, "n_head": 4, "n_positions": 64}, context=64
    ),
    "neox-even": Recipe(  # llama.cpp turns an even number of a head's dimensions only
        "gpt_neox",
        neox_style,
        {**SMALL, "hidden_size": 64, "rotary_pct": 0.25, "max_position_embeddings": 1024},
        spare_rows=37,
    ),
}
EVERY_RECIPE = RECIPES | ODD_RECIPES


def head_of(model: torch.nn.Module) -> torch.nn.Parameter:
    """The matrix that makes logits."""
    return model.get_output_embeddings().weight


def peaked(model: torch.nn.Module, vocabulary: int) -> torch.nn.Module:
    """The model with every vector a bit random, and its head scaled until logits vary by about 3."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        probe = torch.randint(5, vocabulary, (1, 64))
        for _ in range(6):
            spread = model(input_ids=probe, use_cache=False).logits[0, 8:, :vocabulary].std(-1).mean()
            head_of(model).mul_((3 / spread).clamp(0.3, 3.0))
    return model


def build(name: str, folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint of this name into `folder` and check what comes back."""
    recipe = EVERY_RECIPE[name]
    tokenizer = recipe.tokenizer()
    vocabulary = len(tokenizer)
    torch.manual_seed(1000 * seed + list(EVERY_RECIPE).index(name))
    config = AutoConfig.for_model(
        recipe.model_type,
        vocab_size=vocabulary + recipe.spare_rows,
        initializer_range=0.15,
        **{
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": None,
        }
        | recipe.options,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    peaked(model, vocabulary).to(recipe.dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if recipe.truncation is not None:
        file = folder / "tokenizer.json"
        layout = json.loads(file.read_text())
        layout["truncation"] = {
            "direction": "Right",
            "max_length": recipe.truncation,
            "strategy": "LongestFirst",
            "stride": 0,
        }
        file.write_text(json.dumps(layout))
    if recipe.tokenizer_class is not None:
        file = folder / "tokenizer_config.json"
        layout = json.loads(file.read_text())
        layout["tokenizer_class"] = recipe.tokenizer_class
        file.write_text(json.dumps(layout))
    check(name, folder)
    return folder


def check(name: str, folder: Path) -> None:
    """The tokenizer in the folder is a fast one and puts before a text what was meant."""
    recipe = EVERY_RECIPE[name]
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded.is_fast
    assert 300 <= len(loaded) <= 800, len(loaded)
    plain = loaded("So 2 + 3", add_special_tokens=False)["input_ids"]
    dressed = loaded("So 2 + 3", add_special_tokens=True)["input_ids"]
    lead = [] if recipe.bos is None else [loaded.convert_tokens_to_ids(recipe.bos)]
    assert dressed[: len(lead) + len(plain)] == lead + plain
    assert loaded("So 2 + 3")["input_ids"] == dressed


def build_all(root: Path, names: list[str] | None = None) -> Iterator[tuple[str, Path]]:
    """Every checkpoint, in a folder of its own under `root`."""
    for name in names or list(RECIPES):
        yield name, build(name, root / name)
