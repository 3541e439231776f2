"""What training costs, and what a better metric saves of it."""

from rbridge.compute.flops import CONVENTIONS, Architecture, training_flops
from rbridge.compute.frontier import Point, pareto_frontier
from rbridge.compute.ladder import DATADECIDE, Rung
from rbridge.compute.savings import (
    ABOVE,
    BELOW,
    NO_ALTERNATIVE,
    RecipeScores,
    Saving,
    decision_points,
    saving_intervals,
    savings,
)

__all__ = [
    "ABOVE",
    "BELOW",
    "CONVENTIONS",
    "DATADECIDE",
    "NO_ALTERNATIVE",
    "Architecture",
    "Point",
    "RecipeScores",
    "Rung",
    "Saving",
    "decision_points",
    "pareto_frontier",
    "saving_intervals",
    "savings",
    "training_flops",
]
