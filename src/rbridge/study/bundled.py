"""Studies that ship, ready to run on what ships."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from rbridge.errors import InputError
from rbridge.miniature.source import source_documents
from rbridge.miniature.styles import STYLES, draw_document
from rbridge.miniature.world import stream
from rbridge.store.files import new_folder, write_bytes
from rbridge.study.document import near

TWO_STAGE = "two-stage"
_FOLDER = "two_stage"
# Characters of each source: enough that the second stage reads no document twice.
_CHARS = 1_000_000
_NAMES = {
    "standard": "right",
    "15 % of steps wrong": "wrong15",
    "50 % of steps wrong": "wrong50",
    "of another problem": "unfaithful",
    "other words": "other-words",
}
BUNDLED = (TWO_STAGE,)


def write_bundled(name: str, folder: Path, *, chars: int = _CHARS) -> Path:
    """Write a bundled study with all that it reads into a new folder, and give back its file.

    Args:
        name: one of ``BUNDLED``.
        folder: that does not exist, or is empty.
        chars: of each source.

    Raises:
        InputError: no such study, or something stands in the folder.
    """
    if name not in BUNDLED:
        raise InputError(f"no study {name!r} is bundled; {near(name, BUNDLED)}")
    shipped = Path(str(files("rbridge.study"))) / _FOLDER
    with new_folder(folder) as scratch:
        shutil.copyfile(shipped / "two-stage.yaml", scratch / "two-stage.yaml")
        shutil.copytree(shipped / "traces", scratch / "traces")
        (scratch / "sources").mkdir()
        for style, source in _NAMES.items():
            _write(scratch / "sources" / f"{source}.jsonl", _reasoning(style), chars)
        _write(scratch / "sources" / "python.jsonl", iter(source_documents()), chars)
    return folder / "two-stage.yaml"


def _reasoning(style: str) -> Iterator[str]:
    assert style in STYLES
    rng = stream(f"two-stage {style}")
    while True:
        yield draw_document(rng, style=style, split="train")


def _write(file: Path, texts: Iterator[str], chars: int) -> None:
    lines: list[str] = []
    written = 0
    for text in texts:
        lines.append(json.dumps({"text": text}, ensure_ascii=False))
        written += len(text)
        if written >= chars:
            break
    write_bytes(file, ("\n".join(lines) + "\n").encode())
