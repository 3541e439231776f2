"""Score runs side by side: only what every run measured in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.align import whose_weights
from rbridge.answers.item_values import (
    GENERIC_BITS,
    GOLD_BITS,
    KNOWN_METRICS,
    MPCA,
    STATISTICS,
    TWIN_GAP,
    Item,
    item_values,
)
from rbridge.answers.observations import RankGroup
from rbridge.answers.target_noise import TargetNoise
from rbridge.errors import IncomparableRuns, InputError
from rbridge.metric import metric_named
from rbridge.metric.margin import OTHER_BITS
from rbridge.metric.options import CLOZE_METRICS
from rbridge.rank import GAP, Replicates, in_format
from rbridge.store.runs import Run

# Metrics whose unit does not depend on the tokenizer.
_ACROSS_TOKENIZERS = (
    "rbridge_per_byte",
    "trace_bits_per_byte",
    GOLD_BITS,
    GENERIC_BITS,
    OTHER_BITS,
    TWIN_GAP,
    "answer_given_trace_nll",
    MPCA,
    *[name for name in CLOZE_METRICS if not name.endswith("_per_token")],
)
# Of them, those that every run has.
_OFFERED = _ACROSS_TOKENIZERS[:2]
# Runs whose tokens trained differ by less are of one length.
_ALIKE = 1.02
_BY = ("benchmark", "size", "tokens", "step")


@dataclass(frozen=True)
class _Column:
    """One run's values in one group."""

    run: Run
    values: Mapping[Item, float]

    @property
    def recipe(self) -> str:
        return self.run.manifest.labels.recipe or self.run.manifest.checkpoint

    @property
    def seed(self) -> str | None:
        seed = self.run.manifest.labels.seed
        return None if seed is None else str(seed)


def run_rank_groups(
    runs: Sequence[Run],
    *,
    metric: str,
    by: Sequence[str],
    targets: Mapping[tuple[str, str | None], float] | None = None,
    noise: Mapping[str | None, TargetNoise] | None = None,
    last: int | None = None,
) -> list[RankGroup]:
    """Groups to rank from score runs, on the items that all runs of a group share.

    Args:
        runs: at least one.
        metric: a metric that score runs give.
        by: ``benchmark`` and any of size, tokens, step.
        targets: by (recipe, benchmark), or by (recipe, None) for all benchmarks.
        noise: standard errors of the targets, by benchmark.
        last: average so many of the latest checkpoints (label ``step``) of each recipe and seed.

    Returns:
        One group per combination of ``by`` that occurs. Items not scored by every run of a group
        are left out and counted. Voices of one problem are averaged.

    Raises:
        InputError: an unknown metric or column.
        IncomparableRuns: runs differ in bundle, dtype or (per-token metrics) tokenizer, a group
            holds a recipe's seed twice, or its runs share no item.
    """
    if metric not in KNOWN_METRICS:
        raise InputError(f"{metric}: not a metric of score runs; they have {', '.join(KNOWN_METRICS)}")
    unknown = [column for column in by if column not in _BY]
    if unknown:
        raise InputError(f"--by {unknown[0]}: score runs are grouped by {', '.join(_BY)}")
    _check_same(runs, metric)
    groups: dict[tuple[str, ...], list[_Column]] = {}
    for run in runs:
        parts: dict[tuple[str, ...], dict[Item, float]] = {}
        for item, value in item_values(run, metric).items():
            name = tuple(_group_value(run, item, column) for column in by)
            parts.setdefault(name, {})[item] = value
        for name, values in parts.items():
            groups.setdefault(name, []).append(_Column(run, values))
    if not groups and metric in STATISTICS:
        raise InputError(f"no run has a value of {metric}; score with --token-statistics")
    if not groups:
        raise InputError(f"no run has a value of {metric}; import traces with 'pieces' for weighted metrics")
    return [
        _group(dict(zip(by, name, strict=True)), _latest(columns, last), targets, metric, noise or {})
        for name, columns in sorted(groups.items())
    ]


def _latest(columns: Sequence[_Column], last: int | None) -> Sequence[_Column]:
    """Columns with the latest checkpoints of each recipe and seed averaged, on the items that they share."""
    if last is None:
        return columns
    chains: dict[tuple[str, str | None], list[_Column]] = {}
    for column in columns:
        if column.run.manifest.labels.step is None:
            raise InputError(
                f"{column.run.manifest.checkpoint}: --last {last} needs to know its step; "
                "give it in --labels or rbridge.json when it is scored"
            )
        chains.setdefault((column.recipe, column.seed), []).append(column)
    return [_averaged(sorted(chain, key=_step)[-last:]) for chain in chains.values()]


def _step(column: _Column) -> int:
    return column.run.manifest.labels.step or 0


def _averaged(chain: Sequence[_Column]) -> _Column:
    shared = set.intersection(*[set(column.values) for column in chain])
    values = {
        item: float(np.mean([column.values[item] for column in chain])) for item in sorted(shared, key=str)
    }
    return _Column(chain[-1].run, values)


def _check_same(runs: Sequence[Run], metric: str) -> None:
    checks = [("bundle_sha256", "traces"), ("dtype", "dtype")]
    if metric not in _ACROSS_TOKENIZERS:
        checks.append(("tokenizer_sha256", "tokenizer"))
    first = runs[0].manifest
    for field, what in checks:
        for run in runs[1:]:
            if getattr(run.manifest, field) != getattr(first, field):
                remedy = (
                    f"rank them by {' or '.join(_OFFERED)}"
                    if what == "tokenizer"
                    else "score them alike, or rank them from folders of their own"
                )
                raise IncomparableRuns(
                    f"{first.checkpoint} and {run.manifest.checkpoint} differ in {what}, "
                    f"so their {metric} cannot be compared: {remedy}"
                )


def _group_value(run: Run, item: Item, column: str) -> str:
    if column == "benchmark":
        return item[0]
    value = getattr(run.manifest.labels, column)
    return "" if value is None else str(value)


def _group(
    group: dict[str, str],
    columns: Sequence[_Column],
    targets: Mapping[tuple[str, str | None], float] | None,
    metric: str,
    noise: Mapping[str | None, TargetNoise],
) -> RankGroup:
    _check_replicates(columns)
    shared = set.intersection(*[set(column.values) for column in columns])
    every = set.union(*[set(column.values) for column in columns])
    if not shared:
        where = ", ".join(group.values()) or "all runs"
        raise IncomparableRuns(
            f"{where}: no trace was scored by all {len(columns)} runs with equal shots and windows; "
            "score them with the same --shots, --limit, --window and --stride"
        )
    voices: dict[tuple[str, str], list[Item]] = {}
    for item in sorted(shared, key=str):
        voices.setdefault(item[:2], []).append(item)
    values = [
        [np.mean([column.values[item] for item in items]) for items in voices.values()] for column in columns
    ]
    replicates = Replicates(
        recipes=tuple(column.recipe for column in columns),
        seeds=tuple(column.seed for column in columns),
        values=np.array(values, dtype=np.float64),
    )
    inside = _in_format(columns, shared)
    return RankGroup(
        group=group,
        replicates=replicates,
        in_format=inside,
        targets=None if targets is None else _targets(group, replicates.names, targets),
        target_noise=noise.get(group.get("benchmark"), noise.get(None)),
        num_dropped=len(every) - len(shared),
        notes=(
            *_notes(columns),
            *_voice_notes(shared),
            *_window_notes(shared),
            *_weight_notes(columns, metric),
            *_format_note(replicates.names, inside),
            *_precision_note(columns, replicates, metric),
        ),
    )


def _in_format(columns: Sequence[_Column], shared: Collection[Item]) -> frozenset[str]:
    """Recipes in the traces' format, by their mean loss of the shared traces (see ``rank.formats``)."""
    losses: dict[str, list[float]] = {}
    for column, loss in zip(
        columns, _per_token([_trace_loss(column, shared) for column in columns]), strict=True
    ):
        losses.setdefault(column.recipe, []).append(loss)
    inside = in_format(np.array([np.mean(values) for values in losses.values()]))
    return frozenset(name for name, is_inside in zip(losses, inside, strict=True) if is_inside)


@dataclass(frozen=True)
class _TraceLoss:
    """A run's mean loss of the traces, and whose tokens it counts."""

    tokenizer: str
    nats_per_token: float
    nats_per_byte: float


def _trace_loss(column: _Column, shared: Collection[Item]) -> _TraceLoss:
    per_token, bits = (
        _mean_of(column.run, metric, shared) for metric in ("trace_nll", "trace_bits_per_byte")
    )
    return _TraceLoss(column.run.manifest.tokenizer_sha256, per_token, bits * np.log(2))


def _mean_of(run: Run, metric: str, shared: Collection[Item]) -> float:
    of_traces = item_values(run, metric)
    return float(
        np.mean([of_traces[item] for item in shared if item in of_traces] or list(of_traces.values()))
    )


def _per_token(losses: Sequence[_TraceLoss]) -> list[float]:
    """Nats a token; under several tokenizers a token is as many bytes for all as theirs hold on average."""
    if len({loss.tokenizer for loss in losses}) == 1:
        return [loss.nats_per_token for loss in losses]
    num_bytes = [loss.nats_per_token / loss.nats_per_byte for loss in losses if loss.nats_per_byte > 0]
    return [float(loss.nats_per_byte * np.mean(num_bytes or [1.0])) for loss in losses]


def _format_note(names: Sequence[str], inside: frozenset[str]) -> Iterator[str]:
    outside = [name for name in names if name not in inside]
    if outside:
        yield (
            f"in another format than the traces (a step of {GAP:g} nat a token or more): {', '.join(outside)}; places "
            "between formats follow style, and no such pair is called"
        )


def _precision_note(columns: Sequence[_Column], replicates: Replicates, metric: str) -> Iterator[str]:
    """Where half precision moved losses by more than the smallest gap between two recipes."""
    errors = [column.run.manifest.half_error for column in columns]
    moved = max((error.trace_mean for error in errors if error is not None), default=0.0)
    known = metric_named(metric)
    if not moved or known is None or known.unit != "nats/token":
        return
    means = np.sort(replicates.means())
    gap = float(np.diff(means).min()) if len(means) > 1 else np.inf
    if moved > gap:
        yield (
            f"{columns[0].run.manifest.dtype} moves a trace's mean loss by {moved:.2g} nats, measured against "
            f"float32; the smallest gap between two recipes is {gap:.2g}: score in float32 to tell them apart"
        )


def _check_replicates(columns: Sequence[_Column]) -> None:
    seen: dict[tuple[str, str | None], Run] = {}
    for column in columns:
        twin = seen.setdefault((column.recipe, column.seed), column.run)
        if twin is column.run:
            continue
        one, other = twin.manifest.checkpoint, column.run.manifest.checkpoint
        if one == other:
            raise IncomparableRuns(
                f"{one} was scored twice with other settings ({twin.folder.name}, {column.run.folder.name}): "
                "delete the folder that is not wanted, or rank from folders of their own"
            )
        raise IncomparableRuns(
            f"{one} and {other} are both recipe {column.recipe!r}, seed {column.seed}: "
            "label their seeds, split them with --by size, tokens or step, or average late checkpoints with --last K"
        )


def _targets(
    group: Mapping[str, str], recipes: Iterable[str], targets: Mapping[tuple[str, str | None], float]
) -> dict[str, float]:
    benchmark = group.get("benchmark")
    found = {}
    for recipe in recipes:
        value = targets.get((recipe, benchmark), targets.get((recipe, None)))
        if value is not None:
            found[recipe] = value
    return found


def _notes(columns: Sequence[_Column]) -> tuple[str, ...]:
    notes: list[str] = []
    sizes = {column.run.manifest.labels.size for column in columns}
    tokens = [column.run.manifest.labels.tokens or 0 for column in columns]
    # Documents are not cut, so no two runs stop at the same token.
    apart = {"size": len(sizes) > 1, "tokens": max(tokens) > _ALIKE * min(tokens)}
    notes += [
        f"runs differ in {label}: their order mixes it with the recipe; add --by {label}"
        for label, differs in apart.items()
        if differs
    ]
    return tuple(notes)


def _voice_notes(items: Iterable[Item]) -> Iterator[str]:
    """How several voices of a problem count, and that not every problem has all of them."""
    heard: dict[tuple[str, str], set[str]] = {}
    for benchmark, problem_id, voice, *_ in items:
        heard.setdefault((benchmark, problem_id), set()).add(voice)
    voices = sorted(set.union(*heard.values()))
    if len(voices) < 2:
        return
    uneven = sum(len(found) < len(voices) for found in heard.values())
    rest = f"; {uneven} of {len(heard)} problems lack one of them" if uneven else ""
    yield f"voices {', '.join(voices)} are averaged within each problem{rest}: --voice NAME ranks by one"


def _window_notes(items: Collection[Item]) -> Iterator[str]:
    """That long traces were not read whole."""
    windows = Counter(item[4] for item in items if item[4] is not None)
    for (size, stride), count in sorted(windows.items()):
        yield f"{count} of {len(items)} traces were read in windows of {size} bytes, {stride} new in each"


def _weight_notes(columns: Sequence[_Column], metric: str) -> Iterator[str]:
    known = metric_named(metric)
    if known is not None and known.weighted:
        yield whose_weights(source for column in columns for source in column.run.manifest.weight_sources)
