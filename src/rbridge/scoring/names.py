"""Step and tokens as checkpoints' names tell them: ``stage1-step140000-tokens294B``, ``checkpoint-500``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rbridge.records import Labels

# Not behind a letter: "step" is no part of "onestep", "5" no part of "v5".
_STEP = re.compile(
    r"(?<![A-Za-z])(?:global[-_]?step|step|checkpoint|ckpt|iter(?:ation)?)[-_=]?(\d+)(k|K|m|M)?(?![A-Za-z\d.])"
)
_TOKENS = re.compile(r"(?<![A-Za-z])tokens?[-_=]?(\d+(?:\.\d+)?)(K|M|B|T)?(?![A-Za-z\d.])", re.IGNORECASE)
_TOKENS_BEHIND = re.compile(
    r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?)(K|M|B|T)[-_]?tokens?(?![A-Za-z])", re.IGNORECASE
)
# Steps and tokens of a later stage count from its own start, so they are not those of the checkpoint.
_LATER_STAGE = re.compile(r"stage[-_]?(?:[2-9]|\d{2,})")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


@dataclass(frozen=True)
class ParsedLabels:
    """Labels, and which of them were read off the name."""

    labels: Labels
    parsed: tuple[str, ...]


def with_parsed(labels: Labels, name: str) -> ParsedLabels:
    """Labels with step and tokens from a checkpoint's name where they give none.

    Examples:
        >>> found = with_parsed(Labels(), "allenai/OLMo-2-0425-1B@stage1-step140000-tokens294B")
        >>> found.labels.step, found.labels.tokens, found.parsed
        (140000, 294000000000, ('step', 'tokens'))
    """
    step = step_of(name) if labels.step is None else None
    tokens = tokens_of(name) if labels.tokens is None else None
    if step is not None:
        labels = replace(labels, step=step)
    if tokens is not None:
        labels = replace(labels, tokens=tokens)
    parsed = {"step": step, "tokens": tokens}
    return ParsedLabels(labels, tuple(key for key, value in parsed.items() if value is not None))


def step_of(name: str) -> int | None:
    """Optimiser steps that a name tells, or None."""
    for part in _parts(name):
        if match := _STEP.search(part):
            return int(match[1]) * _UNITS[(match[2] or "").upper()]
    return None


def tokens_of(name: str) -> int | None:
    """Training tokens that a name tells, or None."""
    for part in _parts(name):
        if match := _TOKENS.search(part) or _TOKENS_BEHIND.search(part):
            return round(float(match[1]) * _UNITS[(match[2] or "").upper()])
    return None


def _parts(name: str) -> list[str]:
    """What tells of a checkpoint: its revision, else its folder and the folder above."""
    hub_name, at, revision = name.partition("@")
    parts = [revision] if at else hub_name.rstrip("/").split("/")[:-3:-1]
    return [] if any(_LATER_STAGE.search(part) for part in parts) else parts
