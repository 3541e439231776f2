"""The documents of a source, one after the other, and a digest of all that decides them."""

from __future__ import annotations

import glob
import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rbridge.errors import InputError, MissingExtra
from rbridge.recipes.spec import Source
from rbridge.store.files import sha256_file, sha256_json

_ROWS = 1024  # of a Parquet file held at a time
# Of a folder that is named in place of files, what is read of it.
_ENDINGS = {"text": ("*",), "jsonl": ("*.jsonl", "*.jsonl.gz"), "parquet": ("*.parquet",)}


def source_files(name: str, source: Source) -> list[Path]:
    """The files of a local source, in order of name; each once. Of a folder, those of its kind, at any depth.

    Raises:
        InputError: a path or glob matches none.
    """
    found: dict[Path, None] = {}
    for pattern in source.paths:
        names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - may be absolute
        matches = [file for one in names for file in _below(Path(one), source)]
        if not matches:
            what = "no file in it to read" if names else "no such file"
            endings = " or ".join(_ENDINGS[source.kind])
            expected = f"a path, a glob that matches one, or a folder that holds {endings}"
            raise InputError(f"source {name}: {pattern}: {what}; expected {expected}")
        found |= dict.fromkeys(matches)
    return list(found)


def _below(path: Path, source: Source) -> list[Path]:
    """The file itself; of a folder, its files that are read, without hidden ones."""
    if path.is_file():
        return [path]
    inside = {file for ending in _ENDINGS[source.kind] for file in path.rglob(ending) if file.is_file()}
    return sorted(
        file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def check_source_opens(name: str, source: Source) -> None:
    """Check that a local source can be read as far as its first document; a hub dataset is not asked.

    Raises:
        InputError: a file is missing, of another kind, without the field, or all are empty.
    """
    if source.kind == "hub":
        return
    if next(documents(name, source), None) is None:
        raise InputError(
            f"source {name}: no text in {', '.join(source.paths)}; expected at least one document"
        )


def source_digest(name: str, source: Source) -> str:
    """SHA-256 over what the source's documents depend on: its files' bytes, or the hub's commit, and its settings.

    Where the files lie does not matter; how many tokens the source has at full scale does not either.

    Raises:
        InputError: a file is missing, or the hub cannot say which commit it would give.
    """
    settings: dict[str, Any] = {"kind": source.kind, "take": source.take}
    if source.kind == "hub":
        place = {"hub": source.hub, "config": source.config, "subset": source.subset, "field": source.field}
        return sha256_json({**settings, **place, "commit": _commit(name, source)})
    reads = {"split": source.split} if source.kind == "text" else {"field": source.field}
    hashes = [
        _file_digest(file, file.stat().st_size, file.stat().st_mtime_ns)
        for file in source_files(name, source)
    ]
    return sha256_json({**settings, **reads, "files": hashes})


@cache
def _file_digest(file: Path, size: int, changed: int) -> str:  # noqa: ARG001, they tell a changed file
    return sha256_file(file)


def documents(name: str, source: Source) -> Iterator[str]:
    """Texts of a source in order; empty ones are left out. No more than a file's row group is held.

    Raises:
        InputError: a file is missing or damaged, or has no such field.
        MissingExtra: a hub dataset is asked for and ``datasets`` is not installed.
    """
    if source.kind == "hub":
        texts = _hub(name, source)
    else:
        reader = {"text": _text, "jsonl": _jsonl, "parquet": _parquet}[source.kind]
        texts = (text for file in source_files(name, source) for text in reader(file, source))
    return (text for text in texts if text.strip())


def _text(file: Path, source: Source) -> Iterator[str]:
    try:
        with _open(file) as lines:
            if source.split == "line":
                yield from (line.rstrip("\n") for line in lines)
            elif source.split == "file":
                yield lines.read()
            else:
                yield from _paragraphs(lines)
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: no UTF-8 at byte {error.start} of a block; expected plain text") from None


def _paragraphs(lines: Any) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held)
            held = []
    if held:
        yield "".join(held)


def _jsonl(file: Path, source: Source) -> Iterator[str]:
    with _open(file) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{file}:{number}: no JSON ({error}); expected one object a line") from None
            if not isinstance(row, dict) or not isinstance(row.get(source.field), str):
                keys = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
                raise InputError(
                    f"{file}:{number}: no text under {source.field!r} (found {keys}); name the key with 'field'"
                )
            yield row[source.field]


def _open(file: Path) -> Any:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8", newline="")


def _parquet(file: Path, source: Source) -> Iterator[str]:
    import polars as pl

    try:
        frame = pl.scan_parquet(file)
        schema = frame.collect_schema()
        if schema.get(source.field) != pl.String:
            columns = ", ".join(f"{key} ({kind})" for key, kind in schema.items())
            raise InputError(
                f"{file}: no text column {source.field!r} (found {columns}); name it with 'field'"
            )
        for batch in frame.select(source.field).collect_batches(chunk_size=_ROWS):
            yield from (text for text in batch[source.field] if text is not None)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{file}: no Parquet that can be read ({str(error).partition(chr(10))[0]})"
        ) from None


def _hub(name: str, source: Source) -> Iterator[str]:
    table = _load(name, source)
    for row in table:
        text = row.get(source.field)
        if not isinstance(text, str):
            raise InputError(
                f"source {name}: {source.hub} has no text under {source.field!r} (found {', '.join(row)}); "
                "name the column with 'field'"
            )
        yield text


def _load(name: str, source: Source) -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "train", f"streaming {source.hub}") from None
    from datasets.exceptions import DatasetsError

    assert source.hub is not None
    try:
        return datasets.load_dataset(
            source.hub, source.config, split=source.subset, revision=_commit(name, source), streaming=True
        )
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"source {name}: {source.hub} cannot be streamed ({reason}); check its name, config, subset and "
            "revision, the network and HF_HUB_OFFLINE"
        ) from None


@cache
def _commit(name: str, source: Source) -> str:
    from huggingface_hub import HfApi

    assert source.hub is not None
    try:
        commit = HfApi().dataset_info(source.hub, revision=source.revision, timeout=30).sha
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"source {name}: the hub does not say which commit of {source.hub} it has ({reason}); check the name, "
            "the revision and the network"
        ) from None
    assert commit is not None  # asked without `files_metadata`, the hub always gives it
    return commit
