"""A benchmark of six problems, the frontier's good answers to it, and rbridge traces generate between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Result, rbridge
from tests.frontier import good_reply

KEY = "sk-test-3c1f9a0b7d"
NUM = 6


def set_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and no waits between tries."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # The SDK's waits between tries, without the waiting; Retry-After has a test of its own.
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)


def question_text(number: int) -> str:
    """The question of a problem."""
    return f"What is {number} + 1, in €?"


def write_problems(folder: Path, num: int = NUM, **changes: Any) -> Path:
    """A file of problems."""
    file = folder / "problems.jsonl"
    lines = [
        {"problem_id": str(number), "question": question_text(number), "answer": str(number + 1), **changes}
        for number in range(num)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def good_answer(question: str, _: int = 0) -> dict[str, Any]:
    """A reply in the right form."""
    number = int(question.split()[2])
    # The last answers are wrong, and kept.
    return good_reply(
        f"From {question}\nwe get \\frac{{{number}}}1 + 1 é.", str(number + 1 if number < 4 else 0)
    )


def command_line(tmp_path: Path, url: str, *more: object, num: int = NUM) -> list[object]:
    """A command line; what ``more`` gives stands in place of what stands here."""
    options = {
        "--benchmark": "mine",
        "--problems": write_problems(tmp_path, num),
        "--endpoint": url,
        "--model": "tiny",
        "-o": tmp_path / "bundle",
        "--concurrency": 3,
    }
    flags = [one for one in more if one == "--offline"]
    pairs = [one for one in more if one != "--offline"]
    options |= dict(zip(pairs[::2], pairs[1::2], strict=True))
    return ["traces", "generate", *flags, *(part for pair in options.items() for part in pair)]


def generate(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str, *more: object, num: int = NUM
) -> Result:
    """Run ``rbridge traces generate``."""
    return rbridge(capsys, *command_line(tmp_path, url, *more, num=num))
