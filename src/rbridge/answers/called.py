"""What a ranking's pairs say of the target, in one sentence for every reader."""

from __future__ import annotations

from rbridge.answers.rank import RankedGroup
from rbridge.rank import Calls, Relation

UNKNOWN = (
    "probabilities of pairs say how surely the score's order comes out again, not that the target has it; "
    "with targets of five recipes or more (--targets) pairs are called for the target"
)


def called_pairs(group: RankedGroup) -> str | None:
    """How many pairs are called for the target, on what, and how many of the known ones are right.

    Returns:
        A sentence without its stop; None where the ranking states no probability at all.
    """
    if group.calls is not None and group.relation is not None:
        return _told(group.relation, group.calls)
    return UNKNOWN if group.ranking.win_probability is not None else None


def _told(known: Relation, found: Calls) -> str:
    low, high = known.interval
    learnt = (
        f"pairs called for the target at {found.level:.0%}: {found.num_called} of {found.num_pairs}, each learnt from "
        f"the targets of the other recipes ({known.num_targets} known; correlation of ranks {known.correlation:.2f} "
        f"[{low:.2f}, {high:.2f}], null 0)"
    )
    if not found.num_held:
        return f"{learnt}; no pair of known targets to check them by"
    right = found.share_right
    if right is None:
        return f"{learnt}; none of the {found.num_held} pairs of known targets is called"
    ends = found.right_interval
    between = "" if ends is None else f" [{ends[0]:.0%}, {ends[1]:.0%}]"
    return (
        f"{learnt}; of {found.num_held} pairs of known targets {found.num_held_called} ({found.share_called:.0%}) are "
        f"called, right {right:.0%}{between} (chance 50%)"
    )
