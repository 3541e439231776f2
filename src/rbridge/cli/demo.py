"""rbridge demo: the main job on what ships."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rbridge.cli.output import say

if TYPE_CHECKING:
    from rbridge.demo.run import Demo


def demo(*, out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("demo")) -> int:
    """Score a real model on the shipped traces, train proxies of a small world, rank its recipes, write a page.

    Example: rbridge demo -o demo

    Parameters
    ----------
    out
        Folder for checkpoints, runs and report.html; what is finished there is kept.
    """
    import time

    from rbridge.cli.rank_tables import print_ranking
    from rbridge.cli.tables import print_scores
    from rbridge.demo.run import run_demo

    started = time.monotonic()
    done = run_demo(out, progress=lambda line: say(f"[{time.monotonic() - started:4.0f} s] {line}"))
    print_scores([done.real])
    print()
    ranking = done.compared.ranking
    print_ranking(ranking, ", ".join(f"{key} {value}" for key, value in ranking.group.items()))
    _print_end(done)
    return 0


def _print_end(done: Demo) -> None:
    from rbridge.report.comparison import conclude

    ranking = done.compared.ranking.ranking
    leader = ranking.order[0]
    tied = len(leader.tied_with or ())
    print(
        f"Ranked: {len(ranking.order)} recipes by rBridge, two proxies each. {leader.recipe} leads; at "
        f"{ranking.level:.0%} confidence {tied} others cannot be told apart from it."
    )
    print(f"Over the nulls: {conclude(done.compared.rows).text}")
    print(f"The page: {done.page}")
    rbridge = "rbridge" if shutil.which("rbridge") else os.path.relpath(sys.argv[0])
    print(
        "Your own checkpoints:\n"
        f"  {rbridge} score CHECKPOINT... --traces starter --shots 0 -o runs    (folders, hub names, .gguf files)\n"
        f"  {rbridge} rank runs\n"
        f"  {rbridge} report runs -o report.html --traces starter --heat gsm8k/98"
    )
