"""How many of the benchmarks' questions and traces stand in each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rbridge.quality import NgramIndex, Share, is_contaminated, share
from rbridge.recipes.documents import documents
from rbridge.recipes.spec import RecipeFile
from rbridge.records import Trace

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
        too_short: texts of fewer than 8 words, which are not counted.
        first: names of the first contaminated ones.
    """

    source: str
    benchmark: str
    what: str
    contaminated: Share
    backwards: Share
    too_short: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class _Text:
    benchmark: str
    what: str
    name: str
    text: str


def check_contamination(
    recipes: RecipeFile, traces: Sequence[Trace], *, progress: Callable[[str], None]
) -> tuple[SourceContamination, ...]:
    """Read every source that a recipe uses, and say what of the benchmarks stands in it.

    Args:
        recipes: the file.
        traces: with their questions, as far as these are known.
        progress: told of each source.

    Raises:
        InputError: a source cannot be read.
        MissingExtra: a hub dataset is asked for and ``datasets`` is not installed.
    """
    texts = _texts(traces)
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
        seen = index.found()
        found += _by_benchmark(name, texts, seen.share, seen.backwards)
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


def _by_benchmark(
    source: str,
    texts: Sequence[_Text],
    shares: Sequence[float | None],
    backwards: Sequence[float | None],
) -> list[SourceContamination]:
    groups: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(texts):
        groups.setdefault((one.benchmark, one.what), []).append(at)
    found = []
    for (benchmark, what), members in groups.items():
        told = [at for at in members if shares[at] is not None]
        hit = [at for at in told if is_contaminated(shares[at])]
        found.append(
            SourceContamination(
                source=source,
                benchmark=benchmark,
                what=what,
                contaminated=share(len(hit), len(told)),
                backwards=share(sum(is_contaminated(backwards[at]) for at in told), len(told)),
                too_short=len(members) - len(told),
                first=tuple(texts[at].name for at in hit[:_FIRST]),
            )
        )
    return found


def by_recipe(recipes: RecipeFile, found: Sequence[SourceContamination]) -> Mapping[str, SourceContamination]:
    """The worst finding among the sources of each recipe and of its bases, by share.

    A recipe without any finding that can be told has no entry.
    """
    worst: dict[str, SourceContamination] = {}
    for name in recipes.recipes:
        sources = {
            source
            for link in recipes.chain(name)
            for phase in recipes.recipes[link].phases
            for source in phase.mix
        }
        told = [one for one in found if one.source in sources and one.contaminated.value is not None]
        if told:
            worst[name] = max(told, key=lambda one: one.contaminated.value or 0.0)
    return worst
