"""What a run's scores are on average: a row per benchmark, voice and number of shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbridge.answers.item_values import FURTHER_METRICS, GENERIC_BITS, Item, has_metric, item_values
from rbridge.metric import Mean, TraceValues, mean_over_traces, metric_means, run_values
from rbridge.metric.margin import MARGIN_METRICS
from rbridge.records import ScoredTrace
from rbridge.store.runs import Run, SkipRow


@dataclass(frozen=True)
class ScoreRow:
    """One checkpoint on one benchmark.

    Attributes:
        shots: worked examples that really stood before the traces.
        weight_source: whose confidence weighs them, or None.
        num_scored: traces.
        skipped: traces without a score, under the shots that were asked for.
        num_constant: traces whose weights are all equal, so that MinMax made them 1.
        means: by metric; a metric that no trace has is absent.
    """

    checkpoint: str
    recipe: str | None
    seed: int | None
    benchmark: str
    voice: str
    shots: int
    weight_source: str | None
    num_scored: int
    skipped: tuple[SkipRow, ...]
    num_constant: int
    means: Mapping[str, Mean]

    @property
    def num_skipped(self) -> int:
        """Traces without a score."""
        return len(self.skipped)


def score_rows(run: Run, scored: Sequence[ScoredTrace]) -> tuple[ScoreRow, ...]:
    """Means of one run.

    Args:
        run: what was scored.
        scored: its traces, as ``run.scored()`` reads them.
    """
    groups: dict[tuple[str, str, int], list[tuple[ScoredTrace, TraceValues]]] = {}
    for one, values in zip(scored, run_values(scored), strict=True):
        groups.setdefault((one.key.benchmark, one.key.voice, one.shots), []).append((one, values))
    for skip in run.manifest.skipped:
        groups.setdefault((skip.benchmark, skip.voice, run.manifest.shots), [])
    return tuple(_row(run, *group, rows) for group, rows in sorted(groups.items()))


def further_means(run: Run, rows: Sequence[ScoreRow]) -> list[dict[str, Mean]]:
    """Means of what was read beside the traces (margin, gold, generic text, baselines), row by row.

    A metric without a voice of its own stands in the row of every voice, and generic text, which has no benchmark,
    in every row.
    """
    at_hand = {name: item_values(run, name) for name in FURTHER_METRICS if has_metric(run, name)}
    found: list[dict[str, Mean]] = []
    for row in rows:
        values = {
            name: [value for item, value in items.items() if _belongs(item, name, row)]
            for name, items in at_hand.items()
        }
        found.append({name: mean_over_traces(of_row) for name, of_row in values.items() if of_row})
    return found


def _belongs(item: Item, metric: str, row: ScoreRow) -> bool:
    benchmark, _, voice, shots, _ = item
    if metric == GENERIC_BITS:
        return True
    # Margins carry the shots that really stood before a trace, other readings those that were asked for.
    same_shots = shots == row.shots or metric not in MARGIN_METRICS
    return benchmark == row.benchmark and voice in ("", row.voice) and same_shots


def _row(
    run: Run, benchmark: str, voice: str, shots: int, rows: Sequence[tuple[ScoredTrace, TraceValues]]
) -> ScoreRow:
    sources = sorted({one.weight_source or "none" for one, _ in rows})
    return ScoreRow(
        checkpoint=run.manifest.checkpoint,
        recipe=run.manifest.labels.recipe,
        seed=run.manifest.labels.seed,
        benchmark=benchmark,
        voice=voice,
        shots=shots,
        weight_source=", ".join(sources) or None,
        num_scored=len(rows),
        skipped=tuple(
            skip
            for skip in run.manifest.skipped
            if (skip.benchmark, skip.voice, run.manifest.shots) == (benchmark, voice, shots)
        ),
        num_constant=sum(values.constant_weights for _, values in rows),
        means=metric_means([values for _, values in rows]),
    )
