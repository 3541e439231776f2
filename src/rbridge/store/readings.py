"""Further readings of a finished run: tables beside its tokens, each complete or not there.

RUNS/<run>/other_questions.parquet    traces behind other questions    rbridge score --margin
RUNS/<run>/gold.parquet               gold solutions                   rbridge score --gold
RUNS/<run>/generic.parquet            plain text                       rbridge score --generic FILE
RUNS/<run>/items.parquet              answer options and labels        rbridge score --baselines

Each table carries the hash of what it was read from, so that a finished one is not read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rbridge.errors import InputError
from rbridge.metric.margin import QuestionReading
from rbridge.records import TraceKey
from rbridge.store.files import write_bytes

_KEY = "rbridge_key"
_NAMES: dict[str, Any] = {"benchmark": pl.String, "problem_id": pl.String}


@dataclass(frozen=True)
class Table:
    """One kind of further reading.

    Attributes:
        file: its name in a run's folder.
        schema: its columns.
        option: of ``rbridge score``, that makes it.
    """

    file: str
    schema: Mapping[str, Any]
    option: str


OTHER_QUESTIONS = Table(
    "other_questions.parquet",
    {
        **_NAMES,
        "voice": pl.String,
        "shots": pl.Int64,
        "asked": pl.String,
        "num_bytes": pl.Int64,
        "nll": pl.List(pl.Float32),
        "number_at": pl.List(pl.Int32),
        "number_nll": pl.List(pl.Float32),
    },
    "--margin",
)

_TEXTS = {**_NAMES, "shots": pl.Int64, "num_bytes": pl.Int64, "nll": pl.List(pl.Float32)}
GOLD = Table("gold.parquet", _TEXTS, "--gold")
GENERIC = Table("generic.parquet", _TEXTS, "--generic FILE")
ITEMS = Table(
    "items.parquet",
    {
        **_NAMES,
        "voice": pl.String,
        "kind": pl.String,
        "gold": pl.Boolean,
        "shots": pl.Int64,
        "nll": pl.Float64,
        "num_tokens": pl.Int64,
        "num_characters": pl.Int64,
        "num_bytes": pl.Int64,
    },
    "--baselines",
)


def write_table(folder: Path, table: Table, rows: Sequence[Mapping[str, Any]], *, key: str) -> None:
    """Write a table whole, with the hash of its inputs."""
    buffer = BytesIO()
    pl.DataFrame(list(rows), schema=dict(table.schema)).write_parquet(buffer, metadata={_KEY: key})
    write_bytes(folder / table.file, buffer.getvalue())


def table_key(folder: Path, table: Table) -> str | None:
    """The hash that a table carries; None where there is no such table."""
    path = folder / table.file
    return pl.read_parquet_metadata(path).get(_KEY) if path.is_file() else None


def read_table(folder: Path, table: Table) -> list[dict[str, Any]] | None:
    """A table's rows; None where it was never made.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / table.file
    if not path.is_file():
        return None
    try:
        return pl.read_parquet(path, columns=list(table.schema)).to_dicts()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path}: damaged ({str(error).splitlines()[0]}); delete it and score again with {table.option}"
        ) from None


def write_question_readings(folder: Path, readings: Iterable[QuestionReading], *, key: str) -> None:
    """Keep traces' losses behind other questions."""
    rows = [
        {
            "benchmark": one.key.benchmark,
            "problem_id": one.key.problem_id,
            "voice": one.key.voice,
            "shots": one.shots,
            "asked": one.asked,
            "num_bytes": one.num_bytes,
            "nll": one.nll.tolist(),
            "number_at": one.number_at.tolist(),
            "number_nll": one.number_nll.tolist(),
        }
        for one in readings
    ]
    write_table(folder, OTHER_QUESTIONS, rows, key=key)


def read_question_readings(folder: Path) -> list[QuestionReading] | None:
    """Traces' losses behind other questions; None where the run has none."""
    rows = read_table(folder, OTHER_QUESTIONS)
    if rows is None:
        return None
    return [
        QuestionReading(
            key=TraceKey(row["benchmark"], row["problem_id"], row["voice"]),
            shots=row["shots"],
            asked=row["asked"],
            nll=np.array(row["nll"], dtype=np.float64),
            number_at=np.array(row["number_at"], dtype=np.int64),
            number_nll=np.array(row["number_nll"], dtype=np.float64),
            num_bytes=row["num_bytes"],
        )
        for row in rows
    ]
