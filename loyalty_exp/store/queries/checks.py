"""Counts and sums behind the checks of a campaign, by stratum and arm: never a customer's row.

Builds statements only, but for `history_rows`, which is for a few hundred units.
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.store.tables import (
    assignments,
    customer_month,
    customers_table,
    exposures,
    orders,
)

__all__ = [
    "HISTORY",
    "any_contact",
    "buyers",
    "first_month",
    "histories",
    "history_rows",
    "present_units",
    "units_contacted",
]

HISTORY = ("revenue", "orders", "active")
"""What a unit did before the start: money, orders, months with an order of each of its customers.
"""


def present_units(campaign: str, wave: int) -> sa.Select[Any]:
    """(stratum, arm, units) of a wave's units that still have a customer in the store.

    A customer is there with attributes or with orders: many never had the one or the other.
    """
    known = sa.union(
        sa.select(customers_table().c.customer), sa.select(customer_month.c.customer)
    ).subquery("known")
    return (
        sa.select(
            assignments.c.stratum,
            assignments.c.arm,
            sa.func.count(sa.distinct(assignments.c.unit)).label("units"),
        )
        .join_from(assignments, known, assignments.c.customer == known.c.customer)
        .where(assignments.c.campaign == campaign, assignments.c.wave == wave)
        .group_by(assignments.c.stratum, assignments.c.arm)
    )


def histories(campaign: str, wave: int, first: int, start: int) -> sa.Select[Any]:
    """Pre-period of a wave by stratum and arm.

    Args:
        campaign: the campaign.
        wave: the wave.
        first: first month of the pre-period, as an index.
        start: the month after its last.

    Returns:
        A statement with a row a stratum and arm: units; of each of `HISTORY`, taken as
        sign(x) ln(1 + |x|) of a unit's figure, mean and population variance (`mean_` and
        `variance_` its name), and of two of them the variance of their sum (`variance_` both
        names); units without any order.
    """
    units = _histories(campaign, wave, first, start).subquery("units")
    values = {name: _signed_log(units.c[name]) for name in HISTORY}
    return (
        sa.select(
            units.c.stratum,
            units.c.arm,
            sa.func.count().label("units"),
            *(sa.func.avg(value).label(f"mean_{name}") for name, value in values.items()),
            *(sa.func.var_pop(value).label(f"variance_{name}") for name, value in values.items()),
            *(
                sa.func.var_pop(values[one] + values[two]).label(f"variance_{one}_{two}")
                for one, two in itertools.combinations(HISTORY, 2)
            ),
            sa.func.sum(sa.case((units.c.orders > 0, 0), else_=1)).label("without"),
        )
        .group_by(units.c.stratum, units.c.arm)
        .order_by(units.c.stratum, units.c.arm)
    )


def history_rows(campaign: str, wave: int, first: int, start: int) -> sa.Select[Any]:
    """(unit, stratum, arm, then `HISTORY`) of the pre-period, a row a unit; see `histories`."""
    statement = _histories(campaign, wave, first, start)
    return statement.order_by(assignments.c.unit)


def buyers(campaign: str, wave: int, start: dt.date, last: int) -> sa.Select[Any]:
    """(arm, units) of a wave with an order from the start date to the end of month `last`."""
    first, kept = month_of(start.year, start.month), customer_month.c
    bought: sa.Select[Any] | sa.CompoundSelect[Any] = sa.select(kept.customer).where(
        kept.month >= first + (start.day > 1), kept.month <= last, kept.orders > 0
    )
    if start.day > 1 and first <= last:
        within = (orders.c.month == first, orders.c.ordered_at >= start, orders.c.revenue >= 0)
        bought = sa.union_all(bought, sa.select(orders.c.customer).where(*within))
    roster = (assignments.c.campaign == campaign, assignments.c.wave == wave)
    return (
        sa.select(assignments.c.arm, sa.func.count(sa.distinct(assignments.c.unit)).label("units"))
        .where(*roster, assignments.c.customer.in_(bought))
        .group_by(assignments.c.arm)
    )


def any_contact() -> sa.Select[Any]:
    """1 where a contact of any campaign was logged."""
    return sa.select(sa.literal(1)).select_from(exposures).limit(1)


def units_contacted(
    campaign: str, wave: int, arm: str, start: dt.date, until: dt.date
) -> sa.Select[Any]:
    """Units of an arm with a contact of any campaign from `start` to the end of `until`."""
    return (
        sa.select(sa.func.count(sa.distinct(assignments.c.unit)))
        .join_from(assignments, exposures, assignments.c.customer == exposures.c.customer)
        .where(
            assignments.c.campaign == campaign,
            assignments.c.wave == wave,
            assignments.c.arm == arm,
            exposures.c.at >= start,
            exposures.c.at < until + dt.timedelta(days=1),
        )
    )


def first_month() -> sa.Select[Any]:
    """Index of the first month with an order in the store."""
    return sa.select(sa.func.min(customer_month.c.month))


def _signed_log(figure: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    size = sa.func.ln(1 + sa.func.abs(figure))
    return sa.case((figure < 0, -size), else_=size)


def _histories(campaign: str, wave: int, first: int, start: int) -> sa.Select[Any]:
    """One row a unit of the wave: unit, stratum, arm, then `HISTORY` over the pre-period."""
    keys = (assignments.c.unit, assignments.c.stratum, assignments.c.arm)
    spent = sa.and_(
        assignments.c.customer == customer_month.c.customer,
        customer_month.c.month >= first,
        customer_month.c.month < start,
    )
    revenue = sa.func.coalesce(sa.func.sum(customer_month.c.revenue), 0)
    return (
        sa.select(
            *keys,
            sa.cast(revenue, sa.Double).label("revenue"),
            sa.func.coalesce(sa.func.sum(customer_month.c.orders), 0).label("orders"),
            sa.func.sum(sa.case((customer_month.c.orders > 0, 1), else_=0)).label("active"),
        )
        .select_from(assignments.outerjoin(customer_month, spent))
        .where(assignments.c.campaign == campaign, assignments.c.wave == wave)
        .group_by(*keys)
    )
