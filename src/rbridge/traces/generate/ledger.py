"""The ledger beside a bundle: every call and every raw reply, committed as it arrives.

SQLite in WAL mode, one writer. A call is written before it is sent and its reply before anything
reads it, so that a kill at any moment loses what was under way and nothing else; what was under way
counts as paid.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rbridge.benchmarks import Problem
from rbridge.errors import InputError
from rbridge.traces.generate.entries import Facts, Identity, Item, Spending, StoredTrace

# 1: first format.
FORMAT_VERSION = 1
_SCHEMA = """
CREATE TABLE series (  -- one voice's traces of one benchmark
    benchmark TEXT, voice TEXT, identity TEXT, facts TEXT, PRIMARY KEY (benchmark, voice));
CREATE TABLE problems (
    benchmark TEXT, problem_id TEXT, prompt_sha256 TEXT, problem TEXT, PRIMARY KEY (benchmark, problem_id));
CREATE TABLE calls (  -- state: sent, answered, failed; problem_id is null for a probe
    id INTEGER PRIMARY KEY, benchmark TEXT, voice TEXT, problem_id TEXT, max_tokens INTEGER, sent TEXT,
    state TEXT, worst REAL, cost REAL, tokens_in INTEGER, tokens_out INTEGER, reply BLOB);
CREATE INDEX calls_of ON calls (benchmark, problem_id, voice);
CREATE TABLE items (  -- kind: trace, or why not: reply, length, refused
    benchmark TEXT, voice TEXT, problem_id TEXT, kind TEXT, reason TEXT, call INTEGER, thinking INTEGER,
    gold TEXT, correct INTEGER, PRIMARY KEY (benchmark, voice, problem_id));
"""


class Ledger:
    """Calls, replies and outcomes of one bundle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _open(path)
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{path}: {error}; another 'rbridge traces generate' may be writing it: wait for it, or name "
                "another bundle"
            ) from None
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: no ledger of rbridge ({error}); name another bundle") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def series(self, benchmark: str, voice: str) -> tuple[Identity, Facts] | None:
        """What fixes a series' replies, and what is known of it; None where it is new."""
        row = self._db.execute(
            "SELECT identity, facts FROM series WHERE benchmark = ? AND voice = ?", (benchmark, voice)
        ).fetchone()
        if row is None:
            return None
        return Identity.model_validate_json(row[0]), Facts.model_validate_json(row[1])

    def all_series(self) -> list[tuple[str, str]]:
        """Benchmark and voice of every series, in order."""
        return self._db.execute("SELECT benchmark, voice FROM series ORDER BY benchmark, voice").fetchall()

    def write_series(self, benchmark: str, voice: str, identity: Identity, facts: Facts) -> None:
        """Note a series, or something new about it."""
        row = (benchmark, voice, identity.model_dump_json(), facts.model_dump_json())
        self._run("INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?)", row)

    def write_problems(self, problems: Iterable[tuple[Problem, str]]) -> None:
        """Note problems with their prompts' hashes; those that are there already must be the same.

        Raises:
            InputError: a problem was asked in other words before.
        """
        with self._db:
            for problem, prompt in problems:
                key = (problem.benchmark, problem.problem_id)
                row = self._db.execute(
                    "SELECT prompt_sha256 FROM problems JOIN calls USING (benchmark, problem_id) "
                    "WHERE benchmark = ? AND problem_id = ? AND state = 'answered'",
                    key,
                ).fetchone()
                if row is not None and row[0] != prompt:
                    raise InputError(
                        f"{self.path}: {problem.benchmark}/{problem.problem_id} was asked with another question or "
                        "prompt before; nothing was asked now: name another bundle, or give the problem a new id"
                    )
                self._db.execute(
                    "INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?)",
                    (*key, prompt, json.dumps(asdict(problem))),
                )

    def begin_call(
        self, benchmark: str, voice: str, problem_id: str | None, max_tokens: int, worst: float
    ) -> int:
        """Note a call before it is sent, at its worst case; returns its number."""
        row = (benchmark, voice, problem_id, max_tokens, _now(), "sent", worst, worst)
        call = self._run(
            "INSERT INTO calls (benchmark, voice, problem_id, max_tokens, sent, state, worst, cost) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        assert call is not None  # an insert has a row
        return call

    def keep_reply(self, call: int, body: bytes) -> None:
        """Keep a raw reply, before anything reads it; its cost stays at the worst case until it is read.

        This commit alone waits for the disk: a reply that was paid for outlives a power cut, too.
        """
        self._db.execute("PRAGMA synchronous = FULL")
        self._run(
            "UPDATE calls SET state = 'answered', reply = ? WHERE id = ?", (zlib.compress(body, 1), call)
        )
        self._db.execute("PRAGMA synchronous = NORMAL")

    def price_reply(self, call: int, cost: float, tokens_in: int, tokens_out: int) -> None:
        """Note what a reply cost, tries that were lost before it included."""
        self._run(
            "UPDATE calls SET cost = ?, tokens_in = ?, tokens_out = ? WHERE id = ?",
            (cost, tokens_in, tokens_out, call),
        )

    def end_call(self, call: int, lost: float) -> None:
        """Note that a call has no reply, and what it may have cost all the same."""
        self._run("UPDATE calls SET state = 'failed', cost = ? WHERE id = ?", (lost, call))

    def replies(self, benchmark: str, voice: str, problem_id: str) -> list[tuple[int, int, bytes]]:
        """The replies to a problem, in order: number of the call, its ``max_tokens``, raw body."""
        rows = self._db.execute(
            "SELECT id, max_tokens, reply FROM calls WHERE benchmark = ? AND voice = ? AND problem_id = ? "
            "AND state = 'answered' ORDER BY id",
            (benchmark, voice, problem_id),
        )
        return [(call, max_tokens, zlib.decompress(reply)) for call, max_tokens, reply in rows]

    def settle(self, benchmark: str, voice: str, item: Item) -> None:
        """Note what became of a problem."""
        row = (benchmark, voice, item.problem_id, item.kind, item.reason, item.call, int(item.thinking))
        self._run("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)

    def reopen(self, benchmark: str, voice: str, max_tokens: int) -> None:
        """Forget skips that can be mended: replies cut off at fewer tokens, and requests refused unpaid."""
        self._run(
            "DELETE FROM items WHERE benchmark = ? AND voice = ? AND (kind = 'refused' OR kind = 'length' AND "
            "NOT EXISTS (SELECT 1 FROM calls WHERE calls.id = items.call AND calls.max_tokens >= ?))",
            (benchmark, voice, max_tokens),
        )

    def settled(self, benchmark: str, voice: str) -> set[str]:
        """The problems that need no call."""
        rows = self._db.execute(
            "SELECT problem_id FROM items WHERE benchmark = ? AND voice = ?", (benchmark, voice)
        )
        return {row[0] for row in rows}

    def skips(self, benchmark: str, voice: str) -> list[tuple[str, str]]:
        """Problems without a trace, and why, in order."""
        return self._db.execute(
            "SELECT problem_id, reason FROM items WHERE benchmark = ? AND voice = ? AND kind != 'trace' "
            "ORDER BY problem_id",
            (benchmark, voice),
        ).fetchall()

    def unpriced(self, benchmark: str, voice: str) -> list[tuple[int, float, bytes]]:
        """Replies that a kill left without a price: number of the call, its worst case, raw body."""
        rows = self._db.execute(
            "SELECT id, worst, reply FROM calls WHERE benchmark = ? AND voice = ? AND state = 'answered' "
            "AND tokens_in IS NULL",
            (benchmark, voice),
        )
        return [(call, worst, zlib.decompress(reply)) for call, worst, reply in rows]

    def reply(self, call: int) -> bytes:
        """The raw reply of a call."""
        (body,) = self._db.execute("SELECT reply FROM calls WHERE id = ?", (call,)).fetchone()
        return zlib.decompress(body)

    def asked(self, benchmark: str, voice: str) -> bool:
        """Whether a series has replies to problems, probes apart."""
        row = self._db.execute(
            "SELECT 1 FROM calls WHERE benchmark = ? AND voice = ? AND problem_id IS NOT NULL "
            "AND state = 'answered' LIMIT 1",
            (benchmark, voice),
        ).fetchone()
        return row is not None

    def unchecked(self, benchmark: str, voice: str) -> list[StoredTrace]:
        """A series' traces that were not held against the gold answer of now; no bodies."""
        condition = (
            "AND items.benchmark = ? AND items.voice = ? AND gold IS NOT json_extract(problem, '$.answer')"
        )
        return list(self._traces(condition, (benchmark, voice), bodies=False))

    def traces(self) -> Iterator[StoredTrace]:
        """Everything that traces are made of, in the order of their keys, one reply in memory at a time."""
        return self._traces("", (), bodies=True)

    def write_verdict(self, stored: StoredTrace, *, correct: bool | None) -> None:
        """Note whether a trace's answer is right, and by which gold answer."""
        self._run(
            "UPDATE items SET gold = ?, correct = ? WHERE benchmark = ? AND voice = ? AND problem_id = ?",
            (
                stored.problem.answer,
                correct,
                stored.problem.benchmark,
                stored.voice,
                stored.problem.problem_id,
            ),
        )

    def counts(self, benchmark: str, voice: str) -> dict[str, int]:
        """How many traces a series has: all, right, wrong, and written after thinking."""
        names = ("traces", "correct", "wrong", "thinking")
        row = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(correct = 1), 0), COALESCE(SUM(correct = 0), 0), "
            "COALESCE(SUM(thinking), 0) FROM items WHERE benchmark = ? AND voice = ? AND kind = 'trace'",
            (benchmark, voice),
        ).fetchone()
        return dict(zip(names, row, strict=True))

    def spending(self, benchmark: str | None = None, voice: str | None = None) -> Spending:
        """What a series, or the whole bundle, has cost so far."""
        where = "" if benchmark is None else " WHERE benchmark = ? AND voice = ?"
        row = self._db.execute(
            "SELECT COALESCE(SUM(state = 'answered'), 0), COALESCE(SUM(state != 'answered' AND cost > 0), 0), "
            "COALESCE(SUM(tokens_in), 0), COALESCE(SUM(tokens_out), 0), COALESCE(SUM(cost), 0.0) FROM calls"
            + where,
            () if benchmark is None else (benchmark, voice),
        ).fetchone()
        return Spending(*row)

    def dates(self, benchmark: str, voice: str) -> tuple[str, str]:
        """When a series' first and last call was sent."""
        return self._db.execute(
            "SELECT MIN(sent), MAX(sent) FROM calls WHERE benchmark = ? AND voice = ?", (benchmark, voice)
        ).fetchone()

    def _traces(self, condition: str, values: tuple[str, ...], *, bodies: bool) -> Iterator[StoredTrace]:
        rows = self._db.execute(
            f"SELECT problem, items.voice, items.call, correct, thinking, {'reply' if bodies else 'NULL'} "
            "FROM items JOIN calls ON calls.id = items.call JOIN problems ON problems.benchmark = items.benchmark "
            f"AND problems.problem_id = items.problem_id WHERE kind = 'trace' {condition} "
            "ORDER BY items.benchmark, items.problem_id, items.voice",
            values,
        )
        for problem, voice, call, correct, thinking, reply in rows:
            body = b"" if reply is None else zlib.decompress(reply)
            right = None if correct is None else bool(correct)
            yield StoredTrace(_problem(problem), voice, call, right, bool(thinking), body)

    def _run(self, statement: str, row: tuple[Any, ...]) -> int | None:
        with self._db:
            return self._db.execute(statement, row).lastrowid


def ledger_path(bundle: Path) -> Path:
    """Where a bundle's ledger is: beside it, so that the bundle can be shared without it."""
    return bundle.parent / f"{bundle.name}.ledger.sqlite"


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # a commit outlives a kill
    db.execute("BEGIN IMMEDIATE")  # takes the lock now, and keeps it
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.commit()
    if version > FORMAT_VERSION:
        raise InputError(f"{path}: format {version} is newer than this rbridge reads: pip install -U rbridge")
    if version == 0:
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")
    with db:  # what was under way when the last run died may have been billed
        db.execute("UPDATE calls SET state = 'failed' WHERE state = 'sent'")
    return db


def _problem(text: str) -> Problem:
    fields = json.loads(text)
    fields["choices"] = None if fields["choices"] is None else tuple(fields["choices"])
    return Problem(**fields)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
