"""Hashes of questions that nobody without the key can test a guess against.

A plain SHA-256 of a short question gives it away to whoever can guess it. Where questions stay outside a
bundle, their hashes are HMAC-SHA256 under a random key that stays with the questions; the bundle holds the
key's fingerprint alone, so that a wrong key is told from a wrong question.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from rbridge.errors import InputError

SALTED = "hmac-sha256:"
_KEY_BYTES = 32


def salted(question_sha256: str, key: bytes) -> str:
    """The salted hash of a question, from its plain SHA-256 in hex."""
    return SALTED + hmac.new(key, question_sha256.encode(), hashlib.sha256).hexdigest()


def fingerprint(key: bytes) -> str:
    """What a bundle says of the key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(b"rbridge question key" + key).hexdigest()[:16]


def read_key(path: Path) -> bytes:
    """The key in a file: 64 hex digits.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a question key ({error})") from None
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InputError(
            f"{path}: holds no question key; expected 64 hex digits, as --no-questions writes them"
        )
    return bytes.fromhex(text)


def new_key(path: Path) -> bytes:
    """Make a random key and write it to a new file that its owner alone may read.

    Raises:
        InputError: something stands there already.
    """
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{path}: exists already; a key is never written over") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    return key
