"""Questions from the Hugging Face hub, through the ``datasets`` package of the extra ``hub``.

``HF_HUB_OFFLINE=1`` and the hub's cache folders work as they do everywhere: ``datasets`` reads them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from rbridge.benchmarks.catalogue import Benchmark, HubSource
from rbridge.benchmarks.problems import Problem, ProblemSet
from rbridge.benchmarks.rows import read_rows
from rbridge.errors import InputError, MissingExtra

INSTALL = "pip install 'rbridge[hub]'"


def hub_is_at_hand() -> bool:
    """Whether the ``datasets`` package is installed; says nothing of the network."""
    spec = importlib.util.find_spec("datasets")
    return spec is not None and spec.origin is not None  # a folder called "datasets" has no origin


def read_hub(benchmark: Benchmark) -> ProblemSet:
    """A benchmark's problems from its dataset at the hub; loaded once per process.

    Raises:
        MissingExtra: ``datasets`` is not installed.
        InputError: the hub cannot be reached, or has no such dataset, or its rows changed shape.
    """
    if not hub_is_at_hand():
        raise MissingExtra("datasets", "hub", f"reading the questions of {benchmark.name} from the hub")
    if benchmark.hub is None:
        raise InputError(
            f"the hub has no questions of {benchmark.name!r}, which was added here: take source 'auto'"
        )
    return _read_dataset(benchmark.name, benchmark.hub)


@lru_cache(maxsize=32)
def _read_dataset(name: str, source: HubSource) -> ProblemSet:
    problems: list[Problem] = []
    for config in source.configs:
        place = f"hub dataset {source.dataset}" + (f" ({config})" if config else "")
        problems += read_rows(name, _rows(name, source, config, place), source.reader, place)
    if not problems:
        raise InputError(
            f"hub dataset {source.dataset}: no row of {name} in split {source.split!r}, expected some: "
            "give the questions with --questions FILE.jsonl"
        )
    return ProblemSet(name, f"hub {source.dataset}", tuple(problems))


def _rows(name: str, source: HubSource, config: str | None, place: str) -> Iterator[dict[str, Any]]:
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        table: Any = datasets.load_dataset(source.dataset, config, split=source.split)
    # Unreachable or missing (OSError), no such configuration or split (ValueError), unreadable (the last).
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{place}, split {source.split!r}: cannot be loaded ({reason}): check the network and "
            f"HF_HUB_OFFLINE, or give the questions of {name} with --questions FILE.jsonl"
        ) from error
    for row in table:
        if not source.categories or row.get("category") in source.categories:
            yield row
