"""Share a list of checkpoints among machines: shard I of N. The store makes a repeated unit harmless."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint


def parse_shard(text: str) -> tuple[int, int]:
    """``I/N`` as numbers, I counted from 0.

    Raises:
        InputError: it is no such pair.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if index >= count:
        raise InputError(f"--shard {text}: expected I/N with I from 0 to N - 1, such as 0/8 to 7/8")
    return index, count


def take_shard(checkpoints: Sequence[Checkpoint], shard: tuple[int, int]) -> list[Checkpoint]:
    """Every N-th checkpoint from the I-th on; the shards together are the list, and none overlap."""
    index, count = shard
    return list(checkpoints[index::count])
