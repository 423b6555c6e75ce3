"""Counts behind the checks of a campaign, against the same counted row by row."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest
from support import fill_store

from loyalty_exp.store import tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.queries.checks import buyers


@pytest.mark.parametrize(
    ("start", "last"),
    [
        (dt.date(2025, 3, 1), 2025 * 12 + 5),
        (dt.date(2025, 3, 17), 2025 * 12 + 5),
        (dt.date(2025, 3, 17), 2025 * 12 + 3),
        (dt.date(2025, 3, 31), 2025 * 12 + 2),
    ],
)
def test_buyers_are_those_with_an_order_in_the_window(
    tmp_path: Path, start: dt.date, last: int
) -> None:
    chance = random.Random(11)  # noqa: S311  (rows, no secret)
    orders = [
        (
            f"o{number}",
            f"c{chance.randrange(150)}",
            dt.datetime(2025, 1, 1) + dt.timedelta(minutes=chance.randrange(60 * 24 * 200)),
            chance.choice([-5.0, 0.0, 12.5]),
        )
        for number in range(300)
    ]
    store = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    fill_store(store, orders)
    # Two customers a unit, the second half of the units in the other arm.
    roster = {f"c{number}": f"u{number // 2}" for number in range(120)}
    arm = {unit: "call" if int(unit[1:]) < 30 else "holdout" for unit in roster.values()}
    rows = [
        {
            "campaign": "x", "wave": 0, "unit": unit, "customer": customer, "segment": "all",
            "stratum": "all", "arm": arm[unit],
        }
        for customer, unit in roster.items()
    ]  # fmt: skip
    found = {
        roster[customer]
        for _, customer, when, revenue in orders
        if customer in roster
        and when.date() >= start
        and when.year * 12 + when.month <= last
        and revenue >= 0
    }
    expected = {
        name: sum(arm[unit] == name for unit in found) for name in {arm[unit] for unit in found}
    }
    with store.write() as connection:
        connection.execute(tables.assignments.insert(), rows)
        counted = connection.execute(buyers("x", 0, start, last)).all()
    assert {row.arm: row.units for row in counted} == expected
