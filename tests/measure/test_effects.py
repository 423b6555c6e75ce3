"""Effect rows against tea-tasting and a recomputation in numpy from the units' rows."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from effect_cases import CALENDAR, METRICS, MONTHS, UNITS, outcomes_of, plan_of
from scipy import stats

from loyalty_exp.declare.frozen import Calendar, StratumCounts
from loyalty_exp.measure.effects import (
    ACTIVE_MONTHS,
    Question,
    effect_rows,
    estimate_looks,
    method_of,
    ratio_rows,
)
from loyalty_exp.measure.results import LEANS_HIGH, LEANS_LOW, EffectRow
from loyalty_exp.stats.looks import boundaries, spending_function
from loyalty_exp.store.outcomes import Outcomes, covariate_of


def rows_for(question: Question, **changed: Any) -> list[EffectRow]:
    return effect_rows(plan_of(**changed), outcomes_of(UNITS), CALENDAR, question)


def find(rows: list[EffectRow], metric: str, month: str) -> EffectRow:
    (row,) = [row for row in rows if row.metric == metric and row.month == month]
    return row


def cuped(units: pd.DataFrame, arm: str, against: str, outcome: str) -> tuple[float, float, float]:
    """Pooled CUPED by hand: effect, standard error, Welch degrees of freedom."""
    both = units[units["arm"].isin([arm, against])]
    y, x = both[outcome].to_numpy(float), both[covariate_of(outcome)].to_numpy(float)
    theta = np.cov(y, x)[0, 1] / np.var(x, ddof=1)
    e = y - theta * x
    t, c = e[both["arm"] == arm], e[both["arm"] == against]
    v1, v0 = t.var(ddof=1) / len(t), c.var(ddof=1) / len(c)
    df = (v1 + v0) ** 2 / (v1**2 / (len(t) - 1) + v0**2 / (len(c) - 1))
    return t.mean() - c.mean(), math.sqrt(v1 + v0), df


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("against", ["holdout", "b"])
def test_every_row_equals_pooled_cuped_by_hand(metric: str, against: str) -> None:
    rows = rows_for(Question("a", against))
    variables = dict(zip(CALENDAR.labels, (f"{metric}_{k}" for k in range(MONTHS)), strict=False))
    for month, variable in {**variables, "cumulative": f"{metric}_c2"}.items():
        row = find(rows, metric, month)
        effect, error, df = cuped(UNITS, "a", against, variable)
        assert row.effect_per_customer == pytest.approx(effect, rel=1e-9)
        assert row.standard_error == pytest.approx(error, rel=1e-9)
        reach = stats.t.ppf(0.975, df) * error
        assert row.ci_lower == pytest.approx(effect - reach, rel=1e-9)
        assert row.ci_upper == pytest.approx(effect + reach, rel=1e-9)
        assert row.p_value == pytest.approx(2 * stats.t.sf(abs(effect / error), df), rel=1e-8)
        assert row.total_effect == pytest.approx(200 * effect, rel=1e-9)
        assert row.mean_treated - row.mean_holdout == pytest.approx(effect, rel=1e-9)


def test_the_cumulative_row_equals_tea_tasting() -> None:
    row = find(rows_for(Question("a", "holdout")), "revenue", "cumulative")
    data = UNITS[UNITS["arm"] != "b"].assign(variant=lambda d: (d["arm"] == "a").astype(int))
    experiment = tt.Experiment(m=tt.Mean("revenue_c2", covariate="revenue_x"))
    theirs = experiment.analyze(data)["m"]
    assert row.effect_per_customer == pytest.approx(theirs.effect_size, rel=1e-9)
    assert row.ci_lower == pytest.approx(theirs.effect_size_ci_lower, rel=1e-9)
    assert row.ci_upper == pytest.approx(theirs.effect_size_ci_upper, rel=1e-9)
    assert row.p_value == pytest.approx(theirs.pvalue, rel=1e-8)


def test_rows_cover_months_begun_and_say_which_are_closed() -> None:
    rows = rows_for(Question("a", "holdout"))
    revenue = [row for row in rows if row.metric == "revenue"]
    assert [(row.month, row.closed) for row in revenue] == [
        ("2026-03", True),
        ("2026-04", True),
        ("2026-05", True),
        ("2026-06", False),
        ("cumulative", True),
    ]


def test_a_segment_counts_its_own_units_only() -> None:
    row = find(rows_for(Question("a", "holdout", "s1")), "revenue", "cumulative")
    inside = UNITS[UNITS["segment"] == "s1"]
    assert row.n_treated == (inside["arm"] == "a").sum()
    assert row.effect_per_customer == pytest.approx(
        cuped(inside, "a", "holdout", "revenue_c2")[0], rel=1e-9
    )


def test_waves_are_weighted_by_their_size() -> None:
    units = UNITS.assign(wave=np.arange(len(UNITS)) % 3 // 2)  # two thirds, one third
    rows = effect_rows(plan_of(), outcomes_of(units, 2), CALENDAR, Question("a", "holdout"))
    row = find(rows, "revenue", "cumulative")
    parts = [units[units["wave"] == wave] for wave in (0, 1)]
    parts = [part[part["arm"] != "b"] for part in parts]
    weights = np.array([len(part) for part in parts]) / sum(len(part) for part in parts)
    found = [cuped(part, "a", "holdout", "revenue_c2") for part in parts]
    assert row.effect_per_customer == pytest.approx(
        sum(w * f[0] for w, f in zip(weights, found, strict=True)), rel=1e-9
    )
    variance = sum((w * f[1]) ** 2 for w, f in zip(weights, found, strict=True))
    assert row.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_the_simultaneous_interval_holds_the_single_one() -> None:
    for row in rows_for(Question("a", "holdout")):
        assert row.simultaneous_ci_lower <= row.ci_lower
        assert row.simultaneous_ci_upper >= row.ci_upper


def test_looks_use_the_boundary_of_their_own_correlation() -> None:
    looks = estimate_looks(
        plan_of(), outcomes_of(UNITS), CALENDAR, Question("a", "holdout"), "revenue"
    )
    both = UNITS[UNITS["arm"] != "b"]
    x = both["revenue_x"].to_numpy(float)
    residuals = []
    for k in range(3):
        y = both[f"revenue_c{k}"].to_numpy(float)
        residuals.append(y - np.cov(y, x)[0, 1] / np.var(x, ddof=1) * x)
    e = np.array(residuals)
    treated = (both["arm"] == "a").to_numpy()
    sigma = np.cov(e[:, treated]) / treated.sum() + np.cov(e[:, ~treated]) / (~treated).sum()
    spread = np.sqrt(np.diag(sigma))
    expected = boundaries(
        sigma / np.outer(spread, spread), spending_function("obrien-fleming"), 0.05, 6
    )
    assert [look.boundary for look in looks] == pytest.approx(list(expected), rel=1e-6)
    assert [look.number for look in looks] == [1, 2, 3]
    for k, (look, error) in enumerate(zip(looks, spread, strict=True)):
        df = cuped(UNITS, "a", "holdout", f"revenue_c{k}")[2]
        tail = stats.t.cdf(look.effect.value / error, df)
        assert look.z == pytest.approx(stats.norm.ppf(tail), rel=1e-9), "by equal tail area"


@pytest.mark.parametrize("method", ["w1", "w2"])
def test_z_lies_beyond_the_boundary_where_the_interval_leaves_0_out(method: str) -> None:
    seen = set()
    for lift in np.linspace(-40, 40, 81):
        units = UNITS.copy()
        for k in range(MONTHS):
            units.loc[units["arm"] == "a", f"revenue_c{k}"] += lift
        outcomes = outcomes_of(units)
        plan = plan_of(methods=dict.fromkeys(plan_of().methods, method))
        looks = estimate_looks(plan, outcomes, CALENDAR, Question("a", "holdout"), "revenue")
        for look in looks:
            assert look.significant == (abs(look.z) > look.boundary)
            seen.add(look.significant)
    assert seen == {True, False}


def with_waves(sizes: list[dict[str, int]]) -> pd.DataFrame:
    """Units in waves of these sizes by arm, taken in turn."""
    left = {arm: UNITS[UNITS["arm"] == arm] for arm in ("a", "holdout")}
    parts = []
    for wave, counts in enumerate(sizes):
        for arm, count in counts.items():
            parts.append(left[arm].iloc[:count].assign(wave=wave))
            left[arm] = left[arm].iloc[count:]
    return pd.concat(parts, ignore_index=True)


def test_tiny_waves_are_pooled_until_they_can_stand() -> None:
    """Waves 0 and 1 make a comparison, 2 another, which 3 joins: nobody left out, nothing NaN."""
    sizes = [(38, 1), (60, 25), (50, 30), (9, 0)]
    units = with_waves([{"a": a, "holdout": h} for a, h in sizes])
    row = find(
        effect_rows(plan_of(), outcomes_of(units, 4), CALENDAR, Question("a", "holdout")),
        "revenue",
        "cumulative",
    )
    assert (row.n_treated, row.n_holdout) == (157, 56)
    pools = [units[units["wave"] <= 1], units[units["wave"] > 1]]
    weights = np.array([len(pool) for pool in pools]) / len(units)
    found = [cuped(pool, "a", "holdout", "revenue_c2") for pool in pools]
    effect = sum(w * f[0] for w, f in zip(weights, found, strict=True))
    assert row.effect_per_customer == pytest.approx(effect, rel=1e-9)
    few = with_waves([{"a": 12, "holdout": 1}, {"a": 5, "holdout": 3}])
    row = find(
        effect_rows(plan_of(), outcomes_of(few, 2), CALENDAR, Question("a", "holdout")),
        "revenue",
        "cumulative",
    )
    expected = cuped(few, "a", "holdout", "revenue_c2")
    assert row.effect_per_customer == pytest.approx(expected[0], rel=1e-9)
    assert row.standard_error == pytest.approx(expected[1], rel=1e-9)


def test_contacts_come_off_the_net_result_to_the_cent() -> None:
    """A certain cost is subtracted after the estimate, in the month it is booked, in every pair."""
    waves = UNITS.assign(wave=np.arange(len(UNITS)) % 3 // 2)
    free = outcomes_of(waves, 2)
    paid = replace(free, contacts={(0, "a"): (0, 3.0), (1, "a"): (2, 3.0), (0, "b"): (0, 1.0)})
    for question in (Question("a", "holdout"), Question("a", "b"), Question("a", "b", "s1", 0)):
        before, after = (
            {(r.metric, r.month): r for r in effect_rows(plan_of(), outcomes, CALENDAR, question)}
            for outcomes in (free, paid)
        )
        both = waves[waves["arm"].isin([question.arm, question.against])]
        share = (both["wave"] == 0).mean() if question.wave is None else 1.0
        theirs = 1.0 if question.against == "b" else 0.0
        first, second = share * (3 - theirs), (1 - share) * 3.0
        expected = {"2026-03": first, "2026-05": second, "cumulative": first + second}
        for (metric, month), row in after.items():
            cost = before[metric, month].effect_per_customer - row.effect_per_customer
            right = expected.get(month, 0.0) if metric == "net" else 0.0
            assert cost == pytest.approx(right, abs=1e-12)
            assert row.standard_error == before[metric, month].standard_error
            shift = before[metric, month].ci_lower - row.ci_lower
            assert shift == pytest.approx(right, abs=1e-11)


def test_a_past_boundary_does_not_move_when_a_month_closes() -> None:
    later = Calendar.of(plan_of(), dt.date(2026, 7, 15))
    early = estimate_looks(plan_of(), outcomes_of(UNITS), CALENDAR, Question("a", "holdout"), "net")
    late = estimate_looks(plan_of(), outcomes_of(UNITS), later, Question("a", "holdout"), "net")
    assert len(late) == len(early) + 1
    for before, after in zip(early, late, strict=False):
        assert after.boundary == pytest.approx(before.boundary, rel=1e-9)


def test_an_arm_with_nobody_has_no_rows() -> None:
    assert rows_for(Question("a", "holdout", "nowhere")) == []


def test_before_the_first_month_there_is_nothing() -> None:
    early = Calendar.of(plan_of(), dt.date(2026, 2, 20))
    assert early.begun == 0
    assert (
        effect_rows(plan_of(), Outcomes({}, 0, logged=False), early, Question("a", "holdout")) == []
    )


@pytest.mark.parametrize(
    ("through", "closed", "begun"),
    [
        (dt.date(2026, 2, 28), 0, 0),
        (dt.date(2026, 3, 1), 0, 1),
        (dt.date(2026, 4, 6), 0, 2),
        (dt.date(2026, 4, 7), 1, 2),
        (dt.date(2027, 1, 1), 6, 6),
    ],
)
def test_a_month_closes_when_it_has_settled(through: dt.date, closed: int, begun: int) -> None:
    calendar = Calendar.of(plan_of(), through)
    assert (calendar.closed, calendar.begun) == (closed, begun)


def test_basket_and_frequency_equal_tea_tasting_and_say_whom_they_compare() -> None:
    rows = ratio_rows(plan_of(), outcomes_of(UNITS), CALENDAR, Question("a", "holdout"))
    data = UNITS[UNITS["arm"] != "b"].assign(variant=lambda d: (d["arm"] == "a").astype(int))
    ratios = {"basket": ("revenue", "orders"), "frequency": ("orders", "active")}
    for metric, (above, below) in ratios.items():
        row = find(rows, metric, "cumulative")
        ratio = tt.RatioOfMeans(f"{above}_c2", f"{below}_c2", f"{above}_x", f"{below}_x")
        theirs = tt.Experiment(m=ratio).analyze(data)["m"]
        assert row.effect_per_customer == pytest.approx(theirs.effect_size, rel=1e-6)
        assert row.ci_lower == pytest.approx(theirs.effect_size_ci_lower, rel=1e-6)
        assert "not an effect on the same people" in row.notes
        assert row.total_effect is None
    assert len(rows) == 2 * (CALENDAR.begun + 1)


def test_between_treated_arms_the_frozen_method_holds() -> None:
    methods = dict(plan_of().methods) | {"a:b:revenue": "w2"}
    plan = plan_of(methods=methods)
    assert method_of(plan, Question("a", "b"), "revenue") == "w2"
    assert method_of(plan, Question("a", "holdout"), "revenue") == "w1"


def test_between_treated_arms_of_older_plans_the_method_follows_their_sizes() -> None:
    pair, metric = Question("a", "b"), "revenue"
    for counts, method in (((90, 100, 200), "w1"), ((90, 100, 201), "w2"), ((90, 201, 100), "w2")):
        plan = plan_of(strata=(StratumCounts("z", sum(counts), counts),))
        assert method_of(plan, pair, metric) == method
        assert method_of(plan, Question("a", "holdout"), metric) == "w1"


@pytest.mark.parametrize("frozen", ["w1", "w2", "too few"])
def test_a_part_of_the_audience_is_read_with_care_where_the_holdout_is_small(frozen: str) -> None:
    parts = (Question("a", "holdout", segment="gold"), Question("a", "holdout", wave=1))
    for counts, careful in (((100, 200, 200), "w1"), ((99, 200, 200), "w2")):
        plan = plan_of(
            strata=(StratumCounts("z", sum(counts), counts),),
            methods=dict(plan_of().methods) | {"a:revenue": frozen},
        )
        assert method_of(plan, Question("a", "holdout"), "revenue") == frozen
        for part in parts:
            expected = careful if frozen == "w1" else frozen
            assert method_of(plan, part, "revenue") == expected


def lean_on_one() -> pd.DataFrame:
    """Units of which one, treated, holds most of the variance of the past, and an effect on all."""
    units = UNITS[UNITS["arm"] != "b"].copy()
    for metric in ("revenue", "margin", "net"):
        rate = 1.0 if metric == "revenue" else 0.4
        past = units["revenue_x"].to_numpy().copy()
        past[150] = 60 * past.std()
        units[f"{metric}_x"] = rate * past
        for k in range(MONTHS):
            month = rate * (5 + past / 12) * np.where(units["arm"] == "a", 1.5, 1.0)
            units[f"{metric}_{k}"] = month + rate * units[f"orders_{k}"]
            columns = [f"{metric}_{j}" for j in range(k + 1)]
            units[f"{metric}_c{k}"] = units[columns].sum(axis=1)
    return units


def test_rows_say_where_the_adjustment_leans() -> None:
    question = Question("a", "holdout")
    leaning = effect_rows(plan_of(), outcomes_of(lean_on_one()), CALENDAR, question)
    for metric in ("revenue", "margin", "net"):
        row = find(leaning, metric, "cumulative")
        assert LEANS_LOW in row.notes
        assert row.expected_bias is not None
        assert row.expected_bias < -0.04 * row.standard_error
    margin, net = (find(leaning, metric, "cumulative") for metric in ("margin", "net"))
    assert net.expected_bias == pytest.approx(margin.expected_bias, rel=1e-12)
    plain = effect_rows(plan_of(), outcomes_of(UNITS), CALENDAR, question)
    for row in plain:
        assert row.expected_bias is not None
        noted = LEANS_LOW in row.notes or LEANS_HIGH in row.notes
        size = abs(row.expected_bias) / row.standard_error
        assert noted == (size >= 0.04 and abs(row.effect_per_customer) >= row.standard_error), (
            row.metric
        )


def test_a_loss_is_expected_too_high() -> None:
    swapped = lean_on_one()
    swapped["arm"] = swapped["arm"].map({"a": "holdout", "holdout": "a"})
    rows = effect_rows(plan_of(), outcomes_of(swapped), CALENDAR, Question("a", "holdout"))
    row = find(rows, "revenue", "cumulative")
    assert row.effect_per_customer < 0 < row.expected_bias
    assert LEANS_HIGH in row.notes


def test_months_with_an_order_are_no_share() -> None:
    rows = effect_rows(plan_of(), outcomes_of(UNITS), CALENDAR, Question("a", "holdout"))
    for row in rows:
        summed = row.metric == "active" and row.month == "cumulative"
        assert (ACTIVE_MONTHS in row.notes) == summed


def test_a_look_that_a_handful_of_customers_decides_is_not_significant() -> None:
    """30 customers left out, and from the second month one order of 1,000 among the 200 treated."""
    units = UNITS[UNITS["arm"] != "b"].iloc[70:].reset_index(drop=True)
    treated = (units["arm"] == "a").to_numpy()
    rng = np.random.default_rng(8)
    for k in range(MONTHS):
        units[f"revenue_{k}"] = 10 + 30 * treated + rng.normal(0, 10, len(units))
    units.loc[100, "revenue_1"] = 1000.0
    for k in range(MONTHS):
        units[f"revenue_c{k}"] = units[[f"revenue_{j}" for j in range(k + 1)]].sum(axis=1)
    question = Question("a", "holdout")
    looks = estimate_looks(plan_of(), outcomes_of(units), CALENDAR, question, "revenue")
    assert all(abs(look.z) > look.boundary for look in looks), "beyond every boundary"
    assert [look.significant for look in looks] == [True, False, False]
