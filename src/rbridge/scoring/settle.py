"""Score no more traces than the order of the checkpoints needs: growing rounds, a test after each.

Traces come in an order that the bundle's digest fixes. After each round, recipes whose order is settled drop
out; what they gave is kept as an unfinished run, which a later sweep completes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from rbridge.errors import IncomparableRuns, InputError, RBridgeError
from rbridge.metric import run_values
from rbridge.rank import Bands, narrowed, needed_pairs, nothing_known
from rbridge.records import Labels, TraceKey
from rbridge.scoring.ahead import prepared_ahead
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.sweep import Failure, Jobs, Prepare, Some, labels_of
from rbridge.scoring.verdict import SettledGroup, Settlement, Until, settled_group
from rbridge.store.files import sha256_json
from rbridge.store.runs import Run
from rbridge.store.settled import SettledCheckpoint, write_settled
from rbridge.store.views import WHOLE, View, viewed

# Problems of the first round, and how much longer each next one is: checkpoints are loaded once a round.
_FIRST = 64
_GROWTH = 1.5

# A problem and how it was read: each voice, its shots and window. Values of equal readings compare.
_Reading = tuple[str, tuple[tuple[str, int, tuple[int, int] | None], ...]]


@dataclass
class _Group:
    """One benchmark while it is being settled: its problems in order, and what is known of its recipes."""

    problems: dict[str, list[TraceKey]]
    recipes: list[str]
    bands: Bands
    used: dict[str, int]
    end: int = 0

    def drop(self, lost: set[str]) -> None:
        """Go on without recipes that cannot be scored."""
        kept = [row for row, recipe in enumerate(self.recipes) if recipe not in lost]
        self.recipes = [self.recipes[row] for row in kept]
        at = np.ix_(kept, kept)
        self.bands = Bands(self.bands.low[at], self.bands.high[at], self.bands.settled[at])

    def needed(self, until: Until) -> set[str]:
        """Recipes that more problems may still settle."""
        if self.end >= len(self.problems):
            return set()
        pairs = needed_pairs(self.bands, indifference=until.indifference, top=until.top)
        return {self.recipes[row] for row in np.flatnonzero(pairs.any(axis=1))}

    def extend(self, recipes: set[str]) -> None:
        """One more round for these recipes, where there are any."""
        if not recipes:
            return
        self.end = min(len(self.problems), max(_FIRST, math.ceil(self.end * _GROWTH)))
        self.used |= dict.fromkeys(recipes, self.end)

    def keys(self, recipe: str) -> list[TraceKey]:
        """The traces that a recipe is to have."""
        return [key for keys in list(self.problems.values())[: self.used[recipe]] for key in keys]

    def verdict(self, benchmark: str, until: Until) -> SettledGroup:
        """What is told of them by now."""
        return settled_group(
            benchmark, self.recipes, self.bands, until, num_problems=len(self.problems), num_read=self.used
        )


@dataclass
class _State:
    """What the rounds have given."""

    scores: dict[str, Some] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


def drawn_order(problems: Sequence[str], benchmark: str, bundle_sha256: str) -> list[str]:
    """Problems in a random order that the bundle fixes: by the hash of its digest and the problem's name."""
    return sorted(
        problems,
        key=lambda name: hashlib.sha256(f"{bundle_sha256}\x1f{benchmark}\x1f{name}".encode()).digest(),
    )


def score_until_settled(
    jobs: Jobs,
    checkpoints: Sequence[Checkpoint],
    until: Until,
    *,
    labels: Mapping[str, Labels],
    prepare: Prepare,
    document: Callable[[Settlement], Mapping[str, object]],
    view: View = WHOLE,
) -> Settlement:
    """Score checkpoints in growing rounds until their order is settled on every benchmark.

    Args:
        jobs: the traces and the store.
        checkpoints: one a recipe and seed; seeds are averaged.
        until: when to stop.
        labels: by checkpoint name, as in ``sweep``.
        prepare: makes a checkpoint ready.
        document: the verdict as it is written into the store.
        view: whose weights are meant.

    Raises:
        InputError: fewer than two recipes.
        IncomparableRuns: a recipe's seed comes twice.
    """
    recipes = _recipes(checkpoints, labels)
    groups = _groups(jobs, list(recipes))
    name = sha256_json([jobs.bundle.manifest.content_sha256, jobs.readings_sha256, sorted(recipes)])[:12]
    error = (1 - until.level) / len(groups)
    state = _State()
    metric = ""
    rounds = 0
    while wanted := _round(groups, recipes, until):
        rounds += 1
        jobs.progress(f"round {rounds}: {len(wanted)} of {len(checkpoints)} checkpoints")
        _score_round(jobs, checkpoints, wanted, state, labels=labels, prepare=prepare, view=view)
        for group in groups.values():
            group.drop({recipe for recipe, names in recipes.items() if state.failures.keys() & set(names)})
        if not any(group.recipes for group in groups.values()):
            raise InputError(
                f"no recipe can be scored; the first: {next(iter(state.failures.values())).reason}"
            )
        metric = metric or _metric(state)
        for benchmark, group in groups.items():
            values, known = _values(benchmark, group, recipes, state, metric)
            group.bands = narrowed(group.bands, values, known, error=error, indifference=until.indifference)
        write_settled(jobs.store.root, name, _checkpoints(state), None)
    asked = [len(keys) for keys in _keys(groups, recipes).values()]
    found = Settlement(
        until=until,
        metric=metric,
        groups=tuple(group.verdict(benchmark, until) for benchmark, group in groups.items()),
        num_traces=sum(asked),
        num_all=len(jobs.encodings.traces) * len(asked),
        num_rounds=rounds,
        runs=tuple(state.runs.values()),
        failures=tuple(state.failures.values()),
    )
    write_settled(jobs.store.root, name, _checkpoints(state), document(found))
    return found


def _recipes(checkpoints: Sequence[Checkpoint], labels: Mapping[str, Labels]) -> dict[str, list[str]]:
    """Names of the checkpoints of each recipe; without a label each is one of its own."""
    found: dict[str, list[str]] = {}
    seen: dict[tuple[str, int | None], str] = {}
    for checkpoint in checkpoints:
        told = labels_of(checkpoint, labels).labels
        recipe = told.recipe or checkpoint.name
        twin = seen.setdefault((recipe, told.seed), checkpoint.name)
        if twin != checkpoint.name:
            raise IncomparableRuns(
                f"{twin} and {checkpoint.name} are both recipe {recipe!r}, seed {told.seed}: --until-settled compares "
                "recipes at one size and step; label their seeds, or name one of them"
            )
        found.setdefault(recipe, []).append(checkpoint.name)
    if len(found) < 2:
        raise InputError(f"--until-settled compares recipes; expected two or more, found {len(found)}")
    return found


def _groups(jobs: Jobs, recipes: list[str]) -> dict[str, _Group]:
    problems: dict[str, dict[str, list[TraceKey]]] = {}
    for trace in jobs.encodings.traces:
        problems.setdefault(trace.key.benchmark, {}).setdefault(trace.key.problem_id, []).append(trace.key)
    digest = jobs.bundle.manifest.content_sha256
    return {
        benchmark: _Group(
            problems={name: found[name] for name in drawn_order(list(found), benchmark, digest)},
            recipes=recipes,
            bands=nothing_known(len(recipes)),
            used=dict.fromkeys(recipes, 0),
        )
        for benchmark, found in sorted(problems.items())
    }


def _round(
    groups: Mapping[str, _Group], recipes: Mapping[str, list[str]], until: Until
) -> dict[str, set[TraceKey]]:
    """The traces that each checkpoint is to have after the next round; none where all is settled."""
    needed: set[str] = set()
    for group in groups.values():
        these = group.needed(until)
        group.extend(these)
        needed |= these
    return _keys(groups, {recipe: names for recipe, names in recipes.items() if recipe in needed})


def _keys(groups: Mapping[str, _Group], recipes: Mapping[str, list[str]]) -> dict[str, set[TraceKey]]:
    """The traces that each checkpoint of these recipes is to have by now; failed recipes are left out."""
    return {
        name: {key for group in groups.values() for key in group.keys(recipe)}
        for recipe, names in recipes.items()
        for name in names
        if all(recipe in group.recipes for group in groups.values())
    }


def _score_round(
    jobs: Jobs,
    checkpoints: Sequence[Checkpoint],
    wanted: Mapping[str, set[TraceKey]],
    state: _State,
    *,
    labels: Mapping[str, Labels],
    prepare: Prepare,
    view: View,
) -> None:
    asked = [checkpoint for checkpoint in checkpoints if checkpoint.name in wanted]
    for number, (checkpoint, ready) in enumerate(prepared_ahead(asked, jobs.preparing(prepare)), start=1):
        jobs.progress(f"[{number}/{len(asked)}] {checkpoint.name}")
        try:
            if len(wanted[checkpoint.name]) == len(jobs.encodings.traces):
                run = jobs.run(checkpoint, ready, labels_of(checkpoint, labels))
                state.runs[checkpoint.name] = run
                some = Some(run.manifest.key, run.manifest.tokenizer_sha256, run.stored())
            else:
                some = jobs.some(checkpoint, ready, wanted[checkpoint.name])
        except RBridgeError as error:
            state.failures[checkpoint.name] = Failure(checkpoint.name, str(error))
            jobs.progress(f"  failed: {error}")
            continue
        shown = viewed(some.scored, view, where=checkpoint.name)
        state.scores[checkpoint.name] = replace(some, scored=shown)


def _metric(state: _State) -> str:
    """rBridge, or the plain loss where traces have no weights; per byte where tokenizers differ."""
    weighed = any(one.tokens.weight is not None for some in state.scores.values() for one in some.scored)
    if len({some.tokenizer_sha256 for some in state.scores.values()}) > 1:
        return "rbridge_per_byte" if weighed else "trace_bits_per_byte"
    return "rbridge" if weighed else "trace_nll"


def _values(
    benchmark: str, group: _Group, recipes: Mapping[str, list[str]], state: _State, metric: str
) -> tuple[Float[np.ndarray, "recipes problems"], Bool[np.ndarray, "recipes problems"]]:
    """Each recipe's values: a column a problem, read with the same voices, shots and windows."""
    first = {name: place for place, name in enumerate(group.problems)}
    of_recipe: list[dict[_Reading, float]] = []
    for recipe in group.recipes:
        if any(name not in state.scores for name in recipes[recipe]):
            of_recipe.append({})
            continue
        # A checkpoint that was scored further in an earlier call counts up to this round only.
        read = [
            {
                at: value
                for at, value in _readings(state.scores[name], metric, benchmark).items()
                if first[at[0]] < group.used[recipe]
            }
            for name in recipes[recipe]
        ]
        shared = set.intersection(*[set(one) for one in read])
        of_recipe.append({at: float(np.mean([one[at] for one in read])) for at in shared})
    columns = {
        at: column for column, at in enumerate(sorted({at for one in of_recipe for at in one}, key=str))
    }
    values = np.zeros((len(of_recipe), len(columns)))
    known = np.zeros(values.shape, dtype=bool)
    for row, one in enumerate(of_recipe):
        for at, value in one.items():
            values[row, columns[at]], known[row, columns[at]] = value, True
    return values, known


def _readings(some: Some, metric: str, benchmark: str) -> dict[_Reading, float]:
    """The mean over a problem's voices, by problem and how each voice was read."""
    voices: dict[str, list[tuple[tuple[str, int, tuple[int, int] | None], float]]] = {}
    scored = [one for one in some.scored if one.key.benchmark == benchmark]
    for one, values in zip(scored, run_values(scored), strict=True):
        value = getattr(values, metric)
        if value is None:  # a trace without weights
            continue
        voices.setdefault(one.key.problem_id, []).append(((one.key.voice, one.shots, one.window), value))
    return {
        (problem, tuple(sorted((how for how, _ in found), key=str))): float(np.mean([v for _, v in found]))
        for problem, found in voices.items()
    }


def _checkpoints(state: _State) -> list[SettledCheckpoint]:
    return [
        SettledCheckpoint(checkpoint=name, key=some.key, num_traces=len(some.scored))
        for name, some in state.scores.items()
    ]
