"""A study of recipes that anneal one shared checkpoint: sizes [base]."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rbridge.proxies.train_ladder import plan_ladder, train_ladder
from rbridge.recipes import read_recipes
from rbridge.study.answer import declare
from rbridge.study.base import num_parameters
from rbridge.study.execute import execute
from rbridge.study.read import read_study
from rbridge.study.steps import work_of
from tests.commands import rbridge
from tests.ladders import SETTINGS, TINY, write_recipes
from tests.studies import write_study

SIZE = dataclasses.replace(TINY, window=256)  # long enough for the traces


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two annealing mixes, and of a third that goes on from the first, on one base; run to its end."""
    folder = tmp_path_factory.mktemp("annealing")
    torch.set_num_threads(1)
    recipes = read_recipes(write_recipes(folder / "texts")).only(["heap"])
    settings = dataclasses.replace(SETTINGS, checkpoints=1)
    planned = plan_ladder(recipes, [SIZE], [0], folder / "ladder", settings, progress=lambda _: None)
    [trained] = train_ladder(planned, progress=lambda _: None, devices={"use_cpu": True})
    shutil.copytree(trained.checkpoints[-1], folder / "base")

    def recipe(base: dict[str, str], source: str) -> dict[str, Any]:
        schedule = {"kind": "linear", "peak": 0.003}
        return {"base": base, "phases": [{"mix": {source: 1}, "tokens": "1k", "schedule": schedule}]}

    file = write_study(
        folder,
        recipes={
            "on-right": recipe({"checkpoint": "base"}, "right"),
            "on-noise": recipe({"checkpoint": "base"}, "noise"),
            "further": recipe({"recipe": "on-right"}, "other"),
        },
        tokenizer="base",
        proxies={"sizes": ["base"], "seeds": [0], "window": 128},
        report={"null_bytes": 0},
    )
    work = work_of(read_study(file))
    declare(read_study(file), work.ledger, work.graph, now=datetime.now(UTC))
    for name in work.graph.units:
        execute(work, name)
    return file


def test_recipes_are_compared_as_changes_of_their_base(place: Path) -> None:
    """All is done; each goes on from the base's tokens, and 'further' from those of the recipe below it."""
    work = work_of(read_study(place))
    assert {one.reason for one in work.survey().values() if one.state != "done"} == set()
    before = json.loads((place.parent / "base/rbridge.json").read_text())
    labels = {
        name: work.ledger.found(f"train/base/{name}/seed-0")["labels"]
        for name in ("on-right", "on-noise", "further")
    }
    assert {one["size"] for one in labels.values()} == {"base"}
    own = {name: one["tokens"] - before["tokens"] for name, one in labels.items()}
    assert all(abs(own[name] - 1000) <= 64 for name in ("on-right", "on-noise"))
    assert abs(own["further"] - own["on-right"] - 1000) <= 64
    (group,) = json.loads((place.parent / "results/rank.json").read_text())["groups"]
    assert group["group"] == {"benchmark": "tiny", "size": "base"}
    assert {row["recipe"] for row in group["order"]} == set(labels)
    page = (place.parent / "results/report.html").read_text()
    assert "100% right" in page


def test_a_plan_counts_the_flops_of_a_base(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """6ND with the parameters that its weights' headers give, which are those of the shape."""
    parameters = SIZE.parameters(300)
    assert num_parameters(place.parent / "base") == parameters
    result = rbridge(capsys, "study", "run", place, "--dry-run", "--json")
    assert result.status == 0, result.err
    flops = {unit["id"]: unit["flops"] for unit in result.document["units"]}
    assert flops["train/base/on-noise/seed-0"] == 6 * parameters * 1000


def test_another_base_at_the_same_place_redoes_what_stands_on_it(place: Path) -> None:
    """Its bytes decide, not its name; scores, not the tokens of the sources, are made again."""
    weights = place.parent / "base/model.safetensors"
    before = {name: one.key for name, one in work_of(read_study(place)).survey().items()}
    kept = weights.read_bytes()
    changed = load_file(weights)
    changed["model.norm.weight"] += 0.5
    save_file(changed, weights, metadata={"format": "pt"})
    try:
        after = {name: one.key for name, one in work_of(read_study(place)).survey().items()}
    finally:
        weights.write_bytes(kept)
    redone = {name for name in before if before[name] != after[name]}
    assert {name for name in before if name.startswith("train/")} <= redone
    assert {name.partition("/")[0] for name in redone} <= {"train", "score", "rank", "report"}
