"""The programme's total: from the universal holdout, with the campaigns' costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loyalty_exp.measure.economics import economics
from loyalty_exp.measure.effects import Question, effect_rows
from loyalty_exp.measure.programme import programme
from loyalty_exp.measure.results import (
    ArmResult,
    CampaignResult,
    Estimate,
    Provenance,
    Verdict,
    VerdictKind,
)

COUNTS = {"holdout": 100, "programme": 900}
Make = Callable[..., Any]


@pytest.fixture(name="measured")
def measured_fixture(company: Make, outcomes_of: Make, plan_of: Make, calendar_of: Make) -> Make:
    """A measured campaign of one arm, with a declared fixed cost."""

    def measured(fixed: float, seed: int, **changes: Any) -> CampaignResult:
        plan = plan_of(COUNTS, declaration={"costs": {"fixed": fixed}}, **changes)
        outcomes = outcomes_of(company(COUNTS, lift=0.2, seed=seed), logged=False)
        calendar = calendar_of(plan, 3, 4)
        money = economics(plan, outcomes, calendar, "programme")
        nothing = Estimate(None, None, None)
        arm = ArmResult(
            arm="programme",
            n_treated=900,
            n_holdout=100,
            method="W1",
            band="sup-t",
            looks=(),
            economics=money,
            decomposition=None,
            wearout=None,
            pull_forward=None,
            reached=None,
            reached_notes=(),
            influence=(),
            sensitivity=(),
            heterogeneity=None,
            permutation_p_value=None,
            verdict=Verdict(VerdictKind.NOT_YET, nothing, None),
        )
        day = dt.date(2024, 6, 10)
        return CampaignResult(
            campaign=plan.campaign,
            plan=plan,
            rows=tuple(effect_rows(plan, outcomes, calendar, Question("programme", "holdout"))),
            arms=(arm,),
            checks=(),
            flow=(),
            deviations=(),
            closed_through="2024-05",
            provenance=Provenance(day, day, (), "0", "duckdb", "test"),
        )

    return measured


def test_the_total_is_the_universal_holdouts_less_the_costs(measured: Make) -> None:
    universal = measured(0.0, 1, campaign="universal_holdout")
    campaigns = [measured(300.0, 2), measured(200.0, 3)]
    found = programme(universal, campaigns)
    money = universal.arms[0].economics
    assert found.cost == 500.0
    assert found.net.value == pytest.approx(money.incremental_margin.value - 500)
    assert found.net.lower == pytest.approx(money.incremental_margin.lower - 500)
    assert found.incremental_revenue == money.incremental_revenue
    assert found.campaigns == 2
    naive = sum(c.arms[0].economics.net.value for c in campaigns)
    assert found.sum_of_campaigns == pytest.approx(naive)
    assert found.sum_of_campaigns != pytest.approx(found.net.value)
    assert "counted several times" in found.notes[0]


def test_the_share_is_of_the_treated_customers_revenue(measured: Make) -> None:
    universal = measured(0.0, 1, campaign="universal_holdout")
    (row,) = [r for r in universal.rows if r.metric == "revenue" and r.month == "cumulative"]
    found = programme(universal, [measured(300.0, 2)])
    assert found.treated_revenue == pytest.approx(900 * row.mean_treated)
    assert found.cost_share == pytest.approx(300 / (900 * row.mean_treated))
    assert found.month == "2024-05"


def test_campaigns_outside_its_period_or_not_known_are_named(measured: Make) -> None:
    universal = measured(0.0, 1, campaign="universal_holdout")
    earlier = measured(300.0, 2, start=dt.date(2024, 2, 1))
    unknown = measured(200.0, 3)
    blank = replace(unknown.arms[0].economics, net=Estimate(None, None, None))
    unknown = replace(unknown, arms=(replace(unknown.arms[0], economics=blank),))
    found = programme(universal, [earlier, unknown])
    assert found.cost == 200.0
    assert found.campaigns == 1
    assert found.sum_of_campaigns is None
    assert len(found.notes) == 3


def test_what_was_spent_after_the_margin_ends_is_not_counted(measured: Make) -> None:
    """A campaign that began in a month still open has cost money and could not earn any yet."""
    universal = measured(0.0, 1, campaign="universal_holdout")
    campaign = measured(300.0, 2)
    months = tuple(
        replace(month, month=f"2024-0{6 + k}")
        for k, month in enumerate(campaign.arms[0].economics.months)
    )
    late = replace(campaign.arms[0].economics, months=months)
    later = replace(campaign, arms=(replace(campaign.arms[0], economics=late),))
    assert programme(universal, [campaign, later]).cost == 300.0
    none = replace(universal, closed_through=None)
    assert programme(none, [campaign]).cost == 0.0


def test_a_failed_critical_check_leaves_no_result(measured: Make) -> None:
    universal = measured(0.0, 1, campaign="universal_holdout")
    (arm,) = universal.arms
    nothing = Estimate(None, None, None)
    failed = Verdict(VerdictKind.SUSPENDED, nothing, None, reasons=("contamination",))
    suspended = replace(universal, arms=(replace(arm, verdict=failed),))
    found = programme(suspended, [measured(300.0, 2)])
    assert found.net == nothing
    assert found.cost == 300.0
    assert "suspended" in found.notes[0]
    assert programme(universal, [measured(300.0, 2)]).net.value is not None
