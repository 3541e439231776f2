"""Two checkpoints, a bundle of traces, and rbridge score run on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rbridge.cli import run
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


def make_place(folder: Path) -> Path:
    """A folder with a GPT-2 and a Llama checkpoint and traces of an unknown benchmark."""
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


def score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    """Run ``rbridge score`` on the bundle without shots."""
    return rbridge(capsys, "score", *more, "--traces", place / "bundle", "--shots", 0, "-o", out, "--json")


def losses_of(out: Path) -> dict[str, list[float]]:
    """Losses of every token by checkpoint and problem."""
    return {
        f"{run.manifest.checkpoint}:{one.key.problem_id}": one.tokens.nll.tolist()
        for run in read_runs(out)
        for one in run.scored()
    }
