"""What all pieces of work share, and the engine's own work on the bare file."""

from __future__ import annotations

import atexit
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = [
    "METRICS",
    "MONTHLY",
    "MONTHS",
    "NAMES",
    "START",
    "SUMS",
    "TABLE_MADE",
    "bare_aggregate",
    "bare_read",
    "bare_scan",
    "bare_table",
    "cpu_seconds",
    "duckdb_on",
    "scratch",
]

MONTHS = 12
METRICS = ("revenue", "margin", "orders", "active")
START = 2025 * 12 + 1
NAMES = [f"{metric}_{k}" for metric in METRICS for k in range(MONTHS)]
SUMS = [f"{metric}_c{k}" for metric in METRICS for k in range(1, MONTHS)]

TABLE_MADE: list[float] = []
"""CPU seconds when a peer has its table of one row a customer, which campaigns share, or a load
its table of orders.
"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def scratch(folder: Path) -> Path:
    """A folder for this process alone."""
    home = Path(tempfile.mkdtemp(dir=folder))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def duckdb_on(folder: Path, threads: int = 2) -> Any:
    import duckdb

    engine = duckdb.connect(config={"threads": threads})
    engine.execute("SET memory_limit = '8GB'")
    engine.execute(f"SET temp_directory = '{folder}'")
    return engine


def bare_scan(folder: Path) -> Callable[[], Any]:
    """Every column of the file read once."""
    engine = duckdb_on(folder)
    columns = ("order_id", "customer_id", "ordered_at", "revenue", "margin")
    read = ", ".join(f"max({column})" for column in columns)
    return lambda: engine.execute(f"SELECT {read} FROM '{folder}/orders.parquet'").fetchall() and 0


def bare_read(folder: Path, file: str) -> Callable[[], Any]:
    """Every row and column of a file into a table in memory, types as the engine guesses them."""
    engine = duckdb_on(folder)
    text = f"CREATE TEMP TABLE orders AS SELECT * FROM '{folder}/{file}'"
    return lambda: engine.execute(text).fetchall() and 0


def bare_table(folder: Path, file: str) -> Callable[[], Any]:
    """Every row and column of a file into a table of a new database file."""
    engine = duckdb_on(folder)
    engine.execute(f"ATTACH '{scratch(folder)}/kept.duckdb' AS kept")
    text = f"CREATE TABLE kept.orders AS SELECT * FROM '{folder}/{file}'"
    return lambda: engine.execute(text).fetchall() and 0


MONTHLY = (
    "SELECT customer_id AS customer, year(ordered_at) * 12 + month(ordered_at) AS month, "
    "sum(revenue) AS revenue, sum(margin) AS margin, count(*) AS orders "
    "FROM '{folder}/orders.parquet' GROUP BY ALL"
)


def bare_aggregate(folder: Path, threads: int = 2) -> Callable[[], Any]:
    """The hash-aggregate by customer and month of the file, every column of it made."""
    engine = duckdb_on(folder, threads)
    made = "count(*), max(customer), max(month), sum(revenue), sum(margin), sum(orders)"
    text = f"SELECT {made} FROM ({MONTHLY.format(folder=folder)})"
    return lambda: engine.execute(text).fetchall() and 0
