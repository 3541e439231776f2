"""The data-only null: a byte n-gram model of each recipe's sample, on the same traces."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbridge.errors import InputError
from rbridge.metric.ngram import ByteModel, byte_model
from rbridge.records import Trace
from rbridge.store.files import write_bytes

COLUMN = "null_bits_per_byte"


@dataclass(frozen=True)
class NullRow:
    """One recipe on one benchmark: mean over traces of bits a byte."""

    recipe: str
    benchmark: str
    bits_per_byte: float
    num_traces: int
    sample_bytes: int

    def document(self) -> dict[str, Any]:
        """The row of the CSV, and of the JSON."""
        return {
            "recipe": self.recipe,
            "benchmark": self.benchmark,
            COLUMN: self.bits_per_byte,
            "num_traces": self.num_traces,
            "sample_bytes": self.sample_bytes,
        }


def null_rows(
    samples: Sequence[str], traces: Sequence[Trace], *, progress: Callable[[str], None] = lambda _: None
) -> list[NullRow]:
    """A row per recipe and benchmark.

    Args:
        samples: ``RECIPE=PLACE`` or ``PLACE``.
        traces: whose reasoning is scored; each counts once.
        progress: told one line a recipe.

    Raises:
        InputError: no sample, one that cannot be read or is empty, or a recipe given twice.
    """
    if not samples:
        raise InputError("no sample given; expected RECIPE=FILE for each recipe")
    rows: list[NullRow] = []
    seen: set[str] = set()
    for sample in samples:
        name, _, place = sample.rpartition("=")
        path = Path(place)
        recipe = name or path.stem
        if recipe in seen:
            raise InputError(f"{sample}: recipe {recipe!r} is given twice; join its files in one folder")
        seen.add(recipe)
        texts = list(_texts(path))
        size = sum(len(text) for text in texts)
        if not size:
            raise InputError(f"{path}: holds no text; expected a sample of recipe {recipe!r}")
        progress(f"{recipe}: {size} bytes")
        rows += _rows(recipe, byte_model(texts), traces, size)
    return rows


def _rows(recipe: str, model: ByteModel, traces: Sequence[Trace], size: int) -> Iterator[NullRow]:
    benchmarks: dict[str, list[float]] = {}
    for trace in traces:
        bits = model.bits(trace.reasoning.encode())
        benchmarks.setdefault(trace.key.benchmark, []).append(float(bits.mean()))
    for benchmark, values in sorted(benchmarks.items()):
        yield NullRow(recipe, benchmark, math.fsum(values) / len(values), len(values), size)


def _texts(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        for file in sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith(".")):
            yield from _texts(file)
    elif not path.is_file():
        raise InputError(f"{path}: no such file or folder; expected a sample as RECIPE=PLACE")
    elif path.suffix == ".jsonl":
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                yield json.loads(line)["text"].encode()
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(f"{path}:{number}: expected an object with a field 'text'") from None
    else:
        yield path.read_bytes()


def write_null_csv(path: Path, rows: Sequence[NullRow]) -> None:
    """Write the rows as a CSV, whole."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0].document()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.document() for row in rows)
    write_bytes(path, buffer.getvalue().encode())
