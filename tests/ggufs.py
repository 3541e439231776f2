"""GGUF files laid out as llama.cpp's converter does it: Llama, OLMo 2 and GPT-NeoX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map

_ARCHITECTURES = {"llama": MODEL_ARCH.LLAMA, "olmo2": MODEL_ARCH.OLMO2, "gpt_neox": MODEL_ARCH.GPTNEOX}
# gguf's token types.
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5


def write_gguf(
    path: Path, model: torch.nn.Module, tokenizer_folder: Path, *, pre: str, dtype: type = np.float32
) -> Path:
    """A model and its byte-level BPE tokenizer.

    Args:
        path: the file to write.
        model: a transformers model.
        tokenizer_folder: where its tokenizer.json is.
        pre: llama.cpp's name for the tokenizer's way of splitting text.
        dtype: of the matrices; vectors stay in float32.
    """
    config = model.config
    architecture = _ARCHITECTURES[config.model_type]
    writer = GGUFWriter(str(path), MODEL_ARCH_NAMES[architecture])
    heads = config.num_attention_heads
    head_width = config.hidden_size // heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if config.model_type == "gpt_neox":
        writer.add_rope_dimension_count(int(config.rope_parameters["partial_rotary_factor"] * head_width))
        writer.add_parallel_residual(config.use_parallel_residual)
        writer.add_layer_norm_eps(config.layer_norm_eps)
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_rope_dimension_count(head_width)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer_folder, config.vocab_size, pre)
    names = get_tensor_name_map(architecture, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        array = _rearranged(name, tensor.float().numpy(), config)
        stored = array.astype(dtype if array.ndim > 1 else np.float32)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter, folder: Path, rows: int, pre: str) -> None:
    layout = json.loads((folder / "tokenizer.json").read_text())
    special = json.loads((folder / "tokenizer_config.json").read_text())
    added = {token["content"]: token for token in layout["added_tokens"]}
    ids = dict(layout["model"]["vocab"]) | {content: token["id"] for content, token in added.items()}
    tokens = [f"[PAD{index}]" for index in range(rows)]
    types = [_UNUSED] * rows
    for token, index in ids.items():
        tokens[index] = token
        types[index] = _NORMAL
        if token in added:
            types[index] = _CONTROL if added[token]["special"] else _USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = layout["model"]["merges"]
    writer.add_token_merges([" ".join(merge) if isinstance(merge, list) else merge for merge in merges])
    writer.add_bos_token_id(ids[special["bos_token"]])
    writer.add_eos_token_id(ids[special["eos_token"]])
    writer.add_add_bos_token("TemplateProcessing" in json.dumps(layout["post_processor"]))


def _rearranged(name: str, array: np.ndarray, config: object) -> np.ndarray:
    """A weight as llama.cpp wants it: rotary halves interleaved (Llama), or q, k and v apart (GPT-NeoX)."""
    heads = {"q_proj": config.num_attention_heads}
    if config.model_type == "gpt_neox":
        if "query_key_value" not in name:
            return array
        count = config.num_attention_heads
        return array.reshape(count, 3, -1, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)
    heads["k_proj"] = config.num_key_value_heads
    part = name.split(".")[-2]
    if config.model_type != "llama" or part not in heads:
        return array
    halves = array.reshape(heads[part], 2, array.shape[0] // heads[part] // 2, -1)
    return halves.swapaxes(1, 2).reshape(array.shape)
