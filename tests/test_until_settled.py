"""rbridge score --until-settled: rounds on real small models, kept, completed, never taken for the whole."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rbridge.answers.joined import run_rows
from rbridge.cli import run
from rbridge.errors import IncomparableRuns
from rbridge.scoring.engine import Engine
from rbridge.scoring.settle import drawn_order
from tests.checkpoints import build
from tests.commands import Result, rbridge
from tests.scoring import losses_of

TRACES = 120


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints that hardly differ and one that does, 120 traces."""
    folder = tmp_path_factory.mktemp("settle")
    build("gpt2", folder / "a")
    weights = load_file(folder / "a" / "model.safetensors")
    torch.manual_seed(0)
    for name, noise in (("b", 1e-4), ("far", 0.3)):
        shutil.copytree(folder / "a", folder / name)
        changed = {key: value * (1 + noise * torch.randn_like(value)) for key, value in weights.items()}
        save_file(changed, folder / name / "model.safetensors", metadata={"format": "pt"})
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"{i}?",
            "reasoning": f"So {i * 7919 % 1000} it is.",
        }
        for i in range(TRACES)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    names = [place / "a", place / "b", place / "far"]
    return rbridge(capsys, "score", *names, "--traces", place / "bundle", "--shots", 0, "-o", out, *more)


def test_a_clear_recipe_drops_out_and_a_later_sweep_scores_only_the_rest(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every trace of every checkpoint is read once in all, and the numbers are those of one plain sweep."""
    read: list[str] = []
    real = Engine.losses

    def losses(self: Engine, batch: list) -> list:
        read.extend(item.key.problem_id for item in batch if item.key.benchmark == "mine")
        return real(self, batch)

    monkeypatch.setattr(Engine, "losses", losses)
    out = tmp_path / "runs"
    result = _score(capsys, place, out, "--until-settled", 0.95, "--json")
    assert result.status == 0, result.err
    settled = json.loads(result.out)["settled"]
    assert settled["metric"] == "trace_nll"
    assert "other seeds" in settled["conditional_on"]
    assert settled["num_traces"] == len(read) < settled["num_all"] == 3 * TRACES
    assert settled["saving"] == settled["num_all"] / settled["num_traces"]
    (group,) = settled["groups"]
    rows = {Path(row["recipe"]).name: row for row in group["order"]}
    assert rows["far"]["num_problems"] < TRACES
    assert rows["far"]["tied_with"] == []
    assert group["pairs"]["told"] >= 2

    # What is there in part is not ranked as if it were whole.
    names = [str(place / name) for name in rows]
    (tmp_path / "mix.csv").write_text("recipe,web\n" + "".join(f"{name},1\n" for name in names))
    (tmp_path / "t.csv").write_text(
        "recipe,benchmark,value\n" + "".join(f"{name},mine,1\n" for name in names)
    )
    for command in (
        f"rank {out} --proxy trace_nll",
        f"export {out} {tmp_path}/x.csv --proxy trace_nll --to regmix --mixtures {tmp_path}/mix.csv",
        f"fit {out} --proxy trace_nll --target value --targets {tmp_path}/t.csv",
        f"plan next {out} --proxy trace_nll",
        f"report {out} -o {tmp_path}/page.html",
        f"runs merge {out} -o {tmp_path}/merged",
    ):
        refused = rbridge(capsys, *command.split())
        assert refused.status == 1
        assert "were scored in part" in refused.err
    with pytest.raises(IncomparableRuns, match="were scored in part"):  # what predict reads
        run_rows(out, "trace_nll")
    assert "they are not shown here" in rbridge(capsys, "show", out).err

    assert _score(capsys, place, out).status == 0
    assert Counter(read) == {str(i): 3 for i in range(TRACES)}
    assert rbridge(capsys, "rank", out, "--proxy", "trace_nll").status == 0

    monkeypatch.undo()
    assert _score(capsys, place, tmp_path / "plain").status == 0
    ours, plain = losses_of(out), losses_of(tmp_path / "plain")
    assert ours.keys() == plain.keys()
    for key, values in plain.items():
        assert ours[key] == pytest.approx(values, abs=5e-5)


def test_a_margin_of_indifference_settles_what_hardly_differs(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One round is enough, and the two are tied."""
    result = _score(capsys, place, tmp_path, "--until-settled", 0.95, "--indifference", 0.05, "--json")
    settled = json.loads(result.out)["settled"]
    (group,) = settled["groups"]
    assert group["pairs"] == {"told": 2, "alike": 1, "open": 0}
    assert settled["num_rounds"] == 1
    rows = {Path(row["recipe"]).name: row for row in group["order"]}
    assert rows["a"]["tied_with"] == [str(place / "b")]
    assert not list(tmp_path.glob("*/manifest.json"))
    assert all(one["num_problems"] == 64 for one in group["order"])


def test_the_table_says_what_it_rests_on(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many traces, the factor, for which checkpoints."""
    result = _score(capsys, place, tmp_path, "--until-settled", 0.95, "--top", 2)
    assert result.status == 0
    text = " ".join(result.out.split())
    assert "192 of 360 readings of a trace, 1.9 times fewer" in text
    assert "for these checkpoints" in text
    assert "out" in text


def test_a_checkpoint_that_cannot_be_scored_leaves_the_order_of_the_others(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, the exit status is 1, and the rest is settled."""
    shutil.copytree(place / "a", tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    names = [place / "a", place / "far", tmp_path / "broken"]
    result = rbridge(
        capsys, "score", *names, "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "runs",
        "--until-settled", 0.95, "--json",
    )  # fmt: skip
    assert result.status == 1
    assert "broken" in result.err
    (group,) = json.loads(result.out)["settled"]["groups"]
    assert group["pairs"] == {"told": 1, "alike": 0, "open": 0}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--until-settled", 1.5], "expected a level from 0.5 to below 1"),
        (["--until-settled", 0.9, "--indifference", -1], "expected 0 or more"),
        (["--until-settled", 0.9, "--top", 0], "expected 1 or more"),
        (["--top", 1], "--top goes with --until-settled"),
        (["--indifference", 0.1], "--indifference goes with --until-settled"),
        (["--until-settled", 0.9, "--shard", "0/2"], "does not go with --shard"),
    ],
)
def test_wrong_options_are_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[object], message: str
) -> None:
    """One line each, before anything is scored."""
    result = _score(capsys, place, tmp_path, *more)
    assert result.status == 1
    assert message in result.err


def test_a_recipe_twice_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two sizes or steps of one recipe are no two recipes."""
    labels = tmp_path / "labels.csv"
    rows = [f"{place / name},{recipe}" for name, recipe in (("a", "x"), ("b", "x"), ("far", "y"))]
    labels.write_text("\n".join(["checkpoint,recipe", *rows]))
    result = _score(capsys, place, tmp_path / "runs", "--until-settled", 0.95, "--labels", labels)
    assert result.status == 1
    assert "are both recipe 'x'" in result.err


def test_seeds_of_a_recipe_are_averaged(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two recipes of three checkpoints."""
    labels = tmp_path / "labels.csv"
    rows = [
        f"{place / name},{recipe},{seed}"
        for name, recipe, seed in (("a", "x", 1), ("b", "x", 2), ("far", "y", 1))
    ]
    labels.write_text("\n".join(["checkpoint,recipe,seed", *rows]))
    result = _score(capsys, place, tmp_path / "runs", "--until-settled", 0.95, "--labels", labels, "--json")
    settled = json.loads(result.out)["settled"]
    (group,) = settled["groups"]
    assert {row["recipe"] for row in group["order"]} == {"x", "y"}
    assert group["pairs"]["told"] == 1
    assert settled["num_all"] == 3 * TRACES


def test_the_order_of_traces_is_the_bundles() -> None:
    """The same for every checkpoint and every selection of them; another bundle has another."""
    names = [str(i) for i in range(50)]
    order = drawn_order(names, "mine", "abc")
    assert sorted(order) == sorted(names)
    assert order != names
    assert drawn_order(names[::2], "mine", "abc") == [name for name in order if name in names[::2]]
    assert drawn_order(names, "mine", "abd") != order
