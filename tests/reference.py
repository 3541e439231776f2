"""The reference of commands, from their own --help: ``python -m tests.reference`` rewrites docs/commands.md."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from rich.console import Console

from rbridge.cli import app

FILE = Path(__file__).parent.parent / "docs" / "commands.md"
_HEAD = """# Commands

Written by `make docs` from the commands' own `--help`; a test holds it to them.
Results go to stdout, progress and warnings to stderr. Exit status: 0; 1 for an error that you can mend, in one line;
2 for wrong usage; 130 after Ctrl-C.
"""


def commands() -> list[tuple[str, ...]]:
    """Every command, as words."""
    found = []
    for name in app:
        if not name.startswith("-"):
            inner = [sub for sub in app[name] if not sub.startswith("-")]
            found += [(name, sub) for sub in inner] or [(name,)]
    return sorted(found)


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *[_section(command) for command in commands()]])


def _section(command: tuple[str, ...]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=False, color_system=None, legacy_windows=False)
    with contextlib.suppress(SystemExit):
        app([*command, "--help"], console=console, result_action="return_value")
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip()
    return f"## rbridge {' '.join(command)}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    FILE.write_text(reference())
