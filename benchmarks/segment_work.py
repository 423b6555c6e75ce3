"""Pieces of work of speed_work.py that look at segments: features, RFM, year over year."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from pathlib import Path

__all__ = ["bare_by_customer", "compared", "features"]

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


def features(folder: Path, columns: Collection[str] | None) -> Callable[[], int]:
    """Features of every customer at the end of the last year, every value made."""
    import sqlalchemy as sa

    from loyalty_exp.segment.features import customer_features
    from loyalty_exp.store.engines import open_store

    found = customer_features(YEARS[1][1], columns).subquery("found")
    statement = sa.select(*(sa.func.max(column) for column in found.c))
    store = open_store(f"duckdb:///{folder / 'store.duckdb'}")

    def read() -> int:
        with store.read() as connection:
            connection.execute(statement).one()
        return 0

    return read


def compared(folder: Path, scheme: str | None) -> Callable[[], int]:
    """The comparison of the two years, of the company or of the segments of a scheme too."""
    from loyalty_exp.compare.years import compare
    from loyalty_exp.store.engines import open_store

    store = open_store(f"duckdb:///{folder / 'store.duckdb'}")

    def read() -> int:
        with store.scratch() as connection:
            compare(connection, *YEARS, scheme=scheme)
        return 0

    return read
