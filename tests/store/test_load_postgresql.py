"""Loading into PostgreSQL gives what loading into DuckDB gives; skipped without a server."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loyalty_exp.declare.sources import CostsSource, Customers, Data, Exposures, Orders
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.load import Expected, LoadReport, load

pytest.importorskip("psycopg")

INITDB = shutil.which("initdb") or next(
    (str(path) for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), None
)


def _as_server(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to be run by root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else list(command)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if INITDB is None:
        pytest.skip("no PostgreSQL server is installed")
    # Not under pytest's own folder, which the server's user may not enter.
    with tempfile.TemporaryDirectory(prefix="load-pg-", ignore_cleanup_errors=True) as name:
        yield from _served(INITDB, Path(name))


def _served(initdb: str, folder: Path) -> Iterator[str]:
    """The address of a server that runs until the tests are done."""
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    data, control = folder / "data", str(Path(initdb).with_name("pg_ctl"))
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    setup = [initdb, "-D", str(data), "-A", "trust", "-U", "me", "-E", "UTF8", "--locale=C"]
    made = subprocess.run(_as_server(setup), capture_output=True, check=False)
    if made.returncode:
        pytest.skip("the PostgreSQL server cannot be set up here")
    start = [control, "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start"]
    subprocess.run(_as_server(start), check=True, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql+psycopg://me@/postgres?host={folder}"
    finally:
        stop = [control, "-D", str(data), "-m", "immediate", "stop"]
        subprocess.run(_as_server(stop), check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def stores(url: str, tmp_path: Path) -> tuple[Store, Store]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return open_store(f"duckdb:///{tmp_path / 'store.duckdb'}"), open_store(url)


def load_into(store: Store, folder: Path, **orders: Any) -> list[LoadReport]:
    data = Data(
        orders=Orders(source="orders.csv", max_rejected_percent=50.0, **orders),
        customers=Customers(source="customers.csv"),
        exposures=Exposures(source="log.csv"),
        costs=CostsSource(source="costs.csv"),
    )
    return load(
        store, data, project_timezone="Europe/Paris", currency="EUR", margin_rate=0.5, base=folder,
        expected=Expected(frozenset({"age", "optin"}), {}),
        now=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
    )  # fmt: skip


def content(store: Store) -> dict[str, list[str]]:
    """Every table of the store, row by row."""
    kept: dict[str, list[str]] = {}
    with store.read() as connection:
        ordered = sa.select(tables.attributes).order_by(tables.attributes.c.position)
        kinds = [(row.name, row.kind) for row in connection.execute(ordered)]
        for table in (*tables.metadata.sorted_tables, tables.customers_table(kinds)):
            found = connection.execute(sa.select(table)).mappings()
            kept[table.name] = sorted(repr(dict(row)) for row in found)
    return kept


FIRST = """order_id,customer_id,ordered_at,revenue,channel
a,007,2026-01-01 10:00:00,10.1,web
b,"é ""q"", 💐",2026-01-02,-3.25,"\\N"
c,8,nope,1,
d,9,2026-02-01,7,NULL
"""
SECOND = """order_id,customer_id,ordered_at,revenue,channel
a,007,2026-01-01 10:00:00,10.1,web
d,9,2026-02-03,8,
e,"x
y",2026-02-01,1,
"""


def test_same_store_on_both_engines(stores: tuple[Store, Store], tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("customer_id,Âge,optin\n007,41,1\n9,,0\n")
    (tmp_path / "log.csv").write_text("campaign,customer_id,at\nw,007,2026-01-02\nw,9,2026-01-03\n")
    (tmp_path / "costs.csv").write_text("campaign,day,amount\nw,2026-01-02,100\nw,2026-01-02,5\n")
    for text in (FIRST, SECOND, SECOND):
        (tmp_path / "orders.csv").write_text(text)
        ours, theirs = (load_into(store, tmp_path) for store in stores)
        assert ours == theirs
        assert content(stores[0]) == content(stores[1])
        (tmp_path / "costs.csv").write_text("campaign,day,amount\nw,2026-01-02,110\n")
    assert all(report.skipped for report in ours)
    assert len(content(stores[0])["orders"]) == 4


def test_lines_and_withdrawn_orders_on_both_engines(
    stores: tuple[Store, Store], tmp_path: Path
) -> None:
    for name in ("customers.csv", "log.csv", "costs.csv"):
        columns = {"customers.csv": "customer_id", "log.csv": "customer_id,at"}
        (tmp_path / name).write_text(columns.get(name, "campaign,day,amount") + "\n")
    header = "order_id,customer_id,ordered_at,revenue,status\n"
    states = (
        "a,1,2026-01-01,0.5,paid\na,1,2026-01-01,0.25,paid\nb,2,2026-01-01,4,paid\n",
        "a,1,2026-01-01,0.5,paid\na,1,2026-01-05,-0.5,paid\nb,2,2026-01-01,4,voided\n",
    )
    for text in states:
        (tmp_path / "orders.csv").write_text(header + text)
        options: dict[str, Any] = {"columns": {"status": "status"}, "statuses": ("paid",)}
        ours, theirs = (load_into(store, tmp_path, lines=True, **options) for store in stores)
        assert ours == theirs
        assert content(stores[0]) == content(stores[1])
    assert (ours[0].changed, ours[0].added) == (2, 2)
