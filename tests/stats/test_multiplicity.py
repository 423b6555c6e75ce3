"""Multiplicity against published worked examples and statsmodels' meta-analysis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects

from loyalty_exp.stats.multiplicity import heterogeneity, holm, shrink

# Rubin (1981), eight schools: effects and standard errors of coaching.
SCHOOLS = [28.39, 7.94, -2.75, 6.82, -0.64, 0.63, 18.01, 12.16]
ERRORS = [14.9, 10.2, 16.3, 11.0, 9.4, 11.4, 10.4, 17.6]
SPREAD = [0.12, 0.55, -0.40, 1.30, 0.70, -0.90]
SPREAD_ERRORS = [0.20, 0.25, 0.30, 0.22, 0.40, 0.35]


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1, then the running maximum.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_what_is_not_estimable_is_no_comparison() -> None:
    adjusted = holm([0.01, np.nan, 0.02])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(adjusted[1])
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_raw_and_bonferroni(p_values: list[float]) -> None:
    raw, adjusted = np.array(p_values), holm(p_values)
    assert np.all(adjusted >= raw)
    assert np.all(adjusted <= np.minimum(1, raw * raw.size) + 1e-12)


@pytest.mark.parametrize(("effect", "error"), [(SCHOOLS, ERRORS), (SPREAD, SPREAD_ERRORS)])
def test_cochran_q_equals_statsmodels(effect: list[float], error: list[float]) -> None:
    oracle = combine_effects(np.array(effect), np.array(error) ** 2).test_homogeneity()
    ours = heterogeneity(effect, error)
    assert ours.q == pytest.approx(oracle.statistic, rel=1e-10)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-10)
    assert ours.df == oracle.df


def test_paule_mandel_equals_statsmodels() -> None:
    oracle = combine_effects(
        np.array(SPREAD), np.array(SPREAD_ERRORS) ** 2, method_re="iterated", atol=1e-12
    )
    ours = shrink(SPREAD, SPREAD_ERRORS)
    assert ours.between_sd**2 == pytest.approx(oracle.tau2, rel=1e-8)
    assert ours.common_mean == pytest.approx(oracle.mean_effect_re, rel=1e-8)


def test_shrinking_by_hand() -> None:
    # Equal errors of 1: between variance = sample variance - 1 (Paule-Mandel is then exact).
    effect = np.array([-3.0, 0.0, 3.0, 4.0])
    ours = shrink(list(effect), [1.0] * 4)
    between = effect.var(ddof=1) - 1
    factor = between / (between + 1)
    assert ours.between_sd == pytest.approx(np.sqrt(between))
    assert ours.effect == pytest.approx(1.0 + factor * (effect - 1.0))
    # BLUP variance: that of the own part plus that of the estimated mean.
    error = np.sqrt(factor + (1 - factor) ** 2 * (between + 1) / 4)
    assert ours.standard_error == pytest.approx(np.full(4, error))


def test_no_heterogeneity_means_one_effect_for_all() -> None:
    # Rubin's schools: Q is below its degrees of freedom.
    ours = shrink(SCHOOLS, ERRORS)
    weights = 1 / np.array(ERRORS) ** 2
    assert ours.between_sd == 0
    assert ours.effect == pytest.approx(np.full(8, weights @ SCHOOLS / weights.sum()))
    assert ours.standard_error == pytest.approx(np.full(8, weights.sum() ** -0.5))


def test_shrinking_beats_raw_effects_on_average() -> None:
    rng = np.random.default_rng(1)
    raw = shrunken = 0.0
    for _ in range(300):
        error = rng.uniform(0.5, 2, 8)
        truth = rng.normal(1, 0.7, 8)
        seen = truth + error * rng.standard_normal(8)
        raw += float(((seen - truth) ** 2).sum())
        shrunken += float(((shrink(list(seen), list(error)).effect - truth) ** 2).sum())
    assert shrunken < 0.6 * raw


def test_segments_that_are_not_estimable_are_left_out() -> None:
    effect, error = [*SPREAD, np.nan, 5.0], [*SPREAD_ERRORS, 1.0, np.nan]
    ours = shrink(effect, error)
    assert ours.effect[:6] == pytest.approx(shrink(SPREAD, SPREAD_ERRORS).effect)
    assert np.isnan(ours.effect[6:]).all()
    assert np.isnan(ours.standard_error[6:]).all()
    assert heterogeneity(effect, error) == heterogeneity(SPREAD, SPREAD_ERRORS)


def test_too_few_segments() -> None:
    assert "fewer than two" in heterogeneity([1.0], [1.0]).reason
    assert np.isnan(heterogeneity([], []).p_value)
    few = shrink([1.0, 2.0], [1.0, 1.0])
    assert "fewer than three" in few.reason
    assert np.isnan(few.effect).all()


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="one standard error"):
        heterogeneity([1.0, 2.0], [1.0])
