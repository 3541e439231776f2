"""The score in the training loop: a real Trainer, Lightning's hooks, the subset's size, the overhead."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from rbridge.callbacks import RBridgeCallback, lightning_callback
from rbridge.cli import run
from rbridge.errors import InputError, MissingExtra
from rbridge.scoring.monitor import PILOT, Monitor, num_traces
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.bundles import read_bundle
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import rbridge

NUM_TRACES = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama checkpoint and 24 traces of two benchmarks, one of them without weights."""
    folder = tmp_path_factory.mktemp("callbacks")
    build("llama3", folder / "llama")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(NUM_TRACES):
        text = f"So {i} + {rng.integers(99)} = {rng.integers(99)}, " * int(rng.integers(1, 6))
        pieces = [{"text": text[:7], "logprob": -0.9}, {"text": text[7:], "logprob": -0.1}]
        for benchmark, more in (("mine", {"pieces": pieces}), ("bare", {})):
            key = {"benchmark": benchmark, "problem_id": str(i), "voice": "v", "question": f"{i}?"}
            lines.append({**key, "reasoning": text, **more})
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


class _Tracker(TrainerCallback):
    """Hears what a tracker of ``report_to`` hears."""

    def __init__(self) -> None:
        self.heard: list[dict[str, float]] = []

    def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
        self.heard.append(dict(logs))


def _trainer(place: Path, out: Path, tracker: TrainerCallback) -> Trainer:
    model = AutoModelForCausalLM.from_pretrained(place / "llama")
    ids = torch.from_numpy(np.random.default_rng(1).integers(0, 400, size=(64, 16)))
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=6, per_device_train_batch_size=4, logging_steps=1, save_steps=6,
        learning_rate=1e-3, report_to=[], use_cpu=True, disable_tqdm=True, seed=3, save_only_model=True,
    )  # fmt: skip
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=[{"input_ids": row, "labels": row} for row in ids],
        processing_class=AutoTokenizer.from_pretrained(place / "llama"),
        data_collator=default_data_collator,
        callbacks=[tracker],
    )


def test_a_trainer_logs_the_score_and_trains_as_without(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every third step, to all that hear its logs; the last equals rbridge score; no loss moves by a bit."""
    plain, watched = _Tracker(), _Tracker()
    _trainer(place, tmp_path / "plain", plain).train()
    trainer = _trainer(place, tmp_path / "watched", watched)
    options = {"every_steps": 3, "stderr": 1e-6, "max_overhead": 1.0}
    trainer.add_callback(RBridgeCallback(trainer, traces=str(place / "bundle"), **options))
    trainer.train()
    assert trainer.model.training
    looks = [logs for logs in watched.heard if "rbridge/mine" in logs]
    assert len(looks) == 2
    assert [logs["loss"] for logs in watched.heard if "loss" in logs] == [
        logs["loss"] for logs in plain.heard if "loss" in logs
    ]
    _assert_equal_to_the_command(looks[-1], place, tmp_path, capsys)
    assert "rbridge/bare" not in looks[-1]  # no weights, so no score; the plain loss remains
    assert looks[-1]["rbridge/mine_num_traces"] == NUM_TRACES
    assert 0 < looks[-1]["rbridge/overhead"] < 1


def _assert_equal_to_the_command(
    look: dict[str, float], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "watched" / "checkpoint-6"
    result = rbridge(
        capsys, "score", saved, "--traces", place / "bundle", "--shots", 0, "-o", tmp_path / "runs", "--json"
    )
    assert result.status == 0, result.err
    for row in result.document["runs"]:
        for name in ("rbridge", "trace_nll"):
            if name in row["metrics"]:
                expected = row["metrics"][name]
                assert look[f"{name}/{row['benchmark']}"] == pytest.approx(expected["mean"], abs=5e-6)
                assert look[f"{name}/{row['benchmark']}_stderr"] == pytest.approx(
                    expected["stderr"], abs=5e-6
                )
    (found,) = read_runs(tmp_path / "runs")
    assert (found.manifest.labels.step, found.manifest.parsed_labels) == (6, ["step"])


def _monitor(place: Path, **options: Any) -> Monitor:
    tokenizer = ProxyTokenizer(AutoTokenizer.from_pretrained(place / "llama"), where="t")
    return Monitor(read_bundle(place / "bundle").traces, tokenizer, **options)


def test_the_subset_is_as_large_as_its_standard_error_asks(place: Path) -> None:
    """A wide aim: the pilot alone. A narrow one: all there are. The same traces at every look."""
    model = AutoModelForCausalLM.from_pretrained(place / "llama").eval()
    monitor = _monitor(place, stderr=10.0)
    first, second = monitor.look(model), monitor.look(model)
    assert first["rbridge/mine_num_traces"] == PILOT
    assert {k: v for k, v in first.items() if k != "rbridge/overhead"} == {
        k: v for k, v in second.items() if k != "rbridge/overhead"
    }
    assert _monitor(place, stderr=1e-3).look(model)["trace_nll/bare_num_traces"] == NUM_TRACES


def test_the_number_of_traces_gives_the_standard_error_aimed_at() -> None:
    """Simulated: with s = 0.5 and an aim of 0.05, means over the chosen number err by 0.05."""
    rng = np.random.default_rng(0)
    chosen = [num_traces(rng.normal(2, 0.5, size=PILOT).tolist(), 0.05) for _ in range(2000)]
    assert np.mean(chosen) == pytest.approx(100, rel=0.05)  # E[s^2] = sigma^2
    means = [rng.normal(2, 0.5, size=n).mean() for n in chosen]
    assert np.std(means) == pytest.approx(0.05, rel=0.1)


def test_looks_that_would_cost_too_much_are_left_out(place: Path) -> None:
    """A look takes half a second by this clock: one in every 50 s of training, at 1 %."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.5
        return now

    model = AutoModelForCausalLM.from_pretrained(place / "llama").eval()
    monitor = _monitor(place, stderr=10.0, clock=clock)
    assert monitor.can_afford()
    monitor.look(model)
    looks = 1
    while now < 600:
        now += 20  # training
        if monitor.can_afford():
            monitor.look(model)
            looks += 1
    assert monitor.overhead <= 0.01
    assert 10 <= looks <= 12


def test_a_sharded_model_is_refused(place: Path) -> None:
    """As ZeRO-3 leaves it: parameters of no elements on this process."""
    model = AutoModelForCausalLM.from_pretrained(place / "llama")
    model.lm_head.weight.data = torch.empty(0)
    with pytest.raises(InputError, match=r"is sharded .lm_head.weight.*rbridge score --watch"):
        _monitor(place).look(model)


# Lightning's own: it asks torch in a way that torch has deprecated, and wants more workers.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning", "ignore:.*many workers")
def test_lightning_logs_to_every_logger_once_a_step(place: Path, tmp_path: Path) -> None:
    """A real Lightning Trainer, two batches a step: a look every second step, the last of the final weights."""
    import lightning as L  # noqa: N812 - as its documents call it
    from lightning.pytorch.loggers import CSVLogger

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModelForCausalLM.from_pretrained(place / "llama").train()

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            return self.model(input_ids=batch, labels=batch).loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    options = {"stderr": 10.0, "max_overhead": 1.0}
    tokenizer = AutoTokenizer.from_pretrained(place / "llama")
    callback = lightning_callback(traces=str(place / "bundle"), every_steps=2, tokenizer=tokenizer, **options)
    loggers = [CSVLogger(tmp_path, name=name) for name in ("one", "two")]
    trainer = L.Trainer(
        max_steps=4, accumulate_grad_batches=2, accelerator="cpu", logger=loggers, callbacks=[callback],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    ids = torch.from_numpy(np.random.default_rng(1).integers(0, 400, size=(32, 16)))
    module = Module()
    trainer.fit(module, torch.utils.data.DataLoader(ids, batch_size=4))
    assert module.model.training
    expected = _monitor(place, **options).look(module.model)["rbridge/mine"]
    for logger in loggers:
        logger.save()
        (file,) = Path(logger.log_dir).glob("metrics.csv")
        table = csv.DictReader(file.read_text().splitlines())
        rows = [row for row in table if row["rbridge/mine"]]
        assert [int(row["step"]) for row in rows] == [2, 4]
        assert float(rows[-1]["rbridge/mine"]) == pytest.approx(expected, abs=1e-6)


def test_what_is_missing_is_said(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning, a tokenizer, a number of steps."""
    monkeypatch.setattr("rbridge.callbacks.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"rbridge.lightning"):
        lightning_callback(traces="starter", every_steps=1, tokenizer=None)
    trainer = _trainer(place, tmp_path, _Tracker())
    with pytest.raises(InputError, match="expected at least 1"):
        RBridgeCallback(trainer, traces="starter", every_steps=0)
    trainer.processing_class = None
    with pytest.raises(InputError, match="no tokenizer"):
        RBridgeCallback(trainer, traces="starter", every_steps=1)
