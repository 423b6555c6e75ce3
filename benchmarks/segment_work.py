"""Pieces of work of speed_work.py that look at segments: features, RFM, year over year."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["bare_by_customer", "compared", "features", "rhythm"]

PAST = dt.date(2025, 6, 15)
"""A day within a month, after which most customers ordered again."""
YEARS = tuple((dt.date(year, 1, 1), dt.date(year, 12, 31)) for year in (2024, 2025))


def bare_by_customer(folder: Path) -> Callable[[], int]:
    """The hash-aggregate of the file by customer, every column of its result made."""
    import duckdb

    engine = duckdb.connect(config={"threads": 2})
    by_customer = (
        "SELECT customer_id, sum(revenue) AS revenue, sum(margin) AS margin, count(*) AS orders "
        f"FROM '{folder}/orders.parquet' GROUP BY customer_id"
    )
    made = "count(customer_id), sum(revenue), sum(margin), sum(orders)"
    return lambda: engine.execute(f"SELECT {made} FROM ({by_customer})").fetchall() and 0


def features(
    folder: Path, columns: Collection[str] | None, as_of: dt.date = YEARS[1][1]
) -> Callable[[], int]:
    """Features of every customer at a date, every value made."""
    import sqlalchemy as sa

    from loyalty_exp.segment.features import customer_features
    from loyalty_exp.store.database import open_store

    found = customer_features(as_of, columns).subquery("found")
    statement = sa.select(*(sa.func.max(column) for column in found.c))
    store = open_store(f"duckdb:///{folder / 'store.duckdb'}")

    def read() -> int:
        with store.read() as connection:
            connection.execute(statement).one()
        return 0

    return read


def rhythm(folder: Path, home: Path) -> Callable[[], int]:
    """What a load keeps of every customer's rhythm, from the roll-up; committed."""
    from loyalty_exp.store.database import open_store
    from loyalty_exp.store.summaries import keep_rhythms

    store = open_store(f"duckdb:///{home / 'own.duckdb'}")
    with store.write() as connection:
        connection.exec_driver_sql(f"ATTACH '{folder}/store.duckdb' AS whole (READ_ONLY)")
        connection.exec_driver_sql("INSERT INTO customer_month SELECT * FROM whole.customer_month")

    def build() -> int:
        with store.write() as connection:
            keep_rhythms(connection, whole=True, channels=False)
        return 0

    return build


def compared(folder: Path, scheme: str | None) -> Callable[[], int]:
    """The comparison of the two years, of the company or of the segments of a scheme too."""
    from loyalty_exp.compare.years import compare
    from loyalty_exp.store.database import open_store

    store = open_store(f"duckdb:///{folder / 'store.duckdb'}")

    def read() -> int:
        with store.scratch() as connection:
            compare(connection, *YEARS, scheme=scheme)
        return 0

    return read
