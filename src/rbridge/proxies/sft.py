"""Intermediate SFT: fine-tune a proxy briefly on questions and answers of a task before it is scored.

The paper's baseline iSFT (method.md, baselines): from each checkpoint a short fine-tuning on the benchmark's
training split, then the same score or accuracy as without it. Prompts are those that a proxy reads without worked
examples; the loss is on the answer alone: the worked solution, where there is one, and the closing words.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from rbridge.benchmarks import Problem, ProblemSet, build_prompt, closing_words
from rbridge.errors import InputError
from rbridge.proxies.windows import IGNORED
from rbridge.scoring.checkpoints import LABELS_FILE, Checkpoint, load_model, load_tokenizer, weights_sha256
from rbridge.scoring.hub import fetch_all
from rbridge.scoring.names import with_parsed
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.files import new_folder, sha256_json, write_json

RECORD = "sft.json"
_MARK = re.compile(r"<<[^<>]*>>")  # GSM8K's calculator
FORMAT_VERSION = 1
# What makes a tokenizer; copied as they are, so that the fine-tuned proxy reads exactly as its base does.
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "chat_template.jinja",
)  # fmt: skip


@dataclass(frozen=True)
class SftSettings:
    """How a checkpoint is fine-tuned; all of it is recorded beside the result.

    Attributes:
        epochs: passes over the data.
        learning_rate: the highest; it warms up to it over 5 % of the steps, then falls to 0.
        batch: examples a step.
        max_length: the most tokens of an example, question and answer; a longer one is left out and counted.
        seed: of the order of examples.
        device: a torch device, or None for the GPU where there is one.
    """

    epochs: float = 2.0
    learning_rate: float = 2e-5
    batch: int = 8
    max_length: int = 1024
    seed: int = 0
    device: str | None = None

    def check(self) -> None:
        """Refuse settings that have no meaning.

        Raises:
            InputError: one of them.
        """
        if not (0 < self.epochs <= 1000 and 0 < self.learning_rate < 1):
            raise InputError(
                f"--epochs {self.epochs} --learning-rate {self.learning_rate}: expected epochs above 0 and a learning "
                "rate between 0 and 1"
            )
        if self.batch < 1 or self.max_length < 2:
            raise InputError(
                f"--batch {self.batch} --max-length {self.max_length}: expected at least 1 and 2"
            )


@dataclass(frozen=True)
class Tuned:
    """A checkpoint that was fine-tuned.

    Attributes:
        folder: what ``rbridge score`` reads.
        num_examples: that it was trained on.
        num_too_long: that were left out.
        num_steps: of the optimiser.
        first_loss, last_loss: mean loss of an answer token at the first and the last logged step, nats.
        was_there: it stood there already, made from the same inputs.
    """

    folder: Path
    num_examples: int
    num_too_long: int
    num_steps: int
    first_loss: float
    last_loss: float
    was_there: bool = False


def fine_tune(
    checkpoint: Checkpoint,
    data: ProblemSet,
    out: Path,
    settings: SftSettings,
    *,
    progress: Callable[[str], None],
) -> Tuned:
    """Fine-tune a checkpoint on answers and write it as a folder, labels carried over.

    The folder appears whole or not at all; the same call again gives back what is there.

    Args:
        checkpoint: from ``rbridge.scoring.checkpoints.expand``.
        data: questions with answers, and worked solutions where there are any.
        out: the folder to write.
        settings: how.
        progress: told one line at a time.

    Raises:
        InputError: ``out`` is something else, the checkpoint cannot be loaded, or no example fits.
    """
    settings.check()
    if checkpoint.gguf_file is not None:
        raise InputError(
            f"{checkpoint.name}: a GGUF file cannot be fine-tuned; expected a transformers checkpoint"
        )
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    key = sha256_json(
        {
            "format": FORMAT_VERSION,
            "weights": weights_sha256(checkpoint),
            "data": [[one.benchmark, one.question, one.choices, answer_text(one)] for one in data.problems],
            "settings": asdict(replace(settings, device=None)),
        }
    )
    record = out / RECORD
    if record.is_file() and (there := _read_record(record)).get("key") == key:
        progress(f"{out}: fine-tuned already")
        return Tuned(out, **{name: there[name] for name in _RECORDED}, was_there=True)
    tokenizer = load_tokenizer(checkpoint)
    loaded = load_model(checkpoint, dtype="float32", device=device)
    longest = min(settings.max_length, loaded.context_length or settings.max_length)
    ends = loaded.model.config.get_text_config().eos_token_id
    end = ends[0] if isinstance(ends, list) else ends
    every = [encode_example(one, tokenizer, end=end) for one in data.problems]
    examples = [one for one in every if len(one["input_ids"]) <= longest]
    if not examples:
        raise InputError(
            f"{data.source}: none of its {len(every)} examples fits into {longest} tokens; raise --max-length or take "
            "shorter ones"
        )
    progress(f"{checkpoint.name}: {len(examples)} examples, {len(every) - len(examples)} too long")
    with new_folder(out) as scratch:
        losses, num_steps = _train(loaded.model, examples, settings, scratch / ".trainer", device)
        loaded.model.save_pretrained(scratch)
        _copy_tokenizer(checkpoint, scratch)
        labels = with_parsed(checkpoint.labels, checkpoint.name).labels
        write_json(scratch / LABELS_FILE, asdict(labels))
        tuned = Tuned(out, len(examples), len(every) - len(examples), num_steps, losses[0], losses[-1])
        write_json(
            scratch / RECORD,
            {
                "format_version": FORMAT_VERSION,
                "key": key,
                "base": checkpoint.name,
                "benchmark": data.benchmark,
                "data": data.source,
                **asdict(settings),
                **{name: getattr(tuned, name) for name in _RECORDED},
            },
        )
    return tuned


_RECORDED = ("num_examples", "num_too_long", "num_steps", "first_loss", "last_loss")


def answer_text(problem: Problem) -> str:
    """What a model should write behind the prompt: the worked solution, if any, then the closing words.

    GSM8K's calculation marks ``<<48/2=24>>`` and its ``#### 72`` are left out; code is its own solution.
    """
    closing = closing_words(problem.benchmark).replace("{answer}", problem.answer)
    if problem.solution is None or problem.tests is not None:
        return closing
    worked = _MARK.sub("", problem.solution).partition("####")[0].strip()
    return f"{worked} {closing}" if worked else closing


def encode_example(problem: Problem, tokenizer: ProxyTokenizer, *, end: int | None) -> dict[str, list[int]]:
    """Token ids of prompt and answer, encoded apart as for a score, and labels that ignore the prompt.

    Args:
        problem: with its answer.
        tokenizer: the proxy's.
        end: id that ends a text, learnt behind the answer; None where the model has none.
    """
    prompt = build_prompt(problem.benchmark, problem.question, problem.choices, 0)
    before = [*tokenizer.prefix_ids, *tokenizer.encode(prompt)]
    answer = [*tokenizer.encode(f" {answer_text(problem)}"), *([] if end is None else [end])]
    return {"input_ids": before + answer, "labels": [IGNORED] * len(before) + answer}


def pad_batch(examples: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Examples as tensors, padded on the right; padding is masked and has no loss."""
    width = max(len(one["input_ids"]) for one in examples)
    ids = torch.zeros((len(examples), width), dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(examples):
        length = len(one["input_ids"])
        ids[row, :length] = torch.tensor(one["input_ids"])
        labels[row, :length] = torch.tensor(one["labels"])
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _train(
    model: Any, examples: Any, settings: SftSettings, scratch: Path, device: str
) -> tuple[list[float], int]:
    """Losses as logged, and the number of steps; the trainer's own folder is gone afterwards."""
    total = max(1, round(len(examples) / settings.batch * settings.epochs))
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        warmup_steps=max(1, round(0.05 * total)),
        lr_scheduler_type="linear",
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=device == "cpu",
        save_strategy="no",
        report_to=[],
        logging_steps=max(1, total // 10),
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=examples, data_collator=pad_batch)
    trainer.remove_callback(PrinterCallback)  # its lines would stand between results on stdout
    trainer.train()
    shutil.rmtree(scratch, ignore_errors=True)
    losses = [float(row["loss"]) for row in trainer.state.log_history if "loss" in row]
    return losses or [float(trainer.state.log_history[-1]["train_loss"])], trainer.state.global_step


def _copy_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    source = checkpoint.local or fetch_all(checkpoint.source, checkpoint.revision)
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return {}
