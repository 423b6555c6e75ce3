"""Features of a handful of customers, computed by hand; the statement on the dialects at hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from loyalty_exp.store.queries.features import (
    FEATURES,
    Survival,
    features,
)
from loyalty_exp.store.queries.functions import days_between
from loyalty_exp.store.queries.snapshots import TierRule, window_start
from loyalty_exp.store.summaries import keep_summaries
from loyalty_exp.store.tables import metadata, orders

AS_OF = dt.date(2020, 2, 29)
Row = tuple[str, str, float]
Fill = Callable[..., sa.Connection]


@pytest.fixture
def fill() -> Iterator[Fill]:
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.connect() as connection:
        metadata.create_all(connection)

        def insert(*rows: Row) -> sa.Connection:
            for number, (customer, at, revenue) in enumerate(rows):
                when = dt.datetime.fromisoformat(at)
                connection.execute(
                    orders.insert().values(
                        order_id=str(number),
                        customer=customer,
                        ordered_at=when,
                        month=when.year * 12 + when.month,
                        revenue=revenue,
                        margin=revenue / 2,
                        channel="web" if number % 2 else "shop",
                        load_id="x",
                    )
                )
            keep_summaries(connection)
            return connection

        yield insert
    engine.dispose()


def table(
    connection: sa.Connection, *columns: str, as_of: dt.date = AS_OF, **options: Any
) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(features(as_of, columns or None, **options)).all()
    return {row[0]: tuple(row[1:]) for row in rows}


@pytest.mark.parametrize(
    ("as_of", "months", "first"),
    [
        ("2017-06-30", 12, "2016-07-01"),
        ("2017-06-15", 12, "2016-06-16"),
        ("2016-02-29", 12, "2015-03-01"),
        ("2016-02-28", 12, "2015-03-01"),
        ("2017-02-28", 12, "2016-03-01"),
        ("2017-02-27", 12, "2016-02-28"),
        ("2017-12-31", 24, "2016-01-01"),
        ("2017-08-30", 6, "2017-03-01"),
        ("2017-08-31", 6, "2017-03-01"),
    ],
)
def test_window_start(as_of: str, months: int, first: str) -> None:
    found = window_start(dt.date.fromisoformat(as_of), months)
    assert found == dt.date.fromisoformat(first)


@given(st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1)), st.integers(1, 60))
def test_a_window_never_holds_more_days_than_its_months_can(as_of: dt.date, months: int) -> None:
    days = (as_of - window_start(as_of, months)).days + 1
    assert 28 * months <= days <= 31 * months
    if months == 12:
        assert days in {364, 365, 366}
    if (as_of + dt.timedelta(days=1)).day == 1:
        assert window_start(as_of, months).day == 1


def test_amounts_of_a_leap_year(fill: Fill) -> None:
    connection = fill(
        ("a", "2019-02-28T23:59:59", 1.0),
        ("a", "2019-03-01T00:00:00", 10.0),
        ("a", "2020-02-29T23:59:59", 100.0),
        ("a", "2020-03-01T00:00:00", 1000.0),
        ("late", "2020-03-01T00:00:00", 1.0),
    )
    names = ("orders_12m", "revenue_12m", "margin_12m", "orders_24m", "revenue_24m", "margin_24m")
    assert table(connection, *names) == {"a": (2, 110.0, 55.0, 3, 111.0, 55.5)}


def test_a_refund_lowers_revenue_and_is_no_order(fill: Fill) -> None:
    connection = fill(
        ("a", "2020-01-01T10:00:00", 80.0),
        ("a", "2020-01-11T10:00:00", 40.0),
        ("a", "2020-02-20T10:00:00", -30.0),
        ("only refunds", "2020-02-20T10:00:00", -5.0),
        ("free", "2020-02-19T10:00:00", 0.0),
    )
    found = table(connection, "recency_days", "orders_12m", "revenue_12m", "basket", "repeat_days")
    assert found == {"a": (49, 2, 90.0, 45.0, 1), "free": (10, 1, 0.0, 0.0, 0)}


def test_rhythm_counts_days_not_orders(fill: Fill) -> None:
    connection = fill(
        ("even", "2020-01-01T08:00:00", 1.0),
        ("even", "2020-01-01T20:00:00", 1.0),
        ("even", "2020-01-11T08:00:00", 1.0),
        ("even", "2020-01-31T07:00:00", 1.0),
        ("odd", "2020-01-01T08:00:00", 1.0),
        ("odd", "2020-01-03T08:00:00", 1.0),
        ("odd", "2020-01-09T08:00:00", 1.0),
        ("odd", "2020-02-08T08:00:00", 1.0),
        ("once", "2020-02-09T08:00:00", 1.0),
    )
    names = ("repeat_days", "active_span_days", "median_gap_days", "usual_gap_days")
    assert table(connection, *names) == {
        "even": (2, 30, 15.0, 10.5),
        "odd": (3, 38, 6.0, 10.5),
        "once": (0, 0, None, 10.5),
    }
    found = table(connection, "overdue_ratio")
    assert found["even"][0] == pytest.approx(29 / 15)
    assert found["odd"][0] == pytest.approx(21 / 6)
    assert found["once"] == (None,)


def test_trend_is_empty_without_a_past(fill: Fill) -> None:
    connection = fill(
        ("grew", "2018-05-05T08:00:00", 50.0),
        ("grew", "2019-05-05T08:00:00", 75.0),
        ("new", "2019-05-05T08:00:00", 75.0),
        ("gone", "2018-05-05T08:00:00", 75.0),
        ("refunded", "2018-05-05T08:00:00", 0.3),
        ("refunded", "2018-05-06T08:00:00", -0.1),
        ("refunded", "2018-05-07T08:00:00", -0.2),
        ("refunded", "2019-05-05T08:00:00", 75.0),
    )
    assert table(connection, "trend") == {
        "grew": (1.5,),
        "new": (None,),
        "gone": (0.0,),
        "refunded": (None,),
    }


def test_first_channel_and_cohort(fill: Fill) -> None:
    connection = fill(
        ("a", "2019-12-31T23:59:59", -1.0),
        ("a", "2020-01-02T00:00:00", 1.0),
        ("a", "2020-01-01T00:00:00", 1.0),
    )
    found = table(connection, "first_channel", "cohort", "tenure_days")
    assert found == {"a": (59, "shop", "2020-01")}


def test_scores_keep_ties_together(fill: Fill) -> None:
    """Six of ten bought once: rank 1, score 1; then ranks 7, 8, 9, 9: scores 4, 4, 5, 5."""
    often = {"g": 2, "h": 3, "i": 4, "j": 4}
    rows = [(name, "2020-02-01T08:00:00", 1.0) for name in "abcdef"]
    for name, times in often.items():
        rows += [(name, f"2020-02-{day:02d}T08:00:00", 1.0) for day in range(1, times + 1)]
    found = table(fill(*rows), "f", "r")
    assert {name: f for name, (_, f) in found.items()} == {
        **dict.fromkeys("abcdef", 1), "g": 4, "h": 4, "i": 5, "j": 5
    }  # fmt: skip
    assert {name: r for name, (r, _) in found.items()} == {
        **dict.fromkeys("abcdef", 1), "g": 4, "h": 4, "i": 5, "j": 5
    }  # fmt: skip


def test_equal_amounts_summed_in_another_order_are_ties(fill: Fill) -> None:
    parts = (0.1, 0.2, 0.3)
    assert sum(parts) != sum(reversed(parts))
    rows = [("a", f"2020-02-0{n + 1}T08:00:00", x) for n, x in enumerate(parts)]
    rows += [("b", f"2020-02-0{n + 1}T08:00:00", x) for n, x in enumerate(reversed(parts))]
    found = table(fill(*rows), "m", "tier", "value_band")
    assert found["a"] == found["b"]


def test_tiers_by_share_of_revenue(fill: Fill) -> None:
    """Of 100: 40, 20, 20, 10, 10. 40 then the tied twenties pass half; one ten would pass 80 %."""
    amounts = {"a": 40.0, "b": 20.0, "c": 20.0, "d": 10.0, "e": 10.0, "f": -3.0}
    connection = fill(
        *((name, "2020-02-01T08:00:00", abs(x)) for name, x in amounts.items()),
        ("f", "2020-02-02T08:00:00", -6.0),
        ("lapsed", "2018-02-02T08:00:00", 600.0),
    )
    found = table(connection, "tier")
    assert {name: tier for name, (tier,) in found.items()} == {
        "a": "gold", "b": "gold", "c": "gold", "d": "bronze", "e": "bronze", "f": "bronze",
        "lapsed": "bronze",
    }  # fmt: skip
    by_amount = table(connection, "tier", tiers=TierRule("revenue", gold=40, silver=20))
    assert [by_amount[name] for name in "abcd"] == [
        ("gold",), ("silver",), ("silver",), ("bronze",),
    ]  # fmt: skip


def test_one_customer_makes_everything(fill: Fill) -> None:
    connection = fill(("a", "2020-02-01T08:00:00", 40.0))
    assert table(connection, "tier", "r", "f", "m") == {"a": (1, 1, 1, "gold")}


def test_without_orders_there_is_no_row(fill: Fill) -> None:
    assert table(fill()) == {}


@pytest.mark.parametrize("rule", [("share", 0.8, 0.5), ("revenue", 10, 20), ("rank", 0.1, 0.2)])
def test_an_impossible_tier_rule_is_refused(rule: tuple[str, float, float]) -> None:
    with pytest.raises(ValueError, match="not a rule of tiers"):
        TierRule(*rule)


def test_unknown_or_unfitted_columns_are_refused() -> None:
    with pytest.raises(KeyError, match="shoe_size"):
        features(AS_OF, ["shoe_size"])
    with pytest.raises(ValueError, match="fitted parameters"):
        features(AS_OF, ["p_alive"])


def test_only_what_is_asked_for_is_computed() -> None:
    text = str(features(AS_OF, ["revenue_12m"]).compile(dialect=postgresql.dialect()))
    assert "OVER" not in text
    assert "JOIN" not in text
    everything = features(AS_OF, survival=Survival(1, 1, 1, 1))
    assert [column.name for column in everything.selected_columns] == ["customer", *FEATURES]


def test_days_between_on_dialects_that_do_not_subtract_dates() -> None:
    column = days_between(sa.column("a", sa.Date), sa.column("b", sa.Date))
    assert str(column) == "(b - a)"
    dialect = postgresql.dialect()
    dialect.name = "snowflake"
    assert str(column.compile(dialect=dialect)) == "DATEDIFF(day, a, b)"
