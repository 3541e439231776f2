"""The text that is no reasoning: Python's own standard library, which every machine has."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from functools import cache
from pathlib import Path

from rbridge.errors import InputError

# 120 ASCII characters and an end-of-text token never fill a window of 128 tokens, whatever the vocabulary.
MAX_CHARS = 120


@cache
def source_documents() -> tuple[str, ...]:
    """Runs of whole lines of standard-library modules, each of at most MAX_CHARS ASCII characters.

    Only top-level modules that every build of this Python version has are read, in order of name, so
    that the text depends on the interpreter's version and on nothing else. Longer lines are left out.

    Raises:
        InputError: the interpreter came without its library's source text.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    files = [file for file in sorted(folder.glob("*.py")) if file.stem in sys.stdlib_module_names]
    documents = [document for file in files for document in _cut(file.read_text(encoding="utf-8"))]
    if not documents:
        raise InputError(
            f"{folder}: no source text of the standard library, which fills the miniature's recipes; "
            "run under a Python that has its library as .py files"
        )
    return tuple(documents)


def source_sha256() -> str:
    """Hash of the source text, for a manifest."""
    return hashlib.sha256("\0".join(source_documents()).encode()).hexdigest()


def _cut(text: str) -> list[str]:
    runs = [""]
    for line in text.splitlines(keepends=True):
        if len(line) > MAX_CHARS or not line.isascii():
            continue
        if len(runs[-1]) + len(line) > MAX_CHARS:
            runs.append("")
        runs[-1] += line
    return [run for run in runs if run.strip()]
