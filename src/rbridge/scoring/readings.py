"""Further readings of a scored checkpoint, asked for one by one, kept beside its run, never made twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rbridge.benchmarks import benchmark_named, load_problems
from rbridge.benchmarks.problems import Problem
from rbridge.errors import InputError
from rbridge.records import Skip, Trace, TraceKey
from rbridge.scoring.baselines import baseline_texts, known_problems
from rbridge.scoring.checkpoints import Checkpoint, LoadedModel, load_model, load_tokenizer
from rbridge.scoring.encode import Encoded, encode_trace
from rbridge.scoring.engine import Engine
from rbridge.scoring.other_question import NUM_OTHERS, OtherQuestions
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.files import sha256_json
from rbridge.store.readings import (
    GENERIC,
    GOLD,
    ITEMS,
    OTHER_QUESTIONS,
    Table,
    table_key,
    write_question_readings,
    write_table,
)
from rbridge.store.runs import Run

# 1: first format.
_FORMAT = 1
# Bytes of a piece of generic text, cut at white space; each is read behind the same short prompt.
_PIECE = 2000
_GENERIC_PROMPT = "Text:"


@dataclass(frozen=True)
class Wanted:
    """Which further readings a user asks for.

    Attributes:
        margin: every trace behind other problems' questions.
        gold: the benchmark's own solution (or answer) of every problem.
        generic: a file of plain text, or None.
        baselines: answer options, gold labels, traces with their answer.
    """

    margin: bool = False
    gold: bool = False
    generic: Path | None = None
    baselines: bool = False

    @property
    def anything(self) -> bool:
        """Whether there is anything to read."""
        return self.margin or self.gold or self.baselines or self.generic is not None


def gold_texts(traces: Sequence[Trace], questions: str) -> list[Trace]:
    """Gold solutions as traces, one a problem: the solution where the benchmark has one, else the answer.

    Args:
        traces: with their questions resolved.
        questions: where questions come from (see ``rbridge.benchmarks``). Of a benchmark that no source
            knows, the answer of a trace that was checked and right is the gold one.

    Raises:
        InputError: no problem has a gold text.
    """
    known: dict[str, Mapping[str, Problem]] = {}
    found: dict[tuple[str, str], Trace] = {}
    for trace in traces:
        benchmark, name = trace.key.benchmark, trace.key.problem_id
        if benchmark not in known:
            has_source = benchmark_named(benchmark) is not None or questions.endswith(".jsonl")
            known[benchmark] = load_problems(benchmark, questions).by_id if has_source else {}
        text = _gold_text(known[benchmark].get(name), trace)
        if text:
            gold = replace(
                trace,
                key=TraceKey(benchmark, name, "gold"), reasoning=text,
                reply=None, reasoning_span=None, pieces=None, weight_source=None,
            )  # fmt: skip
            found.setdefault((benchmark, name), gold)
    if not found:
        raise InputError(
            "--gold: none of the problems has a gold solution or answer; give them with --questions FILE.jsonl"
        )
    return list(found.values())


def _gold_text(problem: Problem | None, trace: Trace) -> str | None:
    if problem is None:
        return trace.answer if trace.correct else None
    if problem.solution:
        return problem.solution.strip()
    if problem.choices:
        return problem.choices[ord(problem.answer) - ord("A")]
    return problem.answer


def generic_texts(path: Path) -> list[Trace]:
    """A plain text in pieces of some 2,000 bytes, as traces of a benchmark named after the file.

    Raises:
        InputError: no such file, no UTF-8, or nothing in it.
    """
    try:
        words = path.read_bytes().decode().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}); give a text file") from None
    pieces: list[list[str]] = [[]]
    size = 0
    for word in words:
        if size > _PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(word)
        size += len(word.encode()) + 1
    if not words:
        raise InputError(f"{path}: empty; expected plain text")
    return [
        Trace(TraceKey(path.name, f"{number:05d}", "generic"), " ".join(piece), prompt=_GENERIC_PROMPT)
        for number, piece in enumerate(pieces)
    ]


@dataclass(frozen=True)
class Reader:
    """A checkpoint that is opened when the first reading needs it."""

    checkpoint: Checkpoint
    dtype: str
    device: str
    shots: int
    batch_tokens: int

    @cached_property
    def tokenizer(self) -> ProxyTokenizer:
        """The checkpoint's own."""
        return load_tokenizer(self.checkpoint)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model."""
        return load_model(self.checkpoint, dtype=self.dtype, device=self.device)

    @cached_property
    def engine(self) -> Engine:
        """The model, proven."""
        return Engine(self.loaded.model, name=self.checkpoint.name)

    def other_questions(self) -> OtherQuestions:
        """What reads traces behind other questions."""
        return OtherQuestions(
            model=self.loaded.model,
            name=self.checkpoint.name,
            tokenizer=self.tokenizer,
            shots=self.shots,
            context_length=self.loaded.context_length,
            vocabulary=self.engine.vocabulary,
        )

    def read(self, traces: Sequence[Trace], *, shots: int) -> Iterator[dict[str, Any]]:
        """Losses of texts, as rows of a table, in batches; what cannot be scored is passed over."""
        encoded: list[Encoded] = []
        for trace in traces:
            length = self.loaded.context_length
            found = encode_trace(trace, self.tokenizer, shots=shots, context_length=length)
            if not isinstance(found, Skip):
                encoded.append(found)
        for items in self.engine.plan(encoded, self.batch_tokens):
            for item, nll in zip(items, self.engine.losses(items), strict=True):
                yield {
                    "benchmark": item.key.benchmark,
                    "problem_id": item.key.problem_id,
                    "voice": item.key.voice,
                    "shots": item.shots,
                    "num_bytes": item.num_bytes,
                    "nll": nll.tolist(),
                }


def read_further(
    run: Run,
    reader: Reader,
    traces: Sequence[Trace],
    wanted: Wanted,
    *,
    questions: str,
    progress: Callable[[str], None],
) -> None:
    """Make the readings that are asked for and not there yet.

    Args:
        run: finished.
        reader: of its checkpoint.
        traces: as scored, questions resolved.
        wanted: which.
        questions: where gold solutions come from.
        progress: told one line a reading.

    Raises:
        InputError: a text is missing, or the checkpoint cannot read it.
    """
    if wanted.margin:
        key = _key(run, "other questions", NUM_OTHERS)
        if _missing(run, OTHER_QUESTIONS, key, progress):
            write_question_readings(run.folder, reader.other_questions().read(traces), key=key)
    if wanted.gold:
        gold = gold_texts(traces, questions)
        key = _key(run, "gold", [[str(one.key), one.reasoning] for one in gold])
        if _missing(run, GOLD, key, progress):
            write_table(run.folder, GOLD, _plain(reader.read(gold, shots=reader.shots)), key=key)
    if wanted.generic is not None:
        texts = generic_texts(wanted.generic)
        key = _key(run, "generic", [[str(one.key), one.reasoning] for one in texts])
        if _missing(run, GENERIC, key, progress):
            write_table(run.folder, GENERIC, _plain(reader.read(texts, shots=0)), key=key)
    if wanted.baselines:
        spoken = list(baseline_texts(traces, known_problems(traces, questions), shots=reader.shots))
        if not spoken:
            raise InputError(
                "--baselines: none of the problems has a gold answer; give them with --questions FILE.jsonl"
            )
        key = _key(
            run, "baselines", [[*row[:3], str(row[3].key), row[3].prompt, row[3].reasoning] for row in spoken]
        )
        if _missing(run, ITEMS, key, progress):
            write_table(run.folder, ITEMS, list(_spoken(spoken, reader)), key=key)


def _spoken(texts: Sequence[tuple[str, bool, str, Trace]], reader: Reader) -> Iterator[dict[str, Any]]:
    """Losses of baseline texts in their order, summed; what cannot be scored is passed over."""
    rows = reader.read([trace for *_, trace in texts], shots=0)
    read = {(row["benchmark"], row["problem_id"], row["voice"]): row for row in rows}
    for kind, gold, voice, trace in texts:
        row = read.get((trace.key.benchmark, trace.key.problem_id, trace.key.voice))
        if row is not None:
            yield {
                "benchmark": trace.key.benchmark,
                "problem_id": trace.key.problem_id,
                "voice": voice,
                "kind": kind,
                "gold": gold,
                "shots": 0 if kind == "option" else reader.shots,
                "nll": math.fsum(row["nll"]),
                "num_tokens": len(row["nll"]),
                "num_characters": len(trace.reasoning),
                "num_bytes": row["num_bytes"],
            }


def _plain(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by name, without their voice."""
    kept = [{name: value for name, value in row.items() if name != "voice"} for row in rows]
    return sorted(kept, key=lambda row: (row["benchmark"], row["problem_id"]))


def _key(run: Run, kind: str, what: object) -> str:
    return sha256_json({"format": _FORMAT, "run": run.manifest.key, "kind": kind, "what": what})


def _missing(run: Run, table: Table, key: str, progress: Callable[[str], None]) -> bool:
    if table_key(run.folder, table) == key:
        return False
    progress(f"  {table.option}: {table.file}")
    return True
