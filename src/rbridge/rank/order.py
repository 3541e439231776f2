"""The order of recipes, with intervals, the ranks that each may have, and who is tied with whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from rbridge.rank.best import Selection, select
from rbridge.rank.bootstrap import mean_covariance, resample_means
from rbridge.rank.components import Components, components
from rbridge.rank.posterior import mean_noise
from rbridge.rank.replicates import Replicates
from rbridge.rank.seeds import Pilot, SeedNoise, seed_noise

NO_REPLICATES = "no replicates"
_ROWS = 64


@dataclass(frozen=True)
class RankedRecipe:
    """One recipe's place.

    Attributes:
        recipe: its name.
        value: mean over items and seeds.
        num_seeds: replicates behind it.
        interval: of the value, or None.
        rank: 1 is best; exactly equal values share the better rank.
        rank_set: lowest and highest rank that cannot be excluded, for all recipes at once.
        tied_with: recipes from which it cannot be told apart at that level.
        reason: why interval, rank set and ties are None.
        may_be_best: it cannot be excluded as best (a statement of its own); None without replicates.
        shrunken: its value drawn towards the others', as far as noise tells.
        probability_best: None where seed noise is not known.
    """

    recipe: str
    value: float
    num_seeds: int
    interval: tuple[float, float] | None
    rank: int
    rank_set: tuple[int, int] | None
    tied_with: tuple[str, ...] | None
    reason: str | None
    may_be_best: bool | None
    shrunken: float | None
    probability_best: float | None


@dataclass(frozen=True)
class Regret:
    """What taking the best observed recipe may cost, in the metric's unit.

    Attributes:
        recipe: the one taken.
        expected: mean shortfall against the truly best recipe.
        upper: its quantile at the ranking's level.
        flattered: by how much its observed value is better than its shrunken one (the winner's curse).
    """

    recipe: str
    expected: float
    upper: float
    flattered: float


@dataclass(frozen=True)
class Ranking:
    """All recipes, best first.

    Attributes:
        order: one row a recipe.
        win_probability: for each pair in that order, the share of resamples in which the row is
            better than the column, ties half; None where seed noise is not known.
        num_items: items that all recipes share.
        resampled: what varied between resamples: "items", "seeds", both, or nothing.
        level: of the intervals and of the rank sets (these hold for all recipes at once).
        resamples: bootstrap resamples.
        regret: of the chosen recipe; None without replicates.
        noise: seed noise, or None where neither seeds nor a pilot show it.
        components: where the uncertainty comes from; None for a single recipe.
    """

    order: tuple[RankedRecipe, ...]
    win_probability: Float[np.ndarray, "recipes recipes"] | None
    num_items: int
    resampled: tuple[str, ...]
    level: float
    resamples: int
    regret: Regret | None
    noise: SeedNoise | None
    components: Components | None


def rank_recipes(
    replicates: Replicates,
    *,
    lower_is_better: bool,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
    pilot: Pilot | None = None,
) -> Ranking:
    """Order recipes by their mean, with paired bootstrap uncertainty.

    Two recipes are told apart where the difference of their means, over its standard error,
    exceeds the ``level`` quantile of the largest such ratio over all pairs and resamples
    (a max-t region), so that all statements hold at once with that probability. A recipe's rank
    set follows: one more than the recipes told better, up to all less those told worse.

    Args:
        replicates: every recipe on the same items.
        lower_is_better: direction of the metric.
        rng: source of randomness.
        resamples: bootstrap resamples.
        level: confidence.
        pilot: seed noise known from elsewhere.

    Returns:
        The ranking. Where there is one item and no recipe has two seeds, nothing can be resampled:
        intervals, rank sets and all else that rests on resamples are then None, with the reason. Where
        no seed noise is known all of it is conditional on these checkpoints, and no recipe is given a
        probability of being better or best.
    """
    means, names = replicates.means(), replicates.names
    ranks = rankdata(means if lower_is_better else -means, method="min")
    order = np.lexsort((np.arange(len(means)), ranks))
    num_seeds = [len(rows) for rows in replicates.rows()]
    noise = seed_noise(replicates, pilot)
    found = components(replicates, seed_variance=None if noise is None else float(noise.variance.mean()))
    resampled = _what_varies(replicates.num_items, noise)
    if not resampled:
        rows = [_unsure(names[i], float(means[i]), num_seeds[i], int(ranks[i])) for i in order]
        return Ranking(tuple(rows), None, replicates.num_items, (), level, resamples, None, None, found)
    drawn = resample_means(replicates, resamples=resamples, rng=rng, pilot=pilot)
    covariance = mean_covariance(replicates, noise)
    sign = 1.0 if lower_is_better else -1.0
    better = told_better(sign * means, sign * drawn, covariance, level=level)
    tied = ~(better | better.T)
    np.fill_diagonal(tied, val=False)
    chosen = select(
        sign * means,
        sign * drawn,
        covariance,
        mean_noise(replicates, noise),
        seeds_known=noise is not None,
        rng=rng,
        level=level,
    )
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    rows = [
        RankedRecipe(
            recipe=names[i],
            value=float(means[i]),
            num_seeds=num_seeds[i],
            interval=(float(low[i]), float(high[i])),
            rank=int(ranks[i]),
            rank_set=(1 + int(better[:, i].sum()), len(means) - int(better[i].sum())),
            tied_with=tuple(names[j] for j in order[tied[i, order]]),
            reason=None,
            may_be_best=bool(chosen.may_be_best[i]),
            shrunken=sign * float(chosen.shrunken[i]),
            probability_best=_at(chosen, int(i)),
        )
        for i in order
    ]
    wins = None
    if noise is not None:
        wins = win_probability(drawn[:, order], lower_is_better=lower_is_better)
    regret = Regret(
        recipe=names[chosen.chosen],
        expected=chosen.regret,
        upper=chosen.regret_upper,
        flattered=float(chosen.shrunken[chosen.chosen] - sign * means[chosen.chosen]),
    )
    return Ranking(tuple(rows), wins, replicates.num_items, resampled, level, resamples, regret, noise, found)


def _unsure(recipe: str, value: float, num_seeds: int, rank: int) -> RankedRecipe:
    return RankedRecipe(
        recipe=recipe,
        value=value,
        num_seeds=num_seeds,
        interval=None,
        rank=rank,
        rank_set=None,
        tied_with=None,
        reason=NO_REPLICATES,
        may_be_best=None,
        shrunken=None,
        probability_best=None,
    )


def _at(chosen: Selection, i: int) -> float | None:
    return None if chosen.probability_best is None else float(chosen.probability_best[i])


def _what_varies(num_items: int, noise: SeedNoise | None) -> tuple[str, ...]:
    items = ("items",) if num_items > 1 else ()
    return items if noise is None else (*items, "seeds")


def told_better(
    means: Float[np.ndarray, " recipes"],
    drawn: Float[np.ndarray, "resamples recipes"],
    covariance: Float[np.ndarray, "recipes recipes"],
    *,
    level: float,
) -> Bool[np.ndarray, "recipes recipes"]:
    """Whether the row is told better (lower) than the column, for all pairs at once.

    Args:
        means: lower is better.
        drawn: their bootstrap resamples.
        covariance: of the means.
        level: probability that none of the statements is wrong.
    """
    if len(means) < 2:
        return np.zeros((len(means), len(means)), dtype=bool)
    difference = means[:, None] - means
    error, largest = _studentised(means, drawn, covariance)
    critical = float(np.quantile(largest, level))
    # A pair whose difference never varies is told apart by any difference at all.
    apart = np.where(error > 0, np.abs(difference) > critical * error, difference != 0)
    return apart & (difference < 0)


def _studentised(
    means: Float[np.ndarray, " recipes"],
    drawn: Float[np.ndarray, "resamples recipes"],
    covariance: Float[np.ndarray, "recipes recipes"],
) -> tuple[Float[np.ndarray, "recipes recipes"], Float[np.ndarray, " resamples"]]:
    """Standard error of each pair's difference, and each resample's largest |deviation| over it."""
    own = np.diag(covariance)
    error = np.sqrt(np.maximum(own[:, None] + own - 2 * covariance, 0.0))
    error[error < 1e-12 * float(np.abs(means).max())] = 0.0  # rounding of equal columns
    # Of every pair once, some rows at a time: what is worked on stays in the processor's cache.
    rows = np.ascontiguousarray((drawn - means).T)
    largest = np.zeros(len(drawn))
    for i in range(len(rows) - 1):
        for some in np.array_split(np.arange(i + 1, len(rows)), -(-(len(rows) - i - 1) // _ROWS)):
            varying = some[error[i, some] > 0]
            if len(varying):
                deviation = rows[i] - rows[varying]
                np.abs(deviation, out=deviation)
                deviation /= error[i, varying, None]
                np.maximum(largest, deviation.max(axis=0), out=largest)
    return error, largest


def win_probability(
    drawn: Float[np.ndarray, "resamples recipes"], *, lower_is_better: bool
) -> Float[np.ndarray, "recipes recipes"]:
    """Share of resamples in which the row is better than the column; ties, and itself, half."""
    signed = np.ascontiguousarray((-drawn if lower_is_better else drawn).T)
    wins = np.full((len(signed), len(signed)), 0.5)
    for i in range(len(signed) - 1):
        rest = signed[i + 1 :]
        count = np.count_nonzero(signed[i] > rest, axis=1) + np.count_nonzero(signed[i] >= rest, axis=1)
        wins[i, i + 1 :] = count / (2 * len(drawn))
        wins[i + 1 :, i] = 1 - wins[i, i + 1 :]
    return wins
