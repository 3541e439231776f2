"""GGUF files that transformers does not read, through llama.cpp; `make bench-gguf` runs the real one."""

from __future__ import annotations

import gc
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.scoring import llamacpp, llamacpp_model
from rbridge.scoring.checkpoints import Checkpoint, reads_gguf
from rbridge.scoring.hf import plain_losses
from rbridge.scoring.source import encoded, prove
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.runs import read_runs
from tests import fake_llama_cpp
from tests.checkpoints import build
from tests.commands import Result, rbridge
from tests.ggufs import write_gguf

TEXTS = ["So 2 + 3 = 5 é😀.", "def f(x):\n    return  x  \n\n", "no <|endoftext|> here"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OLMo 2 as a folder and as GGUF files in float32 and float16, a Llama, and three traces."""
    folder = tmp_path_factory.mktemp("llamacpp")
    for name, pre in (("olmo2", "olmo"), ("llama3", "llama-bpe")):
        build(name, folder / name)
        model = AutoModelForCausalLM.from_pretrained(folder / name)
        write_gguf(folder / f"{name}.gguf", model, folder / name, pre=pre)
    model = AutoModelForCausalLM.from_pretrained(folder / "olmo2")
    write_gguf(folder / "half.gguf", model, folder / "olmo2", pre="olmo", dtype=np.float16)
    write_gguf(folder / "unsaid.gguf", model, folder / "olmo2", pre="default")
    write_gguf(folder / "m-00001-of-00002.gguf", model, folder / "olmo2", pre="olmo")
    pieces = [[{"text": text[:4], "logprob": -0.5}, {"text": text[4:], "logprob": -0.1}] for text in TEXTS]
    lines = [
        {"benchmark": "mine", "problem_id": str(i), "voice": "v", "question": f"{i}?", "reasoning": text}
        | {"pieces": pieces[i]}
        for i, text in enumerate(TEXTS)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


@pytest.fixture
def llama(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in, with the files that it knows."""
    monkeypatch.setitem(sys.modules, "llama_cpp", fake_llama_cpp)
    monkeypatch.setattr(llamacpp_model._Log, "callback", None)
    files = {"olmo2": True, "half": False, "llama3": True, "unsaid": True}
    found = {
        place / f"{name}.gguf": (place / (name if name == "llama3" else "olmo2"), exact)
        for name, exact in files.items()
    }
    monkeypatch.setattr(fake_llama_cpp, "FILES", found)


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(capsys, "score", *more, "--traces", place / "bundle", "--shots", 0, "-o", out, "--json")


def _losses(out: Path) -> dict[str, dict[str, list[float]]]:
    return {
        Path(found.manifest.checkpoint).name: {
            one.key.problem_id: one.tokens.nll.tolist() for one in found.scored()
        }
        for found in read_runs(out)
    }


def test_transformers_reads_what_it_knows(place: Path) -> None:
    """Llama, but not OLMo 2; of a file that is no GGUF the loader tells what is wrong."""
    (place / "junk.gguf").write_bytes(b"junk")
    known = {name: reads_gguf(Checkpoint(name, str(place), gguf_file=name)) for name in
             ("llama3.gguf", "olmo2.gguf", "half.gguf", "junk.gguf")}  # fmt: skip
    assert known == {"llama3.gguf": True, "olmo2.gguf": False, "half.gguf": False, "junk.gguf": True}


def test_without_the_package_one_line_says_what_to_install(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is tried; a Llama's file needs no such package."""
    monkeypatch.setattr(llamacpp, "find_spec", lambda _: None)
    result = _score(capsys, place, tmp_path / "runs", place / "olmo2.gguf", place / "llama3.gguf")
    assert result.status == 1
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert "olmo2.gguf" in error
    assert "pip install 'rbridge[llamacpp]'" in error
    assert [Path(row["checkpoint"]).name for row in result.document["runs"]] == ["llama3.gguf"]


@pytest.mark.usefixtures("llama")
def test_a_file_scores_as_the_folder_that_it_was_made_from(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In float32 and expanded from float16, token statistics too; what runs it is printed, and kept in the run."""
    names = [place / name for name in ("olmo2.gguf", "half.gguf", "olmo2", "llama3.gguf")]
    result = _score(capsys, place, tmp_path / "runs", *names, "--token-statistics")
    assert result.status == 0, result.err
    assert [line.rpartition("/")[2] for line in result.err.splitlines() if line.startswith("[")] == [
        "olmo2.gguf (llama.cpp)", "half.gguf (llama.cpp)", "olmo2", "llama3.gguf (transformers)",
    ]  # fmt: skip
    losses = _losses(tmp_path / "runs")
    for key, expected in losses["olmo2"].items():
        assert losses["olmo2.gguf"][key] == pytest.approx(expected, abs=5e-5)
        assert losses["half.gguf"][key] == pytest.approx(expected, abs=5e-5)
    runs = {Path(one.manifest.checkpoint).name: one for one in read_runs(tmp_path / "runs")}
    manifest = runs["half.gguf"].manifest
    assert (manifest.engine, manifest.architecture) == ("llama.cpp", "olmo2")
    assert manifest.parameters == runs["olmo2"].manifest.parameters
    assert manifest.ways == {"llama_cpp_python": "0.3.36", "stored": "F16, F32"}
    for one, other in zip(runs["olmo2.gguf"].scored(), runs["olmo2"].scored(), strict=True):
        assert one.tokens.statistics.rank.tolist() == other.tokens.statistics.rank.tolist()
        assert one.tokens.weight.tolist() == other.tokens.weight.tolist()
    gc.collect()
    assert fake_llama_cpp.ALIVE == []  # models and contexts are freed
    verified = rbridge(
        capsys, "score", place / "olmo2.gguf", "--traces", place / "bundle", "-o", tmp_path / "runs",
        "--verify", 2, "--json",
    )  # fmt: skip
    assert verified.status == 0, verified.err


@pytest.mark.usefixtures("llama")
def test_both_readers_of_one_file_keep_runs_of_their_own(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Llama's file by transformers and, when asked, by llama.cpp: the same losses under two keys."""
    file = place / "llama3.gguf"
    for engine in ("auto", "llamacpp"):
        result = _score(capsys, place, tmp_path / engine, file, "--engine", engine)
        assert result.status == 0, result.err
    (one,), (other,) = read_runs(tmp_path / "auto"), read_runs(tmp_path / "llamacpp")
    assert (one.manifest.engine, other.manifest.engine) == ("transformers", "llama.cpp")
    assert one.manifest.key != other.manifest.key
    assert one.manifest.prefix_ids == other.manifest.prefix_ids != []
    for mine, theirs in zip(one.scored(), other.scored(), strict=True):
        assert mine.tokens.nll == pytest.approx(theirs.tokens.nll, abs=5e-5)
        assert mine.tokens.end.tolist() == theirs.tokens.end.tolist()


@pytest.mark.usefixtures("llama")
def test_the_source_proves_itself(place: Path) -> None:
    """Sequences longer than a chunk and than the context before; a shift is refused."""
    source = llamacpp.open_source(place / "olmo2.gguf", name="m", gpu=False)
    assert prove(source) <= 5e-5
    model = AutoModelForCausalLM.from_pretrained(place / "olmo2", dtype=torch.float32)
    items = [encoded(np.random.default_rng(n).integers(0, 400, size=n).tolist()) for n in (5, 600, 9)]
    for found, expected in zip(source.losses(items), plain_losses(model, items), strict=True):
        assert found == pytest.approx(expected, abs=5e-5)
    shifted = replace(source, losses=lambda batch: [np.roll(one, 1) for one in source.losses(batch)])
    with pytest.raises(InputError, match="differ from the reference"):
        prove(shifted)


@pytest.mark.usefixtures("llama")
def test_the_tokenizer_is_that_of_the_original(place: Path) -> None:
    """The same ids and bytes; runs of spaces stay whole, control tokens in a text stay text."""
    ours = llamacpp.LlamaCppTokenizer(place / "olmo2.gguf", where="m")
    original = ProxyTokenizer(AutoTokenizer.from_pretrained(place / "olmo2"), where="m")
    for text in [*TEXTS, "tabs\t\tand     spaces", "naïve — 中文"]:
        ids = ours.encode(text)
        assert ids == original.encode(text)
        assert ours.spell(ids) == original.spell(ids)
        assert not ours.has_control(ids)
        assert not ours.normalises(text)
    assert ours.has_control([original.encode("<|padding|>")[0], 1])
    assert ours.prefix_ids == original.prefix_ids
    assert dict(original.vocabulary()).items() <= dict(ours.vocabulary()).items()


@pytest.mark.usefixtures("llama")
@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("unsaid.gguf", (), "does not state its pre-tokenizer .tokenizer.ggml.pre.*convert the model again"),
        ("m-00001-of-00002.gguf", (), "one part of a split file; join them with llama-gguf-split"),
        ("half.gguf", ("--dtype", "bfloat16"), "llama.cpp is run in float32 only"),
        ("olmo2", ("--engine", "llamacpp"), "no GGUF file, and llama.cpp runs nothing else"),
        ("copy.gguf", (), "llama.cpp cannot load it .*unknown model architecture: 'frob'.*0.3.36 knows"),
        ("olmo2.gguf", ("--engine", "transformers"), "cannot be loaded .ValueError.*is not supported yet"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, more: tuple, message: str
) -> None:
    """No guess at a tokenizer, no part of a model, no other precision, no fallback."""
    (place / "copy.gguf").write_bytes((place / "olmo2.gguf").read_bytes())  # unknown to the stand-in
    result = _score(capsys, place, tmp_path / "runs", place / name, *more)
    assert result.status == 1
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert re.search(message, error), error
    assert not list(tmp_path.glob("runs/**/*.parquet"))
