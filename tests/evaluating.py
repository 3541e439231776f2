"""A benchmark of eight problems whose gold answers are partly a model's own, and rbridge evaluate run on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rbridge.records import Labels
from rbridge.store.files import write_json
from tests.checkpoints import build
from tests.commands import Result, rbridge

NUM = 8


def make_place(folder: Path) -> Path:
    """Two checkpoints of recipes a and b, and a file of problems with options A to D."""
    for seed, recipe in enumerate("ab"):
        build("gpt2", folder / recipe, seed)
        labels = Labels(recipe=recipe, seed=0, size="tiny", tokens=1000)
        write_json(folder / recipe / "rbridge.json", vars_of(labels))
    write_problems(folder / "problems.jsonl", "A" * NUM)
    return folder


def vars_of(labels: Labels) -> dict[str, object]:
    """Labels as a document."""
    return {name: getattr(labels, name) for name in Labels.__dataclass_fields__}


def write_problems(path: Path, golds: str) -> None:
    """Problems of ``mine`` with these gold letters."""
    lines = [
        {
            "problem_id": str(number),
            "question": f"Which is number {number}?",
            "answer": gold,
            "choices": ["ink", "tea", "sea", "oak"],
            "solution": "So it is.",
        }
        for number, gold in enumerate(golds)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def evaluate(
    capsys: pytest.CaptureFixture[str],
    place: Path,
    out: Path,
    *more: object,
    checkpoints: str = "a",
    shots: int = 0,
) -> Result:
    """Run ``rbridge evaluate`` on the problems without shots."""
    tokens = () if "--max-tokens" in more else ("--max-tokens", 6)
    return rbridge(
        capsys, "evaluate", *[place / name for name in checkpoints], "--benchmark", "mine", "--questions",
        place / "problems.jsonl", "--shots", shots, *tokens, "-o", out, "--json", *more,
    )  # fmt: skip
