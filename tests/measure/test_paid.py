"""Costs really paid: which payments count, for whom, and that none counts twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from support import new_store

from loyalty_exp.measure.economics import SHARED
from loyalty_exp.measure.paid import LEFT_OUT, PAID, TOPPED_UP, costs_paid
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
    ("autumn", "a", "contacts", 25.0),
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
    assert found.notes == ((PAID, LEFT_OUT) if left_out else (PAID,))


def test_without_a_payment_that_counts_the_declared_cost_stands(
    paid: Callable[..., Any], plan_of: Callable[..., Any]
) -> None:
    nothing = paid(plan_of(COUNTS, campaign="winter"))
    assert (nothing.by_arm, nothing.notes) == (None, ())


# Of the spring campaign 135 is booked that is neither contact nor reward; its end is on 30 April.
UNFINISHED: list[tuple[float, dt.date, float, str]] = [
    (135.0, dt.date(2024, 4, 30), 0.0, PAID),
    (1000.0, dt.date(2024, 4, 30), 865.0, TOPPED_UP),
    (1000.0, dt.date(2024, 3, 2), 0.0, PAID),
    (1000.0, dt.date(2024, 3, 3), 865.0, TOPPED_UP),
]


@pytest.mark.parametrize(("declared", "end", "added", "note"), UNFINISHED)
def test_an_unfinished_ledger_counts_at_least_the_declared_cost(
    paid: Callable[..., Any],
    plan_of: Callable[..., Any],
    declared: float,
    end: dt.date,
    added: float,
    note: str,
) -> None:
    found = paid(plan_of(COUNTS, end=end, declaration={"costs": {"fixed": declared}}))
    assert found.by_arm == pytest.approx({"a": 90.0, SHARED: 45.0 + added, "b": 90.0})
    assert found.notes == (note,)
    assert found.declared == pytest.approx(added)


def test_contacts_and_rewards_alone_leave_the_declared_cost_standing(
    paid: Callable[..., Any], plan_of: Callable[..., Any]
) -> None:
    costs = {"fixed": 70.0}
    plan = plan_of(COUNTS, campaign="autumn", end=dt.date(2024, 3, 1), declaration={"costs": costs})
    found = paid(plan)
    assert found.by_arm == pytest.approx({"a": 25.0, SHARED: 70.0})
    assert found.notes == (TOPPED_UP,)
