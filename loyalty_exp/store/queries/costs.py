"""What was paid and logged for campaigns, from the ledger and the contacts. Builds statements."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.tables import assignments, costs, exposures

__all__ = ["last_payment", "logged_costs", "payments", "payments_between"]


def payments(campaign: str) -> sa.Select[Any]:
    """(arm, kind, amount) of a campaign's payments added up; arm is NULL for all arms together."""
    keys = (costs.c.arm, costs.c.kind)
    return (
        sa.select(*keys, sa.func.sum(costs.c.amount).label("amount"))
        .where(costs.c.campaign == campaign)
        .group_by(*keys)
        .order_by(*keys)
    )


def payments_between(first: dt.date, last: dt.date) -> sa.Select[Any]:
    """(campaign, kind, amount) of every payment from one day to another, added up."""
    keys = (costs.c.campaign, costs.c.kind)
    return (
        sa.select(*keys, sa.func.sum(costs.c.amount).label("amount"))
        .where(costs.c.day.between(first, last))
        .group_by(*keys)
        .order_by(*keys)
    )


def logged_costs(first: dt.date, last: dt.date) -> sa.Select[Any]:
    """(campaign, arm, redeemed, amount, unpriced) of the contacts from one day to another.

    `arm` is NULL for a customer who is in none of the campaign's waves; `redeemed` is 1 for offers
    used; `unpriced` counts the rows without an amount.
    """
    begin = dt.datetime.combine(first, dt.time())
    end = dt.datetime.combine(last, dt.time()) + dt.timedelta(days=1)
    keys = (assignments.c.campaign, assignments.c.customer)
    roster = (
        sa.select(*keys, sa.func.min(assignments.c.arm).label("arm")).group_by(*keys).subquery()
    )
    redeemed = sa.case((exposures.c.kind == "redeemed", 1), else_=0).label("redeemed")
    groups = (exposures.c.campaign, roster.c.arm, redeemed)
    same = (roster.c.campaign == exposures.c.campaign) & (roster.c.customer == exposures.c.customer)
    return (
        sa.select(
            *groups,
            sa.func.sum(sa.func.coalesce(exposures.c.cost, 0)).label("amount"),
            sa.func.count(sa.case((exposures.c.cost.is_(None), 1))).label("unpriced"),
        )
        .join_from(exposures, roster, same, isouter=True)
        .where(exposures.c.at >= begin, exposures.c.at < end)
        .group_by(*groups)
        .order_by(exposures.c.campaign, roster.c.arm, redeemed)
    )


def last_payment() -> sa.Select[Any]:
    """Day of the latest payment of any campaign: how far the ledger reaches."""
    return sa.select(sa.func.max(costs.c.day))
