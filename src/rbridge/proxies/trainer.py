"""transformers' Trainer on laid-out windows: what a proxy needs of it, and nothing that costs time beside.

Left out, as docs/log.md has measured: what Trainer and accelerate do every step without need here, which is counting
FLOPs by walking all parameters, looking on the disk for SageMaker and LOMO, setting training mode anew, listing the
weights twice to clip their gradient, and a look at the loss for NaN (the log looks). Kept: accelerate's devices,
precision, compilation and data parallelism, exact resumption, the token-weighted mean over micro-batches and devices.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from typing_extensions import override

from rbridge.errors import InputError
from rbridge.proxies.processes import is_first, num_processes, wait_for_all
from rbridge.proxies.windows import IGNORED
from rbridge.recipes import Mix
from rbridge.store.files import sync_folder

MAX_NORM = 1.0  # of the gradient
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1  # of matrices; gains of norms have none
_STATE_SECONDS = 60.0  # at most so much work is lost to a kill
_LOGIT_BYTES = 1 << 30  # of a forward pass's float32 logits
_WRITING = "writing"


class MixWindows(torch.utils.data.Dataset[Any]):
    """A mix's windows in the order of training, fetched a batch at a time."""

    def __init__(self, mix: Mix, *, pad_id: int, fill: int = 1) -> None:
        """Read from ``mix``; padding is ``pad_id`` and has no loss; empty windows make a multiple of ``fill``."""
        self._mix = mix
        self._pad_id = pad_id
        self._num = -(-len(mix.ends) // fill) * fill

    def __len__(self) -> int:
        """Windows of all phases, and empty ones behind them."""
        return self._num

    @override
    def __getitem__(self, index: int) -> Int[np.ndarray, " tokens"]:
        """One window's token ids."""
        return self._mix.window(index) if index < len(self._mix.ends) else np.empty(0, dtype=np.int64)

    def collate(self, windows: Sequence[Int[np.ndarray, " _"]]) -> dict[str, torch.Tensor]:
        """Windows as a batch, padded on the right."""
        shape = (len(windows), self._mix.plan.window)
        ids, labels = np.full(shape, self._pad_id), np.full(shape, IGNORED)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = labels[row, : len(window)] = window
        return {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels)}


@dataclass(frozen=True)
class Training:
    """How one model is trained.

    Attributes:
        batch: windows a step, over all devices.
        learning_rate: by step, from 0.
        kept: steps after which a checkpoint is kept, rising; the last is the end.
        seed: of whatever torch draws in training; the models here draw nothing.
        compiled: whether torch.compile is used.
        state_seconds: how often what a resumption needs is written.
    """

    batch: int
    learning_rate: Callable[[int], float]
    kept: Sequence[int]
    seed: int
    compiled: bool = False
    state_seconds: float = _STATE_SECONDS


def num_steps(mix: Mix, batch: int) -> int:
    """Steps that read every window once; the last may be smaller."""
    return -(-len(mix.ends) // batch)


def micro_batch(batch: int, *, window: int, vocab_size: int, num_devices: int) -> int:
    """Windows that one device reads at a time: as many as divide the batch and keep the logits under 1 GiB.

    >>> micro_batch(32, window=2048, vocab_size=50_304, num_devices=1)
    2
    """
    share = batch // num_devices
    most = max(1, _LOGIT_BYTES // (4 * window * vocab_size))
    return next(size for size in range(min(share, most), 0, -1) if share % size == 0)


def train_model(
    model: PreTrainedModel,
    mix: Mix,
    training: Training,
    *,
    folder: Path,
    pad_id: int,
    keep: Callable[[int], None],
    devices: Mapping[str, Any] | None = None,
) -> float:
    """Train ``model`` on a mix, going on from what an earlier run left in ``folder``.

    Killed at any moment and called again, the same weights come out, to the bit on one CPU with as many threads.

    Args:
        model: fresh, or the base's.
        mix: what it reads.
        training: how.
        folder: keeps ``loss.jsonl`` and, while training goes on, ``state``.
        pad_id: any valid id.
        keep: called after each kept step, to save the model; may be called again for a step after a kill.
        devices: TrainingArguments that say where it runs; as accelerate finds them where left out.

    Returns:
        Seconds of training, earlier runs' included as far as their state was written.

    Raises:
        InputError: the batch cannot be spread over the devices, or the loss is not finite.
    """
    state = folder / "state"
    arguments = _arguments(model, mix, training, state, dict(devices or {}))
    # Where processes share a step, accelerate would fill the last one with the first windows once more.
    dataset = MixWindows(mix, pad_id=pad_id, fill=training.batch if num_processes() > 1 else 1)
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=dataset.collate,
        optimizers=_optimizer(model, training, arguments),
    )
    assert trainer.accelerator.num_processes == num_processes()  # else each would train a model of its own
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    last = _last_state(state)
    seconds = json.loads((last / "seconds.json").read_bytes()) if last else 0.0
    watch = _Watch(training, folder / "loss.jsonl", mix, keep=keep, state=state, seconds=seconds)
    trainer.watch = watch
    trainer.weights = list(model.parameters())
    model.train()
    trainer.add_callback(watch)
    if is_first():
        watch.rewind(int(last.name.removeprefix("step-")) if last else 0)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    wait_for_all()
    if is_first():
        shutil.rmtree(state, ignore_errors=True)
    return watch.seconds


def _arguments(
    model: PreTrainedModel, mix: Mix, training: Training, state: Path, devices: dict[str, Any]
) -> TrainingArguments:
    world = num_processes()
    if training.batch % world:
        raise InputError(
            f"{training.batch} windows a step cannot be spread evenly over {world} processes; start a number of "
            "processes that divides it"
        )
    micro = micro_batch(
        training.batch, window=mix.plan.window, vocab_size=model.config.vocab_size, num_devices=world
    )
    if world > 1 and not torch.cuda.is_available():
        devices["use_cpu"] = True  # else accelerate takes each process for the only one
    on_gpu = torch.cuda.is_available() and not devices.get("use_cpu")
    return TrainingArguments(
        output_dir=str(state / _WRITING),
        max_steps=num_steps(mix, training.batch),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=training.batch // (micro * world),
        max_grad_norm=MAX_NORM,
        train_sampling_strategy="sequential",  # the mix is in its order already
        seed=training.seed,
        bf16=on_gpu and torch.cuda.is_bf16_supported(),
        torch_compile=training.compiled,
        logging_steps=max(1, num_steps(mix, training.batch) // 100),
        logging_nan_inf_filter=False,
        save_strategy="no",  # _Watch says when
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=on_gpu,
        **devices,
    )


def _optimizer(
    model: PreTrainedModel, training: Training, arguments: TrainingArguments
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    torch.nn.Module.to(model, arguments.device)  # AdamW's fused form wants its weights where they will stay
    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=BETAS, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, training.learning_rate)


def _last_state(state: Path) -> Path | None:
    """What the last run left; each was renamed into place whole."""
    found = sorted(state.glob("step-*"), key=lambda one: int(one.name.removeprefix("step-")))
    return found[-1] if found else None


class _Trainer(Trainer):
    watch: _Watch
    weights: Sequence[torch.nn.Parameter]

    @override
    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """Nothing: FLOPs are 6ND, known without walking over all parameters every step."""
        return 0

    @override
    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Trainer's own step on the ways that are taken here: no look for SageMaker, no walk to set training mode."""
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        assert isinstance(loss, torch.Tensor)  # the outputs beside it were not asked for
        if self.args.n_gpu > 1:
            loss = loss.mean()  # of torch's DataParallel, where several GPUs are seen without torchrun
        self.accelerator.backward(loss)
        return loss.detach()

    @override
    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule; called when the optimizer is accelerate's, whose step searches the disk for LOMO twice."""
        prepared: Any = self.optimizer
        if self.accelerator.scaler is None:  # only float16's loss scaling needs accelerate's own step
            prepared.step = prepared.optimizer.step
        return super().create_scheduler(num_training_steps, optimizer)

    @override
    def _clip_grad_norm(self, model: Any) -> torch.Tensor | None:
        """As Trainer does it for weights that lie whole on each device, without looking for others every step."""
        return self.accelerator.clip_grad_norm_(self.weights, self.args.max_grad_norm)

    @override
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """As Trainer does it, into a scratch folder that is renamed when it is whole."""
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.watch.place(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}")
        self.accelerator.wait_for_everyone()


class _Watch(TrainerCallback):
    """Logs the loss, keeps checkpoints, and says when state is written."""

    def __init__(
        self,
        training: Training,
        log: Path,
        mix: Mix,
        *,
        keep: Callable[[int], None],
        state: Path,
        seconds: float,
    ) -> None:
        self._training, self._log, self._keep, self._state = training, log, keep, state
        self._kept = set(training.kept)
        self._tokens = tokens_by_step(mix, training.batch)
        self._before = seconds
        self._started = self._written = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self._before + time.monotonic() - self._started

    def rewind(self, step: int) -> None:
        """Drop what was logged behind the step that training goes on from."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        lines = self._log.read_text().splitlines(keepends=True) if self._log.is_file() else []
        whole = [line for line in lines if line.endswith("\n")]
        self._log.write_text("".join(line for line in whole if json.loads(line)["step"] <= step))

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Keep what is to be kept; write state where a line of the log ends, so that no line is cut in two."""
        control.should_log = (
            state.global_step % args.logging_steps == 0 or state.global_step == state.max_steps
        )
        late = time.monotonic() - self._written >= self._training.state_seconds
        # All processes must agree, and their clocks do not: the first one's is taken.
        if control.should_log and state.global_step < state.max_steps and _agreed(late, args):
            control.should_save = True
        if state.global_step in self._kept and is_first():
            self._keep(state.global_step)

    @override
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """A line of ``loss.jsonl``."""
        if logs is None or "loss" not in logs or not is_first():
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise InputError(
                f"{self._log.parent}: the loss is {loss} at step {state.global_step}; train with a smaller "
                "--learning-rate"
            )
        line = {
            "step": state.global_step,
            "tokens": int(self._tokens[state.global_step - 1]),
            "loss": loss,
            "learning_rate": float(logs["learning_rate"]),
            "grad_norm": float(logs["grad_norm"]),
        }
        with self._log.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        state.log_history.clear()  # else every state would hold the whole log once more

    def place(self, written: Path) -> None:
        """Make a whole state the one to go on from."""
        (written / "seconds.json").write_text(json.dumps(self.seconds))
        sync_folder(written)
        written.replace(self._state / f"step-{written.name.removeprefix('checkpoint-')}")
        for old in sorted(self._state.glob("step-*"), key=lambda one: int(one.name.removeprefix("step-")))[
            :-1
        ]:
            shutil.rmtree(old, ignore_errors=True)
        self._written = time.monotonic()


def tokens_by_step(mix: Mix, batch: int) -> Int[np.ndarray, " steps"]:
    """Tokens of documents read up to the end of each step."""
    by_window = np.add.reduceat(mix.units["length"].astype(np.int64), np.concatenate([[0], mix.ends[:-1]]))
    ends = np.minimum(np.arange(1, num_steps(mix, batch) + 1) * batch, len(mix.ends))
    return np.cumsum(by_window)[ends - 1]


def _agreed(late: bool, args: TrainingArguments) -> bool:
    if args.world_size == 1:
        return late
    flag = torch.tensor([int(late)], device=args.device)
    torch.distributed.broadcast(flag, src=0)
    return bool(flag.item())


__all__ = ["MixWindows", "Training", "micro_batch", "num_steps", "tokens_by_step", "train_model"]
