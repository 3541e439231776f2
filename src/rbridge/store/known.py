"""What was fetched from a URL before: which weights they were, and its small files, kept on this machine.

A checkpoint that is scored already is then known by a listing of its folder alone. The record holds the
version of every file (its etag, or size and time), and is worth nothing as soon as one of them differs.
Small files are kept once, however many checkpoints share a tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rbridge.store.files import sha256_file, write_bytes, write_json

_FORMAT_VERSION = 1
# What is not kept: it is as large as the checkpoint.
_LARGE = ".safetensors"


def recall(url: str, versions: Mapping[str, str] | None, folder: Path) -> str | None:
    """Lay the small files of a checkpoint that was fetched before into a folder.

    Args:
        url: of the checkpoint.
        versions: of its files as they are now, or None where that cannot be told.
        folder: empty.

    Returns:
        The hash of its weights; None where it is not known, or is another by now: the folder is then empty.
    """
    record = _read(_record_file(url))
    if versions is None or record.get("versions") != dict(versions):
        return None
    small: dict[str, str] = record["small"]
    for name, sha256 in small.items():
        kept = _kept_file(sha256)
        if not kept.is_file() or sha256_file(kept) != sha256:  # cleaned away, or damaged
            for file in folder.iterdir():
                file.unlink()
            return None
        shutil.copyfile(kept, folder / name)
    return str(record["weights_sha256"])


def remember(url: str, versions: Mapping[str, str] | None, folder: Path, weights_sha256: str) -> None:
    """Keep the small files of a fetched checkpoint, and which weights stand beside them.

    Args:
        url: of the checkpoint.
        versions: of its files when they were fetched; None keeps nothing.
        folder: what was fetched.
        weights_sha256: the hash of its weights.
    """
    if versions is None:
        return
    small = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == _LARGE:
            continue
        small[file.name] = sha256_file(file)
        kept = _kept_file(small[file.name])
        if not kept.is_file() or sha256_file(kept) != small[file.name]:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(kept, file.read_bytes())
    document = {
        "format_version": _FORMAT_VERSION,
        "url": url,
        "versions": dict(versions),
        "small": small,
        "weights_sha256": weights_sha256,
    }
    _record_file(url).parent.mkdir(parents=True, exist_ok=True)
    write_json(_record_file(url), document)


def _read(file: Path) -> dict[str, Any]:
    """A record; empty where there is none, or none that we can read: then all is fetched again."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if document.get("format_version") == _FORMAT_VERSION else {}


def _root() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "rbridge" / "checkpoints"


def _record_file(url: str) -> Path:
    return _root() / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"


def _kept_file(sha256: str) -> Path:
    return _root() / "files" / sha256
