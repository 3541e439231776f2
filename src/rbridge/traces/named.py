"""Bundles by name: a folder, a URL, or ``starter`` for the one that ships."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from rbridge.store.bundles import Bundle, read_bundle
from rbridge.store.remote import fetch_files, is_remote

STARTER = "starter"


def open_bundle(name: str) -> Bundle:
    """Read the bundle in a folder, at a URL, or the shipped one.

    Raises:
        InputError: no bundle there, or one that cannot be read.
    """
    if is_remote(name):
        with TemporaryDirectory(prefix="rbridge-") as folder:
            fetch_files(name, Path(folder))
            return replace(read_bundle(Path(folder)), path=Path(name))
    return read_bundle(starter_path() if name == STARTER else Path(name))


def starter_path() -> Path:
    """Folder of the shipped bundle."""
    return Path(str(files("rbridge.traces"))) / STARTER
