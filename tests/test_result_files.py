"""Accuracies out of result files, made up after the harnesses' published schemas."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import rbridge

HARNESS = {
    "results": {
        "arc_challenge": {
            "alias": "arc_challenge",
            "acc,none": 0.41,
            "acc_stderr,none": 0.0144,
            "acc_norm,none": 0.44,
        },
        "gsm8k": {
            "exact_match,strict-match": 0.05,
            "exact_match_stderr,strict-match": "N/A",
            "exact_match,flexible-extract": 0.07,
        },
        "wikitext": {"word_perplexity,none": 21.0},
    },
    "n-samples": {
        "arc_challenge": {"original": 1172, "effective": 1172},
        "gsm8k": {"original": 1319, "effective": 100},
    },
    "config": {"model": "hf", "model_args": "pretrained=org/model-a,dtype=float32"},
}
OLMES = {
    "all_primary_scores": ["arc_challenge:rc::olmes: 0.512"],
    "tasks": [
        {"alias": "arc_challenge:rc::olmes", "metrics": {"primary_score": 0.512, "acc_raw": 0.48},
         "num_instances": 1172, "task_config": {"primary_metric": "acc_uncond"}},
    ],
    "model_config": {"model": "org/model-b"},
}  # fmt: skip
OLMES_OLDER = {
    "all_primary_scores": [],
    "metrics": [{"task": "gsm8k", "exact_match": 0.25, "num_instances": 1319, "task_config": {}}],
    "model_config": {"model": "org/model-c"},
}
OLMES_LINES = [
    {
        "task_name": name,
        "metrics": {"primary_score": score},
        "num_instances": num,
        "model_config": {"model": "org/d"},
    }
    for name, score, num in (("gsm8k", 0.3, 1319), ("csqa", 0.6, 1221))
]
LIGHTEVAL = {
    "config_general": {"model_name": "org/model-e", "max_samples": None},
    "results": {
        "leaderboard|arc:challenge|25": {"acc": 0.39, "acc_stderr": 0.014, "acc_norm": 0.4},
        "all": {"acc": 0.39, "acc_norm": 0.4},
    },
    "config_tasks": {"leaderboard|arc:challenge": {"effective_num_docs": 1172}},
}


def _write(tmp_path: Path, name: str, document: Any) -> Path:
    path = tmp_path / name
    path.write_text(
        "\n".join(json.dumps(line) for line in document) if name.endswith("l") else json.dumps(document)
    )
    return path


def _import(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, str]]:
    out = tmp_path / "targets.csv"
    out.unlink(missing_ok=True)
    result = rbridge(capsys, "targets", "import", *arguments, "-o", out)
    assert result.status == 0, result.err
    with out.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("metrics.json", OLMES, ("org/model-b", "arc_challenge", "primary_score", "0.512", "1172")),
        ("metrics.json", OLMES_OLDER, ("org/model-c", "gsm8k", "exact_match", "0.25", "1319")),
        ("metrics-all.jsonl", OLMES_LINES, ("org/d", "gsm8k", "primary_score", "0.3", "1319")),
        ("results_1.json", LIGHTEVAL, ("org/model-e", "arc_challenge", "acc", "0.39", "1172")),
    ],
    ids=["olmes", "older olmes", "olmes lines", "lighteval"],
)
def test_a_file_is_read_by_its_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, document: Any, expected: tuple[str, ...]
) -> None:
    """Model, benchmark, metric, value and count; a mean over tasks is no task."""
    rows = _import(tmp_path, capsys, _write(tmp_path, name, document))
    assert tuple(rows[0][column] for column in ("recipe", "benchmark", "metric", "value", "n")) == expected
    assert len(rows) == (2 if name.endswith("l") else 1)


def test_lm_evaluation_harness_by_filter_label_and_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A metric under two filters is not guessed; one named is taken; others fall back in order."""
    path = _write(tmp_path, "results_1.json", HARNESS)
    refused = rbridge(capsys, "targets", "import", path, "-o", tmp_path / "t.csv")
    assert refused.status == 1
    assert "gsm8k has exact_match under several filters" in refused.err
    wanted = ("--metric", "exact_match,strict-match", "--metric", "acc_norm")
    rows = _import(tmp_path, capsys, f"web={path}", *wanted, "--stage", "sft")
    columns = ("recipe", "benchmark", "metric", "value", "stderr", "n", "stage", "model")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("web", "arc_challenge", "acc_norm,none", "0.44", "", "1172", "sft", "org/model-a"),
        ("web", "gsm8k", "exact_match,strict-match", "0.05", "", "100", "sft", "org/model-a"),
    ]


@pytest.mark.parametrize(
    ("label", "model", "expected"),
    [
        ("", {"config": {"model_args": "pretrained=org/m,revision=step1000-tokens4B",
                         "model_num_parameters": 1176764416, "random_seed": 0, "torch_seed": 1234}},
         ("1176764416", "4000000000", "", "1000")),
        ("", {"config": {"model_args": {"pretrained": "org/m", "revision": "step5725-seed-14"},
                         "model_num_parameters": -1}}, ("", "", "14", "5725")),
        ("web_seed3=", {"config": {"model_args": "pretrained=runs/web-tokens0.5B/step_20"}},
         ("", "500000000", "3", "20")),
        ("", {"model_name": "org/misstep7-seedling2", "config": {"model_revision": "main"}}, ("", "", "", "")),
    ],
    ids=["tokens and size", "seed", "label and name", "no label"],
)  # fmt: skip
def test_what_the_names_say_of_a_model_becomes_its_labels(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    label: str,
    model: dict[str, Any],
    expected: tuple[str, ...],
) -> None:
    """By the harness' schema; the seeds of the evaluation are no training seeds."""
    path = _write(tmp_path, "results_1.json", {"results": {"t": {"acc,none": 0.5}}, **model})
    (row,) = _import(tmp_path, capsys, f"{label}{path}")
    assert tuple(row[column] for column in ("size", "tokens", "seed", "step")) == expected


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("metrics.json", {**OLMES, "model_config": {"model": "org/b", "revision": "step900-tokens3B-seed-2"}}),
        ("results_1.json", {**LIGHTEVAL, "config_general": {
            "model_name": "org/e", "model_config": {"revision": "step900-tokens3B-seed-2"}}}),
    ],
)  # fmt: skip
def test_olmes_and_lighteval_name_the_revision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, document: dict[str, Any]
) -> None:
    """Both keep it in the model's configuration."""
    (row,) = _import(tmp_path, capsys, _write(tmp_path, name, document))
    assert (row["tokens"], row["seed"], row["step"]) == ("3000000000", "2", "900")


def test_skipped_tasks_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Perplexity is no accuracy; standard errors come along."""
    path = _write(tmp_path, "results_1.json", HARNESS)
    out = tmp_path / "t.csv"
    result = rbridge(capsys, "targets", "import", path, "-o", out, "--metric", "acc")
    assert "skipped" in result.err
    assert "wikitext has none of acc" in result.err
    assert "0.0144" in out.read_text()
    assert "exists already" in rbridge(capsys, "targets", "import", path, "-o", out).err


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("x.json", {"a": 1}, "it has the keys a"),
        ("x.json", {"results": {"t": {"acc,none": 0.1}}}, "names no model; label it"),
        (
            "x.json",
            {"config_general": {"model_name": "m"}, "results": {"a|b|0": {"acc": "high"}}},
            "acc is 'high'",
        ),
        ("x.jsonl", [{"metrics": {}}], "not a result file"),
    ],
)
def test_bad_files_get_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, document: Any, message: str
) -> None:
    """Exit 1; nothing is written."""
    result = rbridge(capsys, "targets", "import", _write(tmp_path, name, document), "-o", tmp_path / "t.csv")
    assert (result.status, (tmp_path / "t.csv").exists()) == (1, False)
    assert message in result.err
