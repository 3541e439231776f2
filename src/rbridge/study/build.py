"""The units of a study, with all that decides each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rbridge.compute import training_flops
from rbridge.proxies.rungs import SIZES
from rbridge.recipes.spec import RecipeFile
from rbridge.store.files import sha256_file
from rbridge.study.base import num_parameters
from rbridge.study.digests import Digests
from rbridge.study.read import BASE, Study
from rbridge.study.spec import Ladder, Measured, Table, TokenizerTraining
from rbridge.study.units import Graph, Unit

# Counted up when a unit of that kind comes to do something else with the same inputs.
_VERSION = 1
_DIGESTS = "digests.json"
# A float32 weight, and what AdamW keeps of it while it trains.
_WEIGHT_BYTES = 4
_STATE_BYTES = 12
# Bytes of text a token, and of a scored token in a run.
_TEXT_BYTES = 3
_SCORED_BYTES = 24
_TRAIN_BYTES = 2


def build_graph(study: Study) -> Graph:
    """Every unit of a study, each behind what it depends on."""
    return Graph.of(_Builder(study).units())


def train_id(size: str, recipe: str, seed: int) -> str:
    """Name of the unit that trains a model; the others' are made of it."""
    return f"train/{size}/{recipe}/seed-{seed}"


def of_model(kind: str, unit: Unit) -> str:
    """Name of the unit that does something else with a trained model."""
    return unit.id.replace("train/", f"{kind}/", 1)


def recipe_sources(recipes: RecipeFile, name: str) -> list[str]:
    """Sources of a recipe and of what it stands on, by name."""
    chain = [recipes.recipes[link] for link in recipes.chain(name)]
    return sorted({source for recipe in chain for phase in recipe.phases for source in phase.mix})


def _used(study: Study) -> list[str]:
    trained = study.spec.tokenizer
    own = trained.sources if isinstance(trained, TokenizerTraining) else ()
    return sorted(
        {*own, *(one for name in study.recipes.recipes for one in recipe_sources(study.recipes, name))}
    )


class _Builder:
    def __init__(self, study: Study) -> None:
        self.study, self.spec, self.recipes = study, study.spec, study.recipes
        digests = Digests(study.file(_DIGESTS))
        self.digests = {name: digests.of_source(name, self.recipes.sources[name]) for name in _used(study)}
        bases = {name: self.recipes.base_checkpoint(name) for name in self.recipes.recipes}
        self.bases = {name: digests.of_base(base) for name, base in bases.items() if base is not None}
        self.base_parameters = {
            name: num_parameters(Path(base))
            for name, base in bases.items()
            if base is not None and Path(base).is_dir()
        }
        digests.keep()
        self.sizes = {size.name: size for size in SIZES}
        self.traces = {
            "bundle": study.bundle_sha256,
            "benchmarks": list(study.benchmarks),
            "limit": study.spec.scoring.limit,
        }

    def units(self) -> Iterator[Unit]:
        yield from self._checks()
        yield self._tokenizer()
        for name in _used(self.study):
            yield Unit(
                f"tokens/{name}", "tokens", self._source(name), ("tokenizer",), after=(f"source/{name}",)
            )
        yield from self._nulls()
        scores: list[str] = []
        checks = [f"recipe/{name}" for name in self.recipes.recipes]
        for unit in self._models(self.spec.proxies):
            yield from (unit, score := self._score(unit))
            scores.append(score.id)
        plan = self.spec.plan
        if plan is not None:
            yield self._plan(scores)
            for unit in self._models(plan.stage2, planned=True):
                yield from (unit, score := self._score(unit))
                scores.append(score.id)
        targets: tuple[str, ...] = ()
        if self.spec.targets is not None:
            yield from self._targets()
            targets = ("targets",)
        yield self._rank(scores, targets)
        fits: tuple[str, ...] = ()
        if targets and self.spec.report.fit:
            inputs = {"metric": self.spec.declaration.metric, "target": self._target_column()}
            yield Unit("fit", "fit", inputs, targets, tuple(scores))
            fits = ("fit",)
        settings = {
            "name": self.spec.name, "report": self.spec.report.model_dump(mode="json"),
            "declaration": self.spec.declaration.model_dump(mode="json"), "version": _VERSION,
            "recipes": {name: one.model_dump(mode="json") for name, one in self.recipes.recipes.items()},
        }  # fmt: skip
        wanted = (*checks, *(("plan",) if plan is not None else ()), *targets, *fits)
        yield Unit("report", "report", settings, ("rank",), wanted)

    def _source(self, name: str) -> dict[str, Any]:
        source = self.recipes.sources[name]
        kept = source.model_dump(mode="json", exclude={"text", "jsonl", "parquet"})
        return {"source": kept, "kind": source.kind, "digest": self.digests[name]}

    def _recipe(self, name: str) -> dict[str, Any]:
        chain = self.recipes.chain(name)
        return {
            "chain": [self.recipes.recipes[link].model_dump(mode="json") for link in chain],
            **({"base": self.bases[name]} if name in self.bases else {}),
            "target_tokens": self.recipes.target_of(name),
            "sources": {source: self._source(source) for source in recipe_sources(self.recipes, name)},
        }

    def _checks(self) -> Iterator[Unit]:
        for name in _used(self.study):
            inputs = {
                **self._source(name),
                **self.traces,
                "questions": self.spec.scoring.questions,
                "rule": 2,
            }
            yield Unit(f"source/{name}", "source", inputs)
        for name in self.recipes.recipes:
            sources = tuple(f"source/{source}" for source in recipe_sources(self.recipes, name))
            inputs = {"contamination": self.spec.contamination.model_dump(mode="json")}
            yield Unit(f"recipe/{name}", "recipe", inputs, sources, recipe=name)

    def _tokenizer(self) -> Unit:
        trained = self.spec.tokenizer
        if isinstance(trained, TokenizerTraining):
            inputs = {
                "training": trained.model_dump(mode="json"),
                "sources": {name: self._source(name) for name in trained.sources},
            }
            after = tuple(f"source/{name}" for name in trained.sources)
            return Unit("tokenizer", "tokenizer", inputs, after=after, disk=40 * trained.vocab_size)
        given = str(self.study.tokenizer)
        folder = Path(given)
        files = sorted(folder.glob("*.json")) if folder.is_dir() else []
        return Unit("tokenizer", "tokenizer", {"given": [sha256_file(file) for file in files] or given})

    def _nulls(self) -> Iterator[Unit]:
        if not self.spec.report.null_bytes:
            return
        for name in self.recipes.recipes:
            inputs = {**self._recipe(name), **self.traces, "bytes": self.spec.report.null_bytes}
            yield Unit(
                f"null/{name}",
                "null",
                inputs,
                after=(f"recipe/{name}",),
                recipe=name,
                disk=self.spec.report.null_bytes,
            )

    def _models(self, ladder: Ladder, *, planned: bool = False) -> Iterator[Unit]:
        """Models of a ladder: seed after seed, so that every recipe has its first before any has its second."""
        below = {link for name in self.recipes.recipes for link in self.recipes.chain(name)[:-1]}
        ordered = sorted(self.recipes.recipes, key=lambda name: len(self.recipes.chain(name)))
        for size in ladder.sizes:
            for seed in ladder.seeds:
                for name in ordered:
                    chain = self.recipes.chain(name)
                    base = (train_id(size, chain[-2], seed),) if len(chain) > 1 else ()
                    sources = (f"tokens/{source}" for source in recipe_sources(self.recipes, name))
                    # What others stand on is trained whether it survives or not.
                    gate = ("plan",) if planned and name not in below else ()
                    yield self._model(ladder, size, seed, name, base, (f"recipe/{name}", *sources, *gate))

    def _model(
        self, ladder: Ladder, size: str, seed: int, name: str, base: tuple[str, ...], after: tuple[str, ...]
    ) -> Unit:
        shape = self.sizes.get(size)
        recipe = self.recipes.recipes[name]
        tokens = recipe.fixed_tokens or ladder.tokens or (0 if shape is None else shape.num_tokens)
        parameters = self._parameters(size, name)
        settings = ladder.model_dump(mode="json", exclude={"sizes", "seeds"})
        inputs = {
            "version": _VERSION, **self._recipe(name), "seed": seed, "settings": settings,
            "size": size if shape is None else asdict(shape),
        }  # fmt: skip
        kept = parameters * _WEIGHT_BYTES * ladder.checkpoints + tokens * _TRAIN_BYTES
        return Unit(
            train_id(size, name, seed), "train", inputs, ("tokenizer", *base), after=after,
            recipe=name, size=size, seed=seed, tokens=tokens, disk=kept,
            flops=training_flops(float(parameters), float(tokens)) if parameters else 0.0,
        )  # fmt: skip

    def _parameters(self, size: str, recipe: str) -> int:
        """Of a size, or of the recipe's base; 0 where that lies at a hub and nothing is known of it yet."""
        shape = self.sizes.get(size)
        return (
            self.base_parameters.get(recipe, 0) if shape is None else shape.parameters(self.study.vocab_size)
        )

    def _score(self, model: Unit) -> Unit:
        readings = (1 + 5 * self.spec.scoring.margin + self.spec.scoring.gold) * self.spec.scoring.last
        tokens = readings * self.study.trace_bytes // _TEXT_BYTES
        parameters = self._parameters(str(model.size), str(model.recipe))
        inputs = {**self.traces, "scoring": self.spec.scoring.model_dump(mode="json")}
        return Unit(
            of_model("score", model), "score", inputs, (model.id,), after=model.after if "plan" in model.after else (),
            recipe=model.recipe, size=model.size, seed=model.seed, tokens=tokens,
            flops=2.0 * parameters * tokens, disk=tokens * _SCORED_BYTES,
        )  # fmt: skip

    def _plan(self, scores: list[str]) -> Unit:
        assert self.spec.plan is not None
        inputs = {
            "plan": self.spec.plan.model_dump(mode="json"), "metric": self.spec.declaration.metric,
            "recipes": list(self.recipes.recipes),
        }  # fmt: skip
        return Unit("plan", "plan", inputs, wants=tuple(scores))

    def _targets(self) -> Iterator[Unit]:
        targets = self.spec.targets
        if isinstance(targets, Table):
            assert self.study.targets is not None
            inputs = {**targets.model_dump(mode="json"), "sha256": sha256_file(self.study.targets)}
            yield Unit("targets", "targets", inputs)
            return
        assert isinstance(targets, Measured)
        evaluations: list[str] = []
        asked = targets.model_dump(mode="json", exclude={"train"}) | {
            "benchmarks": list(self.study.benchmarks)
        }
        for model in self._models(targets.train):
            yield model
            evaluations.append(of_model("evaluate", model))
            yield Unit(
                evaluations[-1],
                "evaluate",
                asked,
                (model.id,),
                recipe=model.recipe,
                size=model.size,
                seed=model.seed,
            )
        yield Unit("targets", "targets", wants=tuple(evaluations))

    def _target_column(self) -> str:
        return self.spec.targets.column if isinstance(self.spec.targets, Table) else "accuracy"

    def _rank(self, scores: list[str], targets: tuple[str, ...]) -> Unit:
        nulls = tuple(f"null/{name}" for name in self.recipes.recipes) if self.spec.report.null_bytes else ()
        inputs = {
            "declaration": self.spec.declaration.model_dump(mode="json"), "version": _VERSION,
            "contamination": self.spec.contamination.model_dump(mode="json"),
        }  # fmt: skip
        return Unit("rank", "rank", inputs, wants=(*scores, *nulls, *targets))


def sizes_of(graph: Graph) -> Mapping[str, float]:
    """FLOPs of one model of each size, the dearest recipe's."""
    found: dict[str, float] = {}
    for unit in graph.units.values():
        if unit.kind == "train" and unit.size is not None:
            found[unit.size] = max(found.get(unit.size, 0.0), unit.flops)
    return found


__all__ = ["BASE", "build_graph", "of_model", "recipe_sources", "sizes_of", "train_id"]
