"""Read JSON documents that carry a format version, as typed records or as one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rbridge.errors import InputError

_Document = TypeVar("_Document", bound=BaseModel)


def read_document(file: Path, model: type[_Document], *, newest: int) -> _Document:
    """Read a manifest.

    Args:
        file: a JSON document with a ``format_version``.
        model: what it must hold.
        newest: the newest format that this rbridge reads.

    Raises:
        InputError: not JSON, written by a newer rbridge, or something in it is missing or wrong.
    """
    try:
        document = json.loads(file.read_bytes())
        version = int(document["format_version"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: not a manifest of rbridge (no readable format_version)") from None
    if version > newest:
        raise InputError(
            f"{file}: format {version} is newer than this rbridge reads (up to {newest}): pip install -U rbridge"
        )
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file}: {place}: {first['msg']}; the file is damaged: make it again") from None
