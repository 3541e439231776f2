"""How checkpoints are scored, and which traces of a bundle that means."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rbridge.benchmarks import fingerprint, read_key
from rbridge.errors import InputError
from rbridge.records import Trace
from rbridge.scoring.readings import Wanted
from rbridge.scoring.windows import Window
from rbridge.store.bundles import Bundle


@dataclass(frozen=True)
class ScoreSettings:
    """How checkpoints are scored; what changes numbers goes into every run's key.

    Attributes:
        shots: worked examples before each question.
        benchmarks: names to score, or empty for all.
        voices: voices to score, or empty for all.
        limit: traces a benchmark, the first of the bundle, or None for all.
        questions: where questions come from (see ``rbridge.benchmarks``).
        question_key: file of the key that question hashes are salted with, where they are.
        dtype: of weights and activations; the log-softmax is float32 always.
        device: a torch device, or None for the GPU where there is one.
        batch_tokens: tokens a batch.
        token_statistics: keep rank, entropy and margins of every prediction too.
        window: read longer traces in such windows, or None: then what does not fit is skipped.
        further: readings beyond the traces themselves; they change no score.
        keep_downloads: leave what was fetched from the hub in its cache.
    """

    shots: int = 5
    benchmarks: tuple[str, ...] = ()
    voices: tuple[str, ...] = ()
    limit: int | None = None
    questions: str = "auto"
    question_key: Path | None = None
    dtype: str = "float32"
    device: str | None = None
    batch_tokens: int = 4096
    window: Window | None = None
    further: Wanted = field(default_factory=Wanted)
    keep_downloads: bool = True
    token_statistics: bool = False


def select_traces(bundle: Bundle, settings: ScoreSettings) -> tuple[Trace, ...]:
    """The bundle's traces that the settings ask for, in its order.

    Raises:
        InputError: a benchmark or voice that the bundle has no trace of.
    """
    bundle.check_voices(settings.voices)
    unknown = [name for name in settings.benchmarks if name not in bundle.manifest.counts]
    if unknown:
        raise InputError(
            f"{bundle.path}: holds no trace of {unknown[0]!r}; it has {', '.join(sorted(bundle.manifest.counts))}"
        )
    taken: dict[tuple[str, str], int] = {}
    selected = []
    for trace in bundle.traces:
        group = (trace.key.benchmark, trace.key.voice)
        taken[group] = taken.get(group, 0) + 1
        wanted = not settings.benchmarks or trace.key.benchmark in settings.benchmarks
        heard = not settings.voices or trace.key.voice in settings.voices
        if wanted and heard and (settings.limit is None or taken[group] <= settings.limit):
            selected.append(trace)
    return tuple(selected)


def question_key(bundle: Bundle, settings: ScoreSettings) -> bytes | None:
    """The key that the bundle's question hashes are salted with, or None where none was given."""
    if settings.question_key is None:
        return None
    key = read_key(settings.question_key)
    if bundle.manifest.question_key not in (None, fingerprint(key)):
        raise InputError(
            f"{settings.question_key}: not the key of {bundle.path} (fingerprint {fingerprint(key)}, expected "
            f"{bundle.manifest.question_key}): give the key file that the bundle was made with"
        )
    return key
