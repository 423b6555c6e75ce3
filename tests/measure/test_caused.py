"""What campaigns caused in a year by segments of the year before, against sums made by pandas."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from company import order_rows
from scipy import stats

import loyalty_exp as lx
from loyalty_exp.compare.causes import CauseRow
from loyalty_exp.compare.windows import Window
from loyalty_exp.project import Project
from loyalty_exp.segment.membership import scheme_membership
from loyalty_exp.store.queries.summaries import build_customer_month
from loyalty_exp.store.tables import customer_month

HEAD = """
schema = 1
[project]
name = "Two years"
currency = "EUR"
timezone = "Europe/Paris"
margin_rate = 0.4
fiscal_year_start = 3
[data.orders]
source = "orders.csv"
columns = { order_id = "id", customer_id = "who", ordered_at = "at", revenue = "paid" }
extracted_on = EXTRACTED
[segments]
scheme = "tiers"
[segments.frequent]
where = "orders_12m >= 6"
[segments.rare]
where = "orders_12m < 6"
"""
UNIVERSAL = """
[universal_holdout]
percent = 30
start = 2025-03-01
months = 12
"""
CAMPAIGN = """
[campaign.{name}]
name = "{name}"
segments = ["{segment}"]
lever = "relational"
objective = "revenue"
start = {start}
end = 2025-05-31
measure_until = 2026-01-31
arms = {{ holdout = 30, call = 40, letter = 30 }}
"""
LAST_DAY = dt.date(2025, 2, 28)
Opened = Callable[..., Project]


def campaign(name: str, segment: str, start: str = "2025-03-01") -> str:
    return CAMPAIGN.format(name=name, segment=segment, start=start)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    def make(*tables: str, extracted: str = "2026-03-10") -> Project:
        with (tmp_path / "orders.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "who", "at", "paid"), *order_rows(1200)])
        text = HEAD.replace("EXTRACTED", extracted) + "".join(tables)
        (tmp_path / "campaigns.toml").write_text(text)
        project = lx.open(tmp_path / "campaigns.toml")
        project.load()
        return project

    return make


def plant(project: Project, name: str, growth: float) -> None:
    """Multiply what treated customers of a campaign bought from March 2025 on."""
    with project.store.write() as connection:
        connection.execute(
            sa.text(
                "UPDATE orders SET revenue = revenue * :growth WHERE ordered_at >= '2025-03-01' "
                "AND customer IN (SELECT customer FROM assignments "
                "WHERE campaign = :name AND arm <> 'holdout')"
            ),
            {"growth": growth, "name": name},
        )
        connection.execute(customer_month.delete())
        connection.execute(build_customer_month())


def causes_of(project: Project) -> dict[str, CauseRow]:
    return {row.segment: row for row in project.compare().causes}


def units(project: Project, name: str) -> pd.DataFrame:
    """Year before, year, arm and tier of every customer drawn."""
    with project.store.read() as connection:
        raw = connection.connection.driver_connection
        orders = raw.execute("SELECT customer, ordered_at, revenue FROM orders").df()
        roster = raw.execute(
            "SELECT customer, arm FROM assignments WHERE campaign = ?", [name]
        ).df()
        tiers = pd.DataFrame(
            connection.execute(scheme_membership("tiers", LAST_DAY)).all(),
            columns=["customer", "tier"],
        )
    year2 = orders["ordered_at"] >= "2025-03-01"
    x = orders[~year2].groupby("customer")["revenue"].sum()
    y = orders[year2].groupby("customer")["revenue"].sum()
    found = roster.merge(tiers, how="left").set_index("customer")
    return found.assign(x=x.reindex(found.index).fillna(0), y=y.reindex(found.index).fillna(0))


def by_hand(frame: pd.DataFrame) -> tuple[float, float, float]:
    """Total of the treated by pooled CUPED and the W2 interval: statistics.md section 1."""
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    treated = (frame["arm"] != "holdout").to_numpy()
    theta = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    e = y - theta * x
    n1, n0 = treated.sum(), (~treated).sum()
    n = n1 + n0
    tau = e[treated].mean() - e[~treated].mean()
    s2 = ((n1 - 1) * e[treated].var(ddof=1) + (n0 - 1) * e[~treated].var(ddof=1)) / (n - 2)
    vp = s2 * (1 / n1 + 1 / n0)
    k = sum(len(a) * stats.moment(a, 3) for a in (e[treated], e[~treated])) / n
    g = k * (1 / n1**2 - 1 / n0**2) / vp**1.5
    c = stats.t.ppf(0.975, n - 3)
    upper, lower = (q + g * (q * q - 1) / 6 for q in (c, -c))
    return n1 * tau, n1 * (tau - upper * vp**0.5), n1 * (tau - lower * vp**0.5)


def test_a_universal_holdout_splits_every_segment_of_the_year_before(opened: Opened) -> None:
    project = opened(UNIVERSAL)
    project.launch("universal_holdout")
    plant(project, "universal_holdout", 1.4)
    found = causes_of(project)
    drawn = units(project, "universal_holdout")
    for name in ("gold", "silver", "bronze", "all"):
        part = drawn if name == "all" else drawn[drawn["tier"] == name]
        row = found[name]
        assert row.known, row.note
        assert (row.caused, row.caused_ci_lower, row.caused_ci_upper) == pytest.approx(
            by_hand(part), rel=1e-9
        )
        assert row.market == pytest.approx(row.change - row.caused)
    true = drawn.loc[drawn["arm"] != "holdout", "y"].sum() * (1 - 1 / 1.4)
    assert found["all"].caused_ci_lower < true < found["all"].caused_ci_upper
    assert found["all"].caused_ci_lower > 0


def test_campaigns_on_other_customers_are_added_up_and_both_arms_are_one(opened: Opened) -> None:
    project = opened(campaign("one", "frequent"), campaign("two", "rare"))
    for name in ("one", "two"):
        project.launch(name)
    found = causes_of(project)
    one, two = (by_hand(units(project, name)) for name in ("one", "two"))
    total = one[0] + two[0]
    assert found["all"].caused == pytest.approx(total)
    down = np.hypot(one[0] - one[1], two[0] - two[1])
    assert found["all"].caused_ci_lower == pytest.approx(total - down)
    assert found["frequent"].caused == pytest.approx(one[0])
    assert found["rare"].note == "measured by two"


def test_campaigns_that_share_customers_are_not_added_up(opened: Opened) -> None:
    project = opened(campaign("one", "frequent"), campaign("two", "frequent"))
    for name in ("one", "two"):
        project.launch(name)
    found = causes_of(project)
    assert "not added up" in found["all"].note
    assert not found["frequent"].known
    assert found["rare"].note == "no holdout was kept in this segment"


def test_a_universal_holdout_that_does_not_span_the_campaigns_replaces_none(opened: Opened) -> None:
    for universal in (
        UNIVERSAL.replace("months = 12", "months = 9"),
        UNIVERSAL.replace("2025-03-01", "2025-05-01"),
    ):
        project = opened(universal, campaign("one", "frequent", start="2025-03-15"))
        for name in ("universal_holdout", "one"):
            project.launch(name)
        found = causes_of(project)
        for name in ("frequent", "all"):
            assert found[name].note == (
                "several campaigns reached it (one, universal_holdout): "
                "effects that overlap are not added up"
            ), name
        (project.base / "loyalty.duckdb").unlink()


def test_a_year_that_ends_within_a_month_is_not_split(opened: Opened) -> None:
    project = opened(UNIVERSAL)
    project.launch("universal_holdout")
    days = [(dt.date(y, 3, 1), dt.date(y + 1, 1, 15)) for y in (2024, 2025)]
    rows = project.compare(*(Window(*pair) for pair in days)).causes
    assert {row.note for row in rows} == {"year 2 does not end with a month"}
    assert not any(row.known for row in rows)


def test_a_campaign_of_both_years_and_an_open_month(opened: Opened) -> None:
    earlier = campaign("early", "frequent", start="2025-02-01")
    project = opened(earlier, campaign("late", "rare", start="2025-04-15"), extracted="2026-03-03")
    for name in ("early", "late"):
        project.launch(name)
    comparison = project.compare()
    row = {each.segment: each for each in comparison.causes}["rare"]
    assert row.note == "the last month of year 2 is not closed yet"
    assert any("early" in note and "began before" in note for note in comparison.notes)
