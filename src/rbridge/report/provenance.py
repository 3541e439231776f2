"""What the figures can be traced to: runs, bundles, skipped items, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rbridge.report.scatter import RecordedTargets
from rbridge.report.scores import RunScores
from rbridge.store.bundles import Bundle, BundleManifest
from rbridge.store.runs import SkipRow

_SOURCES = {"self": "the writer itself", "none": "nobody"}
REFUSED = "its tokenizer cannot spell the trace"


@dataclass(frozen=True)
class RunRow:
    """One run's line of provenance."""

    checkpoint: str
    revision: str | None
    recipe: str | None
    seed: int | None
    size: str | None
    step: int | None
    parameters: int | None
    tokens: int | None
    dtype: str
    device: str
    weights_sha256: str
    tokenizer_sha256: str
    bundle: str
    shots: int
    num_scored: int
    skipped: Mapping[str, int]
    key: str
    created: str
    seconds: float
    max_probe_difference: float

    @property
    def num_skipped(self) -> int:
        """Traces without a score."""
        return sum(self.skipped.values())


@dataclass(frozen=True)
class WeightModelRow:
    """The model that was teacher-forced for a bundle's weights."""

    name: str
    sha256: str
    dtype: str
    date: str
    shots: int
    engine: str
    note: str


@dataclass(frozen=True)
class BundleRow:
    """What a bundle says of itself; its counts are of traces."""

    name: str
    sha256: str
    created: str
    counts: Mapping[str, int]
    voices: Mapping[str, int]
    weight_sources: Mapping[str, int]
    weight_models: tuple[WeightModelRow, ...]
    licence: str | None
    note: str | None


@dataclass(frozen=True)
class SkipLine:
    """A trace that a checkpoint has no score for."""

    checkpoint: str
    benchmark: str
    problem_id: str
    voice: str
    reason: str


@dataclass(frozen=True)
class Provenance:
    """What the figures can be traced to."""

    runs: tuple[RunRow, ...]
    bundles: tuple[BundleRow, ...]
    skips: tuple[SkipLine, ...]
    versions: tuple[tuple[str, str], ...]
    question_sources: tuple[tuple[str, str], ...]
    recorded: RecordedTargets | None
    now: str


def provenance(
    runs: Sequence[RunScores],
    bundles: Sequence[Bundle],
    *,
    recorded: RecordedTargets | None,
    now: str,
    show_text: bool,
) -> Provenance:
    """Where everything on the page comes from.

    Args:
        runs: those on the page.
        bundles: those at hand.
        recorded: targets that were measured earlier.
        now: date of the page.
        show_text: whether reasons may quote a trace's bytes.
    """
    manifests = [run.manifest for run in runs]
    return Provenance(
        runs=tuple(_run_row(run, show_text=show_text) for run in runs),
        bundles=tuple(_bundle_row(bundle) for bundle in bundles),
        skips=tuple(line for run in runs for line in _skip_lines(run, show_text=show_text)),
        versions=_merged([manifest.versions for manifest in manifests]),
        question_sources=_merged([manifest.question_sources for manifest in manifests]),
        recorded=recorded,
        now=now,
    )


def _run_row(run: RunScores, *, show_text: bool) -> RunRow:
    manifest, labels = run.manifest, run.manifest.labels
    return RunRow(
        checkpoint=manifest.checkpoint,
        revision=manifest.revision,
        recipe=labels.recipe,
        seed=labels.seed,
        size=labels.size,
        step=labels.step,
        parameters=manifest.parameters,
        tokens=labels.tokens,
        dtype=manifest.dtype,
        device=manifest.device,
        weights_sha256=manifest.weights_sha256,
        tokenizer_sha256=manifest.tokenizer_sha256,
        bundle=run.bundle,
        shots=manifest.shots,
        num_scored=len(run.keys),
        skipped=dict(Counter(_reason(skip, show_text=show_text) for skip in manifest.skipped)),
        key=manifest.key,
        created=manifest.created,
        seconds=manifest.seconds,
        max_probe_difference=manifest.max_probe_difference,
    )


def _reason(skip: SkipRow, *, show_text: bool) -> str:
    # A tokenizer's refusal quotes the bytes at which it parts from the text.
    return REFUSED if skip.refused and not show_text else skip.reason


def _skip_lines(run: RunScores, *, show_text: bool) -> Iterator[SkipLine]:
    for skip in run.manifest.skipped:
        yield SkipLine(
            checkpoint=run.manifest.checkpoint,
            benchmark=skip.benchmark,
            problem_id=skip.problem_id,
            voice=skip.voice,
            reason=_reason(skip, show_text=show_text),
        )


def _bundle_row(bundle: Bundle) -> BundleRow:
    manifest = bundle.manifest
    return BundleRow(
        name=manifest.name,
        sha256=manifest.content_sha256,
        created=manifest.created,
        counts=manifest.counts,
        voices=manifest.voices,
        weight_sources={_SOURCES.get(name, name): count for name, count in manifest.weight_sources.items()},
        weight_models=tuple(
            WeightModelRow(
                model.name, model.sha256, model.dtype, model.date, model.shots, model.engine, model.note
            )
            for model in manifest.weight_models
        ),
        licence=_licences(manifest),
        note=manifest.note,
    )


def _licences(manifest: BundleManifest) -> str | None:
    """One licence where it is every voice's, else each voice's own."""
    stated = {voice: manifest.licence_of(voice) for voice in manifest.voices}
    if len(set(stated.values())) == 1:
        return next(iter(stated.values()))
    return "; ".join(f"{voice}: {licence or 'not stated'}" for voice, licence in stated.items())


def _merged(tables: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Each name with every value that occurs, such as two versions of one library."""
    found: dict[str, dict[str, None]] = {}
    for table in tables:
        for name, value in table.items():
            found.setdefault(name, {})[value] = None
    return tuple((name, ", ".join(values)) for name, values in found.items())
