"""Intervals, p-values and relative effects against root-finding, scipy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from loyalty_exp.stats.ancova import Comparison, JointEffects, joint_effects
from loyalty_exp.stats.intervals import (
    IntervalMethod,
    Reason,
    choose_method,
    critical_values,
    interval,
    interval_notes,
    one_sided_probability,
    p_values,
    relative_effects,
)
from loyalty_exp.stats.moments import Moments

W1, W2 = IntervalMethod.W1, IntervalMethod.W2


def compare(treated: np.ndarray, control: np.ndarray) -> Comparison:
    names = tuple(f"y{k}" for k in range(treated.shape[1]))
    pairs = [(name, name) for name in names]
    return Comparison(*(Moments.from_rows(names, rows, pairs) for rows in (treated, control)))


def hand_made(estimate: float, skewness: float, df: float = 50.0) -> JointEffects:
    one = np.ones(1)
    return JointEffects(
        outcomes=("y",),
        estimate=estimate * one,
        covariance=np.ones((1, 1)),
        df=df * one,
        n_treated=100,
        n_control=50,
        mean_treated=(10 + estimate) * one,
        mean_control=10 * one,
        covariance_treated=np.full((1, 1), 0.25),
        covariance_control=np.full((1, 1), 0.75),
        pooled_covariance_treated=np.full((1, 1), 0.25),
        pooled_covariance_control=np.full((1, 1), 0.75),
        pooled_df=df,
        skewness=skewness * one,
        raw_mean_treated=one,
        raw_mean_control=one,
        raw_variance=one,
        theta=one,
        slope_bias=one,
        notes=((),),
    )


@settings(max_examples=80, deadline=None)
@given(
    z=st.floats(-9, 9),
    g=st.floats(-2, 2),
    method=st.sampled_from([W1, W2]),
    df=st.sampled_from([4.0, 30.0, 1e4]),
)
def test_p_value_is_where_the_interval_starts_to_exclude_zero(
    z: float, g: float, method: IntervalMethod, df: float
) -> None:
    effects = hand_made(z, g, df)
    p = float(p_values(effects, method)[0])
    for level, excluded in ((1 - min(1.01 * p, 1 - 1e-12), True), (1 - 0.99 * p, False)):
        lower, upper = interval(effects, method, level=level)
        if 1e-6 < p < 0.98:
            assert bool((lower[0] > 0) or (upper[0] < 0)) is excluded
    assert 0 <= p <= 1


@settings(max_examples=60, deadline=None)
@given(z=st.floats(-5, 5), g=st.floats(-1.5, 1.5), method=st.sampled_from([W1, W2]))
def test_one_sided_probability_is_the_level_of_the_limit(
    z: float, g: float, method: IntervalMethod
) -> None:
    effects = hand_made(z, g)
    chance = float(one_sided_probability(effects, method)[0])
    if 0.505 < chance < 1 - 1e-9:
        lower, _ = interval(effects, method, level=2 * chance - 1)
        assert lower[0] == pytest.approx(0, abs=1e-6)
    elif 1e-9 < chance < 0.495:
        _, upper = interval(effects, method, level=1 - 2 * chance)
        assert upper[0] == pytest.approx(0, abs=1e-6)
    moved = one_sided_probability(hand_made(z + 3, g), method, at=3.0)
    assert moved[0] == pytest.approx(chance, rel=1e-9)


@pytest.mark.parametrize("g", [-1.5, -1.2, -1.0, -0.4, 0.0, 0.7, 1.3, 1.5])
def test_w2_intervals_nest_and_are_the_printed_formula_where_that_nests(g: float) -> None:
    effects = hand_made(0.0, g, df=1e9)
    previous = (0.0, 0.0)
    for c in np.linspace(1.0, 8.3, 60):
        lower, upper = interval(effects, W2, critical=c)
        assert lower[0] <= previous[0] + 1e-12 or c == 1.0
        assert upper[0] >= previous[1] - 1e-12 or c == 1.0
        previous = (lower[0], upper[0])
        shift = g * (min(c, 3.0) ** 2 - 1) / 6
        assert lower[0] <= -(c + shift) + 1e-6
        assert upper[0] >= c - shift - 1e-6
        if c <= 3 / max(abs(g), 1.0):
            np.testing.assert_allclose((lower[0], upper[0]), (-c - shift, c - shift), rtol=1e-6)


def test_critical_values_turn_to_t_by_equal_tail_area() -> None:
    effects = hand_made(0.0, 0.0, df=12.0)
    down, up = critical_values(effects, W1, critical=2.5)
    assert stats.t.sf(down[0], 12) == pytest.approx(stats.norm.sf(2.5), rel=1e-10)
    assert up[0] == down[0]
    default = critical_values(effects, W1, level=0.9)[0][0]
    assert default == pytest.approx(stats.t.ppf(0.95, 12), rel=1e-12)
    assert np.isnan(critical_values(effects, W1, critical=np.nan)[0][0])


def test_choice_of_method() -> None:
    assert choose_method(0.2) is W1
    assert choose_method(-0.21) is W2
    assert choose_method(1.5) is W2
    assert choose_method(-1.51) is IntervalMethod.TOO_FEW
    assert choose_method(float("nan")) is W2
    assert choose_method([0.1, -0.2, 0.1]) is W1
    assert choose_method([0.1, -1.9, 0.1]) is W2
    assert choose_method([0.1, 0.1, -1.6]) is IntervalMethod.TOO_FEW
    assert choose_method([float("nan"), 0.1]) is W2


def test_too_few_to_know_gives_no_interval_and_says_so() -> None:
    effects = hand_made(1.0, -1.8)
    too_few = IntervalMethod.TOO_FEW
    assert np.isnan(interval(effects, too_few)).all()
    assert np.isnan(p_values(effects, too_few)).all()
    assert np.isnan(one_sided_probability(effects, too_few)).all()
    assert interval_notes(effects, too_few) == ((Reason.TOO_FEW,),)
    assert interval_notes(effects, W2) == ((Reason.SKEWED,),)
    assert interval_notes(hand_made(1.0, np.nan), W2) == ((Reason.NO_THIRD_MOMENTS,),)
    assert np.isnan(interval(hand_made(1.0, np.nan), W2)).all()


@pytest.mark.parametrize("method", [W1, W2])
def test_relative_effect_inverts_the_test_of_every_ratio(method: IntervalMethod) -> None:
    """Limits found again by root-finding on the statistic of treated - b control."""
    rng = np.random.default_rng(1)
    rows = np.exp(rng.normal(0.0, 1.2, (420, 3)))
    names = ("y0", "y1", "y2")
    effects = joint_effects([compare(rows[:300] * 1.2, rows[300:])], names, [None] * 3)
    found = relative_effects(effects, method)
    down, up = critical_values(effects, method)
    for k in range(3):
        m1, m0 = effects.mean_treated[k], effects.mean_control[k]
        if method is W1:
            v1, v0 = effects.covariance_treated[k, k], effects.covariance_control[k, k]
        else:
            v1, v0 = (
                effects.pooled_covariance_treated[k, k],
                effects.pooled_covariance_control[k, k],
            )

        def z(b: float, v: tuple[float, ...] = (m1, m0, v1, v0)) -> float:
            return (v[0] - b * v[1]) / np.sqrt(v[2] + b * b * v[3])

        lower = optimize.brentq(lambda b, z=z, c=down[k]: z(b) - c, -20, m1 / m0) - 1
        upper = optimize.brentq(lambda b, z=z, c=up[k]: z(b) + c, m1 / m0, 60) - 1
        ours = (found.estimate[k], found.lower[k], found.upper[k])
        np.testing.assert_allclose(ours, (m1 / m0 - 1, lower, upper), rtol=1e-8)
        assert found.denominator[k] == m0
        assert found.notes[k] == ()


@settings(max_examples=60, deadline=None)
@given(
    estimate=st.floats(-6, 6),
    skewness=st.floats(-1.5, 1.5),
    method=st.sampled_from([W1, W2]),
    critical=st.floats(1.0, 4.0),
)
def test_relative_and_absolute_intervals_never_disagree_about_zero(
    estimate: float, skewness: float, method: IntervalMethod, critical: float
) -> None:
    effects = hand_made(estimate, skewness)
    relative = relative_effects(effects, method, critical=critical)
    lower, upper = interval(effects, method, critical=critical)
    if abs(lower[0]) > 1e-9 and abs(upper[0]) > 1e-9:
        assert (relative.lower[0] > 0) == (lower[0] > 0)
        assert (relative.upper[0] < 0) == (upper[0] < 0)


def test_relative_effect_falls_back_and_gives_up_in_words() -> None:
    effects = hand_made(5.0, 0.0, df=1e6)
    fallback = relative_effects(effects, W1, critical=12.0)
    assert fallback.notes == ((Reason.LOG_SCALE,),)
    spread = 12.0 * np.sqrt(0.25 / 15**2 + 0.75 / 10**2)
    assert np.log1p(fallback.upper[0]) - np.log(1.5) == pytest.approx(spread, rel=1e-3)
    assert np.log(1.5) - np.log1p(fallback.lower[0]) == pytest.approx(spread, rel=1e-3)
    rng = np.random.default_rng(5)
    rows = rng.normal(0.0, 1.0, (400, 1))
    near_zero = joint_effects([compare(rows[:200], rows[200:])], ["y0"], [None])
    given_up = relative_effects(near_zero, W1)
    assert given_up.notes == ((Reason.NOT_MEANINGFUL,),)
    assert np.isnan([given_up.estimate[0], given_up.lower[0], given_up.upper[0]]).all()
    negative = joint_effects([compare(rows[:200] - 9, rows[200:] - 9)], ["y0"], [None])
    assert relative_effects(negative, W1).notes == ((Reason.NOT_MEANINGFUL,),)


def test_small_skewed_holdout_w2_keeps_its_promise_and_w1_does_not() -> None:
    """4,000 draws, 450 treated and 50 held out, no effect, cumulated skewed revenue.

    Lower limit above the truth: nominal .025, Monte-Carlo error .0025 (.0045 at .09). The bar of
    statistics.md for W2 is .045; Welch without covariate is above twice its nominal rate.
    """
    rng = np.random.default_rng(10)
    draws = 4000
    over = dict.fromkeys((W1, W2), 0)
    covered = 0
    population = np.exp(rng.normal(0.0, 1.2, (500, 1)))
    for _ in range(draws):
        rows = rng.permutation(population)
        comparison = Comparison(
            *(Moments.from_rows(("y",), part, [("y", "y")]) for part in (rows[:450], rows[450:]))
        )
        effects = joint_effects([comparison], ["y"], [None])
        for method in over:
            lower, upper = interval(effects, method)
            over[method] += bool(lower[0] > 0)
            covered += bool(method is W2 and lower[0] <= 0 <= upper[0])
    assert over[W2] / draws <= 0.045
    assert 0.935 <= covered / draws <= 0.975
    assert over[W1] / draws >= 0.05
