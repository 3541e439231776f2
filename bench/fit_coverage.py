"""Coverage of 90 % prediction intervals in worlds with known errors: `python -m bench.fit_coverage [REPEATS]`."""

from __future__ import annotations

import sys
import time

from tests.simulation import World, coverage

WORLDS = {
    "16 recipes, a row each, line": World("line", 16, "exchangeable"),
    "16 recipes, a row each, wrong family": World("kink", 16, "exchangeable"),
    "10 recipes, a row each, logistic": World("logistic", 10, "exchangeable"),
    "15 checkpoints, errors independent, wrong family, between": World("kink", 15, "between"),
    "20 checkpoints, errors .5, line, between": World("line", 20, "between", 0.5),
    "20 checkpoints, errors .8, exponential, between": World("exponential", 20, "between", 0.8),
    "20 checkpoints, errors .8, wrong family, between": World("kink", 20, "between", 0.8),
    "15 checkpoints, errors independent, exponential, next two": World("exponential", 15, "ahead"),
    "20 checkpoints, errors .5, line, next two": World("line", 20, "ahead", 0.5),
    "20 checkpoints, errors .9, line, next two": World("line", 20, "ahead", 0.9),
    "8 recipes of 4 rows, recipe effects, line, new recipes": World("line", 8, "recipes", each=4),
    "12 recipes of 3 rows, recipe effects, wrong family, new recipes": World("kink", 12, "recipes", each=3),
    "transfer of one run to 6 recipes of 2 rows": World("line", 6, "transfer", each=2),
    "transfer of one run to 12 recipes of a row": World("line", 12, "transfer"),
}

if __name__ == "__main__":
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    started = time.process_time()
    for name, world in WORLDS.items():
        found = coverage(world, repeats=repeats, seed=1)
        verdict = "" if 0.87 <= found <= 0.93 else "   outside .87 to .93"
        print(f"{found:.3f}  {name}{verdict}", flush=True)
    print(f"{repeats} repeats a world, {time.process_time() - started:.0f} CPU seconds")
