"""What makes each verdict: hand-made intervals for the rules, simulation for the outlook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from loyalty_exp.measure.economics import economics
from loyalty_exp.measure.results import (
    Check,
    CheckStatus,
    Estimate,
    MoneyMonth,
    VerdictKind,
)
from loyalty_exp.measure.verdict import (
    LOOKS_DONE,
    NOT_CONFIRMED,
    SKEWED_NOW,
    TOO_FEW,
    TOO_SMALL,
    elapsed_shares,
    verdict,
)
from loyalty_exp.stats.looks import boundaries, obrien_fleming

COUNTS = {"holdout": 200, "offer": 600}
Make = Callable[..., Any]
Row = tuple[tuple[float, float, float], float]
"""Margin (value, lower, upper) and cost at the end of a month."""


@pytest.fixture(name="judge")
def judge_fixture(company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make) -> Make:
    """The verdict on hand-made money of six planned months (31, 30, 31, 30, 31, 31 days)."""
    plan = plan_of(COUNTS)
    outcomes = outcomes_of(company(COUNTS, months=6, seed=4))
    blank = economics(plan, outcomes, calendar_of(plan, 6), "offer")

    def judge(
        *rows: Row,
        fixed: float = 0.0,
        checks: tuple[Check, ...] = (),
        begun: int = 0,
        skewed: tuple[int, ...] = (),
    ) -> Any:
        months = []
        for k, (margin, cost) in enumerate(rows):
            net = Estimate(*(value - cost for value in margin))
            label = f"2024-{k + 3:02d}"
            closed = k < len(rows) - begun
            margins = Estimate(*margin)
            months.append(MoneyMonth(label, closed, margins, cost, net, k not in skewed))
        money = replace(blank, months=tuple(months), fixed_cost=fixed)
        calendar = calendar_of(plan, len(rows) - begun, len(rows))
        return verdict(plan, outcomes, calendar, "offer", money, checks)

    return judge


def test_keep_needs_the_lower_limit_above_zero(judge: Make) -> None:
    found = judge(((500.0, 100.0, 900.0), 90.0), fixed=90.0)
    assert found.kind is VerdictKind.KEEP, "the holdout would bring 100 x 200/600 < 90 again"
    assert found.net == Estimate(410.0, 10.0, 810.0)
    assert (found.month, found.decided_month) == ("2024-03", "2024-03")
    nearly = judge(((500.0, 89.0, 900.0), 90.0), fixed=90.0)
    assert nearly.kind in {VerdictKind.NOT_YET, VerdictKind.NEVER}


def test_enlarge_when_the_holdout_would_pay_the_fixed_cost_again(judge: Make) -> None:
    assert judge(((500.0, 300.0, 900.0), 90.0), fixed=90.0).kind is VerdictKind.ENLARGE
    assert judge(((500.0, 269.0, 900.0), 90.0), fixed=90.0).kind is VerdictKind.KEEP
    assert judge(((500.0, 271.0, 900.0), 90.0), fixed=90.0).kind is VerdictKind.ENLARGE
    assert judge(((500.0, 1.0, 900.0), 0.0)).kind is VerdictKind.ENLARGE


def test_a_cost_paid_first_is_not_a_loss_for_good(judge: Make) -> None:
    """After 31 of 184 days 100 of margin at most may become 594: a cost of 500 may come back."""
    early = judge(((50.0, 10.0, 100.0), 500.0))
    assert early.kind is not VerdictKind.STOP
    assert judge(((50.0, 10.0, 100.0), 600.0)).kind is VerdictKind.STOP
    assert judge(((50.0, 10.0, 84.2), 500.0)).kind is VerdictKind.STOP
    assert judge(((-50.0, -90.0, -1.0), 0.0)).kind is VerdictKind.STOP


def test_at_the_last_look_stop_is_the_interval_alone(judge: Make) -> None:
    wide = ((0.0, -900.0, 900.0), 0.0)
    assert judge(*[wide] * 5, ((50.0, 10.0, 99.0), 100.0)).kind is VerdictKind.STOP
    final = judge(*[wide] * 5, ((50.0, 10.0, 101.0), 100.0))
    assert final.kind is VerdictKind.NEVER
    assert final.reasons == (LOOKS_DONE,)


def test_a_verdict_stays_and_shows_the_month_that_bears_it(judge: Make) -> None:
    gain, doubt = ((500.0, 100.0, 900.0), 0.0), ((300.0, -100.0, 700.0), 0.0)
    later = judge(gain, doubt)
    assert later.kind is VerdictKind.ENLARGE
    assert (later.month, later.decided_month) == ("2024-03", "2024-03")
    assert later.net.lower == 100.0
    assert later.reasons == (NOT_CONFIRMED,)
    again = judge(doubt, gain, doubt, gain)
    assert (again.month, again.decided_month) == ("2024-06", "2024-04")
    assert again.reasons == ()
    loss = ((-500.0, -900.0, -100.0), 0.0)
    assert judge(gain, loss).kind is VerdictKind.ENLARGE
    assert judge(loss, gain).kind is VerdictKind.STOP


def test_no_verdict_rests_on_a_reading_that_a_handful_of_customers_decides(judge: Make) -> None:
    gain, loss = ((500.0, 100.0, 900.0), 0.0), ((-500.0, -900.0, -100.0), 0.0)
    for decisive in (gain, loss):
        found = judge(decisive, skewed=(0,))
        assert found.kind is VerdictKind.NOT_YET
        assert found.reasons == (SKEWED_NOW,)
        assert found.decided_month is None
    # Less skewed at the next reading, it decides; a verdict from before stays.
    assert judge(gain, gain, skewed=(0,)).decided_month == "2024-04"
    stays = judge(gain, gain, skewed=(1,))
    assert (stays.kind, stays.decided_month) == (VerdictKind.ENLARGE, "2024-03")
    assert stays.reasons == (NOT_CONFIRMED,)
    last = judge(*[gain] * 6, skewed=tuple(range(6)))
    assert (last.kind, last.reasons) == (VerdictKind.NEVER, (TOO_FEW,))


def test_open_months_decide_nothing(judge: Make) -> None:
    gain, doubt = ((500.0, 100.0, 900.0), 0.0), ((300.0, -100.0, 700.0), 0.0)
    assert judge(gain, begun=1).kind is VerdictKind.NO_DATA
    found = judge(doubt, gain, begun=1)
    assert found.kind in {VerdictKind.NOT_YET, VerdictKind.NEVER}
    assert found.month == "2024-03"


def test_a_failed_critical_check_takes_the_place_of_the_verdict(judge: Make) -> None:
    gain = ((500.0, 100.0, 900.0), 0.0)
    failed = Check("roster", CheckStatus.FAILED, critical=True, values={})
    minor = Check("power", CheckStatus.FAILED, critical=False, values={})
    passed = Check("split", CheckStatus.PASSED, critical=True, values={})
    found = judge(gain, checks=(passed, failed, minor))
    assert found.kind is VerdictKind.SUSPENDED
    assert found.reasons == ("roster",)
    assert found.net.value == 500.0
    assert judge(gain, checks=(passed, minor)).kind is VerdictKind.ENLARGE
    assert judge(checks=(failed,)).kind is VerdictKind.SUSPENDED


def test_shares_of_the_planned_days(plan_of: Make, calendar_of: Make) -> None:
    plan = plan_of(COUNTS)
    days = np.cumsum([31, 30, 31, 30, 31, 31])
    assert elapsed_shares(plan, calendar_of(plan, 1)) == pytest.approx(days / 184)
    late = replace(plan, start=plan.start.replace(day=21))
    assert elapsed_shares(late, calendar_of(late, 1)) == pytest.approx((days - 20) / 164)


def standing(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make, closed: int, **how: Any
) -> Any:
    """The verdict on a simulated campaign after some months, and its plan, outcomes and money."""
    counts = how.pop("counts", COUNTS)
    costs = {"per_contact": {"offer": how.get("contact", 0.0)}}
    changes = how.pop("changes", {})
    plan = plan_of(counts, declaration={"costs": costs}, **changes)
    outcomes = outcomes_of(company(counts, months=closed, **how), logged=False)
    calendar = calendar_of(plan, closed)
    money = economics(plan, outcomes, calendar, "offer")
    return verdict(plan, outcomes, calendar, "offer", money, ()), money


def test_not_yet_says_when(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    make = (company, outcomes_of, plan_of, calendar_of)
    found, money = standing(*make, 1, lift=0.25, counts={"holdout": 900, "offer": 2100}, seed=7)
    assert found.kind is VerdictKind.NOT_YET
    assert money.net.value > 0
    assert found.expected_month is not None
    assert "2024-03" < found.expected_month <= "2024-08"
    flat, _ = standing(*make, 1, lift=0.0, counts={"holdout": 900, "offer": 2100}, seed=11)
    assert flat.kind is VerdictKind.NOT_YET
    assert flat.expected_month == "2024-08", "nothing to see at this pace: the last planned look"


def outlook(money: Any, counts: dict[str, int], closed: int) -> tuple[np.ndarray, ...]:
    """Net result, error (per unit) and boundary at the six looks, written out from the spec.

    The error comes back from the published interval: 2 c(df large) errors wide.
    """
    days = np.cumsum([31, 30, 31, 30, 31, 31]) / 184
    grown = days / days[closed - 1]
    correlation = np.sqrt(np.minimum.outer(days, days) / np.maximum.outer(days, days))
    critical = boundaries(correlation, obrien_fleming, 0.05, 6)
    n = counts["offer"]
    net = (money.incremental_margin.value * grown - money.cost) / n
    # probability_paid is t(net / error) with hundreds of degrees of freedom
    error = money.net.value / n / stats.norm.ppf(money.probability_paid) * np.sqrt(grown)
    return net, error, critical


@pytest.mark.parametrize("lift", [0.15, 0.2, 0.3])
def test_expected_month_is_the_first_that_has_the_power(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make, lift: float
) -> None:
    counts = {"holdout": 900, "offer": 2100}
    make = (company, outcomes_of, plan_of, calendar_of)
    found, money = standing(*make, 1, lift=lift, counts=counts, seed=7)
    net, error, critical = outlook(money, counts, 1)
    power = stats.norm.sf(critical - np.abs(net) / error)
    enough = [k for k in range(1, 6) if power[k] >= 0.8]
    assert found.kind is VerdictKind.NOT_YET
    assert found.expected_month == f"2024-{3 + (enough[0] if enough else 5):02d}"


def test_never_when_even_a_large_effect_would_stay_hidden(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    counts = {"holdout": 30, "offer": 60}
    found, money = standing(company, outcomes_of, plan_of, calendar_of, 5, counts=counts, seed=3)
    assert found.kind is VerdictKind.NEVER
    assert found.reasons == (TOO_SMALL,)
    net, error, critical = outlook(money, counts, 5)
    detectable = (critical[-1] + stats.norm.ppf(0.8)) * error[-1]
    largest = abs(net[4]) + 1.96 * error[4]
    assert detectable > largest * 184 / 153


def test_a_certain_loss_can_be_known_whatever_the_size(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    """Where the cost is far above any effect held possible, the loss will be seen."""
    make = (company, outcomes_of, plan_of, calendar_of)
    found, _ = standing(*make, 2, counts={"holdout": 30, "offer": 60}, contact=60.0, seed=3)
    assert found.kind in {VerdictKind.NOT_YET, VerdictKind.STOP}


def test_too_few_to_know(
    company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make
) -> None:
    methods = {f"offer:{m}": "too few" for m in ("revenue", "margin", "orders", "active", "net")}
    make = (company, outcomes_of, plan_of, calendar_of)
    found, _ = standing(*make, 2, changes={"methods": methods})
    assert found.kind is VerdictKind.NEVER
    assert found.reasons == (TOO_FEW,)
