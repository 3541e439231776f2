"""A study's outcome as tables: a row a proxy with every metric, a row a target, and a manifest that says how.

The tables are what ``rbridge rank`` and ``rbridge compute savings`` read, so that anyone can ask them anything.
"""

from __future__ import annotations

import io
import math
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from rbridge.answers.item_values import item_values
from rbridge.answers.null import COLUMN as NULL
from rbridge.answers.observations import read_target_noise, read_targets
from rbridge.miniature.families import DOSE, HELD_BACK, family_of
from rbridge.miniature.frontier import BENCHMARK, VOICE
from rbridge.miniature.recipes import Recipe
from rbridge.miniature.source import source_sha256
from rbridge.miniature.study import Study
from rbridge.miniature.verdict import DOSE_COLUMN, MANIFEST, OWN, SAVINGS, TABLE, TARGET, TARGETS
from rbridge.store.files import write_bytes, write_json
from rbridge.store.runs import Run
from rbridge.store.views import View

# Of the frontier's voice; the margin in the own voice needs them all.
METRICS = (
    "rbridge", "rbridge_shuffled", "rbridge_inverted", "trace_nll", "question_margin", "question_margin_numbers",
    "other_question_bits_per_byte", "gold_bits_per_byte", "gold_label_nll", "trace_and_answer_nll",
    "answer_given_trace_nll",
)  # fmt: skip
_EVERY_VOICE = "question_margin_own_voice"
# What the savings compare: metrics that a proxy of any size has, higher better where not known to be lower.
SAVED = ("rbridge", "rbridge_shuffled", "trace_nll", "question_margin", "gold_label_nll", OWN)


def write_results(study: Study, folder: Path) -> None:
    """Write proxies.csv, targets.csv, savings.csv and study.json into ``folder``.

    A target is a mean over its finished seeds, with the standard error that their pooled variation gives. Before
    any target is finished its cells are empty, and there are no savings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth, errors = _truth(study, folder / TARGETS)
    rows = [row for runs in study.runs.values() for run in runs for row in _proxy_rows(study, run)]
    for row in rows:
        row[TARGET] = truth.get(row["recipe"])
        row[f"{TARGET}_stderr"] = errors.get(row["recipe"])
    _write(folder / TABLE, rows)
    if truth:
        _write(folder / SAVINGS, list(_savings_rows(rows)))
    write_json(folder / MANIFEST, _manifest(study))


def _truth(study: Study, file: Path) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Every finished recipe's accuracy and its standard error, where seeds or problems tell it."""
    if not study.targets:
        return {}, {}
    _write(file, [_target_row(model.labels, model) for model in study.targets])
    noise = read_target_noise(file, target=TARGET).get(None)
    values = {name: value for (name, _), value in read_targets(file, target=TARGET).items()}
    return values, {} if noise is None else noise.errors


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    file = io.BytesIO()
    pl.DataFrame(rows, infer_schema_length=None).write_csv(file)
    write_bytes(path, file.getvalue())


def _target_row(labels: Any, model: Any) -> dict[str, Any]:
    return {
        **{
            name: getattr(labels, name)
            for name in ("recipe", "seed", "size", "parameters", "tokens", "flops")
        },
        TARGET: model.accuracy,
        f"{TARGET}_n": model.num_problems,
    }


def _proxy_rows(study: Study, run: Run) -> Iterator[dict[str, Any]]:
    labels = run.manifest.labels
    recipe = next(one for one in study.plan.recipes if one.name == labels.recipe)
    model = next(
        one
        for one in study.models
        if (one.labels.recipe, one.labels.seed, one.labels.size) == (labels.recipe, labels.seed, labels.size)
    )
    heard = run.seen(View((VOICE,)))
    family = family_of(recipe.name) or "other"
    yield {
        "recipe": recipe.name,
        "family": family,
        "held_back": "yes" if family in HELD_BACK else "no",
        "equal_dose": "yes" if equal_dose(recipe) else "no",
        "benchmark": BENCHMARK,
        **{name: getattr(labels, name) for name in ("size", "seed", "parameters", "tokens", "flops")},
        **{name: _mean(heard, name) for name in METRICS},
        _EVERY_VOICE: _mean(run, _EVERY_VOICE),
        OWN: model.accuracy,
        DOSE_COLUMN: study.doses[recipe.name],
        NULL: next(row.bits_per_byte for row in study.nulls if row.recipe == recipe.name),
    }


def equal_dose(recipe: Recipe) -> bool:
    """Whether a recipe holds the share of reasoning that all but the dose family hold."""
    return abs(math.fsum(part.share for part in recipe.parts) - DOSE) < 0.005


def _mean(run: Run, metric: str) -> float | None:
    values = list(item_values(run, metric).values())
    return math.fsum(values) / len(values) if values else None


def _savings_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row a metric, size and recipe: its mean over seeds, at the mean cost of the size."""
    whole = [row for row in rows if row[TARGET] is not None]
    for size in dict.fromkeys(row["size"] for row in whole):
        of_size = [row for row in whole if row["size"] == size]
        flops = math.fsum(row["flops"] for row in of_size) / len(of_size)
        for recipe in dict.fromkeys(row["recipe"] for row in of_size):
            seeds = [row for row in of_size if row["recipe"] == recipe]
            for metric in SAVED:
                yield {
                    "metric": metric,
                    "size": size,
                    "flops": flops,
                    "recipe": recipe,
                    "score": math.fsum(row[metric] for row in seeds) / len(seeds),
                    TARGET: seeds[0][TARGET],
                }


def _manifest(study: Study) -> dict[str, Any]:
    plan = study.plan
    return {
        "format_version": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "recipes": [asdict(recipe) for recipe in plan.recipes],
        "ladder": [asdict(size) for size in plan.ladder],
        "target": asdict(plan.target),
        "seeds": list(plan.seeds),
        "frontier": asdict(plan.frontier),
        "num_traces": plan.num_traces,
        "voices": [VOICE, *plan.voices],
        "num_models": {"planned": len(plan.jobs), "finished": len(study.models)},
        "source_sha256": source_sha256(),
        "traces_sha256": study.bundle.manifest.content_sha256,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("rbridge", "torch", "transformers", "tokenizers")},
        "machine": platform.machine(),
    }
