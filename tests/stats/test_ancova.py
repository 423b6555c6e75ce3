"""Adjusted effects and their intervals against tea-tasting, statsmodels, scipy and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from loyalty_exp.stats.ancova import (
    Comparison,
    IntervalMethod,
    JointEffects,
    Reason,
    interval,
    joint_effects,
    linear_combination,
    p_values,
    relative_effects,
)
from loyalty_exp.stats.moments import Moments

NAMES = ("y1", "y2", "x1", "x2")
OUTCOMES = ("y1", "y2", "y1")
COVARIATES = ("x1", "x2", None)
PAIRS = (("y1", "x1"), ("y2", "x2"))
W1, W2 = IntervalMethod.W1, IntervalMethod.W2


def arm(n: int, rng: np.random.Generator, effect: float = 0.0, level: float = 0.0) -> np.ndarray:
    """Rows (n, 4) of skewed outcomes and pre-period values that go together."""
    taste = rng.normal(size=(n, 1))
    rows = np.exp(taste + rng.normal(0, 0.8, (n, 4)))
    rows *= rng.random((n, 4)) < 0.7
    rows[:, :2] *= 1 + effect
    return level + rows


def compare(treated: np.ndarray, control: np.ndarray) -> Comparison:
    return Comparison(
        Moments.from_rows(NAMES, treated, PAIRS), Moments.from_rows(NAMES, control, PAIRS)
    )


def example(
    n_treated: int = 300, n_control: int = 40, seed: int = 1, effect: float = 0.2
) -> tuple[np.ndarray, np.ndarray, JointEffects]:
    rng = np.random.default_rng(seed)
    rows = arm(n_treated, rng, effect), arm(n_control, rng)
    return *rows, joint_effects([compare(*rows)], OUTCOMES, COVARIATES)


def residuals(
    treated: np.ndarray, control: np.ndarray, outcome: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """e = Y - theta X by arm from the rows, X being two columns after Y."""
    both = np.vstack([treated, control])
    theta = np.cov(both[:, outcome], both[:, outcome + 2])
    slope = float(theta[0, 1] / theta[1, 1])
    e = both[:, outcome] - slope * both[:, outcome + 2]
    return e[: len(treated)], e[len(treated) :], slope


@pytest.mark.parametrize("seed", range(5))
def test_w1_equals_tea_tasting(seed: int) -> None:
    treated, control, effects = example(seed=seed)
    frame = pd.DataFrame(np.vstack([control, treated]), columns=list(NAMES))
    frame["variant"] = np.repeat([0, 1], [len(control), len(treated)])
    experiment = tt.Experiment(
        a=tt.Mean("y1", covariate="x1", use_t=True, equal_var=False),
        b=tt.Mean("y2", covariate="x2", use_t=True, equal_var=False),
        c=tt.Mean("y1", use_t=True, equal_var=False),
    )
    wanted = [experiment.analyze(frame)[name] for name in "abc"]
    lower, upper = interval(effects, W1)
    p = p_values(effects, W1)
    for k, theirs in enumerate(wanted):
        ours = (effects.estimate[k], lower[k], upper[k], p[k])
        theirs_all = (
            theirs.effect_size,
            theirs.effect_size_ci_lower,
            theirs.effect_size_ci_upper,
            theirs.pvalue,
        )
        np.testing.assert_allclose(ours, theirs_all, rtol=1e-10)
        assert effects.mean_control[k] == pytest.approx(theirs.control, rel=1e-10)
        assert effects.mean_treated[k] == pytest.approx(theirs.treatment, rel=1e-10)


def test_w1_equals_welch_of_statsmodels_on_the_residuals() -> None:
    treated, control, effects = example()
    e1, e0, slope = residuals(treated, control, 1)
    means = CompareMeans(DescrStatsW(e1), DescrStatsW(e0))
    limits = means.tconfint_diff(alpha=0.1, usevar="unequal")
    _, p, df = means.ttest_ind(usevar="unequal")
    lower, upper = interval(effects, W1, level=0.9)
    np.testing.assert_allclose((lower[1], upper[1]), limits, rtol=1e-10)
    assert p_values(effects, W1)[1] == pytest.approx(p, rel=1e-10)
    assert effects.df[1] == pytest.approx(df, rel=1e-10)
    assert effects.theta[1] == pytest.approx(slope, rel=1e-10)


def test_joint_covariance_and_raw_figures_from_rows() -> None:
    treated, control, effects = example()
    e1 = np.column_stack([residuals(treated, control, k)[0] for k in (0, 1)])
    e0 = np.column_stack([residuals(treated, control, k)[1] for k in (0, 1)])
    np.testing.assert_allclose(
        effects.covariance_treated[:2, :2], np.cov(e1.T) / len(e1), rtol=1e-10
    )
    np.testing.assert_allclose(
        effects.covariance_control[:2, :2], np.cov(e0.T) / len(e0), rtol=1e-10
    )
    np.testing.assert_allclose(
        effects.covariance, effects.covariance_treated + effects.covariance_control
    )
    np.testing.assert_allclose(effects.raw_mean_treated[:2], treated.mean(axis=0)[:2])
    np.testing.assert_allclose(effects.raw_mean_control[:2], control.mean(axis=0)[:2])
    np.testing.assert_allclose(effects.raw_difference[2], effects.estimate[2], rtol=1e-12)
    np.testing.assert_allclose(effects.raw_variance[2], effects.covariance[2, 2], rtol=1e-12)
    assert (effects.n_treated, effects.n_control) == (300, 40)


def w2_by_hand(e1: np.ndarray, e0: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """Statistics.md section 1, W2, from the residuals: lower, upper, Vp, gamma."""
    n1, n0 = len(e1), len(e0)
    s2 = ((e1 - e1.mean()) ** 2).sum() + ((e0 - e0.mean()) ** 2).sum()
    vp = s2 / (n1 + n0 - 2) * (1 / n1 + 1 / n0)
    k = (n1 * stats.moment(e1, order=3) + n0 * stats.moment(e0, order=3)) / (n1 + n0)
    gamma = k * (1 / n1**2 - 1 / n0**2) / vp**1.5
    g = float(np.clip(gamma, -1.5, 1.5))
    c = stats.t.ppf((1 + level) / 2, n1 + n0 - 3)
    tau = e1.mean() - e0.mean()
    up, down = c + g * (c * c - 1) / 6, -c + g * (c * c - 1) / 6
    return tau - up * vp**0.5, tau - down * vp**0.5, vp, gamma


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_control", [30, 300])
def test_w2_by_hand(seed: int, n_control: int) -> None:
    treated, control, effects = example(n_control=n_control, seed=seed)
    lower, upper = interval(effects, W2)
    for k in (0, 1):
        e1, e0, _ = residuals(treated, control, k)
        wanted = w2_by_hand(e1, e0, 0.95)
        found = (lower[k], upper[k], effects.pooled_variance[k], effects.skewness[k])
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    raw = w2_by_hand(treated[:, 0], control[:, 0], 0.95)
    np.testing.assert_allclose((lower[2], upper[2]), raw[:2], rtol=1e-9)


def test_skewness_is_nothing_with_equal_arms() -> None:
    effects = example(n_treated=100, n_control=100)[2]
    np.testing.assert_array_equal(effects.skewness, 0.0)


def test_strata_are_weighted_by_size_with_slopes_of_their_own() -> None:
    rng = np.random.default_rng(3)
    strata = [
        (arm(120, rng, 0.3), arm(20, rng)),
        (arm(40, rng, 0.3, level=5.0), arm(60, rng, level=5.0)),
    ]
    effects = joint_effects([compare(*rows) for rows in strata], OUTCOMES, COVARIATES)
    for k in (0, 1):
        tau = variance = welch = vp = cumulant = slope = raw = 0.0
        for treated, control in strata:
            w = (len(treated) + len(control)) / 240
            e1, e0, theta = residuals(treated, control, k)
            tau += w * (e1.mean() - e0.mean())
            slope += w * theta
            raw += w * (treated[:, k].mean() - control[:, k].mean())
            for e in (e1, e0):
                v = w**2 * e.var(ddof=1) / len(e)
                variance += v
                welch += v**2 / (len(e) - 1)
            part_vp, part_gamma = w2_by_hand(e1, e0, 0.95)[2:]
            vp += w**2 * part_vp
            cumulant += w**3 * part_gamma * part_vp**1.5
        found = (
            effects.estimate[k],
            effects.covariance[k, k],
            effects.df[k],
            effects.pooled_variance[k],
            effects.skewness[k],
            effects.theta[k],
            effects.raw_difference[k],
        )
        wanted = (tau, variance, variance**2 / welch, vp, cumulant / vp**1.5, slope, raw)
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    difference = effects.mean_treated - effects.mean_control
    np.testing.assert_allclose(effects.estimate, difference, rtol=1e-12)
    assert effects.pooled_df == 240 - 6


def test_strata_of_equal_shares_give_an_unbiased_combination() -> None:
    """Mean over 400 draws of two unlike strata within four Monte-Carlo errors of the truth."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        strata = [(arm(60, rng), arm(20, rng)), (arm(30, rng, 1.0), arm(90, rng))]
        effects = joint_effects([compare(*rows) for rows in strata], ["y1"], ["x1"])
        found.append(effects.estimate[0])
    truth = 0.6 * 0.7 * np.exp((1 + 0.64) / 2)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error


def test_no_variation_is_not_estimable() -> None:
    rng = np.random.default_rng(6)
    treated, control = arm(50, rng), arm(30, rng)
    control[:, 0] = 0.0
    treated[:, 1] = 7.1
    effects = joint_effects([compare(treated, control)], ["y1", "y2", "x1"], ["x1", "x2", "x1"])
    assert effects.notes == (
        (Reason.CONSTANT_CONTROL,),
        (Reason.CONSTANT_TREATED,),
        (Reason.NO_RESIDUAL,),
    )
    assert np.isnan(effects.estimate).all()
    assert np.isnan(effects.covariance).all()
    assert np.isnan(interval(effects, W1)).all()
    assert effects.raw_mean_control[0] == 0
    mixed = joint_effects([compare(treated, control)], ["y1", "x1"], ["x1", None])
    assert np.isnan(mixed.covariance[0]).all()
    assert np.isfinite([mixed.covariance[1, 1], mixed.estimate[1]]).all()


def test_covariate_without_variation_is_left_out() -> None:
    rng = np.random.default_rng(7)
    treated, control = arm(50, rng), arm(30, rng)
    treated[:, 2] = control[:, 2] = 0.1
    with_it, without = (
        joint_effects([compare(treated, control)], ["y1"], [name]) for name in ("x1", None)
    )
    assert with_it.theta[0] == 0
    np.testing.assert_allclose(with_it.estimate, without.estimate, rtol=1e-12)
    np.testing.assert_allclose(with_it.skewness, without.skewness, rtol=1e-9)


def test_empty_and_single_arms_are_not_estimable() -> None:
    rng = np.random.default_rng(8)
    for n, reason in ((0, Reason.EMPTY_ARM), (1, Reason.SINGLE_CUSTOMER)):
        strata = [compare(arm(50, rng), arm(30, rng)), compare(arm(50, rng), arm(n, rng))]
        effects = joint_effects(strata, OUTCOMES, COVARIATES)
        assert effects.notes == ((reason,),) * 3
        assert np.isnan(effects.estimate).all()
        assert effects.n_control == 30 + n
        assert np.isnan(relative_effects(effects, W1).estimate).all()


def test_small_arm_is_a_direction_only() -> None:
    effects = example(n_control=19)[2]
    assert effects.notes == ((Reason.SMALL_HOLDOUT,),) * 3
    assert np.isfinite(effects.estimate).all()


def test_linear_combination_is_the_effect_on_the_combined_outcome() -> None:
    rng = np.random.default_rng(9)
    treated, control = arm(80, rng), arm(30, rng)
    effects = joint_effects([compare(treated, control)], ["y1", "y2"], [None, None])
    combined = stats.ttest_ind(
        treated[:, 0] - 2 * treated[:, 1], control[:, 0] - 2 * control[:, 1], equal_var=False
    )
    estimate, variance, df = linear_combination(effects, np.array([1.0, -2.0]))
    assert estimate / variance**0.5 == pytest.approx(combined.statistic, rel=1e-10)
    assert df == pytest.approx(combined.df, rel=1e-10)


def test_select_keeps_everything_in_its_place() -> None:
    effects = joint_effects([compare(*example()[:2])], ["y1", "y2"], ["x1", "x2"])
    chosen = effects.select(["y2"])
    assert chosen.outcomes == ("y2",)
    assert chosen.covariance[0, 0] == effects.covariance[1, 1]
    assert interval(chosen, W2)[0][0] == interval(effects, W2)[0][1]
    with pytest.raises(ValueError, match="no effect on 'w'"):
        effects.select(["w"])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        joint_effects([], ["y1"], [None])
    with pytest.raises(ValueError, match="one covariate"):
        joint_effects([compare(*example()[:2])], ["y1"], [])
