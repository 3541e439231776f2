"""The checkpoint that recipes start from, as far as a plan needs it: no torch is loaded for it."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

from rbridge.errors import InputError


def base_files(folder: Path) -> list[Path]:
    """What decides a base's numbers: its config and its weights.

    Raises:
        InputError: one of them is missing.
    """
    config, weights = folder / "config.json", sorted(folder.glob("*.safetensors"))
    if not config.is_file() or not weights:
        missing = "*.safetensors" if config.is_file() else "config.json"
        raise InputError(f"{folder}: no {missing}; expected a checkpoint as save_pretrained writes it")
    return [config, *weights]


def num_parameters(folder: Path) -> int:
    """Parameters of a checkpoint: the sizes in its safetensors files' headers, added up; tied ones stand there once.

    Source: the safetensors format: eight bytes, little-endian, hold the length of a JSON header of shapes.

    Raises:
        InputError: files are missing, or no safetensors.
    """
    total = 0
    for file in base_files(folder)[1:]:
        with file.open("rb") as content:
            try:
                (length,) = struct.unpack("<Q", content.read(8))
                header = json.loads(content.read(min(length, file.stat().st_size)))
                total += sum(
                    math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__"
                )
            except (struct.error, ValueError, TypeError, KeyError):
                raise InputError(
                    f"{file}: no safetensors header; expected weights as save_pretrained writes them"
                ) from None
    return total
