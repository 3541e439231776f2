"""How often the style diagnostic is wrong, on planted cases.

    ./dev run python bench/style.py [studies] [seed]

Recipes have a skill (what the question is worth to them along a trace) and a distance in style to each
voice. Loss behind the right question = style - skill + noise, behind another = style + noise. Honest: the
spread of styles is a third of that of skills; led by style: three times it. A false alarm flags an honest
study, a miss passes one that style leads.
"""

from __future__ import annotations

import sys

import numpy as np

from rbridge.rank.style import style


def flagged(recipes: int, spread: float, voices: int, noise: float, rng: np.random.Generator) -> bool | None:
    """One study: its flag."""
    skill = rng.normal(size=recipes)
    distance = spread * rng.normal(size=(voices, recipes))
    right = distance - skill + noise * rng.normal(size=(voices, recipes))
    other = distance + noise * rng.normal(size=(voices, recipes))
    return style(
        -right.mean(axis=0),
        other_question=-other.mean(axis=0),
        margin=(other - right).mean(axis=0),
        too_small=False,
        voices=-right if voices > 1 else None,
    ).flag


def main() -> None:
    """Print a row a design."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print(f"{studies} studies a cell, seed {seed}")
    print("recipes  voices  noise  false alarms (styles 1/3 of skills)  misses (3 times)")
    for recipes in (8, 14, 25):
        for voices in (1, 2, 3):
            for noise in (0.1, 0.3, 0.5):
                rng = np.random.default_rng((seed, recipes, voices, int(noise * 10)))
                alarms = np.mean([bool(flagged(recipes, 1 / 3, voices, noise, rng)) for _ in range(studies)])
                misses = np.mean([not flagged(recipes, 3.0, voices, noise, rng) for _ in range(studies)])
                print(f"{recipes:7}  {voices:6}  {noise:5}  {alarms:35.3f}  {misses:16.3f}", flush=True)


if __name__ == "__main__":
    main()
