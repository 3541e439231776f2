"""A study file is checked whole before anything starts; what a change of it redoes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rbridge.errors import InputError
from rbridge.study.build import build_graph
from rbridge.study.emit import emit, job_lines
from rbridge.study.execute import survey_of
from rbridge.study.forecast import forecast
from rbridge.study.ledger import Ledger, Record
from rbridge.study.read import read_study
from rbridge.study.units import Graph, Unit
from tests.commands import rbridge
from tests.studies import write_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources and traces that all these studies read."""
    return write_study(tmp_path_factory.mktemp("study")).parent


_PLAN = {
    "stage1_accuracy": 0.76,
    "stage2_accuracy": 0.87,
    "target_cost": "1Mx100M",
    "stage2": {"sizes": ["100k"], "tokens": "3k"},
}


_OTHERS = {name: {"jsonl": f"{name}.jsonl"} for name in ("other", "noise")}


def _based(checkpoint: str) -> dict[str, Any]:
    """Two recipes that anneal a checkpoint on other text each."""
    return {
        f"on-{source}": {
            "base": {"checkpoint": checkpoint},
            "phases": [{"mix": {source: 1}, "tokens": "1k"}],
        }
        for source in ("right", "noise")
    }


@pytest.mark.parametrize(
    ("changes", "line", "message"),
    [
        ({"nmae": "x"}, "nmae: x", "unknown key 'nmae'; did you mean 'name'?"),
        ({"name": None}, None, "name is missing: add it"),
        ({"proxies": {"size": ["50k"]}}, "size:", "unknown key 'size'; did you mean 'sizes'? (and 1 more)"),
        ({"proxies": {"sizes": ["51k"]}}, "- 51k", "no size '51k'; did you mean '50k'?"),
        ({"proxies": {"sizes": ["base"]}}, "- base", "no recipe has one; expected a size of the ladder"),
        (
            {"proxies": {"sizes": ["50k"], "seeds": [-1]}},
            "- -1",
            "seeds.0 is -1; expected greater than or equal to 0",
        ),
        (
            {"proxies": {"sizes": ["50k"], "tokens": "3 apples"}},
            "tokens: 3 apples",
            "expected a count such as 400M",
        ),
        ({"proxies": {"sizes": ["50k"], "learning_rate": "smal"}}, "learning_rate", "did you mean small?"),
        ({"bundle": "nowhere"}, "bundle: nowhere", "nowhere"),
        ({"scoring": {"last": 2}}, "last: 2", "proxies keeps 1: add 'checkpoints: 2' there"),
        ({"benchmarks": ["tinny"]}, "- tinny", "holds no trace of 'tinny'; did you mean 'tiny'?"),
        (
            {"tokenizer": {"sources": ["rigt"], "vocab_size": 300}},
            "- rigt",
            "no source 'rigt'; did you mean 'right'?",
        ),
        ({"tokenizer": "./none"}, "tokenizer:", "no such folder; expected a tokenizer, or a hub name"),
        (
            {"recipes": {"a": {"phases": [{"mix": {"right": 1}}]}}},
            "recipes:",
            "expected 2 or more to choose among",
        ),
        ({"recipes": "none.yaml"}, "recipes: none.yaml", "none.yaml"),
        (
            {"recipes": {"a": {"phases": [{"mixx": {"right": 1}}]}, "b": {"phases": []}}},
            "mixx",
            "did you mean 'mix'?",
        ),
        (
            {"recipes": {n: {"phases": [{"mix": {mix: 1}}]} for n, mix in (("a", "right"), ("b", "rihgt"))}},
            "rihgt: 1",
            "did you mean 'right'?",
        ),
        (
            {"declaration": {"metric": "rbrigde", "decision": "x", "margin": 0}},
            "metric:",
            "did you mean 'rbridge'?",
        ),
        ({"declaration": {"metric": "rbridge", "decision": "x", "margin": -1}}, "margin:", "or equal to 0"),
        (
            {"declaration": {"metric": "question_margin", "decision": "x", "margin": 0}},
            "metric:",
            "add 'margin: true' under scoring",
        ),
        (
            {"targets": {"table": "none.csv"}},
            "table:",
            "no such file; expected a CSV with recipe and accuracy",
        ),
        (
            {"targets": {"train": {"sizes": ["1M", "500k"]}}},
            "targets:",
            "targets are trained at one size, found 2",
        ),
        ({"plan": {**_PLAN, "stage2": {"sizes": ["50k"]}}}, "- 50k", "expected each in one ladder"),
        ({"plan": {**_PLAN, "keep": 4}}, "keep: 4", "keeps 4 of 3 recipes"),
        (
            {"plan": {**_PLAN, "target_cost": "lots"}},
            "target_cost:",
            "expected FLOPs (1.3e16) or PARAMETERSxTOKENS",
        ),
        ({"report": {"heat": ["tiny/99"]}}, "- tiny/99", "tiny/99"),
        (
            {"sources": {"right": {"jsonl": "rihgt.jsonl"}, **_OTHERS}},
            "right:",
            "rihgt.jsonl: no such file; expected a path",
        ),
        (
            {"sources": {"right": {"jsonl": "right.jsonl", "field": "body"}, **_OTHERS}},
            "right:",
            "no text under 'body' (found text); name the key with 'field'",
        ),
        (
            {"proxies": {"sizes": ["50k"], "seeds": ["one"]}},
            "- one",
            "seeds.0 is 'one'; expected a valid integer",
        ),
        (
            {"proxies": {"sizes": ["50k"], "seeds": "0,1"}},
            "seeds:",
            "proxies.seeds is '0,1'; expected a list, such as [0,1]",
        ),
        ({"proxies": {"sizes": "50k"}}, "sizes:", "sizes is '50k'; expected a list, such as [50k]"),
        (
            {"proxies": {"sizes": ["50k"], "seeds": [1, 2, 1]}},
            "seeds:",
            "1 comes twice; expected each seed once",
        ),
        ({"proxies": ["50k"]}, "proxies:", "proxies is ['50k']; expected keys with values"),
        (
            {"name": "my study"},
            "name: my study",
            "name is 'my study'; expected letters, digits, and any of . _ + -",
        ),
        (
            {
                "recipes": {
                    "a b": {"phases": [{"mix": {"right": 1}}]},
                    "b": {"phases": [{"mix": {"noise": 1}}]},
                }
            },
            "a b:",
            "expected letters, digits, and any of . _ + -",
        ),
        (
            {"recipes": {n: {"phases": {"mix": {"right": 1}}} for n in "ab"}},
            "phases:",
            "phases is {'mix': {'right': 1}}; expected a list (and 1 more)",
        ),
        (
            {"recipes": _based("gone/at/all"), "proxies": {"sizes": ["base"]}},
            "checkpoint: gone/at/all",
            "gone/at/all: no such folder; expected a checkpoint",
        ),
        (
            {"recipes": _based("bundle"), "proxies": {"sizes": ["base"]}},
            "checkpoint: bundle",
            "no config.json; expected a checkpoint",
        ),
        (
            {"recipes": _based("owner/name"), "proxies": {"sizes": ["base"]}},
            "tokenizer:",
            "reads with a tokenizer of its own: expected tokenizer: owner/name",
        ),
        (
            {
                "recipes": _based("owner/name"),
                "proxies": {"sizes": ["base"]},
                "targets": {"train": {"sizes": ["base"]}},
            },
            "- base",
            "targets of recipes that start from a checkpoint are given as a table",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    folder: Path, changes: dict[str, Any], line: str | None, message: str
) -> None:
    """File, line, what was found, what was expected; the line is the last that holds the words."""
    file = write_study(folder, **changes)
    lines = file.read_text().splitlines()
    first = line is not None and line.startswith(("checkpoint:", "right:", "phases:"))  # recipes say it too
    number = (
        1
        if line is None
        else (min if first else max)(at for at, text in enumerate(lines, start=1) if line in text)
    )
    with pytest.raises(InputError) as raised:
        read_study(file)
    told = str(raised.value)
    assert told.startswith(f"{file}:{number}: "), told
    assert message in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", ":2: key 'name' comes twice"),
        ("name: [a\n", ": no YAML"),
        ("- a\n", ":1: holds a list; expected keys with values"),
        ("null: 1\n", ":1: "),
    ],
)
def test_what_is_no_study_is_told(tmp_path: Path, text: str, message: str) -> None:
    """Broken YAML, a list, a key that YAML does not read as text."""
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"s\.yaml") as raised:
        read_study(file)
    assert message in str(raised.value)


def test_targets_must_be_those_of_the_recipes(folder: Path) -> None:
    """A table of other names, or without the column."""
    (folder / "t.csv").write_text("recipe,accuracy\nmostly,0.5\nunknown,0.2\n")
    with pytest.raises(InputError, match="has the targets of 1 of the study's recipes; expected 2 or more"):
        read_study(write_study(folder, targets={"table": "t.csv"}))
    with pytest.raises(InputError, match="has no column 'acuracy'; did you mean 'accuracy'"):
        read_study(write_study(folder, targets={"table": "t.csv", "column": "acuracy"}))


def test_recipes_may_stand_in_files_of_their_own(folder: Path) -> None:
    """Seen from the file, with its sources; a name twice is refused."""
    own = {
        "sources": {"more": {"jsonl": "noise.jsonl"}},
        "recipes": {name: {"phases": [{"mix": {"more": 1}}]} for name in ("x", "y")},
        "target_tokens": "1B",
    }
    (folder / "recipes.yaml").write_text(yaml.safe_dump(own))
    tokenizer = {"sources": ["more"], "vocab_size": 300}
    found = read_study(write_study(folder, recipes="recipes.yaml", sources=None, tokenizer=tokenizer))
    assert sorted(found.recipes.recipes) == ["x", "y"]
    assert found.recipes.sources["more"].paths == (str(folder / "noise.jsonl"),)
    assert found.recipes.target_of("x") == 10**9
    twice = write_study(folder, recipes=["recipes.yaml", "recipes.yaml"], sources=None, tokenizer=tokenizer)
    with pytest.raises(InputError, match="recipe 'x' is another file's too: rename one"):
        read_study(twice)


def _keys(file: Path) -> dict[str, str]:
    study = read_study(file)
    graph = build_graph(study)
    return {name: place.key for name, place in survey_of(graph, Ledger(study.out)).items()}


def _redone(folder: Path, **changes: Any) -> set[str]:
    """Units whose keys another study has, or that it has not."""
    before, after = _keys(write_study(folder)), _keys(write_study(folder, **changes))
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_change_redoes_only_what_depends_on_it(folder: Path) -> None:
    """A recipe, a seed, the score's settings, the page's title."""
    recipes = {
        "mostly": {"phases": [{"mix": {"right": 80, "noise": 20}}]},
        "some": {"phases": [{"mix": {"right": 31, "noise": 69}}]},
        "others": {"phases": [{"mix": {"other": 60, "noise": 40}}]},
    }
    own = {"null/some", "train/50k/some/seed-0", "score/50k/some/seed-0"}
    assert _redone(folder, recipes=recipes) == own | {"report"}
    assert _redone(folder, report={"null_bytes": 2000, "title": "Another"}) == {"report"}
    assert _redone(folder, scoring={"limit": 3}) == {
        *(f"score/50k/{name}/seed-0" for name in ("mostly", "some", "others")),
        *(f"null/{name}" for name in ("mostly", "some", "others")),
        *(f"source/{name}" for name in ("right", "other", "noise")),
        *(f"recipe/{name}" for name in ("mostly", "some", "others")),
    }
    assert _redone(folder, contamination={"refuse_above": 0.5}) == {
        *(f"recipe/{name}" for name in ("mostly", "some", "others")),
        "rank",
        "report",
    }


def test_a_changed_source_is_another_source(folder: Path) -> None:
    """By its bytes, not by its date; the tokenizer that reads it is made again, and with it every model."""
    before = _keys(write_study(folder))
    file = folder / "other.jsonl"
    os.utime(file, (1, 1))
    assert _keys(folder / "study.yaml") == before
    text = file.read_text()
    file.write_text(text + json.dumps({"text": "one more"}) + "\n")
    try:
        after = _keys(folder / "study.yaml")
    finally:
        file.write_text(text)
    assert {name for name in before if before[name] != after[name]} == {
        "source/other", "tokens/other", "recipe/others", "null/others", "train/50k/others/seed-0",
        "score/50k/others/seed-0",
    }  # fmt: skip


def test_the_second_stage_stands_behind_the_plan(folder: Path) -> None:
    """Its models are not the plan's: another plan with the same survivors trains none again."""
    graph = build_graph(read_study(write_study(folder, plan=_PLAN)))
    large = graph.units["train/100k/mostly/seed-0"]
    assert "plan" in large.after
    assert "plan" not in large.needs
    assert set(graph.units["plan"].wants) == {
        f"score/50k/{name}/seed-0" for name in ("mostly", "some", "others")
    }
    assert "score/100k/mostly/seed-0" in graph.units["rank"].wants


def test_a_base_is_trained_before_what_stands_on_it(folder: Path) -> None:
    """And whether it survives the plan or not."""
    recipes = {
        "annealed": {"base": {"recipe": "plain"}, "phases": [{"mix": {"right": 1}, "tokens": "1k"}]},
        "plain": {"phases": [{"mix": {"noise": 1}}]},
    }
    graph = build_graph(read_study(write_study(folder, recipes=recipes, plan=_PLAN)))
    assert graph.units["train/100k/annealed/seed-0"].needs == ("tokenizer", "train/100k/plain/seed-0")
    assert "plan" not in graph.units["train/100k/plain/seed-0"].after


def test_jobs_name_every_unit_behind_what_it_depends_on(folder: Path, tmp_path: Path) -> None:
    """A line a unit; the Slurm array and the Kubernetes Job run the line of their index, and only that."""
    study = read_study(write_study(folder, plan=_PLAN))
    graph = build_graph(study)
    jobs, sbatch, kubernetes = emit(study, graph, tmp_path / "jobs.jsonl")
    lines = [json.loads(line) for line in jobs.read_text().splitlines()]
    assert lines == job_lines(study, graph)
    assert [line["id"] for line in lines] == list(graph.units)
    for number, line in enumerate(lines):
        assert line["index"] == number
        assert set(line["depends_on"]) <= {one["id"] for one in lines[:number]}
        assert line["argv"] == ["rbridge", "study", "run", str(study.path), "--only", line["id"], "--wait"]
    told = tmp_path / "bin"
    told.mkdir()
    (told / "rbridge").write_text('#!/bin/sh\necho "$@"\n')
    (told / "rbridge").chmod(0o755)
    environment = {"PATH": f"{told}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "3", "OFFSET": "2"}
    assert f"#SBATCH --array=0-{len(lines) - 1}%8" in sbatch.read_text()
    done = subprocess.run(["bash", str(sbatch)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == lines[5]["argv"][1:]
    job = yaml.safe_load(kubernetes.read_text())
    assert job["spec"]["completions"] == len(lines)
    assert job["spec"]["completionMode"] == "Indexed"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = [
        sys.executable if part == "python3" else part.replace("$(JOB_COMPLETION_INDEX)", "4")
        for part in container["command"]
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == lines[4]["argv"][1:]


def test_a_forecast_is_hand_arithmetic(tmp_path: Path) -> None:
    """Two workers, units of known FLOPs: first by the assumed speed, then by a measured one."""
    units = [
        Unit("t", "tokenizer"),
        *(Unit(f"train/{n}", "train", {}, ("t",), flops=1e9, disk=5) for n in "abc"),
        Unit("rank", "rank", wants=("train/a", "train/b", "train/c")),
    ]
    graph = Graph.of(units)
    ledger = Ledger(tmp_path)
    places = survey_of(graph, ledger)
    cast = forecast(places, ledger.record, workers=2, speed=1e8, kept=None)
    # The tokenizer alone 5 s; two of three models at once, 15 s each, so two rounds; the ranking 5 s.
    assert (cast.flops, cast.disk, cast.seconds) == (3e9, 15, 5 + 15 + 15 + 5)
    assert "assumed" in cast.basis
    ledger.begin(graph.units["t"], places["t"].key, ())
    ledger.done(graph.units["t"], places["t"].key, (), found={}, seconds=1.0)
    ledger.begin(graph.units["train/a"], places["train/a"].key, ())
    ledger.done(graph.units["train/a"], places["train/a"].key, (), found={}, seconds=4.0)
    cast = forecast(survey_of(graph, ledger), ledger.record, workers=2, speed=1e8, kept=None)
    assert (cast.flops, cast.seconds) == (2e9, 4 + 5)
    assert cast.basis.startswith("train 2.5e+08 FLOPs a second (measured, n = 1)")
    assert isinstance(ledger.record("train/a"), Record)


def test_a_dry_run_prints_the_plan_and_does_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Units, FLOPs by hand, time, disk, and for how many survivors."""
    file = write_study(folder, plan=_PLAN, out="dry")
    result = rbridge(capsys, "study", "run", file, "--dry-run", "--json", "--workers", 2)
    assert result.status == 0
    document = result.document
    flops = {unit["id"]: unit["flops"] for unit in document["units"]}
    # 300 ids of 20 weights, two layers of 16 x 20^2 weights and two gains, one more gain.
    parameters = 300 * 20 + 2 * (16 * 20**2 + 2 * 20) + 20
    assert flops["train/50k/some/seed-0"] == 6 * parameters * 3000
    assert document["plan_keeps"] in (1, 2, 3)
    assert document["forecast"]["seconds"] > 0
    assert rbridge(capsys, "study", "run", file, "--dry-run").out.count("assumed") == 1
    assert not (folder / "dry").exists()
