"""KPIs and cohorts of random customers against counting with Python sets; definitions; limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from loyalty_exp.compare.cohorts import retention_triangle
from loyalty_exp.compare.kpis import (
    DEFINITIONS,
    MonthKpis,
    YearKpis,
    kpis_by_month,
    kpis_by_year,
)
from loyalty_exp.declare.frozen import month_of
from loyalty_exp.segment.features import TierRule, customer_features
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import metadata

FIRST, LAST = month_of(2018, 1), month_of(2020, 12)
YEARS = (
    (dt.date(2019, 1, 1), dt.date(2019, 12, 31)),
    (dt.date(2020, 1, 1), dt.date(2020, 12, 31)),
)
LEVELS = TierRule("revenue", gold=150.0, silver=60.0)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    size = 900
    days = rng.integers(0, 1096, size)
    revenue = np.round(rng.gamma(1.5, 25, size), 2)
    revenue[rng.random(size) < 0.05] *= -1
    frame = pd.DataFrame({"customer": rng.integers(0, 220, size).astype(str), "revenue": revenue})
    frame["ordered_at"] = pd.Timestamp("2018-01-01") + pd.to_timedelta(days, unit="D")
    frame["month"] = frame["ordered_at"].dt.year * 12 + frame["ordered_at"].dt.month
    return frame


@pytest.fixture(scope="module")
def connection(orders: pd.DataFrame) -> Iterator[sa.Connection]:
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        raw = connection.connection.driver_connection
        raw.register("frame", orders)
        raw.execute(
            "INSERT INTO orders SELECT row_number() OVER (), customer, ordered_at, month, revenue, "
            "revenue / 2, NULL, 'x' FROM frame"
        )
        keep_summaries(connection)
        yield connection
    engine.dispose()


def buyers(orders: pd.DataFrame, first: int, last: int) -> set[str]:
    inside = (orders["revenue"] >= 0) & orders["month"].between(first, last)
    return set(orders.loc[inside, "customer"])


def test_months_by_counting_sets(connection: sa.Connection, orders: pd.DataFrame) -> None:
    found = kpis_by_month(connection, FIRST + 3, LAST)
    assert [row.month for row in found][:2] == ["2018-04", "2018-05"]
    assert len(found) == 33
    for month, row in enumerate(found, start=FIRST + 3):
        now, before = buyers(orders, month, month), buyers(orders, 0, month - 1)
        year, last_year = buyers(orders, month - 11, month), buyers(orders, month - 12, month - 1)
        assert row.active == len(now)
        assert row.new == len(now - before)
        assert row.reactivated == len((now & before) - buyers(orders, month - 12, month - 1))
        assert row.active_12m == len(year)
        assert row.lost == len(last_year - year)
        part = orders[orders["month"] == month]
        placed = int((part["revenue"] >= 0).sum())
        assert row.orders == placed
        assert row.revenue == pytest.approx(part["revenue"].sum())
        assert row.margin == pytest.approx(part["revenue"].sum() / 2)
        assert row.basket == pytest.approx(part["revenue"].sum() / placed)
        assert row.frequency == pytest.approx(placed / len(now))


def test_months_of_segments_add_up(connection: sa.Connection) -> None:
    found = customer_features(YEARS[0][1], ["tier"]).subquery()
    segments = sa.select(found.c.customer, found.c.tier.label("segment"))
    rows = kpis_by_month(connection, FIRST, LAST, segments)
    assert {row.segment for row in rows} == {"all", "gold", "silver", "bronze", "none"}
    for name in ("active", "new", "lost", "reactivated", "active_12m", "orders", "revenue"):
        totals: dict[str, float] = {}
        for row in rows:
            sign = -1 if row.segment == "all" else 1
            totals[row.month] = totals.get(row.month, 0.0) + sign * getattr(row, name)
        assert max(map(abs, totals.values())) < 1e-6, name


def test_a_month_without_orders_is_shown() -> None:
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("INSERT INTO customer_month VALUES ('a', 24205, 5, 1, 1, 1)")
        rows = kpis_by_month(connection, 24205, 24218)
    engine.dispose()
    assert [row.active for row in rows] == [1, *[0] * 13]
    assert [row.active_12m for row in rows] == [*[1] * 12, 0, 0]
    assert [row.lost for row in rows] == [*[0] * 12, 1, 0]
    assert rows[1].basket is rows[1].frequency is None


def test_years_by_counting_sets(connection: sa.Connection, orders: pd.DataFrame) -> None:
    found = {
        (row.year, row.segment): row
        for row in kpis_by_year(
            connection, *YEARS, scheme="tiers", tiers=LEVELS, costs=(None, 100.0)
        )
    }
    spans = [(month_of(year, 1), month_of(year, 12)) for year in (2019, 2020)]
    one, two = (set(orders.loc[orders["month"].between(*span), "customer"]) for span in spans)
    before = set(orders.loc[orders["month"] < spans[1][0], "customer"])
    last = found["year2", "all"]
    assert last.new == len(two - before)
    assert last.lost == len(one - two)
    assert last.reactivated == len((two & before) - one)
    assert last.retention_rate == pytest.approx(len(one & two) / len(one))
    assert last.attrition_rate == pytest.approx(1 - len(one & two) / len(one))
    assert last.returning_share == pytest.approx(len(two & before) / len(two))
    assert last.returning_share != pytest.approx(last.retention_rate)
    part = orders[orders["month"].between(*spans[1])]
    placed = part[part["revenue"] >= 0]
    assert last.active == placed["customer"].nunique()
    assert last.basket == pytest.approx(part["revenue"].sum() / len(placed))
    assert last.repurchase_rate == pytest.approx((placed["customer"].value_counts() > 1).mean())
    assert last.budget_ratio == pytest.approx(100 / part["revenue"].sum())
    end = pd.Timestamp("2020-12-31")
    recency = (end - placed.groupby("customer")["ordered_at"].max()).dt.days
    assert last.recency_days == pytest.approx(recency.mean())
    firsts = orders[orders["revenue"] >= 0].groupby("customer")["ordered_at"].min()
    assert last.tenure_days == pytest.approx((end - firsts[recency.index]).dt.days.mean())
    first = found["year1", "all"]
    assert first.new is first.lost is first.retention_rate is first.budget_ratio is None
    tiers = [found["year2", name] for name in ("gold", "silver", "bronze")]
    assert sum(row.active for row in tiers) == last.active
    assert sum(row.revenue for row in tiers) < last.revenue + 1e-6


def test_triangle_by_counting_sets(connection: sa.Connection, orders: pd.DataFrame) -> None:
    bought = orders[orders["revenue"] >= 0]
    firsts = bought.groupby("customer")["month"].min()
    rows = retention_triangle(connection, LAST - 20, LAST)
    assert {row.age for row in rows if row.cohort == "2020-12"} <= {0}
    for row in rows:
        cohort = month_of(int(row.cohort[:4]), int(row.cohort[5:]))
        members = set(firsts[firsts == cohort].index)
        assert row.customers == len(members)
        assert row.active == len(members & buyers(orders, cohort + row.age, cohort + row.age))
        assert row.retention == row.active / row.customers
    assert any(row.age > 0 and row.active for row in rows)
    assert len({row.cohort for row in rows}) > 5


def test_every_kpi_is_defined() -> None:
    shown = {field.name for kind in (YearKpis, MonthKpis) for field in fields(kind)}
    assert set(DEFINITIONS) <= shown
    assert shown - set(DEFINITIONS) == {"year", "month", "segment", "active_12m", "orders"}
    for definition in DEFINITIONS.values():
        assert definition.english.endswith(".")
        assert definition.french.endswith(".")
