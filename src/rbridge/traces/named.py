"""Bundles by name: a folder, or ``starter`` for the one that ships."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rbridge.store.bundles import Bundle, read_bundle

STARTER = "starter"


def open_bundle(name: str) -> Bundle:
    """Read the bundle in a folder, or the shipped one.

    Raises:
        InputError: no bundle there, or one that cannot be read.
    """
    return read_bundle(starter_path() if name == STARTER else Path(name))


def starter_path() -> Path:
    """Folder of the shipped bundle."""
    return Path(str(files("rbridge.traces"))) / STARTER
