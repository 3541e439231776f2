"""Small recipes of real text, and a size of model that trains on them in a second."""

from __future__ import annotations

import heapq
import textwrap
from pathlib import Path

from rbridge.proxies.rungs import DecoderSize
from rbridge.proxies.train_ladder import LadderSettings, PlannedProxy, plan_ladder
from rbridge.recipes import read_recipes

TINY = DecoderSize("tiny", width=16, layers=1, heads=2, window=64, batch=4, num_tokens=5_000)
SETTINGS = LadderSettings(vocab_size=300, checkpoints=3)
FILE = """
sources:
  heap: {text: heap.txt, split: paragraph}
  wrap: {text: wrap.txt, split: paragraph}
recipes:
  both:
    phases:
      - mix: {heap: 1, wrap: 1}
  heap:
    phases:
      - mix: {heap: 1}
  more:
    base: {recipe: heap}
    phases:
      - mix: {wrap: 1}
        tokens: 1500
        schedule: {kind: linear}
"""


def write_recipes(folder: Path, text: str = FILE) -> Path:
    """A recipe file and the texts that it names: two modules of the standard library."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "heap.txt").write_text(Path(heapq.__file__).read_text())
    (folder / "wrap.txt").write_text(Path(textwrap.__file__).read_text())
    file = folder / "recipes.yaml"
    file.write_text(text)
    return file


def plan(file: Path, out: Path, *recipes: str) -> dict[str, PlannedProxy]:
    """The tiny ladder's jobs by recipe, seed 0."""
    found = read_recipes(file)
    planned = plan_ladder(
        found.only(recipes) if recipes else found, [TINY], [0], out, SETTINGS, progress=lambda _: None
    )
    return {one.job.recipe: one for one in planned}
