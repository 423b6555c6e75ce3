"""Costs really paid: which payments count, for whom, and that none counts twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from support import new_store

from loyalty_exp.measure.economics import SHARED
from loyalty_exp.measure.paid import costs_paid
from loyalty_exp.store import tables

COUNTS = {"holdout": 10, "a": 20, "b": 20}
LEDGER = [
    ("spring", "a", "agency", 100.0),
    ("spring", "a", "agency", -10.0),
    ("spring", None, "print", 40.0),
    ("spring", "typo", "print", 5.0),
    ("spring", "b", " Contact", 60.0),
    ("spring", "b", "vouchers", 30.0),
    ("summer", "a", "agency", 999.0),
]


@pytest.fixture(name="paid", scope="module")
def paid_fixture(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    store = new_store(tmp_path_factory.mktemp("ledger"))
    names = ("campaign", "arm", "kind", "amount")
    rows = [dict(zip(names, row, strict=True)) for row in LEDGER]
    with store.write() as connection:
        common = {"day": dt.date(2024, 3, 2), "load_id": "t"}
        connection.execute(tables.costs.insert(), [row | common for row in rows])

    def read(plan: Any, *, logged: bool = True) -> Any:
        with store.read() as connection:
            return costs_paid(connection, plan, logged=logged)

    return read


DECLARED: list[tuple[dict[str, Any], bool, dict[str, float], bool]] = [
    ({}, True, {"a": 90.0, SHARED: 45.0, "b": 90.0}, False),
    ({"per_contact": {"b": 3.0}}, True, {"a": 90.0, SHARED: 45.0, "b": 30.0}, True),
    ({"per_redemption": {"b": 3.0}}, True, {"a": 90.0, SHARED: 45.0, "b": 60.0}, True),
    ({"per_redemption": {"b": 3.0}}, False, {"a": 90.0, SHARED: 45.0, "b": 90.0}, False),
    ({"vouchers_in_orders": True}, False, {"a": 90.0, SHARED: 45.0, "b": 60.0}, True),
]


@pytest.mark.parametrize(("declared", "logged", "expected", "left_out"), DECLARED)
def test_each_payment_counts_once(
    paid: Callable[..., Any],
    plan_of: Callable[..., Any],
    declared: dict[str, Any],
    logged: bool,
    expected: dict[str, float],
    left_out: bool,
) -> None:
    found = paid(plan_of(COUNTS, declaration={"costs": declared}), logged=logged)
    assert found.by_arm == pytest.approx(expected)
    assert found.left_out is left_out


def test_without_a_payment_that_counts_the_declared_cost_stands(
    paid: Callable[..., Any], plan_of: Callable[..., Any]
) -> None:
    nothing = paid(plan_of(COUNTS, campaign="winter"))
    assert (nothing.by_arm, nothing.left_out) == (None, False)
