"""An empty segment is kept before a large one: DuckDB 1.5.6 may lose the rows of such inserts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa
from support import new_store

from loyalty_exp.declare.models import Segments
from loyalty_exp.segment.declared import DeclaredSegments
from loyalty_exp.store import tables

CUSTOMERS = 400_000
DAY = dt.date(2025, 12, 31)
RULES = {
    "no_gold": "tier = 'gold' and revenue_12m < 0",
    "bronze": "tier = 'bronze'",
    "nobody": "f = 1 and recency_days > 9000",
    "frequent": "f >= 1",
    "late": "recency_days > 9000",
    "all_of_them": "recency_days < 9000",
}


@pytest.mark.parametrize(
    "names",
    [("no_gold", "bronze"), ("nobody", "frequent"), ("late", "all_of_them"), ("late", "all")],
)
def test_a_large_segment_is_kept_whole_after_an_empty_one(
    names: tuple[str, str], tmp_path: Path
) -> None:
    store = new_store(tmp_path)
    declared = Segments.model_validate(
        {"scheme": "tiers"} | {name: {"where": rule} for name, rule in RULES.items()}
    )
    segments = DeclaredSegments(declared)
    with store.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO customer_month SELECT 'c' || i, 24301 + i % 12, 10 + i % 90, 5, 1, 1 "
            f"FROM range({CUSTOMERS}) AS t(i)"
        )
        connection.exec_driver_sql(
            "INSERT INTO customer_rhythm SELECT customer, make_date(2025, month - 24300, 1), 0, "
            "NULL, NULL FROM customer_month"
        )
    with store.write() as connection:
        empty, large = (
            connection.scalar(
                sa.select(sa.func.count()).select_from(
                    segments.members(connection, name, DAY).subquery()
                )
            )
            for name in names
        )
        segments.keep(connection, names, DAY)
        kept = connection.scalar(sa.select(sa.func.count()).select_from(tables.memberships))
    assert empty == 0
    assert kept == large > 122_880
