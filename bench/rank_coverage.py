"""Do the ranking's intervals hold what they promise? Simulated studies with known truth.

    ./dev run python bench/rank_coverage.py [studies] [seed] [designs whose name starts so]

Every study draws true scores, problems, recipe x problem, seeds and residuals, ranks, and asks whether the
90 % statements hold: each recipe's interval, all rank sets at once, the true best among "may be best". It
also sets the regret that was promised beside the one that was paid, and beside the one promised where the
noise is known (whose mean is the paid one's, with less scatter), and the stated probability that the recipe
taken is the best beside the share of studies in which it is.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from rbridge.rank import Replicates, known_noise, posterior_draws, rank_recipes


@dataclass(frozen=True)
class Design:
    """One kind of study; standard deviations of every source."""

    name: str
    recipes: int
    seeds: int
    items: int
    between: float = 1.0
    seed: float = 0.5
    uneven: float = 0.0  # sd of the log of each recipe's own seed sd
    common: float = 0.0  # seed effect that all recipes share
    interaction: float = 1.0
    residual: float = 1.0


DESIGNS = (
    Design("4 recipes, 2 seeds", 4, 2, 30),
    Design("8 recipes, 2 seeds", 8, 2, 30),
    Design("8 recipes, 3 seeds", 8, 3, 30),
    Design("25 recipes, 2 seeds", 25, 2, 30),
    Design("25 recipes, 3 seeds, means only", 25, 3, 1, interaction=0, residual=0),
    Design("8 recipes, 2 seeds, uneven", 8, 2, 30, uneven=0.5),
    Design("25 recipes, 3 seeds, uneven", 25, 3, 30, uneven=0.7),
    Design("25 recipes, 2 seeds, common effect", 25, 2, 30, common=1.0),
    Design("25 recipes, 1 seed, no seed noise", 25, 1, 100, seed=0.0),
    Design("25 alike recipes, 3 seeds", 25, 3, 30, between=0.0),
)
LEVEL = 0.9


@dataclass
class Held:
    """What held in one study."""

    interval: float
    ranks: bool
    best: bool
    promised: float
    paid: float
    known: float
    stated: float | None
    right: bool


def study(design: Design, rng: np.random.Generator) -> Held:
    """One study, ranked and held against its truth."""
    num, seeds, items = design.recipes, design.seeds, design.items
    liking = design.interaction * rng.normal(size=(num, items))
    # The truth is each recipe's mean over all problems and seeds, so a problem's effects count as noise.
    truth = design.between * rng.normal(size=num)
    own = design.seed * np.exp(design.uneven * rng.normal(size=num))
    values = (
        truth[:, None, None]
        + design.common * rng.normal(size=(1, seeds, 1))
        + own[:, None, None] * rng.normal(size=(num, seeds, 1))
        + (rng.normal(size=items) if items > 1 else 0.0)
        + liking[:, None]
        + design.residual * rng.normal(size=(num, seeds, items))
    )
    names = tuple(f"r{i}" for i in range(num) for _ in range(seeds))
    labels = tuple(str(s) for _ in range(num) for s in range(seeds))
    ranking = rank_recipes(
        Replicates(names, labels, values.reshape(num * seeds, items)),
        lower_is_better=True, rng=rng, resamples=600, level=LEVEL,
    )  # fmt: skip
    means = values.mean(axis=(1, 2))
    noise = own**2 / seeds + (design.interaction**2 + design.residual**2 / seeds) / items
    drawn = posterior_draws(means, known_noise(noise), draws=600, rng=rng)
    ranks = rankdata(truth, method="min")
    rows = {row.recipe: row for row in ranking.order}
    inside = [rows[f"r{i}"].interval[0] <= truth[i] <= rows[f"r{i}"].interval[1] for i in range(num)]
    if design.between:
        sets = [rows[f"r{i}"].rank_set[0] <= ranks[i] <= rows[f"r{i}"].rank_set[1] for i in range(num)]
    else:
        sets = [rows[f"r{i}"].rank_set == (1, num) for i in range(num)]
    chosen = int(ranking.regret.recipe[1:])
    return Held(
        interval=float(np.mean(inside)),
        ranks=all(sets),
        best=bool(rows[f"r{truth.argmin()}"].may_be_best),
        promised=ranking.regret.expected,
        paid=float(truth[chosen] - truth.min()),
        known=float((drawn[:, chosen] - drawn.min(axis=1)).mean()),
        stated=ranking.order[0].probability_best,
        right=chosen == int(truth.argmin()),
    )


def _best(held: list[Held]) -> str:
    """Stated probability that the recipe taken is the best, and how often it is."""
    stated = [h.stated for h in held if h.stated is not None]
    return f"{np.mean(stated):14.3f} / {np.mean([h.right for h in held]):.3f}" if stated else " " * 22


def main() -> None:
    """Print a row a design."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    print(
        f"{studies} studies a design, seed {seed}; 90 % statements; regret in units of the spread between recipes"
    )
    print(
        f"{'design':34} intervals rank sets best kept  regret promised / noise known / paid  P(best) stated / found"
    )
    for number, design in enumerate(DESIGNS):
        if not design.name.startswith(wanted):
            continue
        rng = np.random.default_rng((seed, number))
        started = time.process_time()
        held = [study(design, rng) for _ in range(studies)]
        print(
            f"{design.name:34} {np.mean([h.interval for h in held]):9.3f} {np.mean([h.ranks for h in held]):9.3f} "
            f"{np.mean([h.best for h in held]):9.3f}  {np.mean([h.promised for h in held]):15.3f} / "
            f"{np.mean([h.known for h in held]):11.3f} / {np.mean([h.paid for h in held]):.3f}  {_best(held)}   "
            f"{time.process_time() - started:.0f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
