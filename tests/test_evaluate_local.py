"""Generation here: the same text as a plain loop without cache or padding, whatever the batch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import AutoModelForCausalLM

from rbridge.benchmarks import Problem
from rbridge.errors import InputError
from rbridge.evaluate.local import LocalGenerator, _Drawn, plan_batches
from rbridge.evaluate.tasks import EvaluateSettings, Task, build_tasks, task_seed
from rbridge.scoring.checkpoints import expand, load_model, load_tokenizer
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.evaluations import Reply
from tests.checkpoints import build

# Learned positions; rotary ones with BOS and a sliding window; convolutions, which padding would run into.
KINDS = ("gpt2", "gemma2", "lfm2")
MAX_TOKENS = 10
QUESTIONS = ["Why?", "What is left of 12 apples when 7 are eaten?", "2 + 2?", "é😀?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints, each in a folder."""
    root = tmp_path_factory.mktemp("evaluate")
    for name in KINDS:
        build(name, root / name)
    return root


def open_generator(folder: Path) -> tuple[LocalGenerator, ProxyTokenizer]:
    """A generator of a checkpoint, and its tokenizer."""
    (checkpoint,) = expand([str(folder)])
    tokenizer = load_tokenizer(checkpoint)
    loaded = load_model(checkpoint, dtype="float32", device="cpu")
    return LocalGenerator(loaded.model, tokenizer, name=folder.name), tokenizer


def make_tasks(tokenizer: ProxyTokenizer, samples: int = 1) -> list[Task]:
    """Prompts of unequal length."""
    return [
        Task(
            Problem("mine", str(number), question, question, "1"),
            sample,
            0,
            question,
            (*tokenizer.prefix_ids, *tokenizer.encode(f"Question: {question}\nAnswer:")),
            task_seed(0, "mine", str(number), sample),
        )
        for number, question in enumerate(QUESTIONS)
        for sample in range(samples)
    ]


def write(
    generator: LocalGenerator, tasks: list[Task], *, batch_tokens: int, temperature: float = 0.0
) -> dict[tuple[str, int], Reply]:
    """Replies by problem and sample; a reply ends behind its first full stop."""

    def cut(text: str) -> tuple[str, bool]:
        end = text.find(".")
        return (text, False) if end == -1 else (text[:end], True)

    batches = generator.replies(
        tasks, cut=cut, max_tokens=MAX_TOKENS, temperature=temperature, batch_tokens=batch_tokens
    )
    return {(reply.problem_id, reply.sample): reply for batch in batches for reply in batch}


def plain(folder: Path, tokenizer: ProxyTokenizer, task: Task) -> tuple[str, str]:
    """Text and finish by reading the whole sequence anew for every token."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    known = {index for index, _ in tokenizer.vocabulary()}
    end = model.config.eos_token_id
    ids, written = list(task.ids), b""
    for _ in range(MAX_TOKENS):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        best = next(
            index for index in logits.argsort(descending=True).tolist() if index in known or index == end
        )
        if best == end:
            return written.decode(errors="replace"), "end"
        ids.append(best)
        written += tokenizer.spell([best])[0]
        text = written.decode(errors="replace")
        if "." in text:
            return text.partition(".")[0], "stop"
    return text, "length"


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_those_of_a_plain_loop_whatever_the_batch(folder: Path, kind: str) -> None:
    """Cache, left padding and batches change no greedy reply."""
    generator, tokenizer = open_generator(folder / kind)
    assert generator.padded
    tasks = make_tasks(tokenizer)
    alone = write(generator, tasks, batch_tokens=1)
    together = write(generator, tasks, batch_tokens=10_000)
    assert alone == together
    expected = {task.name: plain(folder / kind, tokenizer, task) for task in tasks}
    assert {name: (reply.text, reply.finish) for name, reply in together.items()} == expected
    assert all(reply.num_tokens <= MAX_TOKENS for reply in together.values())


def test_samples_do_not_depend_on_the_batch_and_differ(folder: Path) -> None:
    """Each has a seed of its own."""
    generator, tokenizer = open_generator(folder / "gpt2")
    tasks = make_tasks(tokenizer, samples=3)
    alone = write(generator, tasks, batch_tokens=1, temperature=1.0)
    together = write(generator, tasks[::-1], batch_tokens=200, temperature=1.0)
    assert alone == together
    assert all(len({alone[str(number), sample].text for sample in range(3)}) > 1 for number in range(4))


def test_draws_follow_the_softmax_at_the_temperature() -> None:
    """The share of each token among 4,000 rows, by chi-square; another temperature would fail."""
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0, -torch.inf])
    rows, temperature = 4000, 1.7
    drawn = _Drawn(temperature, list(range(rows)))(
        torch.zeros((rows, 1), dtype=torch.long), logits.repeat(rows, 1)
    ).argmax(-1)
    counts = Counter(drawn.tolist())
    assert counts[4] == 0
    found = [counts[index] for index in range(4)]
    expected = (logits[:4].double() / temperature).softmax(-1).numpy() * rows
    assert chisquare(found, expected).pvalue > 0.01
    wrong = (logits[:4].double()).softmax(-1).numpy() * rows
    assert chisquare(found, wrong).pvalue < 1e-6


def test_a_model_that_reads_padding_is_given_equal_lengths(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found when it is loaded, and its replies are right all the same."""
    from transformers import GPT2LMHeadModel

    real = GPT2LMHeadModel.generate

    def blind(self: GPT2LMHeadModel, ids: torch.Tensor, **options: object) -> object:
        return real(self, ids, **{**options, "attention_mask": torch.ones_like(ids)})

    generator, tokenizer = open_generator(folder / "gpt2")
    expected = write(generator, make_tasks(tokenizer), batch_tokens=10_000)
    monkeypatch.setattr(GPT2LMHeadModel, "generate", blind)
    blinded, _ = open_generator(folder / "gpt2")
    assert not blinded.padded
    assert write(blinded, make_tasks(tokenizer), batch_tokens=10_000) == expected


def test_batches_hold_the_asked_tokens_longest_first() -> None:
    """Prompt and reply, padding included; equal lengths alone where padding is read."""
    tasks = [
        Task(Problem("b", str(n), "q", "q", "1"), 0, 0, "", tuple(range(length)), 0)
        for n, length in enumerate([3, 9, 9, 5, 3, 9])
    ]
    lengths = [
        [len(task.ids) for task in batch]
        for batch in plan_batches(tasks, max_tokens=1, batch_tokens=20, padded=True)
    ]
    assert lengths == [[9, 9], [9, 5], [3, 3]]
    equal = plan_batches(tasks, max_tokens=1, batch_tokens=100, padded=False)
    assert [[len(task.ids) for task in batch] for batch in equal] == [[9, 9, 9], [5], [3, 3]]


def test_ids_that_the_model_does_not_know_are_an_error(folder: Path) -> None:
    """As for a score."""
    generator, tokenizer = open_generator(folder / "gpt2")
    (task, *_) = make_tasks(tokenizer)
    foreign = Task(task.problem, 0, 0, "", (10_000,), 0)
    with pytest.raises(InputError, match="is the tokenizer another model's"):
        write(generator, [foreign], batch_tokens=10)


def test_shots_are_dropped_from_the_front_then_the_problem_is_skipped() -> None:
    """Prompt and the whole reply must fit."""
    problem = Problem("gsm8k", "0", "What is 2 + 3?", "", "5")
    settings = EvaluateSettings(("gsm8k",), shots=5, max_tokens=100)

    def sizes(context: int | None) -> list[int]:
        tasks, skipped = build_tasks(
            [problem], settings, encode=lambda text: list(text.encode()), context_length=context
        )
        assert len(tasks) + len(skipped) == 1
        assert all(one.reason.startswith("too long") for one in skipped)
        return [task.shots for task in tasks]

    zero = len(b"Question: What is 2 + 3?\nAnswer:")
    assert sizes(None) == [5]
    assert sizes(zero + 100) == [0]
    assert sizes(zero + 99) == []
    kept = [sizes(context) for context in range(zero + 100, 5000, 400)]
    assert kept == sorted(kept)
    assert np.ptp([one[0] for one in kept]) == 5
