"""llama.cpp against transformers on tiny GGUF files of three architectures: `make bench-gguf`.

Weights are random and predictions peaked, so that a forgotten detail shows. Compared are the tokens of the
starter traces and the losses of every token of some of them, both beside the transformers original in float32.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from tests.checkpoints import EVERY_RECIPE, GQA, Recipe, build
from tests.ggufs import write_gguf
from tests.tokenizer_styles import llama3_style
from transformers import AutoModelForCausalLM

from rbridge.cli import run
from rbridge.scoring import hf
from rbridge.scoring.checkpoints import Checkpoint, load_model, load_tokenizer, reads_gguf
from rbridge.scoring.llamacpp import LlamaCppTokenizer, open_source
from rbridge.scoring.llamacpp_model import api
from rbridge.scoring.source import Source, encoded, prove
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.traces.named import open_bundle

# Name, pre-tokenizer, largest difference of a token's loss. llama.cpp takes GPT-NeoX's GELU from a table of
# float16 values, which no setting changes.
FILES = (("olmo2", "olmo", 1e-4), ("llama3", "llama-bpe", 1e-4), ("neox-even", "olmo", 2e-2))
# Blocks of 32 weights need a width that they divide.
EVERY_RECIPE["llama-64"] = Recipe("llama", llama3_style, {**GQA, "hidden_size": 64}, bos="<|begin_of_text|>")
# llama.h's name of Q8_0.
_Q8_0 = 7


def main() -> None:
    """Print differences; a larger one than is explained ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=40, help="starter traces whose losses are compared")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, pre, most in FILES:
            folder = build(name, root / name)
            for dtype in (np.float32, np.float16):
                model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
                file = write_gguf(
                    root / f"{name}-{np.dtype(dtype)}.gguf", model, folder, pre=pre, dtype=dtype
                )
                compare(file, _rounded(model, dtype), folder, num_items=arguments.items, most=most)
        quantised(root, arguments.items)
        command(root)


def compare(file: Path, model: torch.nn.Module, folder: Path, *, num_items: int, most: float) -> None:
    """One file against the model that it was made from."""
    read = reads_gguf(Checkpoint(file.name, str(file.parent), gguf_file=file.name))
    source = open_source(file, name=file.name, gpu=False)
    between = prove(source)
    ours = LlamaCppTokenizer(file, where=file.name)
    original = load_tokenizer(Checkpoint(folder.name, str(folder)))
    texts = [f" {trace.reasoning}" for trace in open_bundle("starter").traces]
    texts = [text for text in texts if not original.normalises(text)]
    same = sum(ours.encode(text) == original.encode(text) for text in texts)
    assert same == len(texts)
    assert ours.prefix_ids == original.prefix_ids
    token, mean, num_tokens = differences(source, model, ours, texts[:num_items])
    print(
        f"{file.name} ({source.architecture}, {'' if read else 'not '}read by transformers): the same tokens in {same} "
        f"of {len(texts)} traces; {num_tokens} losses differ by at most {token:.1e} nats a token, {mean:.1e} a "
        f"trace's mean; batches and the one-token reference by {between:.1e}",
        flush=True,
    )
    assert token <= most
    assert mean <= most / 10


def differences(
    source: Source, model: torch.nn.Module, tokenizer: ProxyTokenizer, texts: list[str]
) -> tuple[float, float, int]:
    """Largest difference of a token's loss and of a trace's mean, and the number of tokens."""
    items = [encoded([*tokenizer.prefix_ids, *tokenizer.encode(text)][:1000]) for text in texts]
    pairs = list(zip(source.losses(items), hf.plain_losses(model, items), strict=True))
    return (
        max(float(np.abs(one - other).max()) for one, other in pairs),
        max(abs(float(one.mean() - other.mean())) for one, other in pairs),
        sum(len(one) for one, _ in pairs),
    )


def quantised(root: Path, num_items: int) -> None:
    """Both readers of one Q8_0 file: each expands the blocks by itself."""
    folder = build("llama-64", root / "llama-64")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    whole = write_gguf(root / "whole.gguf", model, folder, pre="llama-bpe")
    file = root / "q8_0.gguf"
    parameters = api().llama_model_quantize_default_params()
    parameters.ftype = _Q8_0
    assert api().llama_model_quantize(bytes(whole), bytes(file), ctypes.byref(parameters)) == 0
    source = open_source(file, name=file.name, gpu=False)
    prove(source)
    read = load_model(Checkpoint("q", str(root), gguf_file=file.name), dtype="float32", device="cpu").model
    texts = [f" {trace.reasoning}" for trace in open_bundle("starter").traces[:num_items]]
    tokenizer = LlamaCppTokenizer(file, where=file.name)
    token, mean, num_tokens = differences(source, read, tokenizer, texts)
    moved, _, _ = differences(source, model, tokenizer, texts)
    print(
        f"{file.name} (stored as {source.ways['stored']}): {num_tokens} losses differ by at most {token:.1e} nats a "
        f"token, {mean:.1e} a trace's mean, from transformers' reading of the same file; by {moved:.1e} from the "
        "unquantised model",
        flush=True,
    )
    assert token <= 1e-4


def command(root: Path) -> None:
    """The command line on an OLMo 2 file, and again with --verify."""
    given = [
        str(root / "olmo2-float32.gguf"),
        "--traces",
        "starter",
        "--shots",
        "0",
        "-o",
        str(root / "runs"),
    ]
    assert run(["score", *given, "--limit", "5"]) == 0
    assert run(["score", *given, "--limit", "5", "--verify", "3"]) == 0
    (manifest,) = (root / "runs").glob("*/manifest.json")
    document = json.loads(manifest.read_bytes())
    assert document["engine"] == "llama.cpp"
    print(f"rbridge score: {document['num_scored']} traces scored by {document['engine']} {document['ways']}")


def _rounded(model: torch.nn.Module, dtype: type) -> torch.nn.Module:
    """The model with its matrices as a file in this dtype holds them."""
    if dtype is np.float16:
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.data = parameter.data.half().float()
    return model


if __name__ == "__main__":
    main()
