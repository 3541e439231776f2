"""Target accuracies out of result files of lm-evaluation-harness, OLMES and lighteval.

Read after the files' published schemas: lm-evaluation-harness ``results_*.json`` (``results`` by
task, keys ``metric,filter``, sample counts in ``n-samples``), OLMES ``metrics.json`` (``tasks`` with
``metrics.primary_score``, or a flat ``metrics`` list in older versions) and ``*-all.jsonl`` (one
task a line), lighteval ``results_*.json`` (``config_general``, tasks named ``suite|task|shots``).

What the model is comes from lm-evaluation-harness' ``config.model_num_parameters`` and from the names of models and
revisions, where these say so (``step1000-tokens4B``, ``step5725-seed-14``). The seeds in these files are those of
the evaluation, never of the training run, so they are not read.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from rbridge.errors import InputError

# The first that a task has is its accuracy, where the user names none.
PREFERRED = ("primary_score", "exact_match", "pass@1", "acc", "accuracy", "em", "qem", "extractive_match")
_IN_NAME = {
    "tokens": re.compile(r"(?<![a-z0-9])tokens?[-_]?(\d+(?:\.\d+)?)([KMBT])(?![a-z0-9])", re.IGNORECASE),
    "seed": re.compile(r"(?<![a-z0-9])seed[-_]?(\d+)(?![a-z0-9])", re.IGNORECASE),
    "step": re.compile(r"(?<![a-z0-9])step[-_]?(\d+)(?![a-z0-9])", re.IGNORECASE),
}
_TIMES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
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
        size: parameters, or None where the file does not say.
        tokens: trained on, or None where no name says.
        seed: of training, or None where no name says.
        step: of training, or None where no name says.
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
    size: int | None
    tokens: int | None
    seed: int | None
    step: int | None


@dataclass(frozen=True)
class _Task:
    name: str
    benchmark: str
    metrics: Mapping[str, Any]
    num_items: int | None


@dataclass(frozen=True)
class _Model:
    """What a file says of its model."""

    name: str | None
    revision: str | None = None
    parameters: int | None = None


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
        recipe = label or model.name
        found = _labels(model, label)
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
                    model.name,
                    str(path),
                    model.parameters,
                    found["tokens"],
                    found["seed"],
                    found["step"],
                )
            )
    return rows, skipped


def targets_csv(rows: Sequence[TargetRow]) -> bytes:
    """Rows as a CSV; what a file does not say is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        (
            *("recipe", "benchmark", "stage", "metric", "value", "stderr", "n", "task", "model", "source"),
            *("size", "tokens", "seed", "step"),
        )
    )
    writer.writerows(astuple(row) for row in rows)
    return out.getvalue().encode()


def _labelled(argument: str) -> tuple[str | None, Path]:
    label, sign, name = argument.partition("=")
    if sign and label and not Path(argument).exists():
        return label, Path(name)
    return None, Path(argument)


def _labels(model: _Model, label: str | None) -> dict[str, int | None]:
    """Tokens, seed and step of training, from the first of revision, label and name that says each."""
    found: dict[str, int | None] = {}
    for what, pattern in _IN_NAME.items():
        said = (pattern.search(text) for text in (model.revision, label, model.name) if text)
        first = next((match.groups() for match in said if match), None)
        if first is None:
            found[what] = None
        else:
            number, unit = (*first, "")[:2]
            found[what] = round(float(number) * _TIMES[unit.upper()]) if unit else int(number)
    return found


def _read(path: Path) -> tuple[_Model, list[_Task]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {_FORMATS}")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in text.splitlines() if line.strip()]
            return _model_of(lines[0]) if lines else _Model(None), [_olmes(task) for task in lines]
        document = json.loads(text)
        if "config_general" in document:
            general = document["config_general"]
            config = general.get("model_config") or {}
            name = general.get("model_name") or config.get("model_name")
            return _Model(name, _text(config.get("revision"))), list(_lighteval(document))
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


def _harness_model(document: Mapping[str, Any]) -> _Model:
    config = document.get("config") or {}
    arguments = config.get("model_args")
    if not isinstance(arguments, dict):
        pairs = (part.partition("=") for part in str(arguments).split(","))
        arguments = {name.strip(): value for name, _, value in pairs}
    named = document.get("model_name") or arguments.get("pretrained") or arguments.get("model")
    parameters = config.get("model_num_parameters")
    return _Model(
        _text(named),
        _text(arguments.get("revision")) or _text(config.get("model_revision")),
        # The harness writes -1 where it cannot count them.
        parameters if isinstance(parameters, int) and parameters > 0 else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


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


def _model_of(document: Mapping[str, Any]) -> _Model:
    config = document.get("model_config") or {}
    return _Model(config.get("model") or config.get("model_path"), _text(config.get("revision")))


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
