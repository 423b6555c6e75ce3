"""What the programme cost in a year: each amount once, on its day; by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support import new_store

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.budget import programme_cost
from loyalty_exp.store import tables
from loyalty_exp.store.database import Store

YEAR = (dt.date(2024, 1, 1), dt.date(2024, 12, 31))
START = dt.date(2024, 3, 1)
COUNTS = {"holdout": 10, "a": 20, "b": 20}

LEDGER = [
    ("spring", "agency", dt.date(2024, 3, 2), 100.0),
    ("spring", "contact", dt.date(2024, 3, 2), 70.0),
    ("spring", "agency", dt.date(2025, 1, 1), 11.0),
    ("leaflet", "contact", dt.date(2024, 12, 31), 5.0),
]
"""Contacts of spring have a declared price; of the leaflet nothing is known but the payment."""

LOG = [
    ("spring", "t1", dt.datetime(2024, 3, 3), "sent", 9.0),
    ("spring", "t1", dt.datetime(2024, 12, 31, 23), "redeemed", None),
    ("spring", "t2", dt.datetime(2024, 4, 1), "redeemed", 3.5),
    ("spring", "t2", dt.datetime(2025, 1, 1), "redeemed", None),
    ("spring", "h1", dt.datetime(2024, 4, 1), "sent", 0.4),
    ("spring", "unknown", dt.datetime(2024, 4, 2), "sent", 0.6),
]
ROSTER = [("t1", "a"), ("t2", "b"), ("h1", "holdout")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    kept = new_store(tmp_path_factory.mktemp("budget"))
    with kept.write() as connection:
        names = ("campaign", "kind", "day", "amount")
        rows = [dict(zip(names, row, strict=True)) for row in LEDGER]
        connection.execute(tables.costs.insert(), [row | {"load_id": "t"} for row in rows])
        names = ("campaign", "customer", "at", "kind", "cost")
        rows = [dict(zip(names, row, strict=True)) for row in LOG]
        connection.execute(tables.exposures.insert(), [row | {"load_id": "t"} for row in rows])
        common = {"campaign": "spring", "wave": 0, "segment": "s", "stratum": "s"}
        connection.execute(
            tables.assignments.insert(),
            [common | {"unit": who, "customer": who, "arm": arm} for who, arm in ROSTER],
        )
    return kept


def cost(store: Store, plans: list[FrozenPlan], year: tuple[dt.date, dt.date] = YEAR) -> Any:
    with store.read() as connection:
        return programme_cost(connection, plans, *year)


@pytest.fixture
def spring(plan_of: Callable[..., Any]) -> Callable[..., FrozenPlan]:
    def declared(campaign: str = "spring", **costs: Any) -> FrozenPlan:
        plan = plan_of(COUNTS)
        return replace(plan, campaign=campaign, start=START, declaration={"costs": costs})

    return declared


def test_each_amount_counts_once_on_its_day(
    store: Store, spring: Callable[..., FrozenPlan]
) -> None:
    """Agency 100 (in the place of the fixed 999), leaflet 5, 20 contacts at 2 in arm a, no price in
    arm b; of the log, h1's and the unknown customer's contacts; vouchers of t1 at 6, of t2 at 3.5.
    """
    plan = spring(fixed=999, per_contact={"a": 2.0}, per_redemption={"a": 6.0, "b": 7.0})
    assert cost(store, [plan]) == pytest.approx(100 + 5 + 40 + 0.4 + 0.6 + 6 + 3.5)
    after = (dt.date(2025, 1, 1), dt.date(2025, 12, 31))
    assert cost(store, [plan], after) == pytest.approx(11 + 7)


def test_vouchers_in_the_orders_cost_nothing_more(
    store: Store, spring: Callable[..., FrozenPlan]
) -> None:
    plan = spring(per_contact={"a": 2.0}, vouchers_in_orders=True)
    assert cost(store, [plan]) == pytest.approx(100 + 5 + 40 + 0.4 + 0.6)


def test_a_fixed_cost_counts_on_the_first_day_and_every_wave_contacts(
    store: Store, spring: Callable[..., FrozenPlan]
) -> None:
    first = spring("rolling", fixed=30, per_contact={"a": 1.0, "b": 0.5})
    second = replace(first, wave=1, start=dt.date(2024, 12, 31))
    third = replace(first, wave=2, start=dt.date(2025, 1, 1))
    alone = cost(store, [])
    assert cost(store, [first, second, third]) == pytest.approx(alone + 30 + 2 * (20 + 10))


def test_what_nobody_wrote_down_is_not_free(
    store: Store, spring: Callable[..., FrozenPlan]
) -> None:
    before = (dt.date(2022, 1, 1), dt.date(2022, 12, 31))
    assert cost(store, [spring(fixed=30)], before) is None
