"""What is kept beside the orders, after any loads and erasures, is what the orders say."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import statistics
import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_exp.declare.sources import Data, Orders
from loyalty_exp.errors import StoreError
from loyalty_exp.store import summaries, tables
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.engines import grouped_in_parts
from loyalty_exp.store.erase import forget_person
from loyalty_exp.store.load import Expected, load
from loyalty_exp.store.queries.features import features
from loyalty_exp.store.queries.rhythm import gaps, moved

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FIRST = dt.datetime(2024, 1, 30, 9)

order = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([0, 1, 2, 3, 30, 31, 32, 60, 397, 398, 700]),
    st.sampled_from(["-5.25", "0", "10.1", "20.35", "33.333"]),
    st.sampled_from(["web", "shop", ""]),
)
"""Customer, days after `FIRST`, revenue and channel."""
files = st.dictionaries(st.integers(1, 9), order, min_size=1, max_size=7)
"""Orders by their number; a number that comes again is a restatement."""
steps = st.lists(st.one_of(files, st.sampled_from("abc")), min_size=1, max_size=4)
"""Files to load, and customers to forget."""


def read(store: Store, folder: Path, number: int, rows: dict[int, Any]) -> None:
    path = folder / f"orders{number}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "customer_id", "ordered_at", "revenue", "channel"])
        for name, (customer, day, revenue, channel) in rows.items():
            writer.writerow([name, customer, FIRST + dt.timedelta(days=day), revenue, channel])
    names = ("order_id", "customer_id", "ordered_at", "revenue", "channel")
    declared = Orders(source=path.name, columns={name: name for name in names})
    load(
        store, Data(orders=declared), project_timezone="Europe/Paris", currency="EUR",
        margin_rate=0.5, base=folder, expected=Expected(frozenset(), {}), now=NOW,
    )  # fmt: skip


def kept(connection: sa.Connection, table: sa.Table) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in connection.execute(sa.select(table))}


def by_hand(orders: list[Any]) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """The roll-up and the rhythms of some orders."""
    months: dict[tuple[str, int], list[Any]] = defaultdict(list)
    people: dict[str, list[Any]] = defaultdict(list)
    for row in orders:
        months[row.customer, row.ordered_at.year * 12 + row.ordered_at.month].append(row)
        if row.revenue >= 0:
            people[row.customer].append(row)
    rolled = set()
    for key, rows in months.items():
        bought = [row for row in rows if row.revenue >= 0]
        days = sum({1 << (row.ordered_at.day - 1) for row in bought})
        sums = (float(sum(Decimal(repr(x)) for x in column)) for column in (
            [row.revenue for row in rows], [row.margin for row in rows]
        ))  # fmt: skip
        rolled.add((*key, *sums, len(bought), days))
    rhythms = set()
    for customer, rows in people.items():
        days_on = sorted({row.ordered_at.date() for row in rows})
        gaps = [(later - day).days for day, later in itertools.pairwise(days_on)]
        first = min(row.ordered_at for row in rows)
        channels = [row.channel for row in rows if row.ordered_at == first and row.channel]
        median = float(statistics.median(gaps)) if gaps else None
        channel = min(channels, default=None)
        rhythms.add((customer, days_on[-1], len(gaps), median, channel))
    return rolled, rhythms


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(steps)
def test_loads_and_erasures_leave_what_the_orders_say(done: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(f"duckdb:///{folder}/store.duckdb")
        with store.write():
            pass
        for number, step in enumerate(done):
            if isinstance(step, dict):
                read(store, folder, number, step)
            else:
                try:
                    with store.write() as connection:
                        forget_person(connection, step, NOW)
                except StoreError:  # nothing is held about that customer yet
                    continue
            with store.read() as connection:
                orders = list(connection.execute(sa.select(tables.orders)))
                rolled, rhythms = by_hand(orders)
                assert kept(connection, tables.customer_month) == rolled
                assert kept(connection, tables.customer_rhythm) == rhythms
                check_past(connection, orders)


def check_past(connection: sa.Connection, orders: list[Any]) -> None:
    """The rhythm at dates before the last order, within a month and at its end."""
    for day in (dt.date(2024, 2, 1), dt.date(2024, 2, 29), dt.date(2025, 3, 2)):
        until = [row for row in orders if row.ordered_at.date() <= day]
        _, rhythms = by_hand(until)
        expected = {row[0]: row[2:4] for row in rhythms}
        names = ["repeat_days", "median_gap_days"]
        found = {row[0]: tuple(row[1:]) for row in connection.execute(features(day, names))}
        assert found == expected, day


def test_a_store_without_the_days_is_made_anew_by_the_next_load(tmp_path: Path) -> None:
    store = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    read(store, tmp_path, 1, {1: ("a", 0, "10.1", "web"), 2: ("a", 3, "-5.25", "")})
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE customer_month DROP COLUMN days")
        connection.exec_driver_sql("DROP TABLE customer_rhythm")
    with (
        pytest.raises(StoreError, match="an earlier version; run `loyalty-exp load`"),
        store.read(),
    ):
        pass
    read(store, tmp_path, 1, {1: ("a", 0, "10.1", "web"), 2: ("a", 3, "-5.25", "")})
    with store.read() as connection:
        rolled, rhythms = by_hand(list(connection.execute(sa.select(tables.orders))))
        assert kept(connection, tables.customer_month) == rolled
        assert kept(connection, tables.customer_rhythm) == rhythms


def test_rhythms_are_the_same_by_the_engine_and_in_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 2,048 months; customers of one day only, of refunds, of every day of a month."""
    monkeypatch.setattr(summaries, "_VECTORS", 1)
    random = np.random.default_rng(7)
    customers = random.integers(0, 900, 12_000)
    days = np.where(customers == 5, np.arange(12_000) % 366, random.integers(0, 1200, 12_000))
    rows = {
        number: (f"{customer:03d}", int(day), "-1" if number % 9 == 0 else "10.1", "")
        for number, (customer, day) in enumerate(zip(customers, days, strict=True))
    }
    rows[-1] = ("once", 0, "10.1", "")
    store = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    read(store, tmp_path, 1, rows)
    counted = gaps()
    names = ("customer", "last_on", "repeat_days", "median_gap_days")
    with store.read() as connection:
        by_engine = set(connection.execute(sa.select(*(counted.c[name] for name in names))))
        in_process = {row[:4] for row in kept(connection, tables.customer_rhythm)}
        assert in_process == by_engine
        assert ("once", FIRST.date(), 0, None) in in_process
        assert len(in_process) == len({row[0] for row in rows.values() if row[2] != "-1"})
    with store.write() as connection:
        few = tables.customer_rhythm.c.customer < "300"
        moved.create(connection)
        who = sa.select(tables.customer_rhythm.c.customer).where(few)
        connection.execute(moved.insert().from_select(["customer"], who))
        connection.execute(tables.customer_rhythm.delete().where(few))
        summaries.keep_rhythms(connection, whole=False, channels=True)
        assert {row[:4] for row in kept(connection, tables.customer_rhythm)} == by_engine


@pytest.mark.parametrize(("threads", "inside"), [(1, 1), (2, 3), (3, 3), (5, 5)])
def test_two_threads_become_three_while_months_are_grouped(
    tmp_path: Path, threads: int, inside: int
) -> None:
    """One is kept, for who asks for one wants rows in order; so is the number of an address."""

    def used() -> int:
        return int(connection.exec_driver_sql("SELECT current_setting('threads')").scalar_one())

    with open_store(f"duckdb:///{tmp_path}/store.duckdb").write() as connection:
        connection.exec_driver_sql(f"SET threads = {threads}")
        with grouped_in_parts(connection):
            assert used() == inside
        assert used() == threads
    asked = f"duckdb:///{tmp_path}/asked.duckdb?threads={threads}"
    with open_store(asked).write() as connection, grouped_in_parts(connection):
        assert used() == threads


def test_a_load_of_more_customers_than_the_engine_writes_at_once(tmp_path: Path) -> None:
    """Two months of the same customers, more than a row group of them, and new ones."""
    store = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    names = ("order_id", "customer_id", "ordered_at", "revenue")
    for day, customers in (("2025-01-05", 130_000), ("2025-02-07", 131_000)):
        path = tmp_path / f"{day}.parquet"
        columns = f"'{day}' || i AS order_id, 'c' || i AS customer_id, 10.0 AS revenue"
        rows = f"{columns}, TIMESTAMP '{day}' AS ordered_at FROM range({customers}) AS t(i)"
        duckdb.sql(f"COPY (SELECT {rows}) TO '{path}'")
        declared = Orders(source=path.name, columns={name: name for name in names})
        load(
            store, Data(orders=declared), project_timezone="Europe/Paris", currency="EUR",
            margin_rate=0.5, base=tmp_path, expected=Expected(frozenset(), {}), now=NOW,
        )  # fmt: skip
    kept_of = tables.customer_rhythm.c
    told = (kept_of.last_on, kept_of.repeat_days, kept_of.median_gap_days)
    with store.read() as connection:
        found = connection.execute(sa.select(*told, sa.func.count()).group_by(*told)).all()
    february = dt.date(2025, 2, 7)
    assert set(found) == {(february, 1, 33.0, 130_000), (february, 0, None, 1_000)}
