"""The graph of a study: what is ready, what is lost, what must be done again; with units that only write a file."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rbridge.errors import InputError
from rbridge.study import on_ray
from rbridge.study.execute import Outcome, Work, counts, execute
from rbridge.study.ledger import Ledger
from rbridge.study.run import run, run_one
from rbridge.study.units import Graph, Unit
from rbridge.study.workers import Processes


def _graph(*, web: str = "v1", seeds: Sequence[int] = (0, 1), plan: bool = False) -> Graph:
    """Two recipes, each checked, trained by seed and scored; a ranking of whatever was scored."""
    units = [
        Unit(f"recipe/{name}", "recipe", {"text": web if name == "web" else "v1"}, recipe=name)
        for name in ("web", "code")
    ]
    scores = []
    for name in ("web", "code"):
        for seed in seeds:
            text = web if name == "web" else "v1"
            own = {"text": text, "seed": seed}
            units.append(Unit(f"train/{name}/{seed}", "train", own, after=(f"recipe/{name}",), recipe=name))
            units.append(Unit(f"score/{name}/{seed}", "score", needs=(f"train/{name}/{seed}",), recipe=name))
            scores.append(units[-1].id)
    if plan:
        units.append(Unit("plan", "plan", wants=tuple(scores)))
        for name in ("web", "code"):
            units.append(
                Unit(
                    f"train/large/{name}",
                    "train",
                    {"text": name},
                    after=(f"recipe/{name}", "plan"),
                    recipe=name,
                )
            )
            units.append(Unit(f"score/large/{name}", "score", needs=(f"train/large/{name}",), recipe=name))
            scores.append(units[-1].id)
    units.append(Unit("rank", "rank", wants=tuple(scores)))
    units.append(Unit("report", "report", needs=("rank",)))
    return Graph.of(units)


def _output(unit: Unit) -> tuple[str, ...]:
    return (f"results/{unit.id}.json",)


def _write(
    unit: Unit,
    progress: Callable[[str], None],
    root: Path,
    bad: Sequence[str] = (),
    kept: Sequence[str] = ("code",),
) -> Outcome:
    """Notes each time a unit is done; fails those that are told to."""
    with (root / "done.log").open("a") as log:
        log.write(f"{unit.id}\n")
    progress("written")
    if unit.id in bad:
        raise InputError(f"{unit.id}: bad\nas asked")
    file = root / _output(unit)[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dict(unit.inputs)))
    return Outcome({"kept": list(kept)} if unit.kind == "plan" else {})


def _work(root: Path, graph: Graph, act: Callable[..., Any] = _write, **options: Any) -> Work:
    root.mkdir(exist_ok=True)
    return Work(graph, Ledger(root), partial(act, root=root, **options), _output)


class _Here:
    """Does units at once, in this process."""

    def __init__(self, work: Work) -> None:
        self.work, self.ended, self.busy, self.free = work, [], (), 1

    def start(self, name: str) -> None:
        execute(self.work, name)
        self.ended.append((name, None))
        self.busy = (name,)

    def wait(self, _seconds: float) -> list[tuple[str, str | None]]:
        ended, self.ended, self.busy = self.ended, [], ()
        return ended

    def close(self) -> None:
        pass


def _did(root: Path) -> list[str]:
    """Units done since the last call."""
    log = root / "done.log"
    found = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def test_everything_is_done_once_and_in_order(tmp_path: Path) -> None:
    """A second run finds nothing to do."""
    work = _work(tmp_path, _graph())
    places = run(work, _Here(work))
    assert counts(places) == {"done": 12, "running": 0, "failed": 0, "waiting": 0, "left out": 0}
    order = _did(tmp_path)
    assert sorted(order) == sorted(work.graph.units)
    assert all(
        order.index(before) < order.index(unit.id)
        for unit in work.graph.units.values()
        for before in unit.before
    )
    run(work, _Here(work))
    assert _did(tmp_path) == []


def test_a_changed_recipe_redoes_only_what_depends_on_it(tmp_path: Path) -> None:
    """And what it had before is put aside, so that changing it back costs nothing but the ranking."""
    work = _work(tmp_path, _graph())
    run(work, _Here(work))
    _did(tmp_path)
    changed = _work(tmp_path, _graph(web="v2"))
    before = changed.survey()
    assert before["train/web/0"].reason == "for recipe/web"
    assert before["recipe/web"].reason == "its inputs changed since it was last done"
    run(changed, _Here(changed))
    own = {"recipe/web", "train/web/0", "score/web/0", "train/web/1", "score/web/1"}
    assert set(_did(tmp_path)) == own | {"rank", "report"}
    assert json.loads((tmp_path / "results/train/web/0.json").read_text()) == {"text": "v2", "seed": 0}
    assert [
        json.loads(file.read_text()) for file in tmp_path.glob("superseded/*/results/train/web/0.json")
    ] == [{"text": "v1", "seed": 0}]


def test_what_was_put_aside_is_there_again_when_its_inputs_are(tmp_path: Path) -> None:
    """The file that the first run made, not another of the same content."""
    work = _work(tmp_path, _graph())
    run(work, _Here(work))
    made = (tmp_path / "results/train/web/0.json").stat().st_ino
    for graph in (_graph(web="v2"), _graph(web="v1")):
        again = _work(tmp_path, graph, _keep_what_is_there)
        run(again, _Here(again))
    assert (tmp_path / "results/train/web/0.json").stat().st_ino == made


def _keep_what_is_there(unit: Unit, progress: Callable[[str], None], root: Path) -> Outcome:
    if not (root / _output(unit)[0]).exists():
        return _write(unit, progress, root)
    return Outcome()


def test_a_failed_unit_does_not_lose_the_others_and_is_tried_again(tmp_path: Path) -> None:
    """What stands behind it says so; the ranking is made of the rest, and made again when it is mended."""
    work = _work(tmp_path, _graph(), bad=["train/web/1"])
    places = run(work, _Here(work))
    assert (places["train/web/1"].state, places["train/web/1"].reason) == (
        "failed",
        "train/web/1: bad as asked",
    )
    assert (places["score/web/1"].state, places["score/web/1"].reason) == ("waiting", "train/web/1 failed")
    assert places["report"].state == "done"
    assert _did(tmp_path).count("train/web/1") == 1
    mended = _work(tmp_path, _graph())
    assert counts(run(mended, _Here(mended)))["done"] == 12
    assert _did(tmp_path) == ["train/web/1", "score/web/1", "rank", "report"]


def test_without_any_score_nothing_is_ranked(tmp_path: Path) -> None:
    """All recipes failed: the ranking waits, and says for what."""
    work = _work(tmp_path, _graph(), bad=["recipe/web", "recipe/code"])
    places = run(work, _Here(work))
    assert places["train/code/0"].reason == "recipe/code failed"
    assert places["score/code/0"].reason == "recipe/code failed"
    assert places["rank"].reason == "recipe/web failed"
    assert counts(places) == {"done": 0, "running": 0, "failed": 2, "waiting": 10, "left out": 0}


def test_an_unexpected_fault_is_kept_with_its_traceback(tmp_path: Path) -> None:
    """A bug in one unit is that unit's failure."""
    work = _work(tmp_path, _graph(), _divide)
    places = run(work, _Here(work))
    reason = places["train/web/0"].reason
    assert reason is not None
    assert reason.startswith("ZeroDivisionError: ")
    assert "ZeroDivisionError" in (tmp_path / "units/train/web/0.log").read_text()
    assert places["rank"].state == "done"


def _divide(unit: Unit, progress: Callable[[str], None], root: Path) -> Outcome:
    if unit.id == "train/web/0":
        _ = 1 / 0
    return _write(unit, progress, root)


def test_the_plan_leaves_recipes_out(tmp_path: Path) -> None:
    """The survivors alone are trained larger; another choice later trains what is missing, and nothing twice."""
    work = _work(tmp_path, _graph(plan=True))
    before = work.survey()
    assert before["train/large/web"].reason == "for recipe/web and 1 more"
    places = run(work, _Here(work))
    assert (places["train/large/web"].state, places["train/large/web"].reason) == (
        "left out",
        "the plan keeps code",
    )
    assert places["score/large/web"].state == "left out"
    assert places["score/large/code"].state == places["rank"].state == "done"
    _did(tmp_path)
    (tmp_path / "units/plan.json").unlink()
    both = _work(tmp_path, _graph(plan=True), kept=("code", "web"))
    run(both, _Here(both))
    assert _did(tmp_path) == ["plan", "train/large/web", "score/large/web", "rank", "report"]


def test_a_lost_result_is_made_again(tmp_path: Path) -> None:
    """Done is what is on disk, not what is written about it."""
    work = _work(tmp_path, _graph())
    run(work, _Here(work))
    _did(tmp_path)
    (tmp_path / "results/score/web/0.json").unlink()
    run(work, _Here(work))
    assert _did(tmp_path) == ["score/web/0"]


def test_a_unit_that_another_process_does_is_running_and_not_done_twice(tmp_path: Path) -> None:
    """The lock tells who; it is gone with its holder."""
    work = _work(tmp_path, _graph())
    with Ledger(tmp_path).claimed("recipe/web") as mine:
        assert mine
        place = work.survey()["recipe/web"]
        assert (place.state, place.settled) == ("running", False)
        assert place.reason is not None
        assert place.reason.startswith(f"pid {os.getpid()} on ")
        execute(work, "recipe/web")
        with Ledger(tmp_path).claimed("recipe/web") as twice:
            assert not twice
        assert _did(tmp_path) == []
    execute(work, "recipe/web")
    assert _did(tmp_path) == ["recipe/web"]


def test_one_unit_alone_waits_for_what_it_needs(tmp_path: Path) -> None:
    """As a cluster's job does; without --wait it says what is missing."""
    work = _work(tmp_path, _graph())
    do = partial(execute, work)
    assert run_one(work, "train/web/0", do, wait=False).reason == "for recipe/web"
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        execute(work, "recipe/web")

    assert run_one(work, "train/web/0", do, wait=True, sleep=sleep).state == "done"
    assert len(slept) == 1
    bad = _work(tmp_path, _graph(), bad=["train/web/1"])
    assert run_one(bad, "train/web/1", partial(execute, bad), wait=True).state == "failed"
    assert run_one(bad, "score/web/1", partial(execute, bad), wait=True).reason == "train/web/1 failed"


def _slow_or_deadly(unit: Unit, progress: Callable[[str], None], root: Path) -> Outcome:
    if unit.id == "train/web/0" and not (root / "spared").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    progress("half done")
    return _write(unit, progress, root)


def test_a_worker_that_is_killed_loses_its_unit_and_no_other(tmp_path: Path) -> None:
    """The memory killer takes one process; the run goes on with a new one."""
    work = _work(tmp_path, _graph(), _slow_or_deadly)
    lines: list[str] = []
    places = run(work, Processes(work, num=2, threads=1, progress=lines.append), progress=lines.append)
    reason = places["train/web/0"].reason
    assert reason is not None
    assert reason.startswith("its process was ended by SIGKILL (out of memory?)")
    assert counts(places)["done"] == 10
    assert "train/code/0: half done" in lines
    (tmp_path / "spared").touch()
    places = run(work, Processes(work, num=1, threads=1, progress=lines.append))
    assert counts(places)["done"] == 12


def _run_slowly(root: Path) -> None:
    work = _work(root, _graph(seeds=(0, 1, 2)), _slow)
    run(work, Processes(work, num=2, threads=1, progress=lambda _: None))


def _slow(unit: Unit, progress: Callable[[str], None], root: Path) -> Outcome:
    time.sleep(0.05)
    return _write(unit, progress, root)


def test_a_run_that_is_killed_goes_on_with_the_same_result(tmp_path: Path) -> None:
    """Killed as a whole, again and again: its workers end with it, and in the end everything was done."""
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        process = context.Process(target=_run_slowly, args=(tmp_path,))
        process.start()
        log = tmp_path / "done.log"
        before = log.stat().st_size if log.exists() else 0
        until = time.monotonic() + 60
        while time.monotonic() < until and (not log.exists() or log.stat().st_size == before):
            time.sleep(0.02)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    work = _work(tmp_path, _graph(seeds=(0, 1, 2)), _slow)
    until = time.monotonic() + 20
    while any(
        place.state == "running" for place in work.survey().values()
    ):  # a worker ends when it sees its parent gone
        assert time.monotonic() < until
        time.sleep(0.05)
    places = run(work, _Here(work))
    assert counts(places)["done"] == len(work.graph.units)
    done = _did(tmp_path)
    assert set(done) == set(work.graph.units)
    assert len(done) <= len(set(done)) + 6  # of each kill, two workers' units at most


def test_a_cluster_is_given_the_units_in_an_order_in_which_it_cannot_stall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker does all of them; a failed one is told, and what is behind it does not wait for ever."""

    def one_worker(
        address: str,
        workers: int | None,
        make: Callable[[], Any],
        units: Sequence[str],
        *,
        told: Callable[..., None],
    ) -> None:
        assert (address, workers) == ("auto", 1)
        do = make()
        for at, unit in enumerate(units):
            told(at, do(unit))

    monkeypatch.setattr(on_ray, "on_cluster", one_worker)
    work = _work(tmp_path, _graph(plan=True), bad=["train/web/1"])
    lines: list[str] = []
    places = on_ray.run_on_ray(work, "auto", 1, progress=lines.append)
    assert places["report"].state == "done"
    assert "train/web/1: failed: train/web/1: bad as asked" in lines
    assert "score/web/1: waiting: train/web/1 failed" in lines
    assert "train/large/web: left out: the plan keeps code" in lines


def test_keys_depend_on_all_that_decides_a_result(tmp_path: Path) -> None:
    """Own inputs and those of what is needed, however far; not what only comes before."""
    first, other = (_work(tmp_path, graph).survey() for graph in (_graph(), _graph(web="v2")))
    assert {name for name in first if first[name].key != other[name].key} == {
        "recipe/web", "train/web/0", "train/web/1", "score/web/0", "score/web/1",
    }  # fmt: skip
    assert replace(first["train/code/0"].unit, seed=5).id == "train/code/0"
