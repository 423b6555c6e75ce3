"""Contacts and lifetime on two years of real orders: skipped where they are not at hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from loyalty_exp.segment.lifetime import fit_lifetime
from loyalty_exp.segment.priorities import Priority, contact_priorities
from loyalty_exp.segment.worth import worth
from loyalty_exp.store.database import open_store
from loyalty_exp.store.summaries import keep_summaries

RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail_2" / "lines.parquet"
pytestmark = pytest.mark.skipif(not RETAIL.exists(), reason="the real orders are not at hand")

AS_OF = dt.date(2011, 6, 9)
"""Half a year before the data end."""

ORDERS = """
    INSERT INTO orders SELECT invoice, CAST(CAST(customer_id AS BIGINT) AS VARCHAR),
        min(invoice_date), year(min(invoice_date)) * 12 + month(min(invoice_date)),
        sum(quantity * price), 0.4 * sum(quantity * price), NULL, 'x'
    FROM read_parquet(?) WHERE customer_id IS NOT NULL GROUP BY invoice, customer_id
"""
AFTER = "SELECT customer, sum(revenue) FROM orders WHERE CAST(ordered_at AS DATE) > ? GROUP BY ALL"


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Connection]:
    store = open_store(f"duckdb:///{tmp_path_factory.mktemp('retail') / 'retail.duckdb'}")
    with store.write():
        pass
    with duckdb.connect(str(store.path)) as raw:
        raw.execute(ORDERS, [str(RETAIL)])
    with store.write() as writing:
        keep_summaries(writing)
    with store.read() as opened:
        yield opened


@pytest.fixture(scope="module")
def ranked(connection: sa.Connection) -> tuple[Priority, ...]:
    """Everybody who is later than usual, in the order of the list."""
    return contact_priorities(connection, fit_lifetime(connection, AS_OF), "GBP", limit=10_000)


@pytest.fixture(scope="module")
def spent(connection: sa.Connection) -> dict[str, float]:
    """Revenue of the half-year after the list, by customer."""
    driver = connection.connection.driver_connection
    return dict(driver.execute(AFTER, [AS_OF]).fetchall())


def test_the_top_is_neither_gone_nor_safe(
    ranked: tuple[Priority, ...], spent: dict[str, float]
) -> None:
    """Of the first 50 some come back and some do not: it is there that a call can decide."""
    top = ranked[:50]
    back = sum(spent.get(row.customer, 0.0) > 0 for row in top)
    assert 20 <= back <= 40
    assert sum(row.recency_days > 365 for row in top) <= 5


def test_more_is_at_stake_than_among_those_surely_gone(
    ranked: tuple[Priority, ...], spent: dict[str, float]
) -> None:
    """Ranked by margin x chance of having left, the top is full of customers lost long ago."""
    gone = sorted(ranked, key=lambda row: -row.margin_if_kept * row.chance_of_leaving)[:50]
    assert sum(spent.get(row.customer, 0.0) for row in ranked[:50]) > 2 * sum(
        spent.get(row.customer, 0.0) for row in gone
    )


def test_the_model_is_shown_beside_a_forecast_that_comes_true(connection: sa.Connection) -> None:
    """The half-year to 9 December 2011, from what was known before: within 5 %."""
    seen = worth(connection, dt.date(2011, 12, 9), dt.date(2009, 12, 1))
    assert seen.check is not None
    assert abs(seen.check.relative_error or 1.0) < 0.05
    assert seen.check.mean_absolute_error < seen.check.naive_absolute_error
