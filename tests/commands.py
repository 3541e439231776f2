"""Run the command line in this process, as a user would, and read what it printed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from rbridge.cli import run


@dataclass(frozen=True)
class Result:
    """What a command gave back."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Stdout as one JSON document."""
        return json.loads(self.out, parse_constant=_no_constant)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Stdout as one JSON object a line."""
        return [json.loads(line, parse_constant=_no_constant) for line in self.out.splitlines()]


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} on stdout: a missing number is null with a reason")


def rbridge(capsys: pytest.CaptureFixture[str], *arguments: object) -> Result:
    """Run ``rbridge`` with these arguments."""
    capsys.readouterr()
    status = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return Result(status, captured.out, captured.err)
