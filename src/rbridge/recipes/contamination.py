"""How many of the benchmarks' questions and traces stand in each source, and how many would by chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rbridge.benchmarks import twin_traces
from rbridge.quality import (
    SEEN,
    Chance,
    Found,
    Judged,
    NgramIndex,
    Share,
    chance,
    is_contaminated,
    judge,
    share,
)
from rbridge.recipes.documents import documents
from rbridge.recipes.spec import RecipeFile
from rbridge.records import Trace, twin_of

_FIRST = 3  # names shown


@dataclass(frozen=True)
class SourceContamination:
    """One source, one benchmark, questions or traces.

    Attributes:
        source: its name.
        benchmark: whose questions or traces.
        what: ``questions`` or ``traces``.
        contaminated: those of which 70 % of the word 8-grams stand in the source.
        backwards: the same with each text read backwards, which only chance can find: the null.
        chance: texts and fresh texts of the same kind on equal terms; None where there is too little of either.
        judged: what it comes to.
        too_short: texts of fewer than 8 words, which are not counted.
        first: names of the first contaminated ones.
    """

    source: str
    benchmark: str
    what: str
    contaminated: Share
    backwards: Share
    chance: Chance | None
    judged: Judged
    too_short: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class _Text:
    benchmark: str
    what: str
    name: str
    text: str
    fresh: bool = False


def check_contamination(
    recipes: RecipeFile,
    traces: Sequence[Trace],
    *,
    fresh: Sequence[Trace] = (),
    progress: Callable[[str], None],
) -> tuple[SourceContamination, ...]:
    """Read every source that a recipe uses, and say what of the benchmarks stands in it.

    Args:
        recipes: the file.
        traces: with their questions, as far as these are known; the twins of others among them are not looked for.
        fresh: traces that are known to stand in no source, for what chance finds; of a benchmark without any, the
            traces themselves with other numbers, as far as they spell out their arithmetic.
        progress: told of each source.

    Raises:
        InputError: a source cannot be read.
        MissingExtra: a hub dataset is asked for and ``datasets`` is not installed.
    """
    given = {trace.key.benchmark for trace in fresh}
    problems = {(trace.key.benchmark, trace.key.problem_id) for trace in traces}
    asked = [
        trace for trace in traces if (trace.key.benchmark, twin_of(trace.key.problem_id)) not in problems
    ]
    twins = twin_traces([trace for trace in asked if trace.key.benchmark not in given]).twins
    texts = [*_texts(asked), *(replace(text, fresh=True) for text in _texts([*fresh, *twins]))]
    found: list[SourceContamination] = []
    used = {source for recipe in recipes.recipes.values() for phase in recipe.phases for source in phase.mix}
    for name, source in recipes.sources.items():
        if name not in used:
            continue
        index = NgramIndex([one.text for one in texts])
        num_documents, num_chars = 0, 0
        # A hub dataset is read about as far as training would: four characters a token.
        most_chars = None if source.take is None else 4 * source.take
        for document in documents(name, source):
            index.read(document)
            num_documents += 1
            num_chars += len(document)
            if most_chars is not None and num_chars >= most_chars:
                break
        progress(f"{name}: {num_documents} documents, {num_chars} characters read")
        found += _by_benchmark(name, texts, index.found())
    return tuple(found)


def _texts(traces: Sequence[Trace]) -> list[_Text]:
    questions: dict[tuple[str, str], str] = {}
    for trace in traces:
        if trace.question is not None:
            questions.setdefault((trace.key.benchmark, trace.key.problem_id), trace.question)
    return [
        *(_Text(benchmark, "questions", problem, text) for (benchmark, problem), text in questions.items()),
        *(_Text(trace.key.benchmark, "traces", str(trace.key), trace.reasoning) for trace in traces),
    ]


def _by_benchmark(source: str, texts: Sequence[_Text], seen: Found) -> list[SourceContamination]:
    groups: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(texts):
        groups.setdefault((one.benchmark, one.what), []).append(at)
    found = []
    for (benchmark, what), both in groups.items():
        members = [at for at in both if not texts[at].fresh]
        fresh = [at for at in both if texts[at].fresh]
        if not members:
            continue  # fresh text of a benchmark that is not asked about
        told = [at for at in members if seen.share[at] is not None]
        hit = [at for at in told if is_contaminated(seen.share[at])]
        contaminated = share(len(hit), len(told))
        level = chance(
            _share([seen.own[at] for at in members]),
            _share([seen.own[at] for at in fresh]),
            _share([seen.own[at] for at in fresh], SEEN / 4),
            _share([seen.whole[at] for at in members]),
            _share([seen.whole[at] for at in fresh]),
        )
        found.append(
            SourceContamination(
                source=source,
                benchmark=benchmark,
                what=what,
                contaminated=contaminated,
                backwards=share(sum(is_contaminated(seen.backwards[at]) for at in told), len(told)),
                chance=level,
                judged=judge(contaminated, level),
                too_short=len(members) - len(told),
                first=tuple(texts[at].name for at in hit[:_FIRST]),
            )
        )
    return found


def _share(values: Sequence[float | bool | None], from_share: float = SEEN) -> Share:
    told = [value for value in values if value is not None]
    return share(sum(value >= from_share for value in told), len(told))


def by_recipe(recipes: RecipeFile, found: Sequence[SourceContamination]) -> Mapping[str, SourceContamination]:
    """The worst finding among the sources of each recipe and its bases, by the share that was put there, then by count.

    A recipe without any finding that can be told has no entry.
    """
    return {
        name: max(rows, key=worst_first) for name, rows in rows_of_recipes(recipes, found).items() if rows
    }


def worst_first(one: SourceContamination) -> tuple[float, float]:
    """What a finding is sorted by; where chance cannot be told from a leak, by the count alone."""
    return (one.judged.leaked or 0.0, one.contaminated.value or 0.0)


def rows_of_recipes(
    recipes: RecipeFile, found: Sequence[SourceContamination]
) -> Mapping[str, tuple[SourceContamination, ...]]:
    """All findings that can be told among the sources of each recipe and of its bases."""
    rows: dict[str, tuple[SourceContamination, ...]] = {}
    for name in recipes.recipes:
        sources = {
            source
            for link in recipes.chain(name)
            for phase in recipes.recipes[link].phases
            for source in phase.mix
        }
        rows[name] = tuple(
            one for one in found if one.source in sources and one.contaminated.value is not None
        )
    return rows
