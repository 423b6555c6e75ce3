"""Money of an arm against numpy on the unit rows, and its identities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from loyalty_exp.measure.economics import SHARED, economics
from loyalty_exp.measure.results import Estimate
from loyalty_exp.stats.looks import boundaries, obrien_fleming

COUNTS = {"holdout": 150, "offer": 450}
Make = Callable[..., Any]


def cuped(
    y1: np.ndarray, y0: np.ndarray, x1: np.ndarray, x0: np.ndarray
) -> tuple[float, float, float, float, np.ndarray, np.ndarray]:
    """Effect, variance, Welch df, theta and residuals by arm, from rows (Deng et al. 2013)."""
    y, x = np.concatenate([y1, y0]), np.concatenate([x1, x0])
    both = np.cov(y, x)
    theta = both[0, 1] / both[1, 1]
    e1, e0 = y1 - theta * x1, y0 - theta * x0
    v1, v0 = e1.var(ddof=1) / len(e1), e0.var(ddof=1) / len(e0)
    df = (v1 + v0) ** 2 / (v1**2 / (len(e1) - 1) + v0**2 / (len(e0) - 1))
    return e1.mean() - e0.mean(), v1 + v0, df, theta, e1, e0


def rows_of(company: Any, name: str, covariate: str = "margin_x") -> tuple[np.ndarray, ...]:
    return tuple(company.of(v, arm) for v in (name, covariate) for arm in ("offer", "holdout"))


def boundary_of(company: Any, metric: str, k: int, covariate: str = "margin_x") -> float:
    """Boundary of look k from the residuals' correlation, taken from the rows."""
    residuals: list[tuple[np.ndarray, np.ndarray]] = []
    for look in range(k + 1):
        y1, *rest = rows_of(company, f"{metric}_c{look}", covariate)
        residuals.append(cuped(y1, *rest)[4:])
    sigma = sum(np.cov([pair[a] for pair in residuals]) / len(residuals[0][a]) for a in (0, 1))
    spread = np.sqrt(np.diag(sigma))
    return boundaries(sigma / np.outer(spread, spread), obrien_fleming, 0.05, 6)[-1]


def between(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.value is not None
    assert estimate.lower is not None
    assert estimate.upper is not None
    return estimate.value, estimate.lower, estimate.upper


@pytest.fixture(name="case")
def case_fixture(company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make) -> Any:
    """Company, plan, outcomes and economics of one arm with every kind of cost, 3 of 4 closed."""
    made = company(COUNTS, lift=0.4, contact=1.5, redemption=4.0, seed=3)
    costs = {"fixed": 90.0, "per_contact": {"offer": 1.5}, "per_redemption": {"offer": 4.0}}
    plan = plan_of(COUNTS, declaration={"costs": costs})
    outcomes = outcomes_of(made)
    money = economics(plan, outcomes, calendar_of(plan, 3, 4), "offer")
    return made, plan, outcomes, money


def test_net_result_is_one_outcome_at_its_own_boundary(case: Any) -> None:
    made, _, _, money = case
    y1, *rest = rows_of(made, "net_c2")
    tau, variance, df, *_ = cuped(y1, *rest)
    tau -= 1.5
    boundary = boundary_of(made, "net", 2)
    reach = stats.t.isf(stats.norm.sf(boundary), df) * np.sqrt(variance)
    expected = [450 * tau - 90, 450 * (tau - reach) - 90, 450 * (tau + reach) - 90]
    assert between(money.net) == pytest.approx(expected, rel=1e-9)
    paid = stats.t.cdf((tau - 90 / 450) / np.sqrt(variance), df)
    assert money.probability_paid == pytest.approx(paid, rel=1e-9)


def test_margin_minus_cost_is_the_net_result_every_month(case: Any) -> None:
    made, _, _, money = case
    for month in money.months:
        assert month.incremental_margin.value - month.cost == pytest.approx(month.net.value)
    assert [month.closed for month in money.months] == [True, True, True, False]
    assert money.months[0].month == "2024-03"
    assert money.net == money.months[2].net
    assert money.cost == pytest.approx(money.months[2].cost)
    assert money.contact_cost == pytest.approx(450 * 1.5)
    y1, *rest = rows_of(made, "net_c2")
    spent = 450 * (cuped(*rows_of(made, "margin_c2"))[0] - cuped(y1, *rest)[0])
    assert money.redemption_cost == pytest.approx(spent, rel=1e-9)
    logged = (made.of("margin_c2", "offer") - made.of("net_c2", "offer")).sum()
    assert money.redemption_cost == pytest.approx(logged, rel=0.05), "near what was really paid"


def test_revenue_and_holdout_price(case: Any) -> None:
    made, _, _, money = case
    tau = cuped(*rows_of(made, "net_c2"))[0]
    kept = 150 * (tau - 1.5)
    assert money.holdout_opportunity_cost.value == pytest.approx(kept, rel=1e-9)
    tau = cuped(*rows_of(made, "margin_c2"))[0]
    assert money.incremental_margin.value == pytest.approx(450 * tau, rel=1e-9)
    revenue = cuped(*rows_of(made, "revenue_c2", "revenue_x"))[0]
    assert money.incremental_revenue.value == pytest.approx(450 * revenue, rel=1e-9)
    assert money.break_even_per_unit == pytest.approx(money.cost / 450)


def test_return_on_cost_is_where_its_test_rejects(case: Any) -> None:
    """Each limit b of iROI + 1 solves |margin - b cost| = c standard errors, from the rows."""
    made, _, _, money = case
    boundary = boundary_of(made, "net", 2)
    y1, *rest = rows_of(made, "net_c2")
    _, _, df, *_ = cuped(y1, *rest)
    c = stats.t.isf(stats.norm.sf(boundary), df)

    def distance(b: float, sign: float) -> float:
        cost = {
            arm: made.of("margin_c2", arm) - made.of("net_c2", arm) for arm in ("offer", "holdout")
        }
        y = [made.of("margin_c2", arm) - b * cost[arm] for arm in ("offer", "holdout")]
        tau, variance, *_ = cuped(*y, made.of("margin_x", "offer"), made.of("margin_x", "holdout"))
        return tau - b * (1.5 + 90 / 450) - sign * c * np.sqrt(variance)

    value, lower, upper = between(money.iroi)
    assert 1 + lower == pytest.approx(optimize.brentq(distance, -20, 20, args=(1,)), rel=1e-8)
    assert 1 + upper == pytest.approx(optimize.brentq(distance, -20, 20, args=(-1,)), rel=1e-8)
    assert value == pytest.approx(money.net.value / money.cost, rel=1e-9)
    assert (lower > 0) == (money.net.lower > 0)


def test_cost_of_an_order_is_cost_over_orders(case: Any) -> None:
    made, _, _, money = case
    orders = cuped(*rows_of(made, "orders_c2", "orders_x"))[0]
    found = money.cost_per_incremental_order
    if found.value is None:
        assert any("orders" in note or "order" in note for note in money.notes)
    else:
        assert found.value == pytest.approx(money.cost / (450 * orders), rel=1e-9)


def test_cost_of_an_order_with_a_clear_effect_on_orders(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, contact=2.0, seed=5)
    treated = made.arm != "holdout"
    for k in range(4):
        made.values[f"orders_{k}"] += treated
        made.values[f"orders_c{k}"] += treated * (k + 1)
    plan = plan_of(COUNTS, declaration={"costs": {"per_contact": {"offer": 2.0}}})
    outcomes = outcomes_of(made, logged=False)
    money = economics(plan, outcomes, calendar_of(plan, 4), "offer")
    tau, variance, df, *_ = cuped(*rows_of(made, "orders_c3", "orders_x"))
    boundary = boundary_of(made, "orders", 3, covariate="orders_x")
    reach = stats.t.isf(stats.norm.sf(boundary), df) * np.sqrt(variance)
    expected = [2 / tau, 2 / (tau + reach), 2 / (tau - reach)]
    assert between(money.cost_per_incremental_order) == pytest.approx(expected, rel=1e-9)


def test_skewed_method_keeps_return_and_net_result_agreed(case: Any, calendar_of: Make) -> None:
    _, plan, outcomes, _ = case
    skewed = replace(plan, methods=dict.fromkeys(plan.methods, "w2"))
    money = economics(skewed, outcomes, calendar_of(plan, 3), "offer")
    assert money.net.lower is not None
    assert (money.iroi.lower > 0) == (money.net.lower > 0)
    order = money.cost_per_incremental_order
    assert order.value is None or order.lower < order.value < order.upper


def test_too_skewed_gives_no_interval_and_says_so(case: Any, calendar_of: Make) -> None:
    _, plan, outcomes, _ = case
    few = replace(plan, methods=dict.fromkeys(plan.methods, "too few"))
    money = economics(few, outcomes, calendar_of(plan, 3), "offer")
    assert money.net.value is not None
    assert money.net.lower is None
    assert money.iroi == Estimate(None, None, None)
    assert money.probability_paid is None
    assert any("handful" in note for note in money.notes)


def test_without_any_cost(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    plan = plan_of(COUNTS)
    made = company(COUNTS)
    money = economics(plan, outcomes_of(made, logged=False), calendar_of(plan, 2), "offer")
    assert money.cost == 0
    assert money.redemption_cost == 0
    assert money.iroi.value is None
    assert "not meaningful: the campaign added no cost" in money.notes
    assert money.net == money.incremental_margin


def test_fixed_cost_is_shared_by_units_and_paid_takes_its_place(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    counts = {"holdout": 100, "a": 100, "b": 300}
    plan = plan_of(counts, declaration={"costs": {"fixed": 80.0}})
    outcomes = outcomes_of(company(counts))
    calendar = calendar_of(plan, 1)
    both = [economics(plan, outcomes, calendar, arm).fixed_cost for arm in ("a", "b")]
    assert both == pytest.approx([20.0, 60.0])
    paid = {SHARED: 40.0, "a": 7.0}
    both = [economics(plan, outcomes, calendar, arm, paid).fixed_cost for arm in ("a", "b")]
    assert both == pytest.approx([17.0, 30.0])
    assert any("shared" in note for note in economics(plan, outcomes, calendar, "a").notes)


def test_vouchers_are_counted_once_or_their_absence_is_said(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    costs = {"per_redemption": {"offer": 5.0}, "vouchers_in_orders": True}
    outcomes = outcomes_of(company(COUNTS), logged=False)
    for net_of_vouchers, words in ((True, "already net"), (False, "none was loaded")):
        costs["vouchers_in_orders"] = net_of_vouchers
        plan = plan_of(COUNTS, declaration={"costs": costs})
        money = economics(plan, outcomes, calendar_of(plan, 1), "offer")
        assert any(words in note for note in money.notes)
        assert money.redemption_cost == 0


def test_payback_is_the_month_from_which_it_stays_paid(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    made = company(COUNTS, months=6, lift=0.8, contact=8.0, seed=2)
    plan = plan_of(COUNTS, declaration={"costs": {"per_contact": {"offer": 8.0}}})
    money = economics(plan, outcomes_of(made), calendar_of(plan, 6), "offer")
    for found, limit in (
        (money.payback_month, [m.net.value for m in money.months]),
        (money.payback_month_lower, [m.net.lower for m in money.months]),
    ):
        paid = [m.month for k, m in enumerate(money.months) if all(v >= 0 for v in limit[k:])]
        assert found == (paid[0] if paid else None)
    assert money.payback_month is not None
    assert money.payback_month > "2024-03"


def test_waves_pay_their_contacts_when_they_start(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    second = {"holdout": 50, "offer": 150}
    waves = (
        company(COUNTS, contact=2.0, seed=1),
        company(second, contact=2.0, seed=2, wave=1, first=2),
    )
    plan = plan_of(COUNTS, declaration={"costs": {"per_contact": {"offer": 2.0}}})
    outcomes = outcomes_of(*waves, logged=False)
    money = economics(plan, outcomes, calendar_of(plan, 4), "offer")
    assert [m.cost for m in money.months] == pytest.approx([900.0, 900.0, 1200.0, 1200.0])
    assert money.redemption_cost == 0


def test_nothing_closed_nothing_begun_nobody(case: Any, calendar_of: Make) -> None:
    _, plan, outcomes, _ = case
    open_only = economics(plan, outcomes, calendar_of(plan, 0, 1), "offer")
    assert open_only.net == Estimate(None, None, None)
    assert not open_only.months[0].closed
    assert "no month is closed yet" in open_only.notes
    assert open_only.contact_cost == pytest.approx(675.0)
    none = economics(plan, replace(outcomes, groups={}, months=0), calendar_of(plan, 0), "offer")
    assert none.months == ()
    assert none.break_even_per_unit == pytest.approx(90 / 450)
    lonely = {key: value for key, value in outcomes.groups.items() if key[1] != "holdout"}
    alone = economics(plan, replace(outcomes, groups=lonely), calendar_of(plan, 1), "offer")
    assert any("nobody" in note for note in alone.notes)


def test_past_months_do_not_move_when_a_month_is_added(case: Any, calendar_of: Make) -> None:
    _, plan, outcomes, money = case
    early = economics(plan, outcomes, calendar_of(plan, 2), "offer")
    for k in range(2):
        assert between(early.months[k].net) == pytest.approx(between(money.months[k].net))
