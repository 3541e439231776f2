"""rbridge score end to end: resuming, hub names, GGUF, and every bad input that a user can bring."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertLMHeadModel,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from rbridge.cli import run
from rbridge.scoring import hf
from rbridge.scoring.engine import Engine
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import Result, rbridge

TEXTS = [
    "So 2 + 3 = 5 é😀.",
    "def f(x):\n    return x  # 日本語\n\n    y = 1",
    "First \\frac{1}{2}, then <|endoftext|> as text.",
    "Then 7 times 6 is 42, so the answer stands. " * 4,
    "Short.",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 and a Llama checkpoint and traces of an unknown benchmark."""
    folder = tmp_path_factory.mktemp("score")
    build("gpt2", folder / "gpt2")
    build("llama3", folder / "llama")
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"What is {i}?",
            "reasoning": text,
            "pieces": [
                {"bytes": list(text.encode()[:4]), "logprob": -0.5},
                {"bytes": list(text.encode()[4:]), "logprob": -0.1},
            ],
        }
        for i, text in enumerate(TEXTS)
    ]
    (folder / "traces.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "traces.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(capsys, "score", *more, "--traces", place / "bundle", "--shots", 0, "-o", out, "--json")


def _losses(out: Path) -> dict[str, list[float]]:
    return {
        f"{run.manifest.checkpoint}:{one.key.problem_id}": one.tokens.nll.tolist()
        for run in read_runs(out)
        for one in run.scored()
    }


def test_the_shape_is_that_of_the_specification(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row per checkpoint, benchmark and voice, with mean and standard error."""
    result = _score(capsys, place, tmp_path / "runs", place / "gpt2")
    assert result.status == 0
    (row,) = result.document["runs"]
    assert row["checkpoint"] == str(place / "gpt2")
    assert (row["recipe"], row["seed"], row["benchmark"]) == (None, None, "mine")
    assert (row["voice"], row["shots"], row["weight_source"]) == ("v", 0, "self")
    assert (row["num_scored"], row["num_skipped"], row["skipped"]) == (5, 0, [])
    assert set(row["metrics"]["rbridge"]) >= {"mean", "stderr"}
    items = rbridge(capsys, "show", tmp_path / "runs", "--items", "--json").lines
    assert [item["problem_id"] for item in items] == ["0", "1", "2", "3", "4"]
    mean = sum(item["rbridge"] for item in items) / 5
    assert row["metrics"]["rbridge"]["mean"] == pytest.approx(mean)


def test_a_finished_run_is_not_computed_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call loads no model."""
    first = _score(capsys, place, tmp_path / "runs", place / "gpt2")

    def load(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded again")

    monkeypatch.setattr(hf, "load_model", load)
    second = _score(capsys, place, tmp_path / "runs", place / "gpt2")
    assert second.out == first.out
    assert "scored already" in second.err


def test_two_checkpoints_never_share_a_run(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One weight changed, same name of the folder's end: another key."""
    shutil.copytree(place / "gpt2", tmp_path / "x" / "gpt2")
    weights = load_file(tmp_path / "x" / "gpt2" / "model.safetensors")
    weights["transformer.wte.weight"] = weights["transformer.wte.weight"] * 1.01
    save_file(weights, tmp_path / "x" / "gpt2" / "model.safetensors", metadata={"format": "pt"})
    _score(capsys, place, tmp_path / "runs", place / "gpt2", tmp_path / "x" / "gpt2")
    one, other = read_runs(tmp_path / "runs")
    assert one.manifest.key != other.manifest.key
    assert one.scored()[0].tokens.nll.tolist() != other.scored()[0].tokens.nll.tolist()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_sweep_goes_on_where_it_stopped(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    interruption: BaseException,
) -> None:
    """Ctrl-C after two batches of the second checkpoint: same command, same numbers, none run twice."""
    both = (place / "gpt2", place / "llama", "--batch-tokens", 1)
    _score(capsys, place, tmp_path / "whole", *both)
    real, seen = Engine.losses, []

    def stopping(self: Engine, batch: list) -> list:
        if batch[0].key.benchmark == "self-test":
            return real(self, batch)
        if len(seen) == 7:  # five batches of the first checkpoint, two of the second
            raise interruption
        seen.append([item.key.problem_id for item in batch])
        return real(self, batch)

    monkeypatch.setattr(Engine, "losses", stopping)
    stopped = _score(capsys, place, tmp_path / "runs", *both)
    assert stopped.status == (130 if isinstance(interruption, KeyboardInterrupt) else 1)
    assert (
        stopped.err.splitlines()[-1].endswith("the same command goes on from there")
        or "is kept" in stopped.err
    )
    assert len(list((tmp_path / "runs").glob("*/manifest.json"))) == 1

    rest: list = []

    def counting(self: Engine, batch: list) -> list:
        rest.extend(item.key.problem_id for item in batch if item.key.benchmark != "self-test")
        return real(self, batch)

    monkeypatch.setattr(Engine, "losses", counting)
    assert _score(capsys, place, tmp_path / "runs", *both).status == 0
    assert sorted(rest + [key for keys in seen[5:] for key in keys]) == ["0", "1", "2", "3", "4"]
    assert _losses(tmp_path / "runs") == _losses(tmp_path / "whole")
    assert not list((tmp_path / "runs").glob(".*"))


def test_kill_minus_nine_leaves_a_store_that_goes_on(place: Path, tmp_path: Path) -> None:
    """A process that dies without a word: the finished runs stand, the next call completes the rest."""
    command = [sys.executable, "-m", "rbridge", "score", str(place / "gpt2"), str(place / "llama")]
    command += ["--traces", str(place / "bundle"), "--shots", "0", "-o", str(tmp_path / "runs")]
    dying = f"""
import os, rbridge.cli, rbridge.scoring.hf as hf
real = hf.load_model
def load(checkpoint, **more):
    if checkpoint.name.endswith("llama"):
        os.kill(os.getpid(), 9)
    return real(checkpoint, **more)
hf.load_model = load
rbridge.cli.run({command[3:]!r})
"""
    died = subprocess.run([sys.executable, "-c", dying], capture_output=True, check=False)
    assert died.returncode == -9
    assert [run.manifest.checkpoint for run in read_runs(tmp_path / "runs")] == [str(place / "gpt2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_runs(tmp_path / "runs")) == 2


def test_labels_come_from_the_checkpoint_or_a_table(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """rbridge.json in the folder; a table wins over it, and relabels without scoring again."""
    shutil.copytree(place / "gpt2", tmp_path / "ckpt")
    (tmp_path / "ckpt" / "rbridge.json").write_text('{"recipe": "r", "seed": 1, "tokens": 1000, "other": 2}')
    (row,) = _score(capsys, place, tmp_path / "runs", tmp_path / "ckpt").document["runs"]
    assert (row["recipe"], row["seed"]) == ("r", 1)
    (tmp_path / "l.csv").write_text(f"checkpoint,recipe,seed\n{tmp_path / 'ckpt'},q,2\n")
    (row,) = _score(
        capsys, place, tmp_path / "runs", tmp_path / "ckpt", "--labels", tmp_path / "l.csv"
    ).document["runs"]
    assert (row["recipe"], row["seed"]) == ("q", 2)


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
    result = _score(capsys, place, tmp_path / "runs", bad, place / "gpt2")
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
    result = _score(capsys, place, tmp_path / "runs", name)
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
    result = _score(capsys, place, tmp_path / "runs", tmp_path / "narrow")
    assert result.status == 1
    (row,) = result.document["runs"]
    assert {skip["problem_id"] for skip in row["skipped"]} == {"0", "1"}
    assert all("tokens stop spelling the text at byte" in skip["reason"] for skip in row["skipped"])
    assert row["num_scored"] == 3
    assert "cannot spell 2 of the traces (the others are scored and kept)" in result.err.splitlines()[-1]


def test_long_traces_are_skipped_and_shots_dropped_from_the_front(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GSM8K with five shots in a short context: fewer shots, recorded; a trace that cannot fit is skipped."""
    lines = [
        {"benchmark": "gsm8k", "problem_id": "a", "question": "One and one?", "reasoning": "It is two."},
        {"benchmark": "gsm8k", "problem_id": "b", "question": "One and one?", "reasoning": "two, " * 700},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rbridge(capsys, "traces", "import", tmp_path / "t.jsonl", "-o", tmp_path / "b")
    result = rbridge(
        capsys,
        "score",
        place / "gpt2",
        "--traces",
        tmp_path / "b",
        "--shots",
        5,
        "-o",
        tmp_path / "r",
        "--json",
    )
    rows = {row["shots"]: row for row in result.document["runs"]}
    assert rows[5]["skipped"] == [{"problem_id": "b", "reason": "too long"}]
    assert rows[5]["metrics"] == {}
    (kept,) = [shots for shots in rows if shots != 5]
    assert 0 < kept < 5  # GPT-2 here takes 640 tokens
    assert rows[kept]["num_scored"] == 1
    (tokens,) = {len(run.scored()) for run in read_runs(tmp_path / "r")}
    assert tokens == 1


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


def test_batches_change_nothing_beyond_rounding(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One by one against all at once: 5e-5 nats a token; the same command twice: every bit."""
    for out, budget in (("one", 1), ("all", 100_000), ("again", 100_000)):
        _score(capsys, place, tmp_path / out, place / "gpt2", place / "llama", "--batch-tokens", budget)
    one, all_, again = (_losses(tmp_path / out) for out in ("one", "all", "again"))
    assert all_ == again
    for key, losses in one.items():
        assert losses == pytest.approx(all_[key], abs=5e-5)


def test_gguf_files_are_read_by_transformers(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Llama written as GGUF scores as its folder does."""
    model = AutoModelForCausalLM.from_pretrained(place / "llama")
    _write_gguf(tmp_path / "m.gguf", model, place / "llama")
    result = _score(capsys, place, tmp_path / "runs", tmp_path / "m.gguf", place / "llama")
    assert result.status == 0, result.err
    losses = _losses(tmp_path / "runs")
    for i in range(len(TEXTS)):
        assert losses[f"{tmp_path / 'm.gguf'}:{i}"] == pytest.approx(
            losses[f"{place / 'llama'}:{i}"], abs=5e-5
        )


def _write_gguf(path: Path, model: torch.nn.Module, tokenizer_folder: Path) -> None:
    """A float32 GGUF of a Llama with a byte-level BPE tokenizer, as llama.cpp's converter lays it out."""
    config, weights = model.config, model.state_dict()
    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    layout = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    vocabulary = dict(layout["model"]["vocab"]) | {
        token["content"]: token["id"] for token in layout["added_tokens"]
    }
    tokens = [token for token, _ in sorted(vocabulary.items(), key=lambda pair: pair[1])]
    special = {token["content"] for token in layout["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(
        [" ".join(merge) if isinstance(merge, list) else merge for merge in layout["model"]["merges"]]
    )
    bos = vocabulary["<|begin_of_text|>"]
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(bos)
    writer.add_add_bos_token(True)  # noqa: FBT003 - gguf's own signature
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, tensor in weights.items():
        array = tensor.float().numpy()
        if name in names:
            writer.add_tensor(names[name], array)
            continue
        _, _, layer, part, _ = name.replace("self_attn.", "self_attn:").replace("mlp.", "mlp:").split(".")
        part = part.replace(":", ".")
        heads = {
            "self_attn.q_proj": config.num_attention_heads,
            "self_attn.k_proj": config.num_key_value_heads,
        }.get(part)
        if heads:  # llama.cpp interleaves the two halves of each rotary head
            array = (
                array.reshape(heads, 2, array.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(array.shape)
            )
        writer.add_tensor(f"blk.{layer}.{parts[part]}.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


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
