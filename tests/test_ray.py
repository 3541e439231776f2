"""rbridge score --ray: a real cluster of two workers on this machine, one killed; what is refused and given up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from rbridge import cluster
from rbridge.cluster import Lost, on_cluster
from rbridge.errors import InputError
from rbridge.records import Labels
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.on_ray import Spread, score_on_ray, scorer
from rbridge.scoring.settings import ScoreSettings
from rbridge.scoring.sweep import transformers_prepare
from rbridge.store.runs import read_runs
from rbridge.traces.named import open_bundle
from tests.commands import rbridge
from tests.scoring import losses_of, make_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four checkpoints that differ, a bundle of five traces."""
    folder = make_place(tmp_path_factory.mktemp("ray"))
    weights = load_file(folder / "gpt2" / "model.safetensors")
    for step in range(1, 5):
        shutil.copytree(folder / "gpt2", folder / f"step{step}")
        changed = {key: value * (1 + step / 100) for key, value in weights.items()}
        save_file(changed, folder / f"step{step}" / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_cluster_gives_what_one_process_gives(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two workers is killed in the middle of a checkpoint; Ray starts another, which goes on."""
    command = [sys.executable, "-m", "tests.raying", place]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == 0, done.stderr
    assert (place / "killed").exists()
    monkeypatch.chdir(place)
    one = rbridge(
        capsys,
        "score",
        "step*",
        "--traces",
        "bundle",
        "--shots",
        0,
        "--batch-tokens",
        1,
        "-o",
        "one",
        "--json",
    )
    told = json.loads(found["told"])["runs"]
    assert [run["checkpoint"] for run in told] == [f"step{step}" for step in range(1, 5)]
    assert [run["run"] for run in told] == [run["run"] for run in one.document["runs"]]
    spread, whole = losses_of(Path("ray")), losses_of(Path("one"))
    assert spread.keys() == whole.keys()
    for key, losses in whole.items():
        np.testing.assert_allclose(spread[key], losses, rtol=0, atol=5e-5)


def test_a_worker_scores_what_one_process_scores(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unit after unit; a unit that is done again, as after a lost answer, changes nothing; a bad one is told."""
    score = scorer(_spread(place, tmp_path / "ray"))
    names = [str(place / name) for name in ("gpt2", "llama")]
    outcomes = [score((Checkpoint(name, name), None)) for name in [*names, names[0]]]
    assert outcomes[0] == outcomes[2]
    assert all(failures == () for _, failures in outcomes)
    folder, (failure,) = score((Checkpoint("gone", str(tmp_path)), None))
    assert folder is None
    assert failure.checkpoint == "gone"

    given = ["--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "one"]
    assert rbridge(capsys, "score", *names, *given).status == 0
    assert losses_of(tmp_path / "ray") == losses_of(tmp_path / "one")


def _spread(place: Path, out: Path) -> Spread:
    settings = ScoreSettings(shots=0)
    return Spread(
        partial(open_bundle, str(place / "bundle")),
        str(out),
        settings,
        partial(transformers_prepare, settings, "float32"),
    )


class _Here:
    """Stands for Ray: a cluster whose only worker is this process; what it is told to lose is lost."""

    class RayError(Exception):
        pass

    class RayTaskError(RayError):
        pass

    resources: ClassVar[dict[str, float]] = {"CPU": 8.0}
    started: ClassVar[list[dict]] = []

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lost: tuple[int, ...] = ()) -> None:
        self.ray = ModuleType("ray")
        self.ray.init = lambda **given: self.started.append(given)
        self.ray.shutdown = lambda: None
        self.ray.cluster_resources = self.ray.available_resources = lambda: self.resources
        self.ray.remote = lambda **options: self._remote(options)
        util, exceptions = ModuleType("ray.util"), ModuleType("ray.exceptions")
        util.ActorPool = self._pool
        exceptions.RayError, exceptions.RayTaskError = self.RayError, self.RayTaskError
        for module in (self.ray, util, exceptions):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        self.lost = lost
        self.options: dict = {}
        self.num = 0

    def _remote(self, options: dict) -> Callable[[type], object]:
        self.options = options

        def kind(actor: type) -> object:
            found = ModuleType("actor")
            found.remote = actor
            return found

        return kind

    def _pool(self, actors: list) -> object:
        self.num = len(actors)
        pool, units = ModuleType("pool"), []
        pool.submit = lambda _, placed: units.append(placed)
        pool.has_next = lambda: bool(units)

        def get_next_unordered() -> object:
            number, unit = units.pop()
            if number in self.lost:
                raise self.RayError("The actor died.\nMore.")
            return actors[0].do(number, unit)

        pool.get_next_unordered = get_next_unordered
        return pool


def _half() -> Callable[[int], int]:
    def half(number: int) -> int:
        if number % 2:
            raise InputError(f"{number} is odd")
        return number // 2

    return half


def test_what_was_found_stands_in_the_order_of_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is done first; what Ray gave up, and an error in one line, stand for their unit alone."""
    _Here(monkeypatch, lost=(1,))
    told: list[int] = []
    found = on_cluster("auto", None, _half, [8, 6, 3, 2], told=lambda place, _: told.append(place))
    gone = Lost("given up after 3 retries; Ray says: The actor died.")
    assert found == [4, gone, Lost("3 is odd"), 1]
    assert told == [3, 2, 0, 1]


@pytest.mark.parametrize(
    ("resources", "workers", "expected"),
    [
        ({"CPU": 8.0}, None, (3, 0)),
        ({"CPU": 8.0}, 2, (2, 0)),
        ({"CPU": 2.0}, 5, (2, 0)),
        ({"CPU": 64.0, "GPU": 2.0}, None, (2, 1)),
        ({"CPU": 64.0, "GPU": 1.0}, 4, (1, 1)),
    ],
)
def test_a_worker_has_a_gpu_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
    resources: dict[str, float],
    workers: int | None,
    expected: tuple[int, int],
) -> None:
    """Never more workers than there is room for, or than there are units: three here."""
    here = _Here(monkeypatch)
    here.resources = resources
    assert on_cluster("auto", workers, _half, [2, 4, 6]) == [1, 2, 3]
    assert (here.num, here.options["num_gpus"]) == expected
    assert here.options["max_restarts"] == -1


def test_a_store_that_is_not_shared_is_told(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the workers wrote is not where this machine looks; labels reach them with their checkpoint."""
    _Here(monkeypatch)
    names = [str(place / "gpt2"), str(place / "llama")]
    spread = _spread(place, tmp_path / "runs")
    said: list[str] = []

    def progress(line: str) -> None:
        said.append(line)
        if line.startswith("[1/2]"):
            shutil.move(tmp_path / "runs", tmp_path / "elsewhere")

    swept = score_on_ray(
        "auto",
        None,
        [Checkpoint(name, name) for name in names],
        spread,
        labels={names[1]: Labels(recipe="mix")},
        progress=progress,
    )
    assert said == [f"[1/2] {names[1]}", f"[2/2] {names[0]}"]
    assert [run.manifest.checkpoint for run in swept.runs] == [names[0]]
    (failure,) = swept.failures
    assert failure.checkpoint == names[1]
    assert "does not share" in failure.reason
    (moved,) = read_runs(tmp_path / "elsewhere")
    assert moved.manifest.labels.recipe == "mix"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--workers", 2], "--workers goes with --ray"),
        (["--ray", "auto", "--workers", 0], "--workers 0: expected 1 or more"),
        (["--ray", "auto", "--shard", "0/2"], "--ray does not go with --shard"),
        (["--ray", "auto", "--watch"], "--ray does not go with --shard, --watch"),
        (
            ["--ray", "auto", "--verify", 1],
            "--ray does not go with --shard, --watch, --endpoint, --offline and --verify",
        ),
        (["--ray", "auto", "--until-settled", 0.95], "--until-settled does not go with --ray"),
        (["--ray", "auto"], "pip install 'rbridge[ray]'"),
    ],
)
def test_what_cannot_be_is_told(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[object],
    message: str,
) -> None:
    """One line each; the last where Ray is not installed."""
    monkeypatch.setitem(sys.modules, "ray", None)
    result = rbridge(
        capsys, "score", place / "gpt2", "--traces", place / "bundle", "--shots", 0, "-o", tmp_path, *more
    )
    assert result.status == 1
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_a_cluster_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own error, cut to a line, and what to do."""

    def init(**_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nMore.")

    ray = ModuleType("ray")
    ray.init = init
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(InputError, match=r"Could not find any running Ray instance\.\): start one"):
        cluster._connected("auto", None)
    with pytest.raises(InputError, match="run it again when the machine is less busy"):
        cluster._connected("local", 2)
