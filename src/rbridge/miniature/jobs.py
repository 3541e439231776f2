"""What the miniature trains, as data: one job is one model, and what is known of it when it is done."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from rbridge.miniature.recipes import RECIPES, Part, Recipe
from rbridge.proxies.ladder import Size
from rbridge.records import Labels
from rbridge.store.files import write_json

P32 = Size("p32", width=32, heads=2, num_tokens=150_000, learning_rate=1e-2)  # the demo's proxies
T128 = Size("t128", width=128, heads=8, num_tokens=1_000_000, learning_rate=2e-3)
_FRONTIER = Size("frontier", width=96, heads=6, num_tokens=1_000_000, learning_rate=3e-3)
_RESULT = "miniature.json"


@dataclass(frozen=True)
class Job:
    """One model to train and to put to the test.

    Attributes:
        recipe: what it reads.
        size: its shape and how long it learns.
        seed: of its weights, its documents and their order.
        num_problems: held-out problems that it answers afterwards.
        tokenizer: that it reads with, as ``vocabularies.tokenizer_named`` knows it.
    """

    recipe: Recipe
    size: Size
    seed: int
    num_problems: int
    tokenizer: str = "proxy"

    @property
    def name(self) -> str:
        """A folder name, one for each model of a run."""
        return f"{self.recipe.name}-{self.size.name}-seed{self.seed}"


@dataclass(frozen=True)
class Trained:
    """A finished model.

    Attributes:
        folder: the checkpoint, as transformers loads it.
        labels: recipe, seed, size, parameters, tokens, steps and FLOPs.
        num_problems: held-out problems that it answered.
        num_right: how many of them ended in the right answer.
    """

    folder: Path
    labels: Labels
    num_problems: int
    num_right: int

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.num_right / self.num_problems

    @property
    def stderr(self) -> float:
        """Standard error of the accuracy over problems (binomial)."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.num_problems)


FRONTIER = Job(
    Recipe("std100", (Part("standard", 1.0),)), _FRONTIER, seed=0, num_problems=200, tokenizer="frontier"
)


def proxy_jobs(
    recipes: tuple[Recipe, ...] = RECIPES,
    *,
    seeds: tuple[int, ...] = (0, 1),
    size: Size = P32,
    num_problems: int = 200,
) -> list[Job]:
    """A job for each recipe and seed, the seeds of one recipe together."""
    return [Job(recipe, size, seed, num_problems) for recipe in recipes for seed in seeds]


def write_result(job: Job, folder: Path, *, labels: Labels, num_right: int) -> None:
    """Keep what came out beside the checkpoint, with the job that it is the result of."""
    write_json(folder / _RESULT, {"job": asdict(job), "labels": asdict(labels), "num_right": num_right})


def finished(job: Job, folder: Path) -> Trained | None:
    """The model that an earlier run of the very same job left in ``folder``, or None."""
    file = folder / _RESULT
    if not file.is_file():
        return None
    result = json.loads(file.read_text(encoding="utf-8"))
    if result["job"] != json.loads(json.dumps(asdict(job))):  # tuples are lists in JSON
        return None
    return Trained(folder, Labels(**result["labels"]), job.num_problems, result["num_right"])
