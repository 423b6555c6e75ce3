"""What the store knows of itself: loads, data dates, launches. Builds statements only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.tables import customer_month, exposures, launches, loads, memberships, orders

__all__ = ["data_dates", "every_customer", "has_exposures", "kept_loads", "wave_plans"]


def data_dates() -> sa.Select[Any]:
    """(first order, last order) of the store."""
    return sa.select(sa.func.min(orders.c.ordered_at), sa.func.max(orders.c.ordered_at))


def kept_loads() -> sa.Select[Any]:
    """Every load, oldest first."""
    return sa.select(loads).order_by(loads.c.loaded_at, loads.c.what, loads.c.load_id)


def wave_plans(campaign: str) -> sa.Select[Any]:
    """(plan, digest, launched_at) of every wave of a campaign, in order."""
    return (
        sa.select(launches.c.plan, launches.c.digest, launches.c.launched_at)
        .where(launches.c.campaign == campaign)
        .order_by(launches.c.wave)
    )


def has_exposures(campaign: str) -> sa.Select[Any]:
    """How many contacts were logged for a campaign."""
    return sa.select(sa.func.count()).where(exposures.c.campaign == campaign)


def every_customer(last_month: int) -> sa.Select[Any]:
    """Customers with an order in or before a month, one column `customer`."""
    return (
        sa.select(customer_month.c.customer).where(customer_month.c.month <= last_month).distinct()
    )


def kept_membership(segment: str, as_of: Any) -> sa.Select[Any]:
    """How many customers a dated segment holds in the store."""
    return sa.select(sa.func.count()).where(
        memberships.c.segment == segment, memberships.c.as_of == as_of
    )
