"""Costs really paid, by arm, each amount counted once beside what is counted by customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.economics import SHARED
from loyalty_exp.store.queries.costs import payments

__all__ = ["LEFT_OUT", "Paid", "costs_paid", "counted_by_customer"]

CONTACTS = frozenset({"contact", "contacts"})
REDEMPTIONS = frozenset({"redemption", "redemptions", "redeemed", "voucher", "vouchers"})
"""Kinds of payment that may be counted by customer already."""
LEFT_OUT = "payments for contacts or rewards are left out: these are counted by customer"


@dataclass(frozen=True, slots=True)
class Paid:
    """Payments by arm in currency, `SHARED` for all arms together; None where none counts."""

    by_arm: dict[str, float] | None
    left_out: bool
    """Whether some payments are counted by customer already."""


def costs_paid(connection: sa.Connection, plan: FrozenPlan, *, logged: bool) -> Paid:
    """What was paid for a campaign, without what its moments hold already.

    Payments of kind contact are left out where contacts have a declared price, those of kind
    redemption or voucher where redemptions are read from the log or orders are net of them. A
    payment for an arm that is not one of the treated ones is for all of them.

    Args:
        connection: an open store.
        plan: the frozen plan, whose declared prices decide.
        logged: whether contacts and redemptions were loaded.
    """
    by_arm: dict[str, float] = {}
    left_out = False
    for arm, kind, amount in connection.execute(payments(plan.campaign)):
        if counted_by_customer(plan, str(kind), logged=logged):
            left_out = True
            continue
        key = str(arm) if arm in plan.treated_arms else SHARED
        by_arm[key] = by_arm.get(key, 0.0) + float(amount)
    return Paid(by_arm or None, left_out)


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
