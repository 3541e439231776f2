"""The tokenizer that a checkpoint is read with is the one in its tokenizer.json, loaded again where files differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from rbridge.errors import InputError
from rbridge.scoring import tokenizer_files
from rbridge.scoring.checkpoints import Checkpoint, expand, load_tokenizer
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.scoring.tokenizer_files import Tokenizers
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


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the checkpoints whose tokenizer was really loaded."""
    names: list[str] = []

    def counting(checkpoint: Checkpoint) -> ProxyTokenizer:
        names.append(Path(checkpoint.name).name)
        return load_tokenizer(checkpoint)

    monkeypatch.setattr(tokenizer_files, "load_tokenizer", counting)
    return names


def _checkpoint(folder: Path, make: Callable[[], PreTrainedTokenizerFast], weights: str) -> Checkpoint:
    make().save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_text(weights)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": weights}))
    return expand([str(folder)])[0]


def test_the_next_checkpoint_is_read_with_the_tokenizer_of_the_last_where_all_its_files_are_the_same(
    tmp_path: Path, loads: list[str]
) -> None:
    """Other weights and another trainer's state load nothing; one byte of any tokenizer file or config does."""
    kept = Tokenizers()
    steps = [_checkpoint(tmp_path / f"step{i}", llama3_style, str(i)) for i in range(4)]
    assert kept.load(steps[0]) is kept.load(steps[1])
    assert loads == ["step0"]
    file = tmp_path / "step2" / "tokenizer_config.json"
    file.write_text(file.read_text() + " ")
    (tmp_path / "step3" / "config.json").write_text('{"model_type": "qwen2"}')
    assert kept.load(steps[2]) is not kept.load(steps[0])
    kept.load(steps[3])
    assert loads == ["step0", "step2", "step3"]
    other = _checkpoint(tmp_path / "other", gpt2_style, "0")
    assert kept.load(other).encode(TEXT) == load_tokenizer(other).encode(TEXT)
    kept.load(steps[3])  # the last but one
    kept.load(steps[0])  # longer ago
    assert loads == ["step0", "step2", "step3", "other", "step0"]


def test_a_tokenizer_that_is_written_while_it_is_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files at the end are other ones than at the start, so nobody knows which were read."""
    step = _checkpoint(tmp_path / "step", llama3_style, "0")

    def writing(checkpoint: Checkpoint) -> ProxyTokenizer:
        loaded = load_tokenizer(checkpoint)
        gpt2_style().save_pretrained(tmp_path / "step")
        return loaded

    kept = Tokenizers()
    monkeypatch.setattr(tokenizer_files, "load_tokenizer", writing)
    kept.load(step)
    llama3_style().save_pretrained(tmp_path / "step")
    monkeypatch.setattr(tokenizer_files, "load_tokenizer", load_tokenizer)
    gpt2_style().save_pretrained(tmp_path / "step")
    assert kept.load(step).encode(TEXT) == load_tokenizer(step).encode(TEXT)


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """As without keeping anything."""
    with pytest.raises(InputError, match="gone"):
        Tokenizers().load(Checkpoint("gone", str(tmp_path / "gone")))
