"""The larger models whose accuracies stand recorded, since they take too long to train in a demo.

``make targets`` trains them again and rewrites the two files in ``data/``; a stopped run goes on.
"""

from __future__ import annotations

import io
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from rbridge.miniature.jobs import T128, Job, Trained, proxy_jobs
from rbridge.miniature.recipes import RECIPES
from rbridge.miniature.run import run_proxies
from rbridge.miniature.source import source_sha256
from rbridge.store.files import write_bytes, write_json

COMMAND = "make targets"
SEEDS = (0, 1, 2)
NUM_PROBLEMS = 400

_DATA = Path(__file__).parent / "data"
_TABLE = "targets.csv"
_MANIFEST = "targets.json"


@dataclass(frozen=True)
class Recorded:
    """The recorded targets, and what they are.

    Attributes:
        path: CSV with a row a model: recipe, seed, size, parameters, tokens, flops, accuracy, n, stderr.
        num_seeds: models of each recipe.
        num_problems: held-out problems that each answered, greedily.
        parameters: of each.
        tokens: that each was trained on.
        date: of the recording, ISO.
    """

    path: Path
    num_seeds: int
    num_problems: int
    parameters: int
    tokens: int
    date: str


def recorded(folder: Path = _DATA) -> Recorded:
    """The recorded targets that ship, or those of another ``folder``."""
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    return Recorded(
        path=folder / _TABLE,
        num_seeds=len(manifest["seeds"]),
        num_problems=manifest["num_problems"],
        parameters=manifest["parameters"],
        tokens=manifest["size"]["num_tokens"],
        date=manifest["date"],
    )


def target_jobs() -> list[Job]:
    """The models to record."""
    return proxy_jobs(RECIPES, seeds=SEEDS, size=T128, num_problems=NUM_PROBLEMS)


def record(models: Sequence[Trained], *, jobs: Sequence[Job], folder: Path) -> None:
    """Write the table and its manifest into ``folder``.

    Args:
        models: the finished jobs, all of one size.
        jobs: what they are the results of.
        folder: where ``recorded`` finds them.
    """
    file = io.BytesIO()
    pl.DataFrame([_row(model) for model in models]).write_csv(file)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / _TABLE, file.getvalue())
    write_json(folder / _MANIFEST, _manifest(models, jobs))


def _row(model: Trained) -> dict[str, Any]:
    labels = asdict(model.labels)
    columns = ("recipe", "seed", "size", "parameters", "tokens", "flops")
    return {column: labels[column] for column in columns} | {
        "accuracy": model.accuracy,
        "n": model.num_problems,
        "stderr": round(model.stderr, 6),
    }


def _manifest(models: Sequence[Trained], jobs: Sequence[Job]) -> dict[str, Any]:
    return {
        "format_version": 1,
        "command": COMMAND,
        "date": datetime.now(UTC).date().isoformat(),
        "size": asdict(jobs[0].size),
        "parameters": models[0].labels.parameters,
        "seeds": sorted({job.seed for job in jobs}),
        "num_problems": jobs[0].num_problems,
        "recipes": [asdict(recipe) for recipe in dict.fromkeys(job.recipe for job in jobs)],
        "source_sha256": source_sha256(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("rbridge", "torch", "transformers", "tokenizers")},
        "machine": platform.machine(),
    }


def main() -> None:
    """Train the targets into ``./targets`` and record them in the package."""
    jobs = target_jobs()
    models = run_proxies(Path("targets"), jobs=jobs, progress=lambda line: print(line, file=sys.stderr))
    record(models, jobs=jobs, folder=_DATA)


if __name__ == "__main__":
    main()
