"""The formats that traces come in, and which one a file is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rbridge.errors import InputError
from rbridge.traces.exchange import Imported, collect
from rbridge.traces.marks import read_marked
from rbridge.traces.objects import Candidate, read_objects
from rbridge.traces.published import read_published
from rbridge.traces.replies import read_replies, read_rows

FORMATS = ("exchange", "rbridge", "rbridge-mask", "rows", "replies")


@dataclass(frozen=True)
class ImportSettings:
    """How files are read.

    Attributes:
        format: one of ``FORMATS``, or ``auto``: by what the first object of the files holds.
        voice: whose text an object without ``voice`` is.
        benchmark: what objects are of that do not say so themselves.
        fields: for ``rbridge``, names of columns that are not the usual ones.
    """

    format: str = "auto"
    voice: str = "unknown"
    benchmark: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def read_traces(paths: Sequence[Path], settings: ImportSettings) -> Imported:
    """Read traces from files of one format, checking every one to the last byte.

    Raises:
        InputError: a file cannot be read, its format cannot be told, or a benchmark must be named.
    """
    found = read_objects(paths)
    name = settings.format
    if name == "auto":
        head, found = _peek(found)
        name = detect(head, where=str(paths[0]))
    return collect(_exchange(name, found, settings), default_voice=settings.voice)


def detect(document: Mapping[str, Any], *, where: str) -> str:
    """The format that an object is in, where its keys leave no doubt.

    Raises:
        InputError: they do.
    """
    keys = set(document)
    if "frontier_logprobs" in keys:
        return "rows"
    reasoning = document.get("reasoning")
    if isinstance(reasoning, str) and "<span>" in reasoning and not keys & {"benchmark", "pieces"}:
        return "rbridge-mask"
    if "benchmark" in keys and "reasoning" in keys:
        return "exchange"
    if (
        keys & {"reply", "response", "completion", "output"}
        and "reasoning" not in keys
        and "pieces" not in keys
    ):
        return "replies"
    raise InputError(
        f"{where}: cannot tell its format from the keys {', '.join(sorted(keys)) or '(none)'}: "
        f"give --format {', '.join(FORMATS)}"
    )


def _peek(found: Iterator[Candidate]) -> tuple[Mapping[str, Any], Iterator[Candidate]]:
    """The first object that could be read, and all of them again. A file without one is exchange JSONL."""
    seen: list[Candidate] = []
    for candidate in found:
        seen.append(candidate)
        if isinstance(candidate[1], dict):
            return candidate[1], chain(seen, found)
    return {"benchmark": None, "reasoning": None}, iter(seen)


def _exchange(name: str, found: Iterator[Candidate], settings: ImportSettings) -> Iterator[Candidate]:
    match name:
        case "exchange":
            return found
        case "rows":
            return read_rows(found, benchmark=settings.benchmark)
        case "replies":
            return read_replies(found, benchmark=settings.benchmark)
        case "rbridge-mask":
            return read_marked(found, benchmark=_benchmark(name, settings))
        case "rbridge":
            return read_published(found, benchmark=_benchmark(name, settings), fields=settings.fields)
    raise InputError(f"--format {name}: expected auto, {', '.join(FORMATS)}")


def _benchmark(name: str, settings: ImportSettings) -> str:
    if settings.benchmark is None:
        raise InputError(
            f"--format {name}: the files do not say of what benchmark they are: give --benchmark NAME"
        )
    return settings.benchmark
