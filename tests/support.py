"""Small stores and declarations for tests, made without the loader."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.summaries import keep_summaries

Order = tuple[str, str, dt.datetime, float]
"""Order id, customer, when, revenue."""

MARGIN = 0.4


def fill_store(
    store: Store,
    orders: Sequence[Order],
    customers: Mapping[str, Mapping[str, Any]] | None = None,
    kinds: Sequence[tuple[str, str]] = (),
) -> None:
    """Put orders and customers' attributes into a store, with the roll-up."""
    rows = [
        {
            "order_id": order,
            "customer": customer,
            "ordered_at": when,
            "month": when.year * 12 + when.month,
            "revenue": revenue,
            "margin": MARGIN * revenue,
            "channel": None,
            "load_id": "test",
        }
        for order, customer, when, revenue in orders
    ]
    with store.write() as connection:
        connection.execute(tables.orders.insert(), rows)
        keep_summaries(connection)
        if kinds:
            empty = tables.customers_table()
            empty.drop(connection)
            table = tables.customers_table(kinds)
            table.create(connection)
            connection.execute(
                table.insert(),
                [{"customer": name, **(values)} for name, values in customers.items()],
            )
            places = enumerate(kinds)
            connection.execute(
                tables.attributes.insert(),
                [{"position": i, "name": name, "kind": kind} for i, (name, kind) in places],
            )


def keep_members(
    connection: sa.Connection, segment: str, as_of: dt.date, customers: Sequence[str]
) -> None:
    """Keep a dated membership."""
    connection.execute(
        tables.memberships.insert(),
        [{"segment": segment, "as_of": as_of, "customer": name} for name in customers],
    )


def new_store(folder: Path) -> Store:
    """An empty embedded store."""
    return open_store(f"duckdb:///{folder / 'store.duckdb'}")


def words_of(page: Path) -> str:
    """A page without drawings and sort keys, whose last digit may differ between processors."""
    text = re.sub(r"<svg.*?</svg>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r' data-value="[^"]*"', "", text)
