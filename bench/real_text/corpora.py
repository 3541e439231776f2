"""Six sources of real text from packages, each a JSONL file of a megabyte, and recipes over them."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import yaml
from bench.real_text.packages import install, unpack_debian

# Characters of a source at most. Budgets of more than some 300,000 tokens repeat them, and the plan then says so.
_ENOUGH = 1_000_000
_GYM = "reasoning-gym==0.1.25"
_DOCUMENTS = {"gym": 5_600, "chains": 2_000}
# Characters of a Metamath document: the database is one file.
_CHUNK = 4_000

# Shares of sources. Dose: of worked solutions.
RECIPES: dict[str, dict[str, float]] = {
    "code": {"code": 1},
    "prose": {"prose": 1},
    "docs": {"docs": 1},
    "formal": {"formal": 1},
    "gym": {"gym": 1},
    "chains": {"chains": 1},
    "prose-chains10": {"prose": 0.9, "chains": 0.1},
    "prose-chains30": {"prose": 0.7, "chains": 0.3},
}


def dose(recipe: str) -> float:
    """Share of worked solutions."""
    return RECIPES[recipe].get("chains", 0.0)


def write_sources(folder: Path) -> dict[str, Path]:
    """A JSONL file a source; one that is there is left alone."""
    makers: dict[str, Callable[[Path], Iterable[str]]] = {
        "code": lambda _: _shuffled(_standard_library()),
        "prose": lambda place: _shuffled(_html(unpack_debian(place, "anarchism"))),
        "docs": lambda place: _shuffled(_pods(unpack_debian(place, "perl-doc"))),
        "formal": lambda place: _shuffled(_metamath(unpack_debian(place, "metamath-databases"))),
        "gym": lambda place: _generated(place, "gym"),
        "chains": lambda place: _generated(place, "chains"),
    }
    files = {}
    for name, make in makers.items():
        file = files[name] = folder / "sources" / f"{name}.jsonl"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".unfinished")
            lines = [json.dumps({"text": text}) for text in _first(make(folder))]
            unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
            unfinished.rename(file)
    return files


def write_recipes(folder: Path, files: dict[str, Path]) -> Path:
    """The recipe file."""
    document = {
        "sources": {name: {"jsonl": str(file.relative_to(folder))} for name, file in files.items()},
        "recipes": {name: {"phases": [{"mix": mix}]} for name, mix in RECIPES.items()},
    }
    place = folder / "recipes.yaml"
    place.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return place


def write_samples(folder: Path, files: dict[str, Path], *, num_chars: int) -> dict[str, Path]:
    """A sample of each recipe for the n-gram null: its sources' first documents, in their shares."""
    texts = {
        name: "\n".join(json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines())
        for name, file in files.items()
    }
    samples = {}
    for recipe, mix in RECIPES.items():
        samples[recipe] = folder / "samples" / f"{recipe}.txt"
        samples[recipe].parent.mkdir(exist_ok=True)
        parts = [texts[source][: round(num_chars * share)] for source, share in mix.items()]
        samples[recipe].write_text("\n".join(parts), encoding="utf-8")
    return samples


def _first(texts: Iterable[str]) -> Iterator[str]:
    """Texts until there is enough."""
    total = 0
    for text in texts:
        if text.strip():
            yield text
            total += len(text)
        if total > _ENOUGH:
            return


def _shuffled(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    random.Random(0).shuffle(found)
    return found


def _standard_library() -> Iterator[str]:
    root = Path(sysconfig.get_path("stdlib"))
    for file in sorted(root.rglob("*.py")):
        if not {"test", "tests", "site-packages", "dist-packages", "idlelib"} & set(file.parts):
            yield file.read_text(encoding="utf-8", errors="replace")


def _html(root: Path) -> Iterator[str]:
    for file in sorted(root.rglob("html/*.html")):
        reader = _Paragraphs()
        reader.feed(file.read_text(encoding="utf-8", errors="replace"))
        yield reader.text()


def _pods(root: Path) -> Iterator[str]:
    for file in sorted(root.rglob("*.pod")):
        yield file.read_text(encoding="utf-8", errors="replace")


def _metamath(root: Path) -> Iterator[str]:
    (file,) = root.rglob("set.mm")
    text = file.read_text(encoding="utf-8")
    for start in range(0, len(text), _CHUNK):
        yield text[start : start + _CHUNK]


def _generated(folder: Path, source: str) -> Iterator[str]:
    packages = install(folder, [_GYM], dependencies=True)
    made = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("gym.py")), source, str(_DOCUMENTS[source])],
        env={**os.environ, "PYTHONPATH": str(packages), "PYTHONWARNINGS": "ignore"},
        check=True,
        capture_output=True,
        text=True,
    )
    for line in made.stdout.splitlines():
        yield json.loads(line)["text"]


class _Paragraphs(HTMLParser):
    """The text of a page, a blank line between blocks."""

    _BLOCKS = frozenset({"p", "h1", "h2", "h3", "h4", "li", "div", "br", "blockquote", "tr"})
    _SILENT = frozenset({"script", "style", "head"})

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self._SILENT
        if tag in self._BLOCKS:
            self._parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self._SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(data)

    def text(self) -> str:
        """Paragraphs, each on one line."""
        blocks = re.split(r"\n\s*\n", "".join(self._parts))
        return "\n\n".join(" ".join(block.split()) for block in blocks if block.strip())
