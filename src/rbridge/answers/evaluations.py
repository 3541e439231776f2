"""What evaluations come to: accuracy, pass@k and token edit distance with their errors, as rows and to rank."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rbridge.answers.observations import RankGroup
from rbridge.answers.target_noise import TargetNoise
from rbridge.errors import IncomparableRuns, InputError
from rbridge.metric import Mean, mean_over_traces
from rbridge.metric.generation import Share, pass_at_k, share
from rbridge.rank import Replicates
from rbridge.store.evaluations import Evaluation, Reply

ACCURACY, DISTANCE, DISTANCE_SHARE = "accuracy", "token_edit_distance", "token_edit_share"
_PASS = re.compile(r"pass@([1-9]\d*)")
_BY = ("benchmark", "size", "tokens", "step")
# What must be the same for two evaluations to be held against each other.
_ALIKE = ("prompts_sha256", "shots", "samples", "temperature", "max_tokens", "engine", "dtype")


@dataclass(frozen=True)
class EvaluationRow:
    """One checkpoint on one benchmark.

    Attributes:
        evaluation: that it is of.
        shares: ``accuracy`` and each ``pass@k``, over the problems that could be decided; one for which there is
            no problem is absent.
        distances: token edit distance and its share of the longer text, means over problems; absent where no
            tokenizer was at hand.
        num_replies: replies.
        num_truncated: of them, cut at the most tokens.
        num_unanswered: of them, without an answer that could be read: they count as wrong.
        num_undecided: of them, which the checker could not tell; they count for nothing.
        undecided: problem, sample and reason of each of those.
        bounds: the accuracy if all undecided replies were wrong, and if all were right; None without replies.
        rules: how many answers each rule of ``rbridge.grading.reading`` found.
        shots: how many replies had how many worked examples before them.
    """

    evaluation: Evaluation
    shares: Mapping[str, Share]
    distances: Mapping[str, Mean]
    num_replies: int
    num_truncated: int
    num_unanswered: int
    num_undecided: int
    undecided: tuple[tuple[str, int, str], ...]
    bounds: tuple[float, float] | None
    rules: Mapping[str, int]
    shots: Mapping[int, int]

    @property
    def recipe(self) -> str:
        """Label of the candidate, or the checkpoint's name."""
        return self.evaluation.manifest.labels.recipe or self.evaluation.manifest.checkpoint


def is_evaluation_metric(name: str) -> bool:
    """Whether a metric comes from generated replies."""
    return name in (ACCURACY, DISTANCE, DISTANCE_SHARE) or _PASS.fullmatch(name) is not None


def evaluation_row(evaluation: Evaluation, *, ks: Sequence[int], level: float) -> EvaluationRow:
    """Figures of one evaluation.

    Args:
        evaluation: finished.
        ks: of pass@k, each at most the number of samples.
        level: of intervals.

    Raises:
        InputError: a k that there are not samples enough for.
    """
    replies = evaluation.replies()
    names = [ACCURACY, *[f"pass@{k}" for k in ks]]
    values = {name: list(_values(evaluation, replies, name).values()) for name in names}
    distances = {
        name: list(_values(evaluation, replies, name).values()) for name in (DISTANCE, DISTANCE_SHARE)
    }
    decided = [reply for reply in replies if reply.correct is not None]
    right, open_ = sum(bool(reply.correct) for reply in decided), len(replies) - len(decided)
    undecided = [(one.problem_id, one.sample, one.reason or "") for one in replies if one.correct is None]
    return EvaluationRow(
        evaluation=evaluation,
        shares={name: share(found, level=level) for name, found in values.items() if found},
        distances={name: mean_over_traces(found) for name, found in distances.items() if found},
        num_replies=len(replies),
        num_truncated=sum(reply.finish == "length" for reply in replies),
        num_unanswered=sum(reply.answer is None for reply in replies),
        num_undecided=open_,
        undecided=tuple(undecided),
        bounds=(right / len(replies), (right + open_) / len(replies)) if replies else None,
        rules=dict(Counter(reply.rule for reply in replies if reply.rule is not None)),
        shots=dict(sorted(Counter(reply.shots for reply in replies).items())),
    )


def _values(evaluation: Evaluation, replies: Sequence[Reply], metric: str) -> dict[str, float]:
    """A metric's value of every problem that has one."""
    by_problem: dict[str, list[Reply]] = {}
    for reply in replies:
        by_problem.setdefault(reply.problem_id, []).append(reply)
    if metric in (DISTANCE, DISTANCE_SHARE):
        field = "edit_distance" if metric == DISTANCE else "edit_share"
        return {
            problem_id: float(np.mean([getattr(one, field) for one in group]))
            for problem_id, group in by_problem.items()
            if all(getattr(one, field) is not None for one in group)
        }
    k = _k(evaluation, metric)
    found: dict[str, float] = {}
    for problem_id, group in by_problem.items():
        decided = [bool(one.correct) for one in group if one.correct is not None]
        if len(decided) >= k:
            found[problem_id] = pass_at_k(len(decided), sum(decided), k)
    return found


def _k(evaluation: Evaluation, metric: str) -> int:
    match = _PASS.fullmatch(metric)
    k = 1 if match is None else int(match[1])  # accuracy is the mean over samples, which is pass@1
    if k > evaluation.manifest.samples:
        raise InputError(
            f"{evaluation.folder}: {metric} needs {k} samples a problem, it has {evaluation.manifest.samples}: "
            f"evaluate with --samples {k} or more"
        )
    return k


def evaluation_rank_groups(
    evaluations: Sequence[Evaluation],
    *,
    metric: str,
    by: Sequence[str],
    targets: Mapping[tuple[str, str | None], float] | None = None,
    noise: Mapping[str | None, TargetNoise] | None = None,
) -> list[RankGroup]:
    """Groups to rank from evaluations, on the problems that all of a group have a value for.

    Args:
        evaluations: at least one.
        metric: ``accuracy``, ``pass@K``, ``token_edit_distance`` or ``token_edit_share``.
        by: ``benchmark`` and any of size, tokens, step.
        targets: by (recipe, benchmark), or by (recipe, None) for all benchmarks.
        noise: standard errors of the targets, by benchmark.

    Raises:
        InputError: an unknown column, or too few samples for the metric.
        IncomparableRuns: evaluations of a group were asked in different ways, hold a recipe's seed twice, or share
            no problem.
    """
    unknown = [column for column in by if column not in _BY]
    if unknown:
        raise InputError(f"--by {unknown[0]}: evaluations are grouped by {', '.join(_BY)}")
    groups: dict[tuple[str, ...], list[Evaluation]] = {}
    for one in evaluations:
        groups.setdefault(tuple(_group_value(one, column) for column in by), []).append(one)
    return [
        _group(dict(zip(by, name, strict=True)), found, metric, targets, noise or {})
        for name, found in sorted(groups.items())
    ]


def _group_value(evaluation: Evaluation, column: str) -> str:
    manifest = evaluation.manifest
    value = manifest.benchmark if column == "benchmark" else getattr(manifest.labels, column)
    return "" if value is None else str(value)


def _group(
    group: dict[str, str],
    evaluations: Sequence[Evaluation],
    metric: str,
    targets: Mapping[tuple[str, str | None], float] | None,
    noise: Mapping[str | None, TargetNoise],
) -> RankGroup:
    where = ", ".join(group.values()) or "all evaluations"
    _check_alike(evaluations, metric)
    # One checkpoint may have several benchmarks in a group: its problems are those of all of them.
    rows: dict[tuple[str, str | None], dict[tuple[str, str], float]] = {}
    for one in evaluations:
        labels = one.manifest.labels
        name = (labels.recipe or one.manifest.checkpoint, None if labels.seed is None else str(labels.seed))
        values = {
            (one.manifest.benchmark, problem_id): value
            for problem_id, value in _values(one, one.replies(), metric).items()
        }
        row = rows.setdefault(name, {})
        if not values.keys().isdisjoint(row):
            raise IncomparableRuns(
                f"{where}: two evaluations are both recipe {name[0]!r}, seed {name[1]}: label their seeds, split "
                "them with --by size, tokens or step, or keep them in folders of their own"
            )
        row.update(values)
    shared = sorted(set.intersection(*[set(row) for row in rows.values()]))
    if not shared:
        raise IncomparableRuns(f"{where}: no problem has a {metric} in all {len(rows)} evaluations")
    replicates = Replicates(
        recipes=tuple(recipe for recipe, _ in rows),
        seeds=tuple(seed for _, seed in rows),
        values=np.array([[row[item] for item in shared] for row in rows.values()], dtype=np.float64),
    )
    found = None
    if targets is not None:
        benchmark = group.get("benchmark")
        both = {name: targets.get((name, benchmark), targets.get((name, None))) for name in replicates.names}
        found = {name: value for name, value in both.items() if value is not None}
    return RankGroup(
        group=group,
        replicates=replicates,
        targets=found,
        target_noise=noise.get(group.get("benchmark"), noise.get(None)),
        num_dropped=len(set.union(*[set(row) for row in rows.values()])) - len(shared),
        notes=_notes(evaluations),
    )


def _check_alike(evaluations: Sequence[Evaluation], metric: str) -> None:
    fields = (*_ALIKE, "tokenizer_sha256") if metric in (DISTANCE, DISTANCE_SHARE) else _ALIKE
    first: dict[str, Evaluation] = {}
    for one in evaluations:
        other = first.setdefault(one.manifest.benchmark, one)
        differ = [field for field in fields if getattr(one.manifest, field) != getattr(other.manifest, field)]
        if differ:
            what = differ[0].removesuffix("_sha256")
            raise IncomparableRuns(
                f"{other.manifest.checkpoint} and {one.manifest.checkpoint} differ in {what}, so their {metric} "
                "cannot be compared: evaluate them alike, or rank from folders of their own"
            )


def _notes(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    sizes = {one.manifest.labels.size for one in evaluations}
    return (
        ("runs differ in size: their order mixes it with the recipe; add --by size",)
        if len(sizes) > 1
        else ()
    )


def evaluation_csv(rows: Sequence[EvaluationRow], *, stage: str | None) -> bytes:
    """Rows as a CSV of targets, which ``rank --targets`` and ``fit`` read; what is not known is an empty cell.

    Columns ``<metric>_stderr`` and ``<metric>_n`` stand beside each metric.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in (*row.shares, *row.distances)))
    labels = ("size", "tokens", "seed", "step")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["recipe", "benchmark", "stage", *labels]
        + [f"{name}{kind}" for name in metrics for kind in ("", "_stderr", "_n")]
        + ["chance", "num_truncated", "num_unanswered", "num_undecided", "shots", "model", "source"]
    )
    for row in rows:
        manifest = row.evaluation.manifest
        figures: list[object] = []
        for name in metrics:
            found = row.shares.get(name)
            distance = row.distances.get(name)
            if found is not None:
                figures += [found.value, found.stderr, found.n]
            elif distance is not None:
                figures += [distance.mean, distance.stderr, distance.n]
            else:
                figures += [None, None, None]
        writer.writerow(
            [row.recipe, manifest.benchmark, stage]
            + [getattr(manifest.labels, label) for label in labels]
            + figures
            + [manifest.chance, row.num_truncated, row.num_unanswered, row.num_undecided, manifest.shots]
            + [manifest.checkpoint, str(row.evaluation.folder)]
        )
    return out.getvalue().encode()
