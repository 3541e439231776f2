"""One model to train, as data, and its training: everything is found by hash, so a worker needs the job alone."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rbridge.compute import training_flops
from rbridge.proxies.decoder import new_decoder
from rbridge.proxies.processes import first_goes_first, is_first, wait_for_all
from rbridge.proxies.rungs import DecoderSize
from rbridge.proxies.train import save_checkpoint
from rbridge.proxies.trainer import Training, num_steps, tokens_by_step, train_model
from rbridge.recipes import Mix, Schedule, learning_rates, mix_sources, open_mix, open_tokens
from rbridge.records import Labels
from rbridge.scoring.checkpoints import expand, load_model
from rbridge.store.files import replaced_folder, sha256_json, write_json

VERSION = 1  # of what training does with a job; a change of it trains anew
_RESULT = "training.json"


@dataclass(frozen=True)
class Places:
    """Where a ladder keeps what its models share.

    Attributes:
        out: the ladder's folder.
        tokenizer: folder or hub name of the tokenizer.
    """

    out: Path
    tokenizer: str

    @property
    def tokens(self) -> Path:
        """Of tokenised sources."""
        return self.out / "cache" / "tokens"

    @property
    def mixes(self) -> Path:
        """Of laid-out recipes."""
        return self.out / "cache" / "mixes"


@dataclass(frozen=True)
class ProxyJob:
    """One model to train.

    Attributes:
        key: hash of all that decides its weights.
        recipe, size, seed: what it is.
        shape: of fresh weights; None where it starts from a base.
        base: the checkpoint that it starts from, or None.
        base_labels: what the base is, tokens and FLOPs before this training among them.
        mix: hash of its laid-out windows.
        schedules: one a phase.
        peak: learning rate of phases that give none.
        batch: windows a step.
        kept: steps after which a checkpoint is kept; the last is the end.
        parameters: N, all of them.
        places: of what it reads and writes.
        compiled: whether torch.compile is used.
    """

    key: str
    recipe: str
    size: str
    seed: int
    shape: DecoderSize | None
    base: str | None
    base_labels: Labels
    mix: str
    schedules: tuple[Schedule, ...]
    peak: float
    batch: int
    kept: tuple[int, ...]
    parameters: int
    places: Places
    compiled: bool = False

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return self.places.out / self.recipe / self.size / f"seed-{self.seed}"

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.recipe} {self.size} seed {self.seed}"

    def checkpoint(self, step: int) -> Path:
        """The folder of a kept step."""
        return self.folder / f"step-{step}"

    @property
    def final(self) -> Path:
        """The finished model."""
        return self.checkpoint(self.kept[-1])

    def open_mix(self) -> Mix:
        """Its windows, mapped from disk."""
        sources = {
            name: open_tokens(name, sha256, self.places.tokens)
            for name, sha256 in mix_sources(self.mix, self.places.mixes).items()
        }
        return open_mix(self.mix, self.places.mixes, sources)


@dataclass(frozen=True)
class TrainedProxy:
    """A finished model.

    Attributes:
        job: what was asked for.
        checkpoints: its kept checkpoints, the finished model last.
        labels: of the finished model.
        seconds: of training.
        trained: whether it was trained now, not found.
    """

    job: ProxyJob
    checkpoints: tuple[Path, ...]
    labels: Labels
    seconds: float
    trained: bool


def job_key(
    *,
    shape: DecoderSize | None,
    base: str | None,
    mix: str,
    schedules: Sequence[Schedule],
    peak: float,
    batch: int,
    kept: Sequence[int],
    seed: int,
    tokenizer: str,
    compiled: bool,
) -> str:
    """Hash of all that decides a model's weights; ``base`` and ``tokenizer`` are hashes themselves."""
    return sha256_json([
        VERSION, None if shape is None else asdict(shape), base, mix,
        [schedule.model_dump() for schedule in schedules], peak, batch, list(kept), seed, tokenizer, compiled,
    ])  # fmt: skip


def finished(job: ProxyJob) -> TrainedProxy | None:
    """The model that an earlier run left, if it is the very same job's, or None."""
    file = job.folder / _RESULT
    if not file.is_file():
        return None
    result = json.loads(file.read_bytes())
    checkpoints = tuple(job.checkpoint(step) for step in job.kept)
    if result["key"] != job.key or not all((one / "rbridge.json").is_file() for one in checkpoints):
        return None
    return TrainedProxy(job, checkpoints, Labels(**result["labels"]), result["seconds"], trained=False)


def train_job(
    job: ProxyJob, *, devices: Mapping[str, Any] | None = None, state_seconds: float = 60.0
) -> TrainedProxy:
    """Train one model, or go on with it, or find it finished.

    What another job left in its folder is replaced. The base's training must be finished.

    Args:
        job: as ``plan_ladder`` makes it.
        devices: TrainingArguments that say where it runs, such as ``{"use_cpu": True}``.
        state_seconds: at most so much work is lost to a kill.

    Raises:
        InputError: the base cannot be loaded, or the loss is not finite.
    """
    if done := finished(job):
        return done
    _freeze_imports()
    with first_goes_first():
        _clear_foreign(job)
    mix = job.open_mix()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(job.places.tokenizer)
    model = _model(job, tokenizer)
    tokens = tokens_by_step(mix, job.batch)
    training = Training(
        batch=job.batch,
        learning_rate=learning_rates(
            job.schedules, _phase_ends(mix, job.batch), peak=job.peak, fresh=job.base is None
        ),
        kept=job.kept,
        seed=job.seed,
        compiled=job.compiled,
        state_seconds=state_seconds,
    )

    def keep(step: int) -> None:
        with replaced_folder(job.checkpoint(step)) as scratch:
            save_checkpoint(scratch, model, tokenizer, labels=_labels(job, step, int(tokens[step - 1])))

    seconds = train_model(
        model,
        mix,
        training,
        folder=job.folder,
        pad_id=int(tokenizer.eos_token_id),
        keep=keep,
        devices=devices,
    )
    labels = _labels(job, job.kept[-1], int(tokens[-1]))
    if is_first():
        write_json(job.folder / _RESULT, _result(job, labels, mix, seconds))
    wait_for_all()
    checkpoints = tuple(job.checkpoint(step) for step in job.kept)
    return TrainedProxy(job, checkpoints, labels, seconds, trained=True)


@cache
def _freeze_imports() -> None:
    """Keep what imports made out of the collection that Trainer makes at the start of every model."""
    gc.collect()
    gc.freeze()


def _clear_foreign(job: ProxyJob) -> None:
    """What stands there is this job's own unfinished work, or goes."""
    mark = job.folder / "job.json"
    if mark.is_file() and json.loads(mark.read_bytes())["key"] == job.key:
        return
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, {"key": job.key})


def _model(job: ProxyJob, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    if job.base is not None:
        [checkpoint] = expand([job.base])
        return load_model(checkpoint, dtype="float32", device="cpu").model
    assert job.shape is not None  # a job has a base or a shape
    return new_decoder(
        job.shape, vocab_size=len(tokenizer), end_id=int(tokenizer.eos_token_id), seed=job.seed
    )


def _phase_ends(mix: Mix, batch: int) -> list[int]:
    """The step at which each phase ends, rounded to the nearest."""
    ends: list[int] = []
    windows = 0
    for phase in mix.plan.phases:
        windows += phase.num_windows
        ends.append(max(1, round(windows / batch)))
    ends[-1] = num_steps(mix, batch)
    return ends


def _labels(job: ProxyJob, step: int, tokens: int) -> Labels:
    return Labels(
        recipe=job.recipe,
        seed=job.seed,
        size=job.size,
        parameters=job.parameters,
        tokens=(job.base_labels.tokens or 0) + tokens,
        step=step,
        flops=(job.base_labels.flops or 0.0) + training_flops(float(job.parameters), float(tokens)),
        schedule="+".join(schedule.kind for schedule in job.schedules),
        learning_rate=max(schedule.peak or job.peak for schedule in job.schedules),
    )


def _result(job: ProxyJob, labels: Labels, mix: Mix, seconds: float) -> dict[str, Any]:
    import accelerate
    import transformers

    return {
        "format_version": 1,
        "key": job.key,
        "labels": asdict(labels),
        "flops_convention": "6ND, N all parameters",
        "seconds": seconds,
        "steps": job.kept[-1],
        "batch_windows": job.batch,
        "window": mix.plan.window,
        "base": job.base,
        "mix": {key: value for key, value in asdict(mix.plan).items() if key != "window"},
        "schedules": [schedule.model_dump() for schedule in job.schedules],
        "threads": torch.get_num_threads(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "accelerate": accelerate.__version__,
        },
    }
