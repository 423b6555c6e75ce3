"""The plan stage on a small company: against pandas, statsmodels, and the launch that follows."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
import statsmodels.api as sm
from click.testing import CliRunner
from company import MONTHS, order_rows
from scipy import stats

from loyalty_exp.cli import main
from loyalty_exp.design.past import History, detectable_by_length
from loyalty_exp.project import Project
from loyalty_exp.store import tables

Company = Callable[[str], Project]

WINBACK = """
[campaign.winback]
name = "Win-back"
segments = ["buyers"]
lever = "relational"
objective = "revenue"
start = 2026-03-01
end = 2026-04-30
measure_until = 2026-05-31
arms = { holdout = 20, call = 40, letter = 40 }
consent = "optin"
costs = { budget = 500, fixed = 100, per_contact = { call = 4, letter = 1 }, per_redemption = { letter = 5 } }
"""  # noqa: E501


def spent(first: str, last: str) -> pd.Series:
    """Revenue by customer from one day to another, both included."""
    orders = pd.DataFrame(order_rows(), columns=["id", "who", "at", "paid"])
    day = pd.to_datetime(orders["at"]).dt.strftime("%Y-%m-%d")
    return orders[(day >= first) & (day <= last)].groupby("who")["paid"].sum()


def buyers(year_before: str, as_of: str) -> list[str]:
    """Customers with four orders in the twelve months before, who agreed to be written to."""
    orders = pd.DataFrame(order_rows(), columns=["id", "who", "at", "paid"])
    day = pd.to_datetime(orders["at"]).dt.strftime("%Y-%m-%d")
    counts = orders[(day > year_before) & (day <= as_of)].groupby("who").size()
    return [who for who in counts.index[counts >= 4] if int(who) % 10]


def test_the_forecast_is_that_of_the_last_comparable_period(company: Company) -> None:
    report = company(WINBACK).plan("winback", draws=0)
    who = buyers("2024-11-30", "2025-11-30")
    y = spent("2025-12-01", "2026-02-28").reindex(who, fill_value=0)
    x = spent("2024-12-01", "2025-11-30").reindex(who, fill_value=0)
    period = report.period
    assert period is not None
    assert (period.first_month, period.months, period.covariate_months) == ("2025-12", 3, 12)
    assert period.units == len(who)
    assert period.mean == pytest.approx(y.mean(), rel=1e-9)
    fit = sm.OLS(y.to_numpy(), sm.add_constant(x.to_numpy())).fit()
    assert period.residual_sd == pytest.approx(np.sqrt(fit.scale), rel=1e-9)
    assert period.margin_mean == pytest.approx(0.4 * y.mean(), rel=1e-9)
    assert period.margin_residual_sd == pytest.approx(0.4 * np.sqrt(fit.scale), rel=1e-9)
    for arm in report.arms:
        df = arm.units + arm.holdout - 3
        reach = stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)
        error = np.sqrt(fit.scale * (1 / arm.units + 1 / arm.holdout))
        assert arm.mde == pytest.approx(reach * error, rel=1e-9)
        assert arm.mde_relative == pytest.approx(reach * error / y.mean(), rel=1e-9)


def test_costs_and_break_even(company: Company) -> None:
    report = company(WINBACK).plan("winback", draws=0)
    call, letter = report.arms
    costs = report.costs
    assert costs.contacts == 4 * call.units + letter.units
    assert costs.total == 100 + costs.contacts
    assert costs.redemptions_at_most == 5 * letter.units
    assert costs.over_budget == max(0, costs.total - 500)
    assert call.cost + letter.cost == pytest.approx(costs.total)
    fixed = 100 / (call.units + letter.units)
    assert (call.break_even, letter.break_even) == pytest.approx((4 + fixed, 1 + fixed))
    assert report.period is not None
    assert call.break_even_relative == pytest.approx((4 + fixed) / report.period.forecast_margin)


def test_the_launch_draws_what_the_plan_showed(company: Company) -> None:
    project = company(WINBACK)
    report = project.plan("winback", draws=0)
    plan = project.launch("winback").plan
    assert report.flow == plan.flow
    assert dict(report.flow)["excluded: no consent"] > 0
    after = project.plan("winback", draws=0)
    assert (after.launched, after.flow) == (True, plan.flow)
    assert after.period == report.period


def test_a_plan_leaves_nothing_in_the_store(company: Company) -> None:
    project = company(WINBACK)
    before = (project.base / "loyalty.duckdb").read_bytes()
    project.plan("winback", draws=20)
    assert (project.base / "loyalty.duckdb").read_bytes() == before
    with project.store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.memberships)) == 0


def test_replay_and_formula_stand_side_by_side(company: Company) -> None:
    report = company(WINBACK).plan("winback", draws=500)
    for arm in report.arms:
        replay = arm.replay
        assert replay is not None
        assert replay.draws >= 500
        # 24 months of history, 3 of outcome: latest start December 2025, the earliest that leaves
        # twelve months for the covariate March 2025
        assert len(replay.periods) == 10
        assert (replay.periods[0], replay.periods[-1]) == ("2025-12", "2025-03")
        assert arm.mde_relative is not None
        assert replay.mde_today == pytest.approx(arm.mde_relative, rel=0.2)
        assert replay.null_totals[0.025] < 0 < replay.null_totals[0.975]
        # 4.5 Monte-Carlo errors of a share of .05 in 500 draws
        assert replay.false_alarm_rate < 0.05 + 4.5 * 0.0097
        assert replay.coverage[0] > 0.95 - 4.5 * 0.0097
    rules = {sentence.rule for sentence in report.sentences}
    assert {"not_provable", "null"} <= rules
    assert report.advice is not None


def test_large_audiences_are_sampled_and_scaled_back(company: Company) -> None:
    from loyalty_exp.design import power
    from loyalty_exp.design.draw import launched_plans
    from loyalty_exp.segment.features import customer_features

    project = company(WINBACK)
    found = []
    for largest in (20_000, 250):
        with project.store.scratch() as connection:
            found.append(
                power.plan_campaign(
                    connection,
                    "winback",
                    project.declaration.campaigns["winback"],
                    project=project.declaration.project,
                    universal=None,
                    launched=launched_plans(connection),
                    features=customer_features,
                    members=lambda name, day, c=connection: project._segments.members(c, name, day),
                    data_through=dt.date(2026, 2, 28),
                    draws=250,
                    largest=largest,
                )
            )
    whole, sampled = (report.arms[0].replay for report in found)
    assert whole is not None
    assert sampled is not None
    assert (whole.sampled, sampled.sampled, sampled.units) == (False, True, 250)
    assert sampled.mde is not None
    assert sampled.mde_today is not None
    assert whole.mde_today is not None
    assert sampled.mde > sampled.mde_today
    assert sampled.mde_today == pytest.approx(whole.mde_today, rel=0.3)
    assert any("sampled" in note for note in found[1].notes)


def test_short_history_shortens_the_window_and_says_so(company: Company) -> None:
    early = WINBACK.replace("2026-03-01", "2024-07-01").replace("2026-04-30", "2024-08-31")
    early = early.replace('"buyers"', '"fresh"')
    report = company(early).plan("winback", draws=50)
    assert report.period is not None
    assert (report.period.months, report.period.planned_months) == (2, 23)
    assert report.period.shortened
    assert "shortened" in {warning.rule for warning in report.warnings}
    none = company(early.replace("2024-07-01", "2024-03-01")).plan("winback", draws=50)
    assert none.period is None
    assert {"no_history", "nobody"} <= {warning.rule for warning in none.warnings}
    assert none.advice is None


def test_conflicts_are_found_by_customers_not_by_names(company: Company) -> None:
    other = WINBACK.replace("winback", "{}").replace('["buyers"]', '["{}"]')
    same = WINBACK.replace("campaign.winback", "campaign.same").replace("2026-03-01", "2026-04-30")
    gold = other.replace("{}", "gold_club", 1).replace('["{}"]', '["gold"]')
    gold = gold.replace("consent", "priority = 90\nconsent").replace("2026-03-01", "2026-04-01")
    later = WINBACK.replace("campaign.winback", "campaign.later")
    later = later.replace("2026-03-01", "2026-05-10").replace("2026-04-30", "2026-05-20")
    rest = later.replace("campaign.later", "campaign.rest").replace(
        "consent", "cooldown_days = 30\nconsent"
    )
    project = company(WINBACK + same + gold + later + rest)
    report = project.plan("winback", draws=0)
    found = {conflict.other: conflict for conflict in report.conflicts}
    assert set(found) == {"same", "gold_club", "rest"}
    eligible = dict(report.flow)["eligible"]
    assert found["same"].shared_customers == eligible
    assert (found["same"].overlap_days, found["same"].shared_segments) == (1, ("buyers",))
    assert (found["gold_club"].goes_first, found["gold_club"].shared_segments) == ("gold_club", ())
    assert 0 < found["gold_club"].shared_customers < eligible
    assert (found["rest"].overlap_days, found["rest"].rest_days) == (0, 9)
    assert [entry.campaign for entry in report.calendar] == [
        "winback", "gold_club", "same", "later", "rest",
    ]  # fmt: skip


def test_the_usual_gap_is_the_median_of_the_audience(company: Company) -> None:
    report = company(WINBACK).plan("winback", draws=0)
    orders = pd.DataFrame(order_rows(), columns=["id", "who", "at", "paid"])
    orders["day"] = pd.to_datetime(orders["at"]).dt.normalize()
    gaps = (
        orders.sort_values("day")
        .groupby("who")["day"]
        .apply(lambda days: days.drop_duplicates().diff().dt.days.median())
    )
    assert report.gap_days == pytest.approx(gaps[buyers("2025-02-28", "2026-02-28")].median())


def test_a_rolling_campaign_is_planned_from_its_next_wave(company: Company) -> None:
    text = WINBACK.replace("consent", 'enrolment = "rolling"\nconsent')
    project = company(text.replace("2026-03-01", "2026-02-01"))
    project.launch("winback")
    report = project.plan("winback", draws=0)
    assert (report.start, report.as_of) == (dt.date(2026, 3, 1), dt.date(2026, 2, 28))
    assert not report.launched
    assert dict(report.flow)["excluded: drawn already"] > 0


def test_the_command_prints_a_table_and_json(company: Company, tmp_path: Path) -> None:
    project = company(WINBACK)
    arguments = ["--file", str(project.path), "plan", "winback", "--draws", "30"]
    table = CliRunner().invoke(main, arguments)
    assert table.exit_code == 0, table.output
    assert "Pays from" in table.output
    assert "From the segment to the lists" in table.output
    assert "cannot be told from luck" in table.output
    found = CliRunner().invoke(main, [*arguments, "--format", "json"])
    data = json.loads(found.output)
    assert data["campaign"] == "winback"
    assert len(data["arms"][0]["replay"]["power"]) == len(data["arms"][0]["replay"]["effects"])
    unknown = CliRunner().invoke(main, ["--file", str(project.path), "plan", "nothing"])
    assert unknown.exit_code == 2
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("known", "planned", "months", "starts"),
    [
        (24, 3, 3, 10),  # twelve months before each
        (60, 10, 10, 12),  # no more than twelve periods
        (12, 3, 3, 5),  # nine months before the latest, five before the earliest
        (4, 8, 2, 2),
        (1, 3, 0, 0),
        (0, 3, 0, 0),
        (24, 0, 1, 12),  # less than a month is taken as one
    ],
)
def test_history_says_what_can_be_replayed(
    known: int, planned: int, months: int, starts: int
) -> None:
    history = History(1000, 1000 + known, planned)
    assert (history.months, len(history.starts)) == (months, starts)
    for start in history.starts:
        assert start + months <= history.end
        assert start > history.first
    assert list(history.starts) == sorted(history.starts, reverse=True)


def test_longer_windows_detect_more_when_months_are_alike() -> None:
    rng = np.random.default_rng(1)
    months = rng.gamma(1, 50, size=(4000, 6))
    covariate = rng.gamma(1, 50, size=4000)
    ratios = detectable_by_length(covariate, months.cumsum(axis=1)[:, 2:], 0.05)
    # independent months: the relative error falls with the root of their number, to 3 %
    assert ratios == pytest.approx(np.sqrt(3 / np.arange(3, 7)), rel=0.03)


def test_the_company_has_the_months_the_tests_speak_of() -> None:
    days = sorted(row[2] for row in order_rows())
    assert (days[0][:7], days[-1][:7], MONTHS) == ("2024-03", "2026-02", 24)
