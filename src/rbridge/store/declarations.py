"""What a study names before any score exists: its metric, benchmarks, decision and margin, hashed with a date."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from rbridge.errors import InputError
from rbridge.store.documents import read_document
from rbridge.store.files import sha256_json, write_json

# 1: first format.
FORMAT_VERSION = 1


class Declaration(BaseModel):
    """A declaration. ``sha256`` is over everything else in it."""

    model_config = ConfigDict(extra="forbid")

    format_version: int = FORMAT_VERSION
    metric: str
    benchmarks: list[str]
    decision: str
    margin: float = Field(ge=0)
    created: str
    sha256: str = ""

    def digest(self) -> str:
        """The hash that belongs to what it says."""
        return sha256_json(self.model_dump(exclude={"sha256"}))

    def when(self) -> datetime:
        """Its date."""
        return moment(self.created)


def moment(text: str) -> datetime:
    """A date as it stands in a file; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def write_declaration(
    path: Path, *, metric: str, benchmarks: list[str], decision: str, margin: float, now: datetime
) -> Declaration:
    """Write a new declaration.

    Raises:
        InputError: the file exists: a declaration is never changed.
    """
    if path.exists():
        raise InputError(f"{path}: exists; a declaration is never changed: give another name")
    if not metric or not benchmarks or not decision.strip():
        raise InputError("a declaration names a metric, at least one benchmark, and the decision in words")
    if not 0 <= margin < float("inf"):
        raise InputError(f"--margin {margin}: expected 0 or more, in the metric's unit")
    bare = Declaration(
        metric=metric,
        benchmarks=benchmarks,
        decision=decision,
        margin=margin,
        created=now.astimezone(UTC).isoformat(timespec="seconds"),
    )
    found = bare.model_copy(update={"sha256": bare.digest()})
    write_json(path, found.model_dump())
    return found


def read_declaration(path: Path) -> Declaration:
    """A declaration, its hash checked.

    Raises:
        InputError: no such file, not a declaration, or changed since it was written.
    """
    found = read_document(path, Declaration, newest=FORMAT_VERSION)
    try:
        found.when()
    except ValueError:
        raise InputError(
            f"{path}: its date {found.created!r} is none; expected the file as declared"
        ) from None
    if found.digest() != found.sha256:
        raise InputError(
            f"{path}: changed since it was declared (its hash differs); restore it as it was written"
        )
    return found
