"""rbridge score and every bad input that a user can bring: one line, and the good ones are scored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from tests.commands import rbridge
from tests.scoring import TEXTS, make_place, score


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 and a Llama checkpoint and traces of an unknown benchmark."""
    return make_place(tmp_path_factory.mktemp("score"))


def _truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _drop_shard(folder: Path) -> None:
    index = {
        "metadata": {},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")


def _nan(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.0.mlp.c_fc.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _nan_that_no_text_meets(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "llama", folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][-1, 0] = float("inf")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _headless(folder: Path) -> None:
    LlamaModel.from_pretrained(folder.parent / "llama").save_pretrained(folder)


def _not_causal(folder: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    config.is_decoder = False
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "gpt2", folder)
    (folder / "model.safetensors").unlink()
    BertLMHeadModel(config).save_pretrained(folder)


def _other_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    shift = {token: index + 5000 for token, index in vocabulary.items()}
    tokenizer["model"]["vocab"] = shift
    tokenizer["added_tokens"] = []
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: (f / "config.json").unlink(), "no config.json, so no transformers checkpoint"),
    (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
    (lambda f: (f / "model.safetensors").unlink(), "no weights; expected model.safetensors"),
    (_pickled, "only pytorch_model.bin, a pickle, which is not loaded"),
    (_truncate, "its model cannot be loaded (SafetensorError"),
    (_drop_shard, "model-00002-of-00002.safetensors is missing (1 of 2 shards): half downloaded?"),
    (_nan, "transformer.h.0.mlp.c_fc.weight holds NaN or infinity (1 of its "),
    (_nan_that_no_text_meets, "model.embed_tokens.weight holds NaN or infinity (1 of its "),
    (_headless, "lacks 1 of its weights in the file, lm_head.weight for one"),
    (_not_causal, "its losses depend on later tokens"),
    (_other_tokenizer, "its model knows ids below"),
    (
        lambda f: [(f / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")],
        "its tokenizer has no vocabulary",
    ),
]


@pytest.mark.parametrize(("damage", "message"), BAD)
def test_a_bad_checkpoint_is_one_line_and_the_good_ones_are_scored(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    message: str,
) -> None:
    """Exit 1, what and where and the remedy; nothing of the other checkpoint is lost."""
    shutil.copytree(place / "gpt2", tmp_path / "gpt2")
    shutil.copytree(place / "llama", tmp_path / "llama")
    bad = tmp_path / "bad"
    shutil.copytree(place / "gpt2", bad)
    damage(bad)
    result = score(capsys, place, tmp_path / "runs", bad, place / "gpt2")
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert result.status == 1
    assert len(errors) == 1
    assert message in errors[0]
    assert [row["checkpoint"] for row in result.document["runs"]] == [str(place / "gpt2")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no checkpoint there; expected a folder with config.json"),
        ("nowhere/model.gguf", "no checkpoint there"),
        ("someone/no-such-model", "not a local folder, and the hub did not give it"),
    ],
)
def test_a_missing_checkpoint_is_one_line(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    message: str,
) -> None:
    """A path that is none, and a hub name that cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = score(capsys, place, tmp_path / "runs", name)
    assert result.status == 1
    assert message in result.err.splitlines()[-1]


def test_a_tokenizer_that_cannot_spell_a_trace_refuses_it_and_keeps_the_rest(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1 with the first byte that differs; the traces that it can spell are scored and kept."""
    shutil.copytree(place / "gpt2", tmp_path / "narrow")
    letters = sorted(
        {
            char
            for text in [*TEXTS[2:], "Question: What is?\nAnswer: 0123456789"]
            for char in text
            if char.isascii()
        }
    )
    backend = Tokenizer(
        models.BPE({char: i for i, char in enumerate(["<unk>", *letters])}, [], unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>").save_pretrained(tmp_path / "narrow")
    result = score(capsys, place, tmp_path / "runs", tmp_path / "narrow")
    assert result.status == 1
    (row,) = result.document["runs"]
    assert {skip["problem_id"] for skip in row["skipped"]} == {"0", "1"}
    assert all("tokens stop spelling the text at byte" in skip["reason"] for skip in row["skipped"])
    assert row["num_scored"] == 3
    assert "cannot spell 2 of the traces (the others are scored and kept)" in result.err.splitlines()[-1]


def test_five_shots_of_an_unknown_benchmark_are_an_error(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never a silent zero."""
    result = rbridge(
        capsys, "score", place / "gpt2", "--traces", place / "bundle", "--shots", 5, "-o", tmp_path / "r"
    )
    assert result.status == 1
    assert "mine" in result.err
    assert result.err.count("\n") == 1


def test_a_missing_question_source_is_one_line_with_the_command(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trace that names its question by hash only, and a file that is not there."""
    line = {"benchmark": "mine", "problem_id": "1", "question_sha256": "ab", "reasoning": "R"}
    (tmp_path / "t.jsonl").write_text(json.dumps(line))
    rbridge(capsys, "traces", "import", tmp_path / "t.jsonl", "-o", tmp_path / "b")
    result = rbridge(
        capsys, "score", place / "gpt2", "--traces", tmp_path / "b", "--shots", 0, "-o", tmp_path / "r"
    )
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "--questions" in result.err
