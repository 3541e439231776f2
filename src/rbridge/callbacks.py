"""The rBridge score in the training loop, on whatever tracker the user has: Trainer and Lightning.

trainer = Trainer(...)
trainer.add_callback(RBridgeCallback(trainer, traces="starter", every_steps=500))
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from typing_extensions import override

from rbridge.errors import InputError, MissingExtra
from rbridge.scoring.monitor import Monitor
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.traces.named import open_bundle


class RBridgeCallback(TrainerCallback):
    """Logs the score every so many steps through ``Trainer.log``, so to every tracker of ``report_to``.

    A look that would take the overhead beyond ``max_overhead`` is left out; the overhead itself is
    logged as ``rbridge/overhead``.
    """

    def __init__(
        self, trainer: Trainer, *, traces: str, every_steps: int, tokenizer: Any = None, **options: Any
    ) -> None:
        """Open the bundle and draw the traces.

        Args:
            trainer: the one that it is added to.
            traces: a bundle: a folder, or "starter".
            every_steps: optimiser steps between two looks.
            tokenizer: the model's; the trainer's ``processing_class`` by default.
            options: of ``Monitor``: ``stderr``, ``max_overhead``, ``shots``, ``questions``, ``seed``, ...

        Raises:
            InputError: no bundle there, or no tokenizer.
        """
        self._log = trainer.log
        self._every = _positive(every_steps)
        self._monitor = _monitor(traces, tokenizer or trainer.processing_class, options)

    @override
    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Look at the model where it is time to."""
        del args
        if (
            state.is_world_process_zero
            and state.global_step % self._every == 0
            and self._monitor.can_afford()
        ):
            due = control.should_log  # logging clears it, and the step's own loss would not be logged
            self._log(self._monitor.look(kwargs["model"]))
            control.should_log = due


def lightning_callback(
    *,
    traces: str,
    every_steps: int,
    tokenizer: Any,
    model: Callable[[Any], PreTrainedModel] = lambda module: module.model,
    **options: Any,
) -> Any:
    """The same for Lightning: a callback that logs to every logger of its trainer.

    Args:
        traces: a bundle: a folder, or "starter".
        every_steps: optimiser steps between two looks.
        tokenizer: the model's, as transformers holds it.
        model: takes the transformers model out of the LightningModule.
        options: of ``Monitor``.

    Raises:
        MissingExtra: Lightning is not installed.
        InputError: no bundle there.
    """
    if find_spec("lightning") is None:
        raise MissingExtra("lightning", "lightning", "the Lightning callback")
    base: Any = import_module("lightning.pytorch").Callback
    every = _positive(every_steps)
    monitor = _monitor(traces, tokenizer, options)

    class RBridgeLightningCallback(base):
        """Looks at the model after every so many optimiser steps."""

        last = 0

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            """Look where it is time to, once a step: several batches may make one step."""
            del outputs, batch, batch_idx
            step = trainer.global_step
            if step == self.last or step % every or not trainer.is_global_zero or not monitor.can_afford():
                return
            self.last = step
            values = monitor.look(model(pl_module))
            for logger in trainer.loggers:
                logger.log_metrics(values, step=step)

    return RBridgeLightningCallback()


def _positive(every_steps: int) -> int:
    if every_steps < 1:
        raise InputError(f"every_steps is {every_steps}; expected at least 1")
    return every_steps


def _monitor(traces: str, tokenizer: Any, options: dict[str, Any]) -> Monitor:
    if tokenizer is None:
        raise InputError("no tokenizer: give the trainer its processing_class, or the callback tokenizer=...")
    bundle = open_bundle(traces)
    return Monitor(
        bundle.traces, ProxyTokenizer(tokenizer, where="the tokenizer of the model in training"), **options
    )
