"""Target accuracies out of result files of lm-evaluation-harness, OLMES and lighteval.

Read after the files' published schemas: lm-evaluation-harness ``results_*.json`` (``results`` by
task, keys ``metric,filter``, sample counts in ``n-samples``), OLMES ``metrics.json`` (``tasks`` with
``metrics.primary_score``, or a flat ``metrics`` list in older versions) and ``*-all.jsonl`` (one
task a line), lighteval ``results_*.json`` (``config_general``, tasks named ``suite|task|shots``).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from rbridge.errors import InputError

# The first that a task has is its accuracy, where the user names none.
PREFERRED = ("primary_score", "exact_match", "pass@1", "acc", "accuracy", "em", "qem", "extractive_match")
_FORMATS = "a result file of lm-evaluation-harness, OLMES or lighteval"


@dataclass(frozen=True)
class TargetRow:
    """One accuracy of one model on one benchmark.

    Attributes:
        recipe: label of the model.
        benchmark: the task's own name, without suite, variant and shots.
        stage: of training, or None.
        metric: as the file calls it.
        value: as the file has it (a fraction, of accuracies).
        stderr: as the file has it, or None.
        num_items: behind it, or None where the file does not say.
        task: the file's full name of the task.
        model: the file's name of the model, or None.
        source: the file.
    """

    recipe: str
    benchmark: str
    stage: str | None
    metric: str
    value: float
    stderr: float | None
    num_items: int | None
    task: str
    model: str | None
    source: str


@dataclass(frozen=True)
class _Task:
    name: str
    benchmark: str
    metrics: Mapping[str, Any]
    num_items: int | None


def read_result_files(
    files: Sequence[str], *, stage: str | None = None, metrics: Sequence[str] = ()
) -> tuple[list[TargetRow], list[str]]:
    """Rows of all files, and a line for each task that has none of the metrics.

    Args:
        files: ``FILE`` or ``RECIPE=FILE``; without a label the model's name in the file is the recipe.
        stage: of training, for all of them.
        metrics: the first that a task has is taken; none named: ``PREFERRED``.

    Raises:
        InputError: no such file, none of the three formats, no label and no name, or a metric that
            stands under several filters of which none was named.
    """
    rows: list[TargetRow] = []
    skipped: list[str] = []
    for argument in files:
        label, path = _labelled(argument)
        model, tasks = _read(path)
        recipe = label or model
        if recipe is None:
            raise InputError(f"{path}: names no model; label it: RECIPE={path}")
        for task in tasks:
            metric = _metric(path, task, metrics)
            if metric is None:
                skipped.append(f"{path}: {task.name} has none of {', '.join(metrics or PREFERRED)}")
                continue
            rows.append(
                TargetRow(
                    recipe,
                    task.benchmark,
                    stage,
                    metric,
                    _value(path, task, metric),
                    _stderr(task.metrics, metric),
                    task.num_items,
                    task.name,
                    model,
                    str(path),
                )
            )
    return rows, skipped


def targets_csv(rows: Sequence[TargetRow]) -> bytes:
    """Rows as a CSV; what a file does not say is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("recipe", "benchmark", "stage", "metric", "value", "stderr", "n", "task", "model", "source")
    )
    writer.writerows(astuple(row) for row in rows)
    return out.getvalue().encode()


def _labelled(argument: str) -> tuple[str | None, Path]:
    label, sign, name = argument.partition("=")
    if sign and label and not Path(argument).exists():
        return label, Path(name)
    return None, Path(argument)


def _read(path: Path) -> tuple[str | None, list[_Task]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {_FORMATS}")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in text.splitlines() if line.strip()]
            return _model_of(lines[0]) if lines else None, [_olmes(task) for task in lines]
        document = json.loads(text)
        if "config_general" in document:
            general = document["config_general"]
            name = general.get("model_name") or (general.get("model_config") or {}).get("model_name")
            return name, list(_lighteval(document))
        if isinstance(document.get("results"), dict):
            return _harness_model(document), list(_harness(document))
        if isinstance(document.get("tasks") or document.get("metrics"), list):
            return _model_of(document), [
                _olmes(task) for task in document.get("tasks") or document["metrics"]
            ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not {_FORMATS} ({type(error).__name__}: {error})") from None
    raise InputError(f"{path}: not {_FORMATS}: it has the keys {', '.join(sorted(document))}")


def _harness(document: Mapping[str, Any]) -> Iterator[_Task]:
    counts = document.get("n-samples") or {}
    for name, metrics in document["results"].items():
        yield _Task(name, name, metrics, (counts.get(name) or {}).get("effective"))


def _harness_model(document: Mapping[str, Any]) -> str | None:
    if document.get("model_name"):
        return str(document["model_name"])
    arguments = (document.get("config") or {}).get("model_args")
    if isinstance(arguments, dict):
        return arguments.get("pretrained") or arguments.get("model")
    pairs = {name: value for name, _, value in (part.partition("=") for part in str(arguments).split(","))}
    return pairs.get("pretrained") or pairs.get("model")


def _lighteval(document: Mapping[str, Any]) -> Iterator[_Task]:
    for name, metrics in document["results"].items():
        if name == "all":  # the mean over tasks
            continue
        parts = name.split("|")
        task = parts[1] if len(parts) > 2 else parts[0]
        config = (document.get("config_tasks") or {}).get(name) or (document.get("config_tasks") or {}).get(
            "|".join(parts[:-1])
        )
        count = (config or {}).get("effective_num_docs")
        yield _Task(
            name, task.replace(":", "_"), metrics, count if isinstance(count, int) and count > 0 else None
        )


def _olmes(task: Mapping[str, Any]) -> _Task:
    name = task.get("alias") or task.get("task_name") or task["task"]
    metrics = task["metrics"] if isinstance(task.get("metrics"), dict) else task
    return _Task(name, name.split(":")[0], metrics, task.get("num_instances"))


def _model_of(document: Mapping[str, Any]) -> str | None:
    config = document.get("model_config") or {}
    return config.get("model") or config.get("model_path")


def _metric(path: Path, task: _Task, wanted: Sequence[str]) -> str | None:
    """The key of the accuracy: exactly as named, or by its name before the filter's comma."""
    for name in wanted or PREFERRED:
        if name in task.metrics:
            return name
        filters = [key for key in task.metrics if key.partition(",")[0] == name]
        if len(filters) > 1:
            raise InputError(
                f"{path}: {task.name} has {name} under several filters ({', '.join(filters)}); "
                f"name one: --metric {filters[0]}"
            )
        if filters:
            return filters[0]
    return None


def _value(path: Path, task: _Task, metric: str) -> float:
    value = task.metrics[metric]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{path}: {task.name}: {metric} is {value!r}; expected a finite number")
    return float(value)


def _stderr(metrics: Mapping[str, Any], metric: str) -> float | None:
    name, comma, kind = metric.partition(",")
    found = metrics.get(f"{name}_stderr{comma}{kind}")
    # lm-evaluation-harness writes "N/A" where it has none.
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None
