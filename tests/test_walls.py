"""Walls: what must not be imported, what must be documented, how errors leave the program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rbridge import cli
from rbridge.cli import run
from tests.commands import rbridge
from tests.reference import commands

_HEAVY = ("torch", "transformers", "polars", "scipy", "altair", "pydantic", "datasets", "numpy")


def _loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*[name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import rbridge", "import rbridge.cli"])
def test_the_command_line_starts_without_heavy_imports(statement: str) -> None:
    """Neither torch nor tables nor statistics on the way to --help."""
    assert _loaded_after(statement) == set()


def test_the_wall_can_fail() -> None:
    """The check above sees an import when there is one."""
    assert "numpy" in _loaded_after("import numpy")


@pytest.mark.parametrize("module", ["rbridge.answers.rank", "rbridge.traces.exchange", "rbridge.store.runs"])
def test_ranking_and_importing_need_no_torch(module: str) -> None:
    """A team that ranks a CSV installs the core alone."""
    assert not _loaded_after(f"import {module}") & {"torch", "transformers", "datasets"}


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One real example each."""
    result = rbridge(capsys, *command, "--help")
    assert result.status == 0
    assert "Example: rbridge " + " ".join(command) in " ".join(result.out.split())


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["rank"], ["rank", "x.csv", "--nonsense"], ["score", "x"]]
)
def test_wrong_usage_is_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage is no error of the data."""
    result = rbridge(capsys, *arguments)
    assert result.status == 2
    assert result.err.startswith("usage: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "stopped; what is finished is kept"),
        (OSError(28, "No space left on device", "runs/x"), 1, "error: runs/x: No space left on device"),
    ],
)
def test_interruptions_leave_one_line(
    error: BaseException,
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C and a full disk are no tracebacks."""

    def stop(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(cli, "app", stop)
    assert run(["rank", "x.csv"]) == status
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1
