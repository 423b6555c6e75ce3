"""The company that speed is measured on: orders in random order, a store, campaigns.

Makes files once; a size that is there already is kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from loyalty_exp.simulate import B2C, company_chunks
from loyalty_exp.store.database import open_store
from loyalty_exp.store.members import keep_members
from loyalty_exp.store.summaries import keep_summaries

__all__ = ["CAMPAIGNS", "DECLARATION", "LAST_MONTH", "make"]

CAMPAIGNS = 50
LARGE, FEW = 10_000_000, 10
"""From so many customers on so few campaigns are launched: a billion assignments fit no disk."""
BUSY = replace(B2C, name="ten orders a customer", b=-1.25)
LAST_MONTH = "2025-12-01"
"""First day of the last month, which the incremental measurement loads apart."""

DECLARATION = """
schema = 1
[project]
name = "Speed"
currency = "EUR"
timezone = "Europe/Paris"
database = "duckdb:///{database}"
[data.orders]
source = "{orders}"
[data.orders.columns]
order_id = "order_id"
customer_id = "customer_id"
ordered_at = "ordered_at"
revenue = "revenue"
margin = "margin"
[campaign.c00]
name = "c00"
segments = ["all"]
lever = "relational"
objective = "revenue"
start = 2025-01-01
end = 2025-03-31
measure_until = 2025-12-31
arms = {{ holdout = 20, call = 80 }}
"""


def make(folder: Path, customers: int) -> None:
    """Orders of so many customers in two years, and a store with their roll-up and campaigns."""
    folder.mkdir(parents=True, exist_ok=True)
    orders, store = folder / "orders.parquet", folder / "store.duckdb"
    if not orders.exists():
        _orders(folder, customers, orders)
    if not store.exists():
        _store(orders, store, FEW if customers >= LARGE else CAMPAIGNS)


def _orders(folder: Path, customers: int, path: Path) -> None:
    raw, writer = folder / "raw.parquet", None
    for part in company_chunks(customers, 1, market=BUSY):
        table = pa.Table.from_pandas(part.orders, preserve_index=False)
        writer = writer or pq.ParquetWriter(raw, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    with duckdb.connect() as engine:
        engine.execute("SET memory_limit = '4GB'")
        engine.execute("SET enable_progress_bar = false")
        engine.execute(f"SET temp_directory = '{folder}'")
        shuffled = f"SELECT * FROM '{raw}' ORDER BY hash(order_id)"
        engine.execute(f"COPY ({shuffled}) TO '{path}' (FORMAT parquet)")
        engine.execute(f"COPY (FROM '{path}') TO '{path.with_suffix('.csv')}' (HEADER)")
        for name, side in (("first", "<"), ("last", ">=")):
            part_of = f"SELECT * FROM '{path}' WHERE ordered_at {side} '{LAST_MONTH}'"
            engine.execute(f"COPY ({part_of}) TO '{folder / name}.parquet' (FORMAT parquet)")
    raw.unlink()


def _store(orders: Path, path: Path, campaigns: int) -> None:
    """What a load and launches leave, written by the engine itself."""
    store = open_store(f"duckdb:///{path}")
    with store.write() as connection:
        connection.exec_driver_sql("SET memory_limit = '4GB'")
        connection.exec_driver_sql(
            "INSERT INTO orders SELECT order_id, customer_id, ordered_at, year(ordered_at) * 12 + "
            f"month(ordered_at), revenue, margin, NULL, 'bench' FROM '{orders}'"
        )
        keep_summaries(connection)
    for number in range(campaigns):
        with store.write() as connection:
            arm = f"CASE WHEN hash(customer, {number}) % 5 = 0 THEN 'holdout' ELSE 'call' END"
            connection.execute(
                sa.text(
                    f"INSERT INTO assignments SELECT 'c{number:02d}', 0, customer, customer, "
                    f"'all', 'all', {arm} FROM (SELECT DISTINCT customer FROM customer_month) "
                    "ORDER BY customer"
                )
            )
            keep_members(connection, (f"c{number:02d}", 0))
