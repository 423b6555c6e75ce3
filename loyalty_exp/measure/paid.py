"""Costs really paid, by arm, each amount counted once beside what is counted by customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.economics import SHARED
from loyalty_exp.store.queries.costs import last_payment, payments

__all__ = ["LEFT_OUT", "PAID", "TOPPED_UP", "Paid", "costs_paid", "counted_by_customer"]

CONTACTS = frozenset({"contact", "contacts"})
REDEMPTIONS = frozenset({"redemption", "redemptions", "redeemed", "voucher", "vouchers"})
"""Kinds of payment that may be counted by customer already."""
PAID = "the fixed cost is what was really paid, not what was declared"
TOPPED_UP = "the payments loaded are not whole yet: at least the declared fixed cost is counted"
LEFT_OUT = "payments for contacts or rewards are left out: these are counted by customer"


@dataclass(frozen=True, slots=True)
class Paid:
    """Payments by arm in currency, `SHARED` for all arms together; None where none counts."""

    by_arm: dict[str, float] | None
    notes: tuple[str, ...]
    """What must be said of them."""
    declared: float
    """Part of the declared fixed cost that counts still, in currency; within `by_arm` if any."""


def costs_paid(connection: sa.Connection, plan: FrozenPlan, *, logged: bool) -> Paid:
    """What was paid for a campaign, without what its moments hold already.

    Payments of kind contact are left out where contacts have a declared price, those of kind
    redemption or voucher where redemptions are read from the log or orders are net of them. A
    payment for an arm that is not one of the treated ones is for all of them.

    The other kinds take the place of the declared fixed cost. Until the ledger reaches the end of
    the campaign they may be the first of several: what they fall short of the declared cost is then
    added, for all arms together. So it is where none of them was paid at all.

    Args:
        connection: an open store.
        plan: the frozen plan, whose declared prices decide.
        logged: whether contacts and redemptions were loaded.
    """
    by_arm: dict[str, float] = {}
    notes: list[str] = []
    fixed: list[float] = []
    for arm, kind, amount in connection.execute(payments(plan.campaign)):
        if counted_by_customer(plan, str(kind), logged=logged):
            notes = [LEFT_OUT]
            continue
        if str(kind).strip().lower() not in CONTACTS | REDEMPTIONS:
            fixed.append(float(amount))
        key = str(arm) if arm in plan.treated_arms else SHARED
        by_arm[key] = by_arm.get(key, 0.0) + float(amount)
    declared: Mapping[str, Any] = plan.declaration.get("costs") or {}
    short = float(declared.get("fixed") or 0.0) - sum(fixed)
    if not by_arm:
        return Paid(None, tuple(notes), max(short, 0.0))
    if short <= 0 or (fixed and _reaches(connection, plan)):
        return Paid(by_arm, (PAID, *notes), 0.0)
    by_arm[SHARED] = by_arm.get(SHARED, 0.0) + short
    return Paid(by_arm, (TOPPED_UP, *notes), short)


def _reaches(connection: sa.Connection, plan: FrozenPlan) -> bool:
    """Whether the ledger reaches the end of the campaign: no payment of it should be missing."""
    last: dt.date | None = connection.scalar(last_payment())
    return last is not None and last >= plan.end


def counted_by_customer(plan: FrozenPlan, kind: str, *, logged: bool) -> bool:
    """Whether a payment of this kind is in the campaign's costs by customer already.

    Args:
        plan: the frozen plan, whose declared prices decide.
        kind: of the payment, as loaded.
        logged: whether contacts and redemptions were loaded.
    """
    declared: Mapping[str, Any] = plan.declaration.get("costs") or {}
    word = kind.strip().lower()
    if word in CONTACTS:
        return bool(declared.get("per_contact"))
    rewards = declared.get("vouchers_in_orders") or (logged and declared.get("per_redemption"))
    return word in REDEMPTIONS and bool(rewards)
