"""What ``rbridge score --until-settled`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rbridge.cli.output import print_table, say

if TYPE_CHECKING:
    from rbridge.scoring.verdict import SettledGroup, Settlement

CONDITION = (
    "these checkpoints on problems like the bundle's; other seeds of the same recipes may order otherwise"
)


def settled_document(found: Settlement) -> dict[str, Any]:
    """The verdict for machines."""
    return {
        "level": found.until.level,
        "conditional_on": CONDITION,
        "indifference": found.until.indifference,
        "top": found.until.top,
        "metric": found.metric,
        "num_traces": found.num_traces,
        "num_all": found.num_all,
        "saving": found.num_all / found.num_traces,
        "num_rounds": found.num_rounds,
        "groups": [
            {
                "benchmark": group.benchmark,
                "num_problems": group.num_problems,
                "pairs": {"told": group.num_told, "alike": group.num_alike, "open": group.num_open},
                "order": [
                    {
                        "recipe": row.recipe,
                        "rank_set": list(row.rank_set),
                        "tied_with": list(row.tied_with),
                        "is_top": row.is_top,
                        "num_problems": row.num_problems,
                    }
                    for row in group.order
                ],
            }
            for group in found.groups
        ],
    }


def print_settled(found: Settlement) -> None:
    """A table a benchmark, then what was spared and what the order rests on."""
    for group in found.groups:
        _print_group(found, group)
    print(
        f"{found.num_traces} of {found.num_all} readings of a trace, {found.num_all / found.num_traces:.1f} times "
        f"fewer, in {found.num_rounds} rounds, by {found.metric} (lower is better)."
    )
    print(f"All of it holds at once at {found.until.level:g}, whenever one stops, for {CONDITION}.")
    if len(found.runs) < len({row.recipe for group in found.groups for row in group.order}):
        say("what was scored is kept; the same command without --until-settled scores the rest")


def _print_group(found: Settlement, group: SettledGroup) -> None:
    top = found.until.top
    print_table(
        f"{group.benchmark}: {group.num_told} pairs told apart, {group.num_alike} within "
        f"{found.until.indifference:g}, {group.num_open} open",
        (
            "recipe",
            "ranks",
            *([] if top is None else [f"top {top}"]),
            f"problems of {group.num_problems}",
            "tied with",
        ),
        [
            (
                row.recipe,
                "–".join(str(rank) for rank in dict.fromkeys(row.rank_set)),
                *([] if top is None else [{True: "in", False: "out", None: "border"}[row.is_top]]),
                str(row.num_problems),
                ", ".join(row.tied_with) or "–",
            )
            for row in group.order
        ],
        text_columns=1,
    )
