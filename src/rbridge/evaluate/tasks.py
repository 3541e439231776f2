"""What is asked: a prompt for every problem and sample, as a proxy reads it, and the seed of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rbridge.benchmarks import Problem, build_prompt
from rbridge.errors import InputError
from rbridge.store.evaluations import SkippedProblem
from rbridge.store.files import sha256_json

TOO_LONG = "too long"


@dataclass(frozen=True)
class EvaluateSettings:
    """How a benchmark is asked; what changes a reply goes into the evaluation's key.

    Attributes:
        benchmarks: names, at least one.
        shots: worked examples before each question.
        samples: replies a problem.
        temperature: 0 is greedy.
        max_tokens: the most tokens of a reply.
        seed: of sampling; every problem and sample has a seed of its own that follows from it.
        limit: the first so many problems of each benchmark, or None for all.
        questions: where questions come from (see ``rbridge.benchmarks``).
        dtype, device: of weights and activations, as for scores.
        batch_tokens: prompt and reply tokens of a batch, padding included: it bounds memory, and no reply
            depends on it.
        keep_downloads: leave what was fetched from the hub in its cache.
    """

    benchmarks: tuple[str, ...]
    shots: int = 5
    samples: int = 1
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int = 0
    limit: int | None = None
    questions: str = "auto"
    dtype: str = "float32"
    device: str | None = None
    batch_tokens: int = 16384
    keep_downloads: bool = False

    def check(self) -> None:
        """Refuse settings that have no meaning.

        Raises:
            InputError: one of them.
        """
        if not self.benchmarks:
            raise InputError("no benchmark given; expected --benchmark NAME, such as gsm8k")
        for name, value in (
            ("samples", self.samples),
            ("max-tokens", self.max_tokens),
            ("limit", self.limit),
            ("batch-tokens", self.batch_tokens),
        ):
            if value is not None and value < 1:
                raise InputError(f"--{name} {value}: expected at least 1")
        if not 0 <= self.temperature < 100:
            raise InputError(f"--temperature {self.temperature}: expected 0 (greedy) to 100")
        if self.samples > 1 and self.temperature == 0:
            raise InputError(
                f"--samples {self.samples}: all of them are the same without a temperature; add --temperature 0.8"
            )


@dataclass(frozen=True)
class Task:
    """One prompt.

    Attributes:
        problem: that is asked.
        sample: number of the sample, from 0.
        shots: worked examples before it.
        prompt: the text.
        ids: its tokens, BOS where the tokenizer's convention adds one; empty for a server.
        seed: of sampling.
    """

    problem: Problem
    sample: int
    shots: int
    prompt: str
    ids: tuple[int, ...]
    seed: int

    @property
    def name(self) -> tuple[str, int]:
        """Problem and sample: what a reply is kept under."""
        return self.problem.problem_id, self.sample


def task_seed(seed: int, benchmark: str, problem_id: str, sample: int) -> int:
    """A seed of 31 bits that depends on what is asked alone, not on when or beside what it is asked."""
    digest = hashlib.sha256(f"{seed}/{benchmark}/{problem_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def prompts_sha256(problems: Sequence[Problem], shots: int) -> str:
    """Hash of all prompts at full shots, and of what replies are held against.

    Raises:
        InputError: there are not so many worked examples.
    """
    rows = [
        [one.problem_id, build_prompt(one.benchmark, one.question, one.choices, shots), one.answer, one.tests]
        for one in problems
    ]
    return sha256_json(rows)


def build_tasks(
    problems: Sequence[Problem],
    settings: EvaluateSettings,
    *,
    encode: Callable[[str], Sequence[int]] | None,
    context_length: int | None,
) -> tuple[list[Task], list[SkippedProblem]]:
    """A task for every problem and sample, and the problems that do not fit.

    Args:
        problems: of one benchmark.
        settings: as the user gave them.
        encode: ids of a prompt, or None for a server.
        context_length: most tokens of prompt and reply together. Worked examples are dropped from the front
            until both fit; a problem that does not fit without any is skipped.
    """
    tasks: list[Task] = []
    skipped: list[SkippedProblem] = []
    for problem in problems:
        found = _fitting(problem, settings, encode, context_length)
        if found is None:
            reason = f"{TOO_LONG}: prompt and {settings.max_tokens} tokens of reply exceed {context_length}"
            skipped.append(SkippedProblem(problem_id=problem.problem_id, reason=reason))
            continue
        shots, prompt, ids = found
        for sample in range(settings.samples):
            seed = task_seed(settings.seed, problem.benchmark, problem.problem_id, sample)
            tasks.append(Task(problem, sample, shots, prompt, ids, seed))
    return tasks, skipped


def _fitting(
    problem: Problem,
    settings: EvaluateSettings,
    encode: Callable[[str], Sequence[int]] | None,
    context_length: int | None,
) -> tuple[int, str, tuple[int, ...]] | None:
    for shots in range(settings.shots, -1, -1):
        prompt = build_prompt(problem.benchmark, problem.question, problem.choices, shots)
        ids = () if encode is None else tuple(encode(prompt))
        if context_length is None or len(ids) + settings.max_tokens <= context_length:
            return shots, prompt, ids
    return None
