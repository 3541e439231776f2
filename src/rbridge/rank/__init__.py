"""Order recipes by a metric, say how sure, and hold the order against known targets."""

from rbridge.rank.agreement import (
    Agreement,
    agreement,
    decision_accuracy,
    gain_interval,
    one_seed_decision_accuracy,
)
from rbridge.rank.bootstrap import resample_means, uneven_seed_noise
from rbridge.rank.order import RankedRecipe, Ranking, rank_recipes
from rbridge.rank.replicates import Replicates

__all__ = [
    "Agreement",
    "RankedRecipe",
    "Ranking",
    "Replicates",
    "agreement",
    "decision_accuracy",
    "gain_interval",
    "one_seed_decision_accuracy",
    "rank_recipes",
    "resample_means",
    "uneven_seed_noise",
]
