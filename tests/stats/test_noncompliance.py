"""Effect on the reached: against inversion on a grid, and two-stage least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_exp.stats.ancova import Comparison
from loyalty_exp.stats.intervals import IntervalMethod
from loyalty_exp.stats.moments import Moments
from loyalty_exp.stats.noncompliance import effect_on_reached, effect_per_reached

REACHED = st.floats(-1, 1)
SD = st.floats(0.01, 1)


@given(
    outcome=st.floats(-20, 20),
    reached=REACHED,
    sd_y=SD,
    r=st.floats(-0.95, 0.95),
    sd_d=SD,
    critical=st.floats(1, 6),
)
def test_limits_are_where_the_test_turns(
    *, outcome: float, reached: float, sd_y: float, r: float, sd_d: float, critical: float
) -> None:
    def excess(b: float) -> float:
        variance = sd_y**2 - 2 * b * r * sd_y * sd_d + b**2 * sd_d**2
        return float((outcome - b * reached) ** 2 - critical**2 * variance)

    found = effect_on_reached(
        outcome,
        reached,
        variance_outcome=sd_y**2,
        covariance=r * sd_y * sd_d,
        variance_reached=sd_d**2,
        critical=critical,
    )
    assert found.f == pytest.approx((reached / sd_d) ** 2)
    assert found.weak == (found.f < 10)
    if np.isnan(found.estimate):
        # Far out on both sides nothing is refuted: the set is unbounded.
        assert min(excess(1e9), excess(-1e9)) <= 1e-6 * 1e18
        assert found.reason
        return
    assert found.lower <= found.estimate <= found.upper
    width = found.upper - found.lower
    scale = max(1.0, critical**2 * sd_y**2, outcome**2, (found.upper**2 + found.lower**2))
    for limit, inwards in ((found.lower, 1), (found.upper, -1)):
        assert abs(excess(limit)) <= 1e-8 * scale
        if width > 1e-3 and found.f > 1.1 * critical**2:
            assert excess(limit + inwards * 0.05 * width) < 0 < excess(limit - inwards * width)


def test_grid_inversion_on_data() -> None:
    rng = np.random.default_rng(1)
    assigned = rng.random(4_000) < 0.7
    reached = assigned & (rng.random(4_000) < 0.4)
    y = rng.lognormal(2, 1, 4_000) + 5.0 * reached
    d = reached.astype(float)
    covariance = sum(np.cov(y[arm], d[arm]) / arm.sum() for arm in (assigned, ~assigned))
    effects = [v[assigned].mean() - v[~assigned].mean() for v in (y, d)]
    found = effect_on_reached(
        effects[0],
        effects[1],
        variance_outcome=covariance[0, 0],
        covariance=covariance[0, 1],
        variance_reached=covariance[1, 1],
        critical=1.96,
    )
    # Two-stage least squares by matrices: the same estimate.
    z = np.column_stack([np.ones(4_000), assigned])
    x = np.column_stack([np.ones(4_000), d])
    beta = np.linalg.solve(z.T @ x, z.T @ y)
    assert found.estimate == pytest.approx(beta[1], rel=1e-9)
    kept = []
    for b in np.linspace(-20, 30, 50_001):
        residual = y - b * d
        one, two = residual[assigned], residual[~assigned]
        error = np.sqrt(one.var(ddof=1) / one.size + two.var(ddof=1) / two.size)
        if abs(one.mean() - two.mean()) <= 1.96 * error:
            kept.append(b)
    # The grid's step is .001.
    assert found.lower == pytest.approx(kept[0], abs=0.0011)
    assert found.upper == pytest.approx(kept[-1], abs=0.0011)
    assert not found.weak


def test_everybody_reached_is_the_effect_itself() -> None:
    found = effect_on_reached(
        3.0, 1.0, variance_outcome=4.0, covariance=0.0, variance_reached=0.0, critical=1.96
    )
    assert (found.estimate, found.lower, found.upper) == pytest.approx((3.0, -0.92, 6.92))
    assert found.f == np.inf
    assert not found.weak


def test_nobody_reached_is_not_estimable() -> None:
    found = effect_on_reached(
        3.0, 0.0, variance_outcome=4.0, covariance=0.0, variance_reached=0.0, critical=1.96
    )
    assert np.isnan(found.lower)
    assert "see the effect on all" in found.reason
    assert found.weak


def test_a_missing_effect_stays_missing() -> None:
    found = effect_on_reached(
        np.nan, 0.5, variance_outcome=4.0, covariance=0.0, variance_reached=0.1, critical=1.96
    )
    assert np.isnan(found.estimate)
    assert "missing" in found.reason


NAMES = ("y", "d", "x")


def campaign(share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows (y, d, x) and who was assigned; nobody in the holdout is reached."""
    rng = np.random.default_rng(2)
    assigned = rng.random(3_000) < 0.8
    d = (assigned & (rng.random(3_000) < share)).astype(float)
    x = rng.lognormal(2, 1, 3_000)
    return np.column_stack([x * rng.lognormal(0, 0.5, 3_000) + 4.0 * d, d, x]), assigned


def compared(rows: np.ndarray, assigned: np.ndarray) -> list[Comparison]:
    return [
        Comparison(
            Moments.from_rows(NAMES, rows[assigned]), Moments.from_rows(NAMES, rows[~assigned])
        )
    ]


@pytest.mark.parametrize("covariate", ["x", None])
def test_moments_give_what_rows_give(covariate: str | None) -> None:
    rows, assigned = campaign(0.5)
    adjusted = rows[:, :2].copy()
    if covariate:
        for column in (0, 1):
            slope = np.polyfit(rows[:, 2], rows[:, column], 1)[0]
            adjusted[:, column] -= slope * (rows[:, 2] - rows[:, 2].mean())
    gap = adjusted[assigned].mean(axis=0) - adjusted[~assigned].mean(axis=0)
    covariance = sum(np.cov(adjusted[arm].T) / arm.sum() for arm in (assigned, ~assigned))
    wanted = effect_on_reached(
        gap[0],
        gap[1],
        variance_outcome=covariance[0, 0],
        covariance=covariance[0, 1],
        variance_reached=covariance[1, 1],
        critical=2.0,
    )
    found = effect_per_reached(
        compared(rows, assigned), "y", "d", covariate, method=IntervalMethod.W1, critical=2.0
    )
    assert (found.estimate, found.lower, found.upper, found.f) == pytest.approx(
        (wanted.estimate, wanted.lower, wanted.upper, wanted.f), rel=1e-9
    )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nobody_and_everybody_from_moments(share: float) -> None:
    rows, assigned = campaign(share)
    found = effect_per_reached(
        compared(rows, assigned), "y", "d", None, method=IntervalMethod.W1, critical=2.0
    )
    if share:
        gap = rows[assigned, 0].mean() - rows[~assigned, 0].mean()
        assert found.estimate == pytest.approx(gap, rel=1e-9)
        assert found.lower < gap < found.upper
        assert not found.weak
    else:
        assert np.isnan(found.estimate)
        assert "see the effect on all" in found.reason
