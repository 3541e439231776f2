"""How many traces a settled order needs, and how often it is wrong: simulated studies with known truth.

    ./dev run python -m bench.until_settled [studies]

25 recipes, 1,200 traces, rounds as `rbridge score --until-settled 0.95` makes them. The unit is the standard
deviation over traces of the difference of two recipes' scores; `spread` is that of the recipes' true means.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from rbridge.rank import narrowed, needed_pairs, nothing_known, top_sets
from rbridge.rank.settle import difference_bounds

NUM, TRACES, FIRST, GROWTH = 25, 1200, 64, 1.5


@dataclass(frozen=True)
class World:
    """What is drawn and asked."""

    noise: str
    spread: float
    indifference: float
    top: int | None


WORLDS = (
    World("normal", 1.0, 0.0, None),
    World("normal", 1.0, 0.25, None),
    World("normal", 1.0, 0.5, None),
    World("normal", 2.0, 0.5, None),
    World("normal", 1.0, 0.25, 5),
    World("normal", 1.0, 0.5, 5),
    World("normal", 2.0, 0.5, 5),
    World("heavy", 1.0, 0.5, 5),
    World("skewed", 1.0, 0.5, 5),
    World("normal", 0.25, 0.25, 5),
    World("normal", 0.0, 0.0, None),
    World("heavy", 0.0, 0.0, None),
    World("skewed", 0.0, 0.0, None),
    World("very skewed", 0.0, 0.0, None),
)


def noise(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Recipes' own noise of mean 0 and variance 1/2; of the skewed kinds half the recipes hardly vary."""
    shape = (NUM, TRACES)
    if kind == "normal":
        return rng.normal(size=shape) / math.sqrt(2)
    if kind == "heavy":
        return rng.standard_t(3, size=shape) / math.sqrt(6)
    if kind == "skewed":
        found = (rng.exponential(size=shape) - 1) / math.sqrt(2)
    else:
        found = (np.exp(rng.normal(size=shape)) - math.exp(0.5)) / math.sqrt(2 * math.e * (math.e - 1))
    found[::2] *= 0.1
    return found


def study(world: World, rng: np.random.Generator) -> tuple[bool, float, float]:
    """Whether any statement was wrong, the factor saved, the share of pairs (or places) settled."""
    truth = world.spread * rng.normal(size=NUM)
    values = truth[:, None] + noise(world.noise, rng)
    bands, used, end = nothing_known(NUM), np.zeros(NUM, dtype=int), 0
    while end < TRACES:
        needed = needed_pairs(bands, indifference=world.indifference, top=world.top).any(axis=1)
        if not needed.any():
            break
        end = min(TRACES, max(FIRST, math.ceil(end * GROWTH)))
        used[needed] = end
        known = np.arange(TRACES) < used[:, None]
        bands = narrowed(bands, values, known, error=0.05, indifference=world.indifference)
    gap = np.subtract.outer(truth, truth)
    alike = bands.alike(world.indifference)
    wrong = bool((bands.better & (gap >= 0)).any() or (alike & (abs(gap) > world.indifference)).any())
    if world.top is None:
        settled = (bands.settled.sum() - NUM) / (NUM * (NUM - 1))
    else:
        found = top_sets(bands, indifference=world.indifference, top=world.top)
        settled = float((found.inside | found.outside).mean())
    return wrong, NUM * TRACES / used.sum(), settled


DIFFERENCES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t, 3 degrees": lambda rng, shape: rng.standard_t(3, size=shape),
    "t, 2.2 degrees": lambda rng, shape: rng.standard_t(2.2, size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "log-normal, sigma 1/2": lambda rng, shape: np.exp(rng.normal(size=shape) / 2) - math.exp(1 / 8),
    "log-normal, sigma 1": lambda rng, shape: np.exp(rng.normal(size=shape)) - math.exp(1 / 2),
}


def share_wrong(kind: str, error: float, thousands: int) -> float:
    """How often one pair's bounds exclude the true difference, 0, at some round."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(thousands):
        differences, bad, end = DIFFERENCES[kind](rng, (1000, TRACES)), np.zeros(1000, dtype=bool), 0
        while end < TRACES:
            end = min(TRACES, max(FIRST, math.ceil(end * GROWTH)))
            low, high = difference_bounds(differences[:, :end], np.ones((1000, end), dtype=bool), error=error)
            bad |= (low > 0) | (high < 0)
        wrong += int(bad.sum())
    return wrong / (1000 * thousands)


def main() -> None:
    """Print a row a world, then a row a kind of difference."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{studies} studies a world; 25 recipes, 1,200 traces, level 0.95")
    print("noise        spread  indifference  asked   any wrong   fewer traces (mean; worst tenth)   settled")
    for number, world in enumerate(WORLDS):
        rng = np.random.default_rng(number)
        found = [study(world, rng) for _ in range(studies)]
        saved = np.array([one[1] for one in found])
        asked = "order" if world.top is None else f"top {world.top}"
        print(
            f"{world.noise:12} {world.spread:6.2f} {world.indifference:13.2f}  {asked:6}"
            f"{np.mean([one[0] for one in found]):11.3f} {saved.mean():18.1f}; {np.quantile(saved, 0.1):4.1f}"
            f"{np.mean([one[2] for one in found]):25.2f}",
            flush=True,
        )
    print("one pair: how often its bounds are ever wrong, over what is promised (1: just so)")
    print("differences                 promised .05   .05 / 10   .05 / 300")
    for kind in DIFFERENCES:
        tried = ((1, 8), (10, 20), (300, 20))
        times = [share_wrong(kind, 0.05 / pairs, num) / (0.05 / pairs) for pairs, num in tried]
        print(f"{kind:27} {times[0]:12.2f} {times[1]:10.2f} {times[2]:11.2f}", flush=True)


if __name__ == "__main__":
    main()
