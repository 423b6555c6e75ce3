"""Ratios against tea-tasting, brute-force inversion and simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loyalty_exp.stats.ancova import Comparison, Reason
from loyalty_exp.stats.moments import Moments
from loyalty_exp.stats.ratios import (
    FiellerKind,
    cost_per_incremental_order,
    fieller,
    iroi,
    ratio_effect,
)

NAMES = ("revenue", "orders", "past_revenue", "past_orders")


def covariance(vy: float, vx: float, correlation: float) -> np.ndarray:
    off = correlation * math.sqrt(vy * vx)
    return np.array([[vy, off], [off, vx]])


@settings(max_examples=200, deadline=None)
@given(
    y=st.floats(-5, 5),
    x=st.floats(-5, 5),
    vy=st.floats(0.01, 4),
    vx=st.floats(0.01, 4),
    r=st.floats(-0.95, 0.95),
    c=st.floats(0.5, 4),
)
def test_set_holds_exactly_the_ratios_that_the_test_keeps(
    y: float, x: float, vy: float, vx: float, r: float, c: float
) -> None:
    matrix = covariance(vy, vx, r)
    found = fieller(y, x, matrix, c)
    for b in np.concatenate([np.linspace(-30, 30, 61), [-1e5, 1e5]]):
        variance = vy - 2 * b * matrix[0, 1] + b * b * vx
        gap = (y - b * x) ** 2 - c * c * variance
        if abs(gap) > 1e-6 * (1 + b * b):
            assert bool(found.contains(b)) is bool(gap < 0)


def test_the_four_shapes() -> None:
    matrix = covariance(1.0, 1.0, 0.0)
    bounded = fieller(10.0, 10.0, matrix, 2.0)
    assert bounded.kind is FiellerKind.BOUNDED
    assert bounded.is_bounded
    assert 0 < bounded.lower < 1 < bounded.upper
    complement = fieller(10.0, 1.0, matrix, 2.0)
    assert complement.kind is FiellerKind.COMPLEMENT
    assert complement.contains(10.0)
    assert not complement.contains(0.0)
    assert fieller(1.0, 1.0, matrix, 2.0).kind is FiellerKind.WHOLE_LINE
    half = fieller(10.0, 2.0, matrix, 2.0)
    assert (half.kind, half.upper) == (FiellerKind.HALF_LINE, math.inf)
    assert half.contains(5.0)
    assert not half.contains(-5.0)
    mirrored = fieller(-10.0, 2.0, matrix, 2.0)
    assert (mirrored.lower, mirrored.upper) == (-math.inf, -half.lower)
    assert fieller(0.0, 2.0, matrix, 2.0).kind is FiellerKind.WHOLE_LINE
    with pytest.raises(ValueError, match="finite"):
        fieller(math.nan, 1.0, matrix, 2.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_unequal_critical_values_give_each_limit_its_own(sign: float) -> None:
    """The limit b below the ratio solves (y - b x) = down * se when x > 0; above it, -up * se."""
    y, x, matrix = 6.0, 10.0 * sign, covariance(1.0, 0.5, 0.3)
    down, up = 2.6, 1.7
    found = fieller(y, x, matrix, (down, up))
    for b, above in ((found.lower, False), (found.upper, True)):
        z = (y - b * x) / math.sqrt(matrix[0, 0] - 2 * b * matrix[0, 1] + b * b * matrix[1, 1])
        assert z == pytest.approx(-up if above is (sign > 0) else down, rel=1e-9)
    wide = fieller(y, 1.0, matrix, (down, up))
    assert wide == fieller(y, 1.0, matrix, down)


def test_fieller_covers_where_the_denominator_is_weak() -> None:
    """20,000 draws, denominator 1.5 errors from zero: Monte-Carlo error .0016."""
    rng = np.random.default_rng(1)
    matrix = covariance(1.0, 1.0, 0.5)
    draws = rng.multivariate_normal([3.0, 1.5], matrix, 20_000)
    kept = sum(fieller(y, x, matrix, stats.norm.ppf(0.975)).contains(2.0) for y, x in draws)
    assert kept / 20_000 == pytest.approx(0.95, abs=0.005)


@settings(max_examples=100, deadline=None)
@given(
    margin=st.floats(-5, 20),
    cost=st.floats(1, 5),
    r=st.floats(-0.8, 0.8),
    down=st.floats(1.5, 3),
    up=st.floats(1.5, 3),
)
def test_return_and_net_result_agree_about_zero(
    margin: float, cost: float, r: float, down: float, up: float
) -> None:
    matrix = covariance(4.0, 0.01, r)
    fixed = 0.5
    found = iroi(margin, cost, matrix, (down, up), fixed_cost=fixed)
    net = margin - cost - fixed
    error = math.sqrt(matrix[0, 0] - 2 * matrix[0, 1] + matrix[1, 1])
    assert found.reason is None
    assert found.estimate == pytest.approx(margin / (cost + fixed) - 1)
    if min(abs(net - down * error), abs(net + up * error)) > 1e-9:
        assert (found.lower > 0) is (net - down * error > 0)
        assert (found.upper < 0) is (net + up * error < 0)


def test_certain_cost_makes_the_return_a_plain_interval() -> None:
    found = iroi(12.0, 0.0, np.diag([4.0, 0.0]), 2.0, fixed_cost=5.0)
    np.testing.assert_allclose((found.lower, found.upper), (8 / 5 - 1, 16 / 5 - 1), rtol=1e-12)


def test_return_is_withheld_in_words() -> None:
    matrix = covariance(4.0, 1.0, 0.0)
    assert iroi(5.0, -1.0, matrix, 2.0).reason is Reason.NO_COST
    assert iroi(5.0, 3.0, matrix, 2.0).reason is Reason.COST_UNCERTAIN
    assert iroi(5.0, 3.0, matrix, 2.0, fixed_cost=4.0).reason is None
    assert iroi(5.0, 4.0, matrix, 8.3).reason is Reason.RATIO_UNBOUNDED
    assert iroi(math.nan, 4.0, matrix, 2.0).reason is Reason.PART_MISSING
    withheld = iroi(5.0, 3.0, matrix, 2.0)
    assert np.isnan([withheld.estimate, withheld.lower, withheld.upper]).all()
    assert withheld.region is not None


def test_cost_per_incremental_order() -> None:
    matrix = covariance(0.04, 0.01, 0.2)
    found = cost_per_incremental_order(2.0, 0.5, matrix, 1.96, fixed_cost=1.0)
    region = fieller(3.0, 0.5, matrix, 1.96)
    assert (found.estimate, found.lower, found.upper) == (6.0, region.lower, region.upper)
    undetermined = cost_per_incremental_order(2.0, 0.1, matrix, 1.96)
    assert undetermined.reason is Reason.ORDERS_UNDETERMINED
    assert math.isnan(undetermined.estimate)
    assert cost_per_incremental_order(2.0, -0.5, matrix, 1.96).reason is Reason.ORDERS_LOST
    assert cost_per_incremental_order(2.0, math.nan, matrix, 1.96).reason is Reason.PART_MISSING


def customers(n: int, rng: np.random.Generator, effect: float = 0.0) -> np.ndarray:
    taste = rng.normal(size=n)
    past_orders = rng.poisson(np.exp(0.3 + 0.5 * taste))
    orders = rng.poisson(np.exp(0.3 + 0.5 * taste))
    basket = np.exp(3 + 0.4 * taste)
    revenue = orders * basket * (1 + effect) * np.exp(rng.normal(0, 0.3, n))
    return np.column_stack(
        [revenue, orders, past_orders * basket * np.exp(rng.normal(0, 0.3, n)), past_orders]
    ).astype(float)


def compare(treated: np.ndarray, control: np.ndarray) -> Comparison:
    return Comparison(Moments.from_rows(NAMES, treated), Moments.from_rows(NAMES, control))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("adjusted", [True, False])
def test_ratio_of_means_equals_tea_tasting(seed: int, adjusted: bool) -> None:
    rng = np.random.default_rng(seed)
    treated, control = customers(300, rng, 0.1), customers(80, rng)
    frame = pd.DataFrame(np.vstack([control, treated]), columns=list(NAMES))
    frame["variant"] = np.repeat([0, 1], [80, 300])
    past = ("past_revenue", "past_orders") if adjusted else None
    metric = tt.RatioOfMeans("revenue", "orders", *(past or ()), use_t=True, equal_var=False)
    wanted = tt.Experiment(basket=metric).analyze(frame)["basket"]
    found = ratio_effect([compare(treated, control)], "revenue", "orders", past)
    np.testing.assert_allclose(
        (found.estimate, found.lower, found.upper, found.ratio_control, found.ratio_treated),
        (
            wanted.effect_size,
            wanted.effect_size_ci_lower,
            wanted.effect_size_ci_upper,
            wanted.control,
            wanted.treatment,
        ),
        rtol=1e-10,
    )


def test_ratio_effect_over_strata_covers() -> None:
    """1,500 draws of two unlike strata with equal shares, +10 % basket; Monte-Carlo error .006."""
    rng = np.random.default_rng(5)
    sizes = ((200, 100), (100, 50))
    big = [customers(200_000, rng), customers(200_000, rng) * 2]
    mean = (2 * big[0].mean(axis=0) + big[1].mean(axis=0)) / 3
    truth = 0.1 * mean[0] / mean[1]
    inside, slopes = 0, []
    for _ in range(1500):
        strata = [
            compare(customers(a, rng, 0.1) * scale, customers(b, rng) * scale)
            for (a, b), scale in zip(sizes, (1, 2), strict=True)
        ]
        found = ratio_effect(strata, "revenue", "orders", ("past_revenue", "past_orders"))
        inside += found.lower <= truth <= found.upper
        slopes.append(found.theta)
    assert inside / 1500 == pytest.approx(0.95, abs=0.02)
    assert np.mean(slopes) > 0.2


def test_ratio_effect_says_why_it_is_missing() -> None:
    rng = np.random.default_rng(6)
    treated, control = customers(50, rng), customers(30, rng)
    past = ("past_revenue", "past_orders")
    nobody = control.copy()
    nobody[:, :2] = 0
    assert ratio_effect([compare(treated, nobody)], *NAMES[:2]).reason is Reason.NO_BUYERS
    single = ratio_effect([compare(treated, control[:1])], *NAMES[:2])
    assert single.reason is Reason.SINGLE_CUSTOMER
    assert math.isnan(single.estimate)
    same = np.ones((20, 4))
    assert ratio_effect([compare(same, same)], *NAMES[:2], past).reason is Reason.NO_RESIDUAL
    treated[:, 2:] = control[:, 2:] = 0
    newcomers = ratio_effect([compare(treated, control)], *NAMES[:2], past)
    plain = ratio_effect([compare(treated, control)], *NAMES[:2])
    assert newcomers.theta == 0
    assert newcomers.estimate == pytest.approx(plain.estimate, rel=1e-12)
