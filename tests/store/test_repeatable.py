"""Sums in the store: the same bytes whatever the order of rows, threads and loads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from loyalty_exp.declare.sources import Data, Orders
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store, open_store
from loyalty_exp.store.load import Expected, load
from loyalty_exp.store.queries.functions import customer_sum, exact_sum

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ROW_GROUP = 20_000
"""Small, so that a file of a few hundred thousand rows is read by several threads."""


Sum = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[float]]
each_sum = pytest.mark.parametrize("sum_of", [exact_sum, customer_sum])
HALF_STEP: dict[Sum, float] = {exact_sum: 1e-15, customer_sum: 0.5 / 1.024e9}
"""By how much an amount is rounded at most."""


def summed(values: list[float], sum_of: Sum) -> float:
    with duckdb.connect() as engine:
        engine.execute("CREATE TABLE amounts (amount DOUBLE)")
        engine.execute("INSERT INTO amounts SELECT unnest(?)", [values])
        text = f"SELECT {sum_of(sa.column('amount'))} FROM amounts"
        total: float = engine.execute(text).fetchall()[0][0]
        return total


@each_sum
@pytest.mark.parametrize("size", [1, 3, 50, 4000])
def test_sum_does_not_depend_on_the_order_and_is_that_of_fractions(size: int, sum_of: Sum) -> None:
    generator = np.random.default_rng(size)
    drawn = generator.lognormal(3, 2, size) * generator.choice([1, 1, 1, -1], size)
    values = drawn.tolist()
    backwards, shuffled = values[::-1], generator.permutation(drawn).tolist()
    total = summed(values, sum_of)
    assert summed(backwards, sum_of) == total == summed(shuffled, sum_of)
    exact = sum(map(Fraction, values))
    # Each amount is rounded to a step, and in the last bit when scaled.
    scale = Fraction(sum(map(abs, values)))
    assert abs(Fraction(total) - exact) <= Fraction(2**-52) * scale + size * HALF_STEP[sum_of]


@each_sum
@pytest.mark.parametrize("most", [10**7, 4 * 10**8])
def test_cents_add_up_as_on_paper(most: int, sum_of: Sum) -> None:
    """To hundreds of millions, too."""
    cents = np.random.default_rng(1).integers(-most, most, 10_000).tolist()
    values = [cent / 100 for cent in cents]
    assert summed(values, sum_of) == sum(cents) / 100
    assert summed([0.1, 0.2], sum_of) == 0.3
    # The plain sum of this very list is not: the case is one where it matters.
    assert sum(values) != sum(cents) / 100


def written(folder: Path, seed: int, *, lines: bool = False) -> Path:
    """A file of 300,000 rows, always the same ones, in an order of its own."""
    rows = 300_000
    made, order = np.random.default_rng(7), np.random.default_rng(seed).permutation(rows)
    number = np.arange(rows) // 3 if lines else np.arange(rows)
    columns = {
        "order_id": np.char.mod("o%07d", number),
        "customer_id": np.char.mod("c%03d", number % 500),
        "ordered_at": np.datetime64("2025-01-01", "s") + number % 90 * np.timedelta64(86_400, "s"),
        "revenue": made.lognormal(3, 1, rows) / 1.2,
        "margin": made.lognormal(2, 1, rows) / 7,
    }
    path = folder / f"orders{seed}.parquet"
    table = pa.table({name: values[order] for name, values in columns.items()})
    pq.write_table(table, path, row_group_size=ROW_GROUP)
    return path


def loaded(folder: Path, name: str, *sources: Path, lines: bool = False) -> Store:
    store = open_store(f"duckdb:///{folder / name}.duckdb")
    for source in sources:
        data = Data(orders=Orders(source=source.name, lines=lines))
        load(
            store, data, project_timezone="Europe/Paris", currency="EUR", margin_rate=None,
            base=folder, expected=Expected(frozenset(), {}), now=NOW,
        )  # fmt: skip
    return store


def rolled(store: Store) -> list[tuple[object, ...]]:
    kept = tables.customer_month
    with store.read() as connection:
        ordered = sa.select(kept).order_by(kept.c.customer, kept.c.month)
        return [tuple(row) for row in connection.execute(ordered)]


def in_order(store: Store) -> list[tuple[object, ...]]:
    """The roll-up in the order in which it is kept."""
    with store.read(repeatable=True) as connection:
        return [tuple(row) for row in connection.execute(sa.select(tables.customer_month))]


@pytest.mark.parametrize("lines", [False, True])
def test_two_loads_of_a_large_file_give_the_same_bytes(tmp_path: Path, lines: bool) -> None:
    first, other = written(tmp_path, 1, lines=lines), written(tmp_path, 2, lines=lines)
    kept = in_order(loaded(tmp_path, "first", first, lines=lines))
    assert kept == in_order(loaded(tmp_path, "again", first, lines=lines))
    assert kept == in_order(loaded(tmp_path, "shuffled", other, lines=lines))
    assert len(kept) == 1500


def test_roll_up_after_many_loads_is_that_of_one(tmp_path: Path) -> None:
    """New, changed, moved and withdrawn orders: only their months are summed again."""

    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text("order_id,customer_id,ordered_at,revenue,margin\n" + text)
        return path

    january = file("a.csv", "1,x,2026-01-05,10.1,5\n2,y,2026-01-06,20.2,5\n3,x,2026-01-07,3.3,1\n")
    february = file("b.csv", "4,x,2026-02-05,7.7,2\n2,y,2026-01-06,21.2,6\n")
    moved = file("c.csv", "3,y,2026-03-07,3.3,1\n")
    store = loaded(tmp_path, "parts", january, february, moved)
    final = file(
        "d.csv",
        "1,x,2026-01-05,10.1,5\n2,y,2026-01-06,21.2,6\n3,y,2026-03-07,3.3,1\n4,x,2026-02-05,7.7,2\n",
    )
    assert rolled(store) == rolled(loaded(tmp_path, "whole", final))
    assert rolled(store) == [
        ("x", 24313, 10.1, 5.0, 1, 1 << 4), ("x", 24314, 7.7, 2.0, 1, 1 << 4),
        ("y", 24313, 21.2, 6.0, 1, 1 << 5), ("y", 24315, 3.3, 1.0, 1, 1 << 6),
    ]  # fmt: skip
