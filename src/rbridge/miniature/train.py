"""Train one model of the miniature, put it to the test and keep it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from rbridge.miniature.jobs import Job, Trained, finished, write_result
from rbridge.miniature.recipes import mix
from rbridge.miniature.replies import num_right
from rbridge.miniature.vocabularies import tokenizer_named
from rbridge.miniature.world import held_out_problems, stream
from rbridge.proxies.models import new_model
from rbridge.proxies.train import save_checkpoint, train
from rbridge.proxies.windows import pack_windows
from rbridge.records import Labels
from rbridge.store.files import new_folder

WINDOW = 128


def run_job(job: Job, folder: Path) -> Trained:
    """Train, test and save one model; the folder appears whole or not at all.

    What an earlier run of the same job left in ``folder`` is read instead; what another job left is replaced.
    """
    if done := finished(job, folder):
        return done
    for left in (
        folder,
        *folder.parent.glob(f".{folder.name}.tmp-*"),
    ):  # by another job, by a worker that was killed
        shutil.rmtree(left, ignore_errors=True)
    with new_folder(folder) as scratch:
        labels, right = _train_and_test(job, scratch)
        write_result(job, scratch, labels=labels, num_right=right)
    return Trained(folder, labels, job.num_problems, right)


def job_documents(job: Job) -> list[list[int]]:
    """The documents that a job's model is trained on, as token ids that end in the end-of-text token."""
    tokenizer = tokenizer_named(job.tokenizer)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [[*ids, tokenizer.eos_token_id] for ids in tokenizer(list(texts))["input_ids"]]

    return mix(job.recipe, encode, num_tokens=job.size.num_tokens, rng=stream(job.name))


def job_texts(job: Job) -> list[str]:
    """The same documents as text."""
    tokenizer = tokenizer_named(job.tokenizer)
    return tokenizer.batch_decode([ids[:-1] for ids in job_documents(job)])


def _train_and_test(job: Job, folder: Path) -> tuple[Labels, int]:
    tokenizer = tokenizer_named(job.tokenizer)
    windows = pack_windows(job_documents(job), window=WINDOW, pad_id=tokenizer.eos_token_id)
    model = new_model(
        job.size,
        vocab_size=len(tokenizer),
        end_id=tokenizer.eos_token_id,
        context=2 * WINDOW,  # rotary positions carry no weights, so a longer prompt may still be read
        seed=job.seed,
    )
    losses = train(model, windows, learning_rate=job.size.learning_rate, seed=job.seed)
    num_parameters = sum(weight.numel() for weight in model.parameters())
    labels = Labels(
        recipe=job.recipe.name,
        seed=job.seed,
        size=job.size.name,
        parameters=num_parameters,
        tokens=windows.num_tokens,
        step=len(losses),
        flops=6.0 * num_parameters * windows.num_tokens,
    )
    save_checkpoint(folder, model, tokenizer, labels=labels)
    return labels, num_right(model, tokenizer, problems=held_out_problems(job.num_problems))
