"""Studies run with real models: from the file to the page, killed on the way, changed afterwards."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rbridge.answers.item_values import item_values
from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.store.runs import read_runs
from rbridge.study.answer import declare
from rbridge.study.bundled import write_bundled
from rbridge.study.execute import execute
from rbridge.study.make import last_checkpoints
from rbridge.study.read import read_study
from rbridge.study.steps import work_of
from tests.commands import rbridge
from tests.studies import write_study

DOCS = Path(__file__).parent.parent / "docs"
_SMALL = {"sizes": ["50k"], "seeds": [0, 1], "tokens": "4k", "window": 128, "learning_rate": 0.01}


def _shrunken(folder: Path) -> Path:
    """The bundled two-stage study with three of its recipes, a few thousand tokens, and a fault in one more."""
    file = write_bundled("two-stage", folder, chars=20_000)
    study: dict[str, Any] = yaml.safe_load(file.read_text())
    study["recipes"] = {name: study["recipes"][name] for name in ("right60", "wrong50", "annealed")}
    study["recipes"]["gone"] = {"phases": [{"mix": {"gone": 1}}]}
    study["sources"]["gone"] = {"jsonl": "sources/gone.jsonl"}
    (folder / "sources/gone.jsonl").write_text('{"text": "so 2 + 3 = 5."}\n{"body": "broken"}\n')
    study["tokenizer"] = {"sources": ["right"], "vocab_size": 300, "sample_chars": 5000}
    study["proxies"] = _SMALL
    study["scoring"] = {"limit": 8}
    study["plan"] |= {"keep": 2, "stage2": {**_SMALL, "sizes": ["100k"], "seeds": [0]}}
    study["report"] = {"null_bytes": 2000}
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    return file


def _run_whole(file: Path) -> None:
    """Every unit of a study, in this process; none may fail."""
    study = read_study(file)
    work = work_of(study)
    declare(study, work.ledger, work.graph, now=datetime.now(UTC))
    for name in work.graph.units:
        execute(work, name)
    assert {place.reason for place in work.survey().values() if place.state != "done"} == set()


def _start(file: Path) -> subprocess.Popen[bytes]:
    """The study with two workers of one thread each."""
    with (file.parent / "run.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rbridge", "study", "run", str(file), "--workers", "2"],
            stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
        )  # fmt: skip


def _kill_when(file: Path, line: str, process: subprocess.Popen[bytes]) -> None:
    """Kill the whole run, workers too, once its log has the line."""
    log = file.parent / "run.log"
    seen = 0
    until = time.monotonic() + 300
    while line not in log.read_text()[seen:]:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shrunken study, killed while it trains and while it scores, then run to its end."""
    file = _shrunken(tmp_path_factory.mktemp("two-stage") / "study")
    for line in ("train/50k/wrong50/seed-0: begun", "score/50k/annealed/seed-1: begun"):
        _kill_when(file, line, _start(file))
    assert (
        run(["study", "status", str(file)]) == 1
    )  # what was interrupted goes on, the damaged source has failed
    process = _start(file)
    assert process.wait(timeout=500) == 1  # one recipe's source is missing
    return file


def test_the_two_stage_search_runs_from_the_file_to_the_page(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its survivors are trained larger, its verdict and its failures stand in status and page."""
    result = rbridge(capsys, "study", "status", place, "--json")
    assert result.status == 1
    units = {unit["id"]: unit for unit in result.document["units"]}
    assert units["source/gone"]["state"] == "failed"
    assert "gone.jsonl:2: no text under 'text' (found body)" in units["source/gone"]["reason"]
    assert units["train/50k/gone/seed-0"]["reason"] == "source/gone failed"
    plan = json.loads((place.parent / "results/plan.json").read_text())
    assert len(plan["kept"]) == 2
    assert plan["not_scored"] == ["gone"]
    assert plan["kept"] == plan["order"][:2]
    (left_out,) = set(plan["order"]) - set(plan["kept"])
    assert units[f"train/100k/{left_out}/seed-0"]["state"] == "left out"
    large = {run.manifest.labels.recipe for run in read_runs(place.parent / "results/runs")
             if run.manifest.labels.size == "100k"}  # fmt: skip
    assert large == set(plan["kept"])
    rank = json.loads((place.parent / "results/rank.json").read_text())
    assert {group["group"]["size"] for group in rank["groups"]} == {"50k", "100k"}
    assert all(group["declaration"]["declared"] for group in rank["groups"])
    for group in rank["groups"]:
        assert [row["recipe"] for row in group["contamination"]] == [row["recipe"] for row in group["order"]]
        assert not {row["verdict"] for row in group["contamination"]} - {"none", "found", "cannot tell"}
    assert rank["verdict"] == result.document["verdict"]
    page = (place.parent / "results/report.html").read_text()
    assert "What was trained" in page
    models = [
        json.loads((place.parent / f"results/proxies/right60/50k/seed-{seed}/training.json").read_text())
        for seed in (0, 1)
    ]
    flops = sum(model["labels"]["flops"] for model in models) / 2
    assert f'<td class="n">{flops:.3g}</td>' in page
    assert "recipe/gone and 8 more</th><td>waiting" in page  # one line for all behind the damaged source
    for words in ("two-stage", rank["verdict"].split(" by ")[0], "train the first recipe of stage 2", "source/gone",
                  "How many recipes to keep after the first stage", "Benchmarks’ texts in the sources",
                  f"Contamination: {plan['kept'][0]}: "):  # fmt: skip
        assert words in page


def test_after_kills_the_numbers_are_those_of_an_undisturbed_run(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every loss of every model, to the last bit; of one worker, where the killed run had two."""
    other = _shrunken(tmp_path / "study")
    assert rbridge(capsys, "study", "run", other, "--workers", 1).status == 1

    def losses(file: Path) -> dict[tuple[Any, ...], list[list[float]]]:
        runs = read_runs(file.parent / "results/runs")
        return {
            (run.manifest.labels.recipe, run.manifest.labels.size, run.manifest.labels.seed): [
                one.tokens.nll.tolist() for one in run.scored()
            ]
            for run in runs
        }

    assert losses(place) == losses(other)
    assert len(losses(place)) == 3 * 2 + 2
    assert (place.parent / "results/plan.json").read_text() == (
        other.parent / "results/plan.json"
    ).read_text()


def test_what_is_mended_is_done_and_nothing_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The missing source appears: its recipe is trained and ranked, the others' models are kept."""
    proxies = place.parent / "results/proxies"
    before = {file: file.stat().st_mtime_ns for file in proxies.glob("*/*/*/training.json")}
    (place.parent / "sources/gone.jsonl").write_text('{"text": "so 2 + 3 = 5. then add"}\n' * 3000)
    result = rbridge(capsys, "study", "run", place, "--workers", 1)
    assert result.status == 0, result.err[-2000:]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert (proxies / "gone/50k/seed-1/training.json").exists()
    assert "gone" in (place.parent / "results/rank.json").read_text()


def test_a_declaration_is_not_changed_after_the_first_score(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another margin, once scores exist, is refused."""
    text = place.read_text()
    place.write_text(text.replace("margin: 0.01", "margin: 0.2"))
    try:
        result = rbridge(capsys, "study", "run", place)
    finally:
        place.write_text(text)
    assert result.status == 1
    assert "declares margin 0.2" in result.err
    assert "a declaration comes before the first score" in result.err


def _example(folder: Path) -> Path:
    """The example of docs/studies.md with the files that it names, and less of everything."""
    text = (DOCS / "studies.md").read_text().split("```yaml\n")[1].split("```")[0]
    study = yaml.safe_load(text)
    write_study(folder)
    for name, other in (("maths", "right"), ("web", "other"), ("code", "noise")):
        (folder / f"{other}.jsonl").rename(folder / f"{name}.jsonl")
    (folder / "bundle").rename(folder / "traces")
    rows = [("more-maths", 0.7), ("some-maths", 0.4), ("web-and-code", 0.2)]
    (folder / "targets.csv").write_text(
        "recipe,benchmark,accuracy\n" + "".join(f"{name},tiny,{value}\n" for name, value in rows)
    )
    (folder / "study.yaml").write_text(text)
    read_study(folder / "study.yaml")  # as it stands
    study["proxies"] |= {"sizes": ["50k"], "seeds": [0], "tokens": "3k", "window": 128, "learning_rate": 0.01}
    study["tokenizer"] |= {"vocab_size": 300, "sample_chars": 20_000}
    study["report"] |= {"null_bytes": 2000}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml"


def test_the_example_of_the_page_runs_job_by_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Known targets are held against the score; a recipe of a leaked source is not trained, and the page says why."""
    file = _example(tmp_path)
    traces = [json.loads(line) for line in (tmp_path / "traces.jsonl").read_text().splitlines()]
    with (tmp_path / "web.jsonl").open("a") as web:
        for one in traces:
            web.write(json.dumps({"text": f"{one['question']} A: {one['reasoning']}"}) + "\n")
    assert rbridge(capsys, "study", "run", file, "--emit", tmp_path / "jobs.jsonl").status == 0
    statuses = {}
    for line in (tmp_path / "jobs.jsonl").read_text().splitlines():
        job = json.loads(line)
        statuses[job["id"]] = rbridge(capsys, *job["argv"][1:]).status
    own = (
        "recipe/web-and-code",
        "null/web-and-code",
        "train/50k/web-and-code/seed-0",
        "score/50k/web-and-code/seed-0",
    )
    assert {name for name, status in statuses.items() if status} == set(own)
    status = rbridge(capsys, "study", "status", file)
    assert status.status == 1
    assert "100.0% of the questions of tiny stand in its source web" in status.out
    (group,) = json.loads((tmp_path / "results/rank.json").read_text())["groups"]
    assert group["agreement"]["n_recipes"] == 2
    assert {row["recipe"]: row["target"] for row in group["order"]} == {"more-maths": 0.7, "some-maths": 0.4}
    assert json.loads((tmp_path / "results/fit.json").read_text())["groups"][0]["n"] == 2
    page = (tmp_path / "results/report.html").read_text()
    assert "and the study refuses more than 20.0%" in page
    assert "Curves from score to target" in page
    again = rbridge(capsys, "study", "run", file, "--only", "recipe/more-math")
    assert "no such unit; did you mean 'recipe/more-maths'?" in again.err


def test_targets_of_the_study_s_own_are_trained_and_evaluated(tmp_path: Path) -> None:
    """Larger models answer the problems; their accuracies are the table that the scores are held against."""
    traces = write_study(tmp_path).parent / "traces.jsonl"
    rows = [json.loads(line) for line in traces.read_text().splitlines()]
    problems = [
        {"benchmark": "tiny", **{key: row[key] for key in ("problem_id", "question", "answer")}}
        for row in rows
    ]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems[:3]))
    ladder = {"sizes": ["100k"], "tokens": "3k", "window": 128, "learning_rate": 0.01}
    file = write_study(
        tmp_path,
        scoring={"limit": 3},
        targets={"train": ladder, "questions": "problems.jsonl", "max_tokens": 4},
        report={"null_bytes": 0},
    )
    _run_whole(file)
    with (tmp_path / "results/targets.csv").open() as lines:
        table = {row["recipe"]: row for row in csv.DictReader(lines)}
    assert sorted(table) == ["mostly", "others", "some"]
    assert {row["accuracy_n"] for row in table.values()} == {"3"}
    (group,) = json.loads((tmp_path / "results/rank.json").read_text())["groups"]
    assert {row["recipe"]: row["target"] for row in group["order"]} == {
        name: float(row["accuracy"]) for name, row in table.items()
    }
    assert group["group"] == {"benchmark": "tiny", "size": "50k"}


def test_late_checkpoints_are_scored_and_averaged(tmp_path: Path) -> None:
    """A recipe's value is the mean over its model's last two of three checkpoints, by hand from their runs."""
    ladder = {
        "sizes": ["50k"],
        "tokens": "7k",
        "window": 128,
        "learning_rate": 0.01,
        "checkpoints": 3,
    }
    file = write_study(tmp_path, proxies=ladder, scoring={"last": 2}, report={"null_bytes": 0, "heat": ["0"]})
    _run_whole(file)
    values: dict[str, dict[int, float]] = {}
    for scored in read_runs(tmp_path / "results/runs"):
        labels = scored.manifest.labels
        scores = list(item_values(scored, "rbridge").values())
        values.setdefault(str(labels.recipe), {})[int(str(labels.step))] = float(np.mean(scores))
    (group,) = json.loads((tmp_path / "results/rank.json").read_text())["groups"]
    for row in group["order"]:
        steps = sorted(values[row["recipe"]])
        kept = sorted(
            int(step.name.removeprefix("step-"))
            for step in (tmp_path / f"results/proxies/{row['recipe']}/50k/seed-0").glob("step-*")
        )
        assert len(kept) == 3
        assert steps == kept[1:]
        assert row["value"] == pytest.approx(np.mean(list(values[row["recipe"]].values())), abs=1e-12)
    first = tmp_path / f"results/proxies/{group['order'][0]['recipe']}/50k/seed-0"
    with pytest.raises(InputError, match=r"3 checkpoints are there, and scoring\.last averages 4"):
        last_checkpoints(first / f"step-{kept[-1]}", 4)
