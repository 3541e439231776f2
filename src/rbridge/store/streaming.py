"""Write a bundle from traces that come one by one, so that memory does not grow with their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from rbridge.errors import InputError
from rbridge.records import Trace
from rbridge.store.bundles import (
    MANIFEST,
    TRACES,
    TRACES_SCHEMA,
    BundleManifest,
    ContentDigest,
    SkippedTrace,
    Terms,
    trace_row,
)
from rbridge.store.files import replaced_folder, sha256_file, write_json
from rbridge.store.generation import Generation

_CHUNK = 128


def rewrite_bundle(
    path: Path,
    traces: Iterable[Trace],
    *,
    generated: Sequence[Generation],
    terms: Mapping[str, Terms],
    skipped: Sequence[SkippedTrace],
) -> BundleManifest:
    """Write a bundle, in place of the one that stands there; whole or not at all.

    Args:
        path: the bundle's folder.
        traces: in the order of their keys, at least one.
        generated: how they were asked for.
        terms: by voice, as the user states them.
        skipped: problems without a trace.

    Raises:
        InputError: no traces.
    """
    from rbridge import __version__

    counts, voices, sources = Counter[str](), Counter[str](), Counter[str]()
    digest = ContentDigest()
    with replaced_folder(path) as folder:
        parts: list[Path] = []
        rows: list[dict[str, object]] = []
        for trace in traces:
            counts[trace.key.benchmark] += 1
            voices[trace.key.voice] += 1
            sources[trace.weight_source or "none"] += 1
            digest.add(trace)
            rows.append(trace_row(trace))
            if len(rows) == _CHUNK:
                parts.append(_write_part(folder, len(parts), rows))
                rows.clear()
        if rows:
            parts.append(_write_part(folder, len(parts), rows))
        if not parts:
            raise InputError(f"{path}: no traces to write: an empty bundle scores nothing")
        pl.scan_parquet(parts).sink_parquet(folder / TRACES)
        for part in parts:
            part.unlink()
        manifest = BundleManifest(
            name=path.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            rbridge_version=__version__,
            counts=dict(counts),
            voices=dict(voices),
            weight_sources=dict(sources),
            terms=dict(terms),
            skipped=list(skipped),
            generated=list(generated),
            content_sha256=digest.hexdigest(),
            traces_sha256=sha256_file(folder / TRACES),
        )
        write_json(folder / MANIFEST, manifest.model_dump())
    return manifest


def _write_part(folder: Path, number: int, rows: list[dict[str, object]]) -> Path:
    part = folder / f"part-{number:06d}.parquet"
    pl.DataFrame(rows, schema=TRACES_SCHEMA).write_parquet(part)
    return part
