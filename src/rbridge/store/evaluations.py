"""Evaluations on disk: a folder per (checkpoint x benchmark x settings), every reply kept, never asked for twice.

RUNS/eval-<checkpoint>-<benchmark>-<key>/evaluation.json, replies.parquet    finished
RUNS/.replies-<key>/000007-<writer>.jsonl                                     replies of one that was interrupted

They may stand in the folder of score runs, which does not see them.
"""

from __future__ import annotations

import glob
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from rbridge.errors import InputError
from rbridge.records import Labels
from rbridge.store.documents import read_document
from rbridge.store.files import new_folder, unique, write_bytes, write_json

# 1: first format.
FORMAT_VERSION = 1
MANIFEST = "evaluation.json"
REPLIES = "replies.parquet"
_KEY_SHOWN = 12

_SCHEMA = pl.Schema(
    {
        "problem_id": pl.String,
        "sample": pl.Int64,
        "shots": pl.Int64,
        "text": pl.String,
        "finish": pl.String,
        "num_tokens": pl.Int64,
        "answer": pl.String,
        "rule": pl.String,
        "correct": pl.Boolean,
        "reason": pl.String,
        "edit_distance": pl.Int64,
        "edit_share": pl.Float64,
    }
)


@dataclass(frozen=True)
class Reply:
    """What a model wrote behind one prompt, and what a checker says of it.

    Attributes:
        problem_id: of the benchmark.
        sample: its number, from 0.
        shots: worked examples that really stood before the question.
        text: up to its end; the stop that ended it is left out.
        finish: ``stop`` (a stop of the benchmark), ``end`` (the model's own end) or ``length`` (cut at the most
            tokens: truncated).
        num_tokens: that were written, or None where a server does not say.
        answer: that was found, or None.
        rule: that found it (``rbridge.grading.reading``), or None.
        correct: the verdict; None where the checker cannot tell, or before it was asked.
        reason: of the verdict; None before the checker was asked.
        edit_distance: token edit distance to the gold text, or None without a tokenizer.
        edit_share: of the longer of the two, or None.
    """

    problem_id: str
    sample: int
    shots: int
    text: str
    finish: str
    num_tokens: int | None = None
    answer: str | None = None
    rule: str | None = None
    correct: bool | None = None
    reason: str | None = None
    edit_distance: int | None = None
    edit_share: float | None = None


class SkippedProblem(BaseModel):
    """A problem that was not asked, and why."""

    model_config = ConfigDict(extra="ignore")

    problem_id: str
    reason: str


class EvaluationManifest(BaseModel):
    """Everything that fixes an evaluation, and what the checkpoint is.

    ``key`` hashes the inputs (weights or endpoint, tokenizer, prompts, gold answers, decoding); device, time and
    versions are recorded beside it. ``chance`` and ``constant_answer`` are accuracies without a model: guessing
    among the options, and the most common gold answer given to every problem.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    format_version: int = FORMAT_VERSION
    key: str
    checkpoint: str
    labels: Labels = Field(default_factory=Labels)
    parsed_labels: list[str] = Field(default_factory=list)
    engine: str
    endpoint: str | None = None
    revision: str | None = None
    weights_sha256: str | None = None
    tokenizer_sha256: str | None = None
    parameters: int | None = None
    dtype: str | None = None
    device: str | None = None
    benchmark: str
    checker: str | None
    question_source: str
    prompts_sha256: str
    shots: int
    samples: int
    temperature: float
    seed: int
    max_tokens: int
    num_problems: int
    skipped: list[SkippedProblem]
    chance: float
    constant_answer: float
    versions: dict[str, str]
    created: str
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        folder: where it is kept.
        manifest: what it is.
    """

    folder: Path
    manifest: EvaluationManifest

    def replies(self) -> tuple[Reply, ...]:
        """Every reply, by problem in the benchmark's order, then by sample.

        Raises:
            InputError: the file is damaged.
        """
        path = self.folder / REPLIES
        try:
            return tuple(Reply(**row) for row in pl.read_parquet(path, columns=list(_SCHEMA)).to_dicts())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(
                f"{path}: damaged ({str(error).splitlines()[0]}); delete its folder and evaluate again"
            ) from None


class EvaluationStore:
    """A folder of evaluations that any number of processes write and read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def finished(self, key: str, name: str) -> Evaluation | None:
        """The finished evaluation of that key, or None."""
        folder = self.folder(key, name)
        if not (folder / MANIFEST).is_file():
            return None
        found = Evaluation(folder, _read_manifest(folder))
        return found if found.manifest.key == key else None

    def folder(self, key: str, name: str) -> Path:
        """Where the evaluation of that key stands when it is finished."""
        plain = re.sub(r"[^A-Za-z0-9._@-]+", "-", name).strip("-.")[-60:]
        return self.root / f"eval-{plain or 'checkpoint'}-{key[:_KEY_SHOWN]}"

    def kept(self, key: str) -> tuple[Reply, ...]:
        """Replies that an interrupted evaluation left behind."""
        folder = self._partial_folder(key)
        parts = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
        return tuple(
            Reply(**json.loads(line)) for part in parts for line in part.read_text().split("\n") if line
        )

    def keep(self, key: str, replies: Sequence[Reply]) -> None:
        """Keep replies before the evaluation is finished: all of them or, where the writer dies, none."""
        folder = self._partial_folder(key)
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{json.dumps(asdict(reply))}\n" for reply in replies)
        try:
            write_bytes(folder / f"{len(list(folder.glob('*.jsonl'))):06d}-{unique()}.jsonl", lines.encode())
        except FileNotFoundError:  # another process has just finished this evaluation and dropped the folder
            if not any(self.root.glob(f"eval-*-{key[:_KEY_SHOWN]}/{MANIFEST}")):
                raise

    def finish(self, manifest: EvaluationManifest, name: str, replies: Sequence[Reply]) -> Evaluation:
        """Write the whole evaluation and drop its parts; one that another process finished meanwhile stands."""
        folder = self.folder(manifest.key, name)
        try:
            with new_folder(folder) as scratch:
                buffer = BytesIO()
                pl.DataFrame([asdict(reply) for reply in replies], schema=_SCHEMA).write_parquet(buffer)
                write_bytes(scratch / REPLIES, buffer.getvalue())
                write_json(scratch / MANIFEST, manifest.model_dump())
        except (OSError, InputError):
            other = self.finished(manifest.key, name)
            if other is None:
                raise
            self.drop(manifest.key)
            return other
        self.drop(manifest.key)
        for abandoned in self.root.glob(f".{glob.escape(folder.name)}.tmp-*"):  # of writers that were killed
            shutil.rmtree(abandoned, ignore_errors=True)
        return Evaluation(folder, manifest)

    def drop(self, key: str) -> None:
        """Forget the parts of an unfinished evaluation."""
        shutil.rmtree(self._partial_folder(key), ignore_errors=True)

    def relabel(self, found: Evaluation, labels: Labels, parsed: Sequence[str]) -> Evaluation:
        """Write other labels into a finished evaluation; its replies stay."""
        manifest = found.manifest.model_copy(update={"labels": labels, "parsed_labels": list(parsed)})
        write_json(found.folder / MANIFEST, manifest.model_dump())
        return replace(found, manifest=manifest)

    def _partial_folder(self, key: str) -> Path:
        return self.root / f".replies-{key[:_KEY_SHOWN]}"


def read_evaluations(root: Path) -> tuple[Evaluation, ...]:
    """All finished evaluations below a folder, or the one that the folder is, by name.

    Raises:
        InputError: there is none, or one of a newer format.
    """
    if (root / MANIFEST).is_file():
        return (Evaluation(root, _read_manifest(root)),)
    folders = sorted(
        path.parent for path in root.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")
    )
    if not folders:
        raise InputError(
            f"{root}: no evaluations there; expected the folder that 'rbridge evaluate -o' wrote"
        )
    return tuple(Evaluation(folder, _read_manifest(folder)) for folder in folders)


def _read_manifest(folder: Path) -> EvaluationManifest:
    return read_document(folder / MANIFEST, EvaluationManifest, newest=FORMAT_VERSION)
