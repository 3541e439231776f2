"""Order recipes by a metric, say how sure, and hold the order against known targets."""

from rbridge.rank.abstain import TOO_SMALL, proxy_too_small, seed_agreement
from rbridge.rank.agreement import (
    CHANCE,
    Agreement,
    agreement,
    decision_accuracy,
    gain_interval,
    one_seed_decision_accuracy,
)
from rbridge.rank.best import may_be_best
from rbridge.rank.bootstrap import mean_covariance, resample_means, uneven_seed_noise
from rbridge.rank.calls import Calls, Relation, calls, relation, target_probability
from rbridge.rank.combine import LeftOut, combine, leave_one_out
from rbridge.rank.components import Components, components
from rbridge.rank.concordance import Concordance, concordance
from rbridge.rank.decisions import Decisions, apart_from_ties, ceiling, decisions, resolvable_gap, resolved
from rbridge.rank.formats import GAP, in_format
from rbridge.rank.order import RankedRecipe, Ranking, Regret, rank_recipes
from rbridge.rank.posterior import MeanNoise, known_noise, mean_noise, posterior_draws
from rbridge.rank.replicates import Replicates
from rbridge.rank.seeds import Pilot, SeedNoise, pilot_of, seed_noise
from rbridge.rank.settle import Bands, Top, difference_bounds, narrowed, needed_pairs, nothing_known, top_sets

__all__ = [
    "CHANCE",
    "GAP",
    "TOO_SMALL",
    "Agreement",
    "Bands",
    "Calls",
    "Components",
    "Concordance",
    "Decisions",
    "LeftOut",
    "MeanNoise",
    "Pilot",
    "RankedRecipe",
    "Ranking",
    "Regret",
    "Relation",
    "Replicates",
    "SeedNoise",
    "Top",
    "agreement",
    "apart_from_ties",
    "calls",
    "ceiling",
    "combine",
    "components",
    "concordance",
    "decision_accuracy",
    "decisions",
    "difference_bounds",
    "gain_interval",
    "in_format",
    "known_noise",
    "leave_one_out",
    "may_be_best",
    "mean_covariance",
    "mean_noise",
    "narrowed",
    "needed_pairs",
    "nothing_known",
    "one_seed_decision_accuracy",
    "pilot_of",
    "posterior_draws",
    "proxy_too_small",
    "rank_recipes",
    "relation",
    "resample_means",
    "resolvable_gap",
    "resolved",
    "seed_agreement",
    "seed_noise",
    "target_probability",
    "top_sets",
    "uneven_seed_noise",
]
