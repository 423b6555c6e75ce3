"""Simultaneous bands against closed forms, scipy's multivariate normal and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from loyalty_exp.stats.ancova import Comparison, IntervalMethod, interval, joint_effects
from loyalty_exp.stats.bands import simultaneous_band, sup_t_critical
from loyalty_exp.stats.moments import Moments

METHODS = [IntervalMethod.W1, IntervalMethod.W2]


@pytest.mark.parametrize("k", [1, 2, 6, 12, 24])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_independent_months_are_sidak(k: int, level: float) -> None:
    wanted = stats.norm.ppf((1 + level ** (1 / k)) / 2)
    assert sup_t_critical(np.eye(k), level) == pytest.approx(wanted, abs=0.012)


def test_perfectly_correlated_months_need_no_widening() -> None:
    assert sup_t_critical(np.ones((6, 6))) == pytest.approx(stats.norm.ppf(0.975), abs=0.006)


def test_two_months_against_scipy() -> None:
    correlation = np.array([[1.0, 0.55], [0.55, 1.0]])

    def inside(c: float) -> float:
        box = np.full(2, c)
        return float(stats.multivariate_normal.cdf(box, np.zeros(2), correlation, lower_limit=-box))

    wanted = optimize.brentq(lambda c: inside(c) - 0.95, 1.9, 2.5)
    assert sup_t_critical(correlation, points=65536) == pytest.approx(wanted, abs=3e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 12), level=st.sampled_from([0.5, 0.9, 0.99]))
def test_between_one_month_and_bonferroni(seed: int, k: int, level: float) -> None:
    correlation = np.corrcoef(np.random.default_rng(seed).normal(size=(k, k + 3)))
    found = sup_t_critical(correlation, level, points=1024)
    assert found > stats.norm.isf((1 - level) / 2) - 0.02
    assert found < stats.norm.isf((1 - level) / (2 * k)) + 0.02


def example(rng: np.random.Generator, n: int = 400, k: int = 6) -> np.ndarray:
    return np.exp(0.8 * rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, k)))


def effects_of(rows: np.ndarray, n_treated: int):
    names = tuple(f"m{j}" for j in range(rows.shape[1]))
    pairs = [(name, name) for name in names]
    comparison = Comparison(
        *(Moments.from_rows(names, part, pairs) for part in np.split(rows, [n_treated]))
    )
    return joint_effects([comparison], names, [None] * len(names))


@pytest.mark.parametrize("method", METHODS)
def test_band_is_the_interval_at_the_common_critical_value(method: IntervalMethod) -> None:
    rows = example(np.random.default_rng(1))
    rows[320:, 2] = 0.0
    effects = effects_of(rows, 320)
    band = simultaneous_band(effects, method)
    lower, upper = interval(effects, method)
    kept = [0, 1, 3, 4, 5]
    assert np.isnan([band.lower[2], band.upper[2]]).all()
    assert (band.lower[kept] < lower[kept]).all()
    assert (band.upper[kept] > upper[kept]).all()
    np.testing.assert_allclose(band.lower, interval(effects, method, critical=band.critical)[0])
    alone = simultaneous_band(effects.select(["m0", "m1", "m3", "m4", "m5"]), method)
    assert alone.critical == pytest.approx(band.critical, rel=1e-12)


def test_nothing_estimable_gives_no_band() -> None:
    band = simultaneous_band(effects_of(np.zeros((40, 3)), 20), IntervalMethod.W1)
    assert np.isnan(band.critical)
    assert np.isnan(band.lower).all()


def test_whole_path_is_covered_at_equal_arms() -> None:
    """1,500 draws without effect, 200 customers, holdout half; Monte-Carlo error .006."""
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(1500):
        effects = effects_of(example(rng, 200), 100)
        band = simultaneous_band(effects, IntervalMethod.W1, points=256)
        inside += bool(((band.lower <= 0) & (band.upper >= 0)).all())
    assert 0.935 <= inside / 1500 <= 0.985
