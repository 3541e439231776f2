"""rbridge runs: stores of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rbridge.cli.output import say

runs = App(help="Stores of finished runs: merge.")


@runs.command(name="merge")
def merge(*stores: Path, out: Annotated[Path, Parameter(name=["--out", "-o"])]) -> int:
    """Copy the finished runs of several stores into one; a run that is there already is compared.

    Example: rbridge runs merge shard-0 shard-1 shard-2 -o runs

    Parameters
    ----------
    stores
        Folders that "rbridge score -o" wrote, such as one a shard.
    out
        The store they go into, new or not.
    """
    from rbridge.errors import InputError
    from rbridge.store.merge import merge_runs

    if not stores:
        raise InputError("no store given; expected the folders that 'rbridge score -o' wrote")
    merged = merge_runs(stores, out)
    say(f"{out}: {len(merged.copied)} runs added, {merged.present} were there already")
    return 0
