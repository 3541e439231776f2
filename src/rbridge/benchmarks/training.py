"""Questions to learn from: a benchmark's training split at the hub, or a file; never what it is tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rbridge.benchmarks.hub import read_hub
from rbridge.benchmarks.jsonl import read_jsonl
from rbridge.benchmarks.lookup import benchmark_named
from rbridge.benchmarks.problems import ProblemSet
from rbridge.benchmarks.sources import load_problems
from rbridge.errors import InputError, MissingExtra

# Splits at the hub that the benchmarks' authors made for training. MATH500, MMLU's STEM subjects, MMLU-Pro and
# HumanEval have none in the datasets that we read.
TRAINING_SPLITS: Mapping[str, str] = {"gsm8k": "train", "arc_challenge": "train", "csqa": "train"}


def training_problems(benchmark: str, data: str) -> ProblemSet:
    """Problems to fine-tune on.

    Args:
        benchmark: a name; one that we do not know needs a file.
        data: ``hub``, or the path of a .jsonl file.

    Raises:
        InputError: no such split or file, or one of its questions is a test question of the benchmark.
        MissingExtra: the hub was asked for and ``datasets`` is not installed.
    """
    if data == "hub":
        row = benchmark_named(benchmark)
        split = TRAINING_SPLITS.get(benchmark)
        if row is None or row.hub is None or split is None:
            raise InputError(
                f"--data hub: {benchmark!r} has no training split there; those that have one are "
                f"{', '.join(TRAINING_SPLITS)}: give --data FILE.jsonl"
            )
        found = read_hub(replace(row, hub=replace(row.hub, split=split)))
        found = replace(found, source=f"{found.source} ({split})")
    elif data.endswith(".jsonl"):
        found = read_jsonl(Path(data), benchmark)
    else:
        raise InputError(f"--data {data}: expected a file that ends in .jsonl, or hub")
    _refuse_test_questions(found)
    return found


def _refuse_test_questions(found: ProblemSet) -> None:
    """Raise where the data hold a question that the benchmark is tested on, as far as its questions are at hand."""
    try:
        tested = load_problems(found.benchmark)
    except (InputError, MissingExtra):
        return  # of a benchmark without questions here nothing can be told
    questions = {" ".join(one.question.split()): one.problem_id for one in tested.problems}
    for one in found.problems:
        twin = questions.get(" ".join(one.question.split()))
        if twin is not None:
            raise InputError(
                f"{found.source}: problem {one.problem_id} is problem {twin} of {found.benchmark}'s test questions: "
                "what is trained on must not be tested on; take it out"
            )
