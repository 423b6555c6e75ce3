"""Counts behind the checks of a campaign, against the same counted row by row."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import fill_store

from loyalty_exp.store import tables
from loyalty_exp.store.database import open_store
from loyalty_exp.store.queries.checks import HISTORY, standing

PAST = (2025 * 12 + 1, 2025 * 12 + 3)
"""January and February."""


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize(
    ("start", "last"),
    [
        (dt.date(2025, 3, 1), 2025 * 12 + 5),
        (dt.date(2025, 3, 17), 2025 * 12 + 5),
        (dt.date(2025, 3, 17), 2025 * 12 + 3),
        (dt.date(2025, 3, 31), 2025 * 12 + 2),
    ],
)
def test_a_wave_stands_as_its_rows_say(
    tmp_path: Path, start: dt.date, last: int, each: int, few: bool
) -> None:
    """Units of one customer or of two, by pandas; half of them in the other arm."""
    chance = random.Random(11)  # noqa: S311  (rows, no secret)
    rows = [
        (
            f"o{number}",
            f"c{chance.randrange(150)}",
            dt.datetime(2025, 1, 1) + dt.timedelta(minutes=chance.randrange(60 * 24 * 200)),
            chance.choice([-5.0, 0.0, 12.5]),
        )
        for number in range(300)
    ]
    known = ["c0", "c1", "c118", "c119", "c149"]
    roster = pd.DataFrame({"customer": [f"c{number}" for number in range(120)]})
    roster["unit"] = [f"u{number // each}" for number in range(120)]
    roster["arm"] = np.where(np.arange(120) < 60, "call", "holdout")
    roster["stratum"] = np.where(np.arange(120) // each % 3 == 0, "a", "b")
    store = open_store(f"duckdb:///{tmp_path}/store.duckdb")
    fill_store(store, rows)
    placed = roster.assign(campaign="x", wave=0, segment="all").to_dict("records")
    with store.write() as connection:
        connection.execute(tables.assignments.insert(), placed)
        connection.execute(
            tables.customers_table().insert(), [{"customer": name} for name in known]
        )
        found = connection.execute(
            standing("x", 0, PAST, (start, last), by_customer=each == 1, few=few)
        ).mappings()
        counted = {(row["stratum"], row["arm"]): row for row in found}

    orders = pd.DataFrame(rows, columns=["order", "customer", "at", "revenue"])
    orders["month"] = orders["at"].dt.year * 12 + orders["at"].dt.month
    orders["orders"] = (orders["revenue"] >= 0).astype(int)
    inside = (orders["at"] >= pd.Timestamp(start)) & (orders["month"] <= last)
    before = orders[(orders["month"] >= PAST[0]) & (orders["month"] < PAST[1])]
    months = before.groupby(["customer", "month"], as_index=False)[["revenue", "orders"]].sum()
    months["active"] = (months["orders"] > 0).astype(int)
    figures = months.groupby("customer")[list(HISTORY)].sum()
    roster = roster.join(figures, on="customer").fillna(0)
    buyers = orders[inside & (orders["revenue"] >= 0)]["customer"]
    roster["bought"] = roster["customer"].isin(buyers)
    roster["present"] = roster["customer"].isin([*orders["customer"], *known])
    assert not roster["present"].all()
    units = roster.groupby(["unit", "stratum", "arm"], as_index=False).agg(
        dict.fromkeys(HISTORY, "sum") | {"bought": "max", "present": "max"}
    )
    groups = units.groupby(["stratum", "arm"])
    assert counted.keys() == set(groups.groups)
    for key, group in groups:
        row = counted[key]
        assert row["units"] == len(group)
        assert row["buyers"] == group["bought"].sum()
        assert row["present"] == group["present"].sum()
        assert row["without"] == (group["orders"] == 0).sum()
        logs = np.sign(group[list(HISTORY)]) * np.log1p(group[list(HISTORY)].abs())
        assert [row[f"mean_{name}"] for name in HISTORY] == pytest.approx(list(logs.mean()))
        assert row["variance_orders"] == pytest.approx(logs["orders"].var(ddof=0))
        both = (logs["revenue"] + logs["active"]).var(ddof=0)
        assert row["variance_revenue_active"] == pytest.approx(both)
