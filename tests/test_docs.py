"""The documents say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rbridge.metric import METRICS
from tests.reference import FILE, commands, reference

ROOT = FILE.parent.parent


def test_the_reference_of_commands_is_their_help() -> None:
    """Rewritten by ``make docs``."""
    assert FILE.read_text() == reference()


def test_every_metric_stands_in_the_method() -> None:
    """By its name."""
    method = (ROOT / "docs" / "method.md").read_text()
    assert not [metric.name for metric in METRICS if f"`{metric.name}`" not in method]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_and_commands_in_pages_exist(page: Path) -> None:
    """Every relative link leads to a file, every rbridge command is one."""
    text = page.read_text()
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert not [link for link in links if not (page.parent / link).exists()]
    known = {" ".join(command) for command in commands()} | {command[0] for command in commands()}
    named = re.findall(r"(?:^    |`)rbridge ([a-z]+)(?: ([a-z]+)\b)?", text, re.MULTILINE)
    assert not [pair for pair in named if pair[0] not in known]
