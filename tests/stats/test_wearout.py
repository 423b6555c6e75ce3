"""Wear-out and pull-forward against statsmodels, scipy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from loyalty_exp.stats.ancova import Comparison, JointEffects, Reason, joint_effects
from loyalty_exp.stats.moments import Moments
from loyalty_exp.stats.wearout import pull_forward, wear_out

MONTHS = tuple(f"m{k}" for k in range(1, 7))


def rows_of(n: int, rng: np.random.Generator, path: np.ndarray | None = None) -> np.ndarray:
    taste = rng.normal(size=(n, 1))
    noise = rng.normal(size=(n, 6)) * np.linspace(0.5, 1.5, 6)
    return 3.0 + taste + noise + (0.0 if path is None else path)


def effects_of(treated: np.ndarray, control: np.ndarray) -> JointEffects:
    comparison = Comparison(Moments.from_rows(MONTHS, treated), Moments.from_rows(MONTHS, control))
    return joint_effects([comparison], MONTHS, [None] * 6)


def example(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rows_of(120, rng, np.linspace(1.0, 0.4, 6)), rows_of(60, rng)


def test_line_equals_statsmodels_gls() -> None:
    effects = effects_of(*example())
    found = wear_out(effects, MONTHS, range(1, 7))
    design = sm.add_constant(np.arange(1.0, 7.0))
    wanted = sm.GLS(effects.estimate, design, sigma=effects.covariance).fit()
    assert found.intercept == pytest.approx(wanted.params[0], rel=1e-9)
    assert found.slope.estimate == pytest.approx(wanted.params[1], rel=1e-9)
    known = np.sqrt(wanted.normalized_cov_params[1, 1])
    assert found.slope.standard_error == pytest.approx(known, rel=1e-9)
    np.testing.assert_array_equal(found.months, np.arange(1.0, 7.0))


def test_slope_is_the_welch_test_of_the_weighted_customers() -> None:
    """With the weights given, each customer has one number: scipy's Welch test of it is ours."""
    treated, control = example()
    effects = effects_of(treated, control)
    found = wear_out(effects, MONTHS, range(1, 7), level=0.9).slope
    design = sm.add_constant(np.arange(1.0, 7.0))
    inverse = np.linalg.inv(effects.covariance)
    weights = (np.linalg.inv(design.T @ inverse @ design) @ design.T @ inverse)[1]
    wanted = stats.ttest_ind(treated @ weights, control @ weights, equal_var=False)
    limits = wanted.confidence_interval(0.9)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=1e-7)
    assert found.df == pytest.approx(wanted.df, rel=1e-7)
    np.testing.assert_allclose((found.lower, found.upper), limits, rtol=1e-7)


def test_exact_line_is_found_and_missing_months_are_left_out() -> None:
    treated, control = example()
    treated[:, 2] = 0.0
    effects = effects_of(treated, control)
    found = wear_out(effects, MONTHS, range(1, 7))
    kept = [name for name in MONTHS if name != "m3"]
    alone = wear_out(effects, kept, [1, 2, 4, 5, 6])
    assert found.slope == alone.slope
    np.testing.assert_array_equal(found.months, [1, 2, 4, 5, 6])
    base = rows_of(80, np.random.default_rng(2))
    line = effects_of(base + 2.0 - 0.25 * np.arange(1, 7), base)
    exact = wear_out(line, MONTHS, range(1, 7))
    assert exact.slope.estimate == pytest.approx(-0.25, rel=1e-9)
    assert exact.intercept == pytest.approx(2.0, rel=1e-9)


def test_no_line_is_said_in_words() -> None:
    treated, control = example()
    effects = effects_of(treated, control)
    few = wear_out(effects, MONTHS[:3], [1, 2, 3])
    assert few.slope.reason is Reason.FEW_MONTHS
    assert math.isnan(few.intercept)
    assert math.isnan(few.slope.estimate)
    treated[:, 1], control[:, 1] = treated[:, 0], control[:, 0]
    repeated = wear_out(effects_of(treated, control), MONTHS, range(1, 7))
    assert repeated.slope.reason is Reason.SINGULAR


def test_pull_forward_is_welch_of_the_later_months() -> None:
    treated, control = example()
    cumulated = [np.cumsum(rows, axis=1) for rows in (treated, control)]
    found = pull_forward(effects_of(*cumulated), "m4", "m6")
    later = [rows[:, 4] + rows[:, 5] for rows in (treated, control)]
    wanted = stats.ttest_ind(*later, equal_var=False)
    assert found.estimate == pytest.approx(later[0].mean() - later[1].mean(), rel=1e-9)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=1e-8)
    np.testing.assert_allclose(
        (found.lower, found.upper), wanted.confidence_interval(0.95), rtol=1e-8
    )


def test_pull_forward_without_estimate_or_without_purchase() -> None:
    treated, control = example()
    treated[:, 5], control[:, 5] = treated[:, 4], control[:, 4]
    still = pull_forward(effects_of(treated, control), "m5", "m6")
    assert still.reason is Reason.NO_CHANGE
    assert math.isnan(still.estimate)
    treated[:, 5] = 0.0
    assert pull_forward(effects_of(treated, control), "m4", "m6").reason is Reason.PART_MISSING


def test_slope_covers() -> None:
    """2,000 draws of a fading effect, 120 treated and 60 held out; Monte-Carlo error .005."""
    rng = np.random.default_rng(3)
    path = 1.0 - 0.1 * np.arange(6)
    inside = 0
    for _ in range(2000):
        effects = effects_of(rows_of(120, rng, path), rows_of(60, rng))
        slope = wear_out(effects, MONTHS, range(1, 7)).slope
        inside += slope.lower <= -0.1 <= slope.upper
    assert inside / 2000 == pytest.approx(0.95, abs=0.02)
