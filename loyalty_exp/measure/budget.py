"""What the whole programme cost between two days: the numerator of the budget ratio.

Gross spending of every campaign, each amount counted once as in the campaign's own economics.
Reads the store, writes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import FrozenPlan
from loyalty_exp.measure.paid import costs_paid, counted_by_customer
from loyalty_exp.store.queries.costs import logged_costs, payments_between
from loyalty_exp.store.queries.registry import has_exposures

__all__ = ["programme_cost"]


def programme_cost(
    connection: sa.Connection, plans: Sequence[FrozenPlan], first: dt.date, last: dt.date
) -> float | None:
    """What campaigns cost from one day to another, both included, in currency.

    Contacts at a declared price are booked on the first day of their wave, a declared fixed cost on
    that of the campaign (unless payments were loaded, which count on their own days), what the log
    holds on the day of the contact. Payments for campaigns that were not launched count whole.

    Args:
        connection: a reading connection of the store.
        plans: every wave launched.
        first: first day.
        last: last day.

    Returns:
        None where no cost is known: a programme that nobody wrote down is not free.
    """
    waves = {plan.campaign: [p for p in plans if p.campaign == plan.campaign] for plan in plans}
    frozen = {campaign: own[0] for campaign, own in waves.items()}
    logged = {name: bool(connection.scalar(has_exposures(name))) for name in frozen}
    total = _payments(connection, frozen, logged, first, last)
    total += _log(connection, frozen, first, last)
    for campaign, own in waves.items():
        inside = [plan for plan in own if first <= plan.start <= last]
        total += _contacts(inside)
        if own[0] in inside:
            total += costs_paid(connection, own[0], logged=logged[campaign]).declared
    return total or None


def _payments(
    connection: sa.Connection,
    frozen: Mapping[str, FrozenPlan],
    logged: Mapping[str, bool],
    first: dt.date,
    last: dt.date,
) -> float:
    """The ledger, without what is counted by customer."""
    return sum(
        float(amount)
        for campaign, kind, amount in connection.execute(payments_between(first, last))
        if campaign not in frozen
        or not counted_by_customer(frozen[campaign], str(kind), logged=logged[campaign])
    )


def _log(
    connection: sa.Connection, frozen: Mapping[str, FrozenPlan], first: dt.date, last: dt.date
) -> float:
    """What the log of contacts holds and no declared price replaces."""
    total = 0.0
    for campaign, arm, redeemed, amount, unpriced in connection.execute(logged_costs(first, last)):
        costs = _declared(frozen[campaign]) if campaign in frozen else {}
        prices: Mapping[str, float] = costs.get("per_redemption") or {}
        if not redeemed:
            total += 0.0 if arm in (costs.get("per_contact") or {}) else float(amount)
        elif not costs.get("vouchers_in_orders"):
            total += float(amount) + int(unpriced) * prices.get(arm, 0.0)
    return total


def _contacts(waves: Iterable[FrozenPlan]) -> float:
    """Every treated unit of some waves contacted once, at the declared prices."""
    return sum(
        float(price) * wave.units_of(arm)
        for wave in waves
        for arm, price in (_declared(wave).get("per_contact") or {}).items()
    )


def _declared(plan: FrozenPlan) -> Mapping[str, Any]:
    return plan.declaration.get("costs") or {}
