"""Planning formulas against statsmodels' non-central t, Cohen's tables and numeric integration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from statsmodels.stats.power import TTestIndPower

from loyalty_exp.stats.planning import (
    advised_holdout,
    break_even_effect,
    holdout_needed,
    minimum_detectable_effect,
    months_needed,
    planned_standard_error,
    power_at,
)


@pytest.mark.parametrize(
    ("per_arm", "effect"),
    # Cohen (1988), table 2.4.1: n per group for power .80 at two-sided .05.
    [(393, 0.20), (64, 0.50), (26, 0.80)],
)
def test_cohens_sample_sizes(per_arm: int, effect: float) -> None:
    error = planned_standard_error(1.0, per_arm, per_arm)
    # Student against the non-central t: within 1.5 % from 26 a group.
    assert minimum_detectable_effect(error, 2 * per_arm - 2) == pytest.approx(effect, rel=0.015)


@pytest.mark.parametrize(("treated", "holdout"), [(900, 100), (180, 20), (500, 500)])
@pytest.mark.parametrize("effect", [0.05, 0.2, 0.4])
def test_power_is_near_that_of_the_noncentral_t(treated: int, holdout: int, effect: float) -> None:
    oracle = TTestIndPower().power(effect, treated, 0.05, ratio=holdout / treated)
    error = planned_standard_error(1.0, treated, holdout)
    assert power_at(effect, error, treated + holdout - 2) == pytest.approx(oracle, abs=0.004)


def test_power_at_the_minimum_detectable_effect() -> None:
    smallest = minimum_detectable_effect(2.0, 300, power=0.9)
    assert power_at(smallest, 2.0, 300) == pytest.approx(0.9, abs=1e-6)
    assert power_at(0.0, 2.0, 300) == pytest.approx(0.05)
    assert power_at(-smallest, 2.0, 300) == power_at(smallest, 2.0, 300)


@given(st.floats(0.02, 2), st.integers(50, 10**6))
def test_the_holdout_needed_has_the_wanted_power(effect: float, units: int) -> None:
    share = holdout_needed(effect, 1.0, units)
    half = planned_standard_error(1.0, units / 2, units / 2)
    if np.isnan(share):
        assert power_at(effect, half, units - 2) < 0.8 + 1e-6
    else:
        assert 0 < share <= 0.5
        error = planned_standard_error(1.0, units * (1 - share), units * share)
        assert power_at(effect, error, units - 2) == pytest.approx(0.8, abs=1e-4)


def test_no_holdout_detects_nothing() -> None:
    assert np.isnan(holdout_needed(0.0, 1.0, 1000))
    assert planned_standard_error(1.0, 100, 0) == np.inf


def test_break_even() -> None:
    assert break_even_effect(6000, 4000) == 1.5
    assert np.isnan(break_even_effect(6000, 0))


def test_months_needed_is_the_first_with_power() -> None:
    error = np.array([1.0, 1.5, 2.0, 2.3])
    effect = np.array([1.0, 3.0, 6.0, 9.0])
    critical = np.full(4, 1.959964)
    # Shifts 1, 2, 3, 3.9: powers .17, .52, .85, .97.
    assert months_needed(effect, error, critical) == 3
    assert months_needed(effect, error, critical, power=0.9) == 4
    assert months_needed(effect, error, critical, power=0.99) is None
    assert months_needed(effect, error, np.array([9.0, 9.0, 9.0, 1.959964])) == 4


def test_wrong_decision_by_integration() -> None:
    # Loss of deciding on the posterior mean, integrated over truth and estimate.
    units, margin, cost, residual, horizon = 2_000, 100.0, 2.0, 150.0, 6.0
    advice = advised_holdout(
        units,
        margin=margin,
        cost=cost,
        residual_sd=residual,
        prior_mean=0.03,
        prior_sd=0.06,
        horizon=horizon,
        shares=np.array([0.05, 0.2]),
    )
    mean, sd = 1.0, 6.0
    for index, share in enumerate([0.05, 0.2]):
        error = planned_standard_error(residual, units * (1 - share), units * share)

        def loss(truth: float, error: float = error) -> float:
            # Rolled out if the estimate exceeds the point where the posterior mean is zero.
            threshold = -mean * error**2 / sd**2
            rolled_out = stats.norm.sf(threshold, truth, error)
            wrong = truth * (1 - rolled_out) if truth > 0 else -truth * rolled_out
            return float(wrong * stats.norm.pdf(truth, mean, sd))

        expected = integrate.quad(loss, -60, 60, points=[0], limit=200)[0]
        assert advice.wrong_decision[index] == pytest.approx(units * horizon * expected, rel=1e-6)
        assert advice.withheld[index] == pytest.approx(share * units * mean)


def advise(units: int, horizon: float = 12.0, cost: float = 0.0) -> float:
    return advised_holdout(
        units,
        margin=100.0,
        cost=cost,
        residual_sd=200.0,
        prior_mean=0.03,
        prior_sd=0.06,
        horizon=horizon,
    ).advised


def test_advice_moves_the_right_way() -> None:
    assert advise(5_000) > advise(20_000) > advise(500_000)
    assert advise(5_000, horizon=24) > advise(5_000, horizon=3)
    assert advise(5_000, cost=2.5) > advise(5_000)


def test_too_small_a_list_to_learn_from_is_better_treated_whole() -> None:
    assert advise(500) == 0.01


def test_a_campaign_expected_to_lose_wants_the_largest_holdout() -> None:
    advice = advised_holdout(
        5_000,
        margin=100.0,
        cost=8.0,
        residual_sd=200.0,
        prior_mean=0.03,
        prior_sd=0.06,
        horizon=1.0,
    )
    assert advice.advised == 0.5
    assert advice.at_edge
    assert np.all(advice.withheld < 0)


@pytest.mark.parametrize(
    ("margin", "shares"), [(0.0, None), (1.0, np.array([0.0])), (1.0, np.array([0.6]))]
)
def test_impossible_plans_are_refused(margin: float, shares: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match=r"positive|up to 1/2"):
        advised_holdout(
            10,
            margin=margin,
            cost=0.0,
            residual_sd=1.0,
            prior_mean=0.03,
            prior_sd=0.06,
            horizon=1.0,
            shares=shares,
        )
