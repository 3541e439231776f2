"""The tokenizer that a checkpoint is read with is the one in its tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from rbridge.scoring.checkpoints import expand, load_tokenizer
from tests.tokenizer_styles import gpt2_style, llama2_style, llama3_style

TEXT = "Tom has 1234  apples,\n    don't x=12.5 _foo café\t!! \n\n end"


@pytest.mark.parametrize("make", [gpt2_style, llama2_style, llama3_style])
@pytest.mark.parametrize("tokenizer_class", ["TokenizersBackend", "PreTrainedTokenizerFast"])
def test_no_architecture_changes_how_a_text_is_split(
    tmp_path: Path, make: Callable[[], PreTrainedTokenizerFast], tokenizer_class: str
) -> None:
    """Under a Qwen2 model transformers would split by Qwen's rules, whatever tokenizer.json says."""
    make().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": tokenizer_class}))
    backend = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    dressed = backend.encode(TEXT).ids
    bare = backend.encode(TEXT, add_special_tokens=False).ids
    loaded = load_tokenizer(expand([str(tmp_path)])[0])
    assert loaded.encode(TEXT) == bare
    assert loaded.prefix_ids == dressed[: len(dressed) - len(bare)]
