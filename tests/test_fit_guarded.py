"""The default protocol: exact gradients, closed forms of scipy and numpy, coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import toeplitz
from scipy.optimize import approx_fprime

from rbridge.fit import (
    CONSTANT,
    FAMILIES,
    NoFit,
    Scale,
    best_curve,
    choose_curve,
    dependence_of,
    detrended,
    first_differences,
    fit_guarded,
    skill,
    transfer_offset,
)
from rbridge.fit.errors import Dependence, along_run, independent, within_recipes
from rbridge.fit.families import LINEAR
from rbridge.fit.posterior import posterior
from tests.simulation import World, coverage

BOUNDS = (0.0, 100.0)
X = np.linspace(0.55, 0.95, 12)
BENT = [family for family in FAMILIES if family.theta]


@pytest.mark.parametrize("family", BENT, ids=lambda family: family.name)
def test_gradients_are_exact(family) -> None:
    """Against finite differences, at every fifth cell of the grid."""
    scale = Scale.of(X)
    for theta in family.grid[::5]:
        exact = family.gradient(X, scale, theta[None])[0]
        numeric = approx_fprime(theta, lambda t, f=family: f.design(X, scale, t[None])[0].ravel(), 1e-7)
        assert np.allclose(exact.reshape(numeric.shape), numeric, atol=1e-4, rtol=1e-4)


_TRUTHS = {
    "exponential": lambda x: 5 + 60 * np.exp(-4 * (x - 0.5)),
    "power": lambda x: 80 - 50 * x**2.5,
    "logistic": lambda x: 20 + 55 / (1 + np.exp(15 * (x - 0.75))),
}


@pytest.mark.parametrize("family", BENT, ids=lambda family: family.name)
def test_a_curve_is_found_again(family) -> None:
    """Rows without noise: the family that made them goes through them."""
    y = _TRUTHS[family.name](X)
    curve = best_curve(family, X, y, BOUNDS)
    assert np.abs(curve(X) - y).max() < 0.02
    assert curve.starts_agree


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_no_curve_diverges(seed: int) -> None:
    """Rough rows, proxies far outside: every value lies within the target's bounds."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 10 ** rng.uniform(-2, 2), 8)
    y = rng.uniform(0, 100, 8)
    far = np.concatenate([np.linspace(x.min(), x.max(), 50) * 3, [1e4, -1e4]])
    for family in FAMILIES:
        scale = Scale.of(x)
        if family.defined(x, scale).all():
            values = best_curve(family, x, y, BOUNDS)(far[family.defined(far, scale)])
            assert ((values >= 0) & (values <= 100)).all()


def test_a_line_alone_has_students_interval() -> None:
    """The textbook prediction interval of a regression line."""
    rng = np.random.default_rng(0)
    y = 3 - 2 * X + rng.normal(0, 0.3, len(X))
    low, high = posterior(X, y, (LINEAR,), independent(len(X)), None).interval(np.array([0.6, 1.2]), 0.9)
    fit = stats.linregress(X, y)
    s2 = ((y - fit.intercept - fit.slope * X) ** 2).sum() / (len(X) - 2)
    for x0, ends in zip((0.6, 1.2), zip(low, high, strict=True), strict=True):
        spread = np.sqrt(s2 * (1 + 1 / len(X) + (x0 - X.mean()) ** 2 / ((X - X.mean()) ** 2).sum()))
        half = stats.t.ppf(0.95, len(X) - 2) * spread
        middle = fit.intercept + fit.slope * x0
        assert ends == pytest.approx((middle - half, middle + half), abs=1e-4)


@pytest.mark.parametrize(
    ("dependence", "matrix"),
    [
        (along_run(6), toeplitz(0.6 ** np.arange(6))),
        (
            within_recipes(list("aabbbc")),
            np.equal.outer(list("aabbbc"), list("aabbbc")) * 0.6 + 0.4 * np.eye(6),
        ),
        (
            along_run(7).only(np.arange(7) != 3),
            0.6 ** np.abs(np.subtract.outer([0, 1, 2, 4, 5, 6], [0, 1, 2, 4, 5, 6])),
        ),
    ],
    ids=["run", "recipes", "run with a gap"],
)
def test_whitening_inverts_the_correlation(dependence: Dependence, matrix: np.ndarray) -> None:
    """Quadratic forms and determinant as numpy has them for the full matrix."""
    columns = np.random.default_rng(0).normal(size=(6, 2))
    whitened, logdet = dependence.whiten(0.6, columns)
    assert whitened.T @ whitened == pytest.approx(columns.T @ np.linalg.solve(matrix, columns))
    assert logdet == pytest.approx(np.linalg.slogdet(matrix)[1])


@pytest.mark.parametrize(
    ("recipes", "ordered", "kind"),
    [
        (None, True, "run"),
        (["a"] * 6, True, "run"),
        (None, False, "independent"),
        (list("abcdef"), True, "independent"),
        (list("aabbcc"), True, "recipes"),
        (["a"] * 6, False, "independent"),
    ],
)
def test_the_rule_of_the_folds(recipes: list[str] | None, ordered: bool, kind: str) -> None:
    """One run in order, several rows a recipe, or neither."""
    assert dependence_of(recipes, 6, ordered=ordered).kind == kind


def test_evidence_prefers_the_simple_family_on_a_line_and_sees_a_bend() -> None:
    """Straight rows weigh the straight families; a strong bend leaves them nothing."""
    rng = np.random.default_rng(1)
    x = np.linspace(0.5, 1, 30)
    line = posterior(
        x, 60 - 40 * x + rng.normal(0, 1, 30), FAMILIES, independent(30), BOUNDS
    ).family_weights()
    assert line["linear"] + line["logarithmic"] > 0.5
    bent = posterior(x, 200 * (x - 0.75) ** 2 + rng.normal(0, 1, 30), FAMILIES, independent(30), None)
    assert bent.family_weights()["quadratic"] > 0.9


def test_a_proxy_that_is_the_clock_has_no_skill_and_a_better_one_has() -> None:
    """Skill is what is left over the best null, fitted in the same folds."""
    rng = np.random.default_rng(2)
    clock = np.arange(1.0, 21.0)
    hidden = rng.normal(0, 3, 20)
    y = 20 + 2 * clock + hidden
    rows = {"dependence": along_run(20), "bounds": BOUNDS}
    null = {"clock": fit_guarded(clock, y, **rows)}
    same = skill(fit_guarded(clock * 5, y, **rows), null, rng=np.random.default_rng(0))
    better = skill(fit_guarded(clock + hidden / 2 + 30, y, **rows), null, rng=np.random.default_rng(0))
    assert same.value == pytest.approx(0, abs=1e-6)
    assert better.value is not None
    assert better.interval is not None
    assert better.value > 0.9
    assert better.interval[0] > 0.5
    assert better.null == "clock"


def test_the_constant_null_predicts_the_training_mean() -> None:
    """Blocked folds of the mean, by hand."""
    y = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 33.0, 30.0, 20.0, 10.0])
    fit = fit_guarded(np.arange(10.0), y, dependence=along_run(10), bounds=BOUNDS, families=(CONSTANT,))
    expected = [np.abs(y[i : i + 2] - np.delete(y, [i, i + 1]).mean()).mean() for i in range(0, 10, 2)]
    assert [fold.test_mae for fold in fit.folds] == pytest.approx(expected)
    assert len(fit.forward) == 3


def test_too_few_or_constant_rows_have_no_fit() -> None:
    """The reason, never a number."""
    for x, y, reason in (
        (np.arange(4.0), np.arange(4.0), "4 rows"),
        (np.ones(8), np.arange(8.0), "constant proxy"),
        (np.arange(8.0), np.ones(8), "constant target"),
    ):
        with pytest.raises(NoFit, match=reason):
            fit_guarded(x, y, dependence=independent(len(x)), bounds=None)


def test_controls_are_the_textbook_ones() -> None:
    """Scipy's correlation of differences; the partial correlation by its formula."""
    rng = np.random.default_rng(4)
    clock = np.log(np.arange(1.0, 16.0))
    x, y = clock + rng.normal(0, 0.3, 15), 2 * clock + rng.normal(0, 0.3, 15)
    differences, expected = first_differences(x, y), stats.pearsonr(np.diff(x), np.diff(y))
    assert (differences.r, differences.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    xy, xt, yt = (np.corrcoef(a, b)[0, 1] for a, b in ((x, y), (x, clock), (y, clock)))
    assert detrended(x, y, clock).r == pytest.approx((xy - xt * yt) / np.sqrt((1 - xt**2) * (1 - yt**2)))
    assert detrended(clock, y, clock).reason == "nothing is left"


def test_a_transfer_needs_six_recipes() -> None:
    """One row a recipe: Student's prediction interval of their errors; below six nothing."""
    errors = {str(i): np.array([value]) for i, value in enumerate((1.0, 3.0, -2.0, 0.5, 2.5))}
    offset = transfer_offset(errors, level=0.9)
    values = np.array([1.0, 3.0, -2.0, 0.5, 2.5])
    assert offset is not None
    assert offset.centre == pytest.approx(values.mean())
    assert offset.half_width == pytest.approx(stats.t.ppf(0.95, 4) * values.std(ddof=1) * np.sqrt(1.2))
    assert transfer_offset({name: errors[name] for name in "0123"}, level=0.9) is None


def test_rows_and_choices_survive_a_shift_of_unit() -> None:
    """Tokens in billions or in units, accuracy in shares or percent: the same family and relative error."""
    rng = np.random.default_rng(5)
    y = 30 + 20 * np.sqrt(X) + rng.normal(0, 0.5, 12)
    one = choose_curve(X, y, dependence=independent(12), bounds=(0.0, 100.0))
    other = choose_curve(X * 1.0, y / 100, dependence=independent(12), bounds=(0.0, 1.0))
    assert one.curve.family.name == other.curve.family.name
    assert one.curve(X) == pytest.approx(100 * other.curve(X), rel=1e-4)


# The bench (python -m bench.fit_coverage) repeats each of these 400 times, and more worlds besides; with as few
# repeats as here the share itself is uncertain by 0.02 to 0.03.
@pytest.mark.parametrize(
    ("world", "repeats"),
    [
        (World("kink", 16, "exchangeable"), 60),
        (World("exponential", 20, "between", 0.8), 20),
        (World("line", 20, "ahead", 0.5), 30),
        (World("line", 8, "recipes", each=4), 40),
        (World("line", 6, "transfer", each=2), 150),
    ],
    ids=["wrong family", "correlated errors", "next checkpoints", "recipe effects", "transfer"],
)
def test_intervals_hold_what_they_promise(world: World, repeats: int) -> None:
    """90 % of new targets lie in their intervals."""
    assert 0.85 <= coverage(world, repeats=repeats, seed=7) <= 0.95
