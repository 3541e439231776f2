"""A study small enough for a test: three recipes of a few lines, three traces, sizes that train in seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

from rbridge.cli import run
from rbridge.miniature.styles import draw_document

WORDS = ("so", "then", "add", "take", "shells", "coins", "leaves", "makes", "of", "and", "2", "3", "5", "8")


def write_study(folder: Path, **changes: Any) -> Path:
    """The study's folder with sources and traces, and its file; ``changes`` replace or (None) drop parts."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    _write(folder / "right.jsonl", [draw_document(rng, style="standard", split="train") for _ in range(300)])
    _write(
        folder / "other.jsonl", [draw_document(rng, style="other words", split="train") for _ in range(300)]
    )
    _write(folder / "noise.jsonl", [" ".join(rng.choices(WORDS, k=20)) for _ in range(600)])
    _traces(folder, rng)
    parts = {
        "name": "tiny",
        "sources": {name: {"jsonl": f"{name}.jsonl"} for name in ("right", "other", "noise")},
        "recipes": {
            "mostly": {"phases": [{"mix": {"right": 80, "noise": 20}}]},
            "some": {"phases": [{"mix": {"right": 30, "noise": 70}}]},
            "others": {"phases": [{"mix": {"other": 60, "noise": 40}}]},
        },
        "tokenizer": {"sources": ["right", "noise"], "vocab_size": 300, "sample_chars": 20_000},
        "bundle": "bundle",
        "proxies": {"sizes": ["50k"], "seeds": [0], "tokens": "3k", "window": 128, "learning_rate": 0.01},
        "declaration": {"metric": "rbridge", "decision": "train the first", "margin": 0.01},
        "report": {"null_bytes": 2000},
    }
    for name, value in changes.items():
        if value is None:
            del parts[name]
        else:
            parts[name] = value
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(parts, sort_keys=False))
    return file


def _write(file: Path, texts: list[str]) -> None:
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def _traces(folder: Path, rng: random.Random) -> None:
    if (folder / "bundle").exists():
        return
    rows = []
    for number in range(6):
        question, _, reasoning = draw_document(rng, style="standard", split="traces").partition(" A: ") or (
            "",
            "",
            "",
        )
        if not reasoning:
            question, _, reasoning = question.partition("A:")
        pieces = [
            {"text": word, "logprob": -0.1 * (index % 5)}
            for index, word in enumerate(_pieces(reasoning.strip()))
        ]
        rows.append(
            {"benchmark": "tiny", "problem_id": str(number), "voice": "v", "question": question, "answer": "1",
             "reasoning": reasoning.strip(), "prompt": question, "pieces": pieces}
        )  # fmt: skip
    (folder / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["traces", "import", str(folder / "traces.jsonl"), "-o", str(folder / "bundle")]) == 0


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [words[0], *[f" {word}" for word in words[1:]]]
