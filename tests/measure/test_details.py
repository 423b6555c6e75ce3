"""Parts, fading, reach, sensitivity and segments against numpy and statsmodels on unit rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from loyalty_exp.measure.details import (
    JOINED,
    compare_segments,
    decomposition,
    fading,
    pulled_forward,
    reached_effect,
    sensitivity,
)
from loyalty_exp.measure.effects import Question, effect_rows, ratio_rows
from loyalty_exp.measure.results import Estimate
from loyalty_exp.stats.ancova import Reason

COUNTS = {"holdout": 300, "offer": 700}
Make = Callable[..., Any]


def residuals(company: Any, name: str, covariate: str) -> dict[str, np.ndarray]:
    """Y - theta (X - mean X) by arm, theta from least squares of Y on X over all units."""
    y, x = company.values[name], company.values[covariate]
    theta = sm.OLS(y, sm.add_constant(x)).fit().params[1]
    e = y - theta * (x - x.mean())
    return {arm: e[company.arm == arm] for arm in np.unique(company.arm)}


def gap(e: dict[str, np.ndarray]) -> float:
    return float(e["offer"].mean() - e["holdout"].mean())


@pytest.fixture(name="case")
def case_fixture(company: Make, outcomes_of: Make, plan_of: Make) -> Any:
    made = company(COUNTS, months=6, lift=0.3, seed=9, segments=("gold", "iron", "tin"))
    return made, plan_of(COUNTS), outcomes_of(made)


def test_parts_add_up_to_the_effect_on_revenue(case: Any, calendar_of: Make) -> None:
    made, plan, outcomes = case
    found = decomposition(plan, outcomes, calendar_of(plan, 5), "offer")
    tau = gap(residuals(made, "revenue_c4", "revenue_x"))
    assert found.total == pytest.approx(tau, rel=1e-9)
    parts = {part.name: part.effect.value for part in found.components}
    assert list(parts) == ["reactivation", "frequency", "basket"]
    assert sum(parts.values()) == pytest.approx(tau, rel=1e-9)
    means = {m: residuals(made, f"{m}_c4", f"{m}_x") for m in ("active", "orders", "revenue")}
    r1, r0 = (means["revenue"][arm].mean() for arm in ("offer", "holdout"))
    a1, a0 = (means["active"][arm].mean() for arm in ("offer", "holdout"))
    weight = (r1 - r0) / np.log(r1 / r0)
    assert parts["reactivation"] == pytest.approx(weight * np.log(a1 / a0), rel=1e-9)
    assert abs(parts["basket"]) > abs(parts["frequency"]), "the lift was put on the basket"
    assert decomposition(plan, outcomes, calendar_of(plan, 0, 1), "offer") is None


def test_nobody_bought_has_no_parts_and_a_reason(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, months=2, first=1)
    plan = plan_of(COUNTS)
    found = decomposition(plan, outcomes_of(made), calendar_of(plan, 1), "offer")
    assert all(part.effect.value is None for part in found.components)
    assert found.notes


def test_fading_is_least_squares_with_the_months_covariance(case: Any, calendar_of: Make) -> None:
    made, plan, outcomes = case
    found = fading(plan, outcomes, calendar_of(plan, 6), "offer")
    months = range(1, 6)
    e = [residuals(made, f"revenue_{k}", "revenue_x") for k in months]
    sigma = sum(
        np.cov([month[arm] for month in e]) / len(e[0][arm]) for arm in ("offer", "holdout")
    )
    fit = sm.GLS([gap(month) for month in e], sm.add_constant(list(months)), sigma).fit()
    assert found.slope.value == pytest.approx(fit.params[1], rel=1e-8)
    error = np.sqrt(fit.normalized_cov_params[1, 1])
    width = (found.slope.upper - found.slope.lower) / error
    assert width == pytest.approx(2 * stats.norm.isf(0.025), rel=0.02), "t with hundreds of df"


def test_fading_waits_for_four_months_after_the_first_full_one(
    case: Any, calendar_of: Make
) -> None:
    _, plan, outcomes = case
    assert fading(plan, outcomes, calendar_of(plan, 4), "offer").slope.value is None
    assert fading(plan, outcomes, calendar_of(plan, 4), "offer").notes
    assert fading(plan, outcomes, calendar_of(plan, 5), "offer").slope.value is not None
    midmonth = replace(plan, start=dt.date(2024, 3, 15))
    assert fading(midmonth, outcomes, calendar_of(plan, 5), "offer").slope.value is None
    assert fading(plan, outcomes, calendar_of(plan, 1), "offer") is None


def test_pulled_forward_is_the_effect_on_the_months_after(case: Any, calendar_of: Make) -> None:
    """The campaign ends in its second month: months 2 to 4 as one outcome, by ordinary CUPED."""
    made, plan, outcomes = case
    found = pulled_forward(plan, outcomes, calendar_of(plan, 5), "offer")
    made.values["after"] = sum(made.values[f"revenue_{k}"] for k in (2, 3, 4))
    e = residuals(made, "after", "revenue_x")
    assert found.value == pytest.approx(gap(e), rel=1e-9)
    compare = CompareMeans(DescrStatsW(e["offer"]), DescrStatsW(e["holdout"]))
    expected = compare.tconfint_diff(usevar="unequal")
    assert (found.lower, found.upper) == pytest.approx(expected, rel=1e-8)
    assert pulled_forward(plan, outcomes, calendar_of(plan, 2), "offer") is None


def test_effect_on_the_reached_is_the_effect_over_the_share(case: Any, calendar_of: Make) -> None:
    made, plan, outcomes = case
    found, notes = reached_effect(plan, outcomes, calendar_of(plan, 5), "offer")
    share = made.of("reached", "offer").mean()
    tau = gap(residuals(made, "revenue_c4", "revenue_x"))
    assert found.value == pytest.approx(tau / share, rel=0.02)
    assert notes == ()
    rows = effect_rows(plan, outcomes, calendar_of(plan, 5), Question("offer", "holdout"))
    (row,) = [r for r in rows if r.metric == "revenue" and r.month == "cumulative"]
    assert (found.lower > 0) == (row.simultaneous_ci_lower > 0)
    assert found.lower == pytest.approx(row.simultaneous_ci_lower / share, rel=0.05)
    unlogged = replace(outcomes, logged=False)
    assert reached_effect(plan, unlogged, calendar_of(plan, 5), "offer") == (None, ())


def test_nobody_reached_is_not_estimable_and_says_so(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, months=2)
    made.values["reached"][:] = 0
    plan = plan_of(COUNTS)
    found, notes = reached_effect(plan, outcomes_of(made), calendar_of(plan, 2), "offer")
    assert found.value is None
    assert notes[0].startswith("not estimable")


def test_sensitivity_lines_against_statsmodels(case: Any, calendar_of: Make) -> None:
    made, plan, outcomes = case
    raw, capped = sensitivity(plan, outcomes, calendar_of(plan, 5), "offer")
    samples = (DescrStatsW(made.of("revenue_c4", arm)) for arm in ("offer", "holdout"))
    expected = CompareMeans(*samples).tconfint_diff(usevar="unequal")
    assert raw.name == "unadjusted"
    assert (raw.effect.lower, raw.effect.upper) == pytest.approx(expected, rel=1e-9)
    e = residuals(made, "capped_c4", "capped_x")
    samples = (DescrStatsW(e[arm]) for arm in ("offer", "holdout"))
    expected = CompareMeans(*samples).tconfint_diff(usevar="unequal")
    assert (capped.name, capped.detail) == ("capped", 60.0)
    assert (capped.effect.lower, capped.effect.upper) == pytest.approx(expected, rel=1e-8)
    uncapped = replace(plan, caps={"revenue": None})
    assert len(sensitivity(uncapped, outcomes, calendar_of(plan, 5), "offer")) == 1
    assert sensitivity(plan, outcomes, calendar_of(plan, 0, 1), "offer") == ()


def test_segments_against_a_meta_analysis(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """Arms alike in size: Welch's variances."""
    counts = {"holdout": 400, "offer": 600}
    made = company(counts, months=6, lift=0.3, seed=9, segments=("gold", "iron", "tin"))
    plan, outcomes = plan_of(counts), outcomes_of(made)
    found = compare_segments(plan, outcomes, calendar_of(plan, 5), "offer")
    effects, variances = [], []
    for segment in ("gold", "iron", "tin"):
        inside = made.segment == segment
        part = replace_rows(made, inside)
        e = residuals(part, "revenue_c4", "revenue_x")
        effects.append(gap(e))
        variances.append(sum(e[arm].var(ddof=1) / len(e[arm]) for arm in e))
    pooled = combine_effects(np.array(effects), np.array(variances), method_re="iterated")
    assert [rank.effect.value for rank in found.segments] == pytest.approx(effects, rel=1e-9)
    assert found.q == pytest.approx(pooled.q, rel=1e-8)
    assert (found.df, found.p_value) == (2, pytest.approx(stats.chi2.sf(pooled.q, 2), rel=1e-8))
    shrunken = [rank.shrunken.value for rank in found.segments]
    between = pooled.tau2
    mean = np.average(effects, weights=1 / (np.array(variances) + between))
    factors = between / (between + np.array(variances))
    assert shrunken == pytest.approx(mean + factors * (np.array(effects) - mean), rel=1e-3)
    assert all(rank.p_value_holm is not None for rank in found.segments)
    assert min(r.p_value_holm for r in found.segments) >= 0


def replace_rows(company: Any, inside: np.ndarray) -> Any:
    """The company's units that are inside."""
    values = {name: column[inside] for name, column in company.values.items()}
    return replace(company, values=values, arm=company.arm[inside], segment=company.segment[inside])


def test_one_segment_has_nothing_to_compare(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    plan = plan_of(COUNTS)
    outcomes = outcomes_of(company(COUNTS, months=2))
    assert compare_segments(plan, outcomes, calendar_of(plan, 2), "offer") is None


def test_a_segment_without_holdout_is_shown_as_not_estimable(case: Any, calendar_of: Make) -> None:
    _, plan, outcomes = case
    groups = {k: v for k, v in outcomes.groups.items() if k[1:] != ("holdout", "tin")}
    found = compare_segments(plan, replace(outcomes, groups=groups), calendar_of(plan, 3), "offer")
    (tin,) = [rank for rank in found.segments if rank.segment == "tin"]
    assert tin.effect.value is None
    assert tin.p_value_holm is None
    assert found.df == 1
    assert all(rank.shrunken.value is None for rank in found.segments), "two are too few to shrink"


def test_where_too_few_decide_nothing_has_limits(case: Any, calendar_of: Make) -> None:
    _, plan, outcomes = case
    few = replace(plan, methods=dict.fromkeys(plan.methods, "too few"))
    calendar = calendar_of(plan, 6)
    parts = decomposition(few, outcomes, calendar, "offer")
    assert parts.notes == (str(Reason.TOO_FEW),)
    after = pulled_forward(few, outcomes, calendar, "offer")
    for found in (*(part.effect for part in parts.components), after):
        assert found.value is not None
        assert found.lower is None
    assert fading(few, outcomes, calendar, "offer").notes == (str(Reason.TOO_FEW),)
    nothing = Estimate(None, None, None)
    assert reached_effect(few, outcomes, calendar, "offer") == (nothing, (str(Reason.TOO_FEW),))
    segments = compare_segments(few, outcomes, calendar, "offer")
    assert segments.p_value is None
    for rank in segments.segments:
        assert rank.effect.value is not None
        assert (rank.effect.lower, rank.shrunken.lower, rank.p_value_holm) == (None, None, None)
    for row in ratio_rows(few, outcomes, calendar, Question("offer", "holdout")):
        assert row.effect_per_customer is not None
        assert (row.ci_lower, row.p_value) == (None, None)
        assert str(Reason.TOO_FEW) in row.notes


def test_customers_who_join_month_by_month_have_no_slope(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """The effect per unit of a wave that has not begun is 0: a slope would show the enrolment."""
    waves = [company(COUNTS, months=6, wave=w, first=w, lift=0.5, seed=w) for w in range(4)]
    plan = plan_of(COUNTS)
    found = fading(plan, outcomes_of(*waves), calendar_of(plan, 6), "offer")
    assert found.slope.value is None
    assert found.notes == (JOINED,)
