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
    customer_rhythm,
    customers_table,
    exposures,
    orders,
)

__all__ = [
    "HISTORY",
    "any_contact",
    "customers_known",
    "first_month",
    "history_rows",
    "standing",
    "units_contacted",
]

HISTORY = ("revenue", "orders", "active")
"""What a unit did before the start: money, orders, months with an order of each of its customers.
"""


def customers_known() -> sa.Select[Any]:
    """How many customers ever ordered."""
    return sa.select(sa.func.count()).select_from(customer_rhythm)


def standing(
    campaign: str,
    wave: int,
    past: tuple[int, int],
    reading: tuple[dt.date, int],
    *,
    by_customer: bool,
    few: bool,
) -> sa.Select[Any]:
    """How the units of a wave stand, by stratum and arm: there still, their past, who bought.

    Args:
        campaign: the campaign.
        wave: the wave.
        past: first month of the pre-period, and the month after its last, as indices.
        reading: first day and last month of what is read; none where the month is before the day.
        by_customer: whether a unit is a customer.
        few: whether the roster holds few of all customers, so that only its own are summed; else
            it costs less to sum everybody than to look each up first.

    Returns:
        A statement with a row a stratum and arm: units; `present`, those that still have a
        customer in the store, with attributes or with orders; `buyers` in what is read; of each
        of `HISTORY`, taken as sign(x) ln(1 + |x|) of a unit's figure, mean and population variance
        (`mean_` and `variance_` its name), and of two of them the variance of their sum
        (`variance_` both names); `without`, units without any order in the past.
    """
    units = _standing_units(campaign, wave, past, reading, few=few)
    if not by_customer:
        keys = [units.c[name] for name in ("unit", "stratum", "arm")]
        sums = [sa.cast(sa.func.sum(units.c[name]), sa.Double).label(name) for name in HISTORY]
        flags = [sa.func.max(units.c[name]).label(name) for name in ("present", "bought")]
        units = sa.select(*keys, *sums, *flags).group_by(*keys).subquery("whole")
    values = {name: _signed_log(units.c[name]) for name in HISTORY}
    return (
        sa.select(
            units.c.stratum,
            units.c.arm,
            sa.func.count().label("units"),
            sa.func.sum(units.c.present).label("present"),
            sa.func.sum(units.c.bought).label("buyers"),
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
    """(unit, stratum, arm, then `HISTORY`) of the pre-period, a row a unit; see `standing`.

    Args:
        campaign: the campaign.
        wave: the wave.
        first: first month of the pre-period, as an index.
        start: the month after its last.
    """
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
        .order_by(assignments.c.unit)
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


def _standing_units(
    campaign: str, wave: int, past: tuple[int, int], reading: tuple[dt.date, int], *, few: bool
) -> sa.Subquery:
    """One row a customer of a wave: unit, stratum, arm, `HISTORY`; 0 or 1 in present, bought."""
    roster = (assignments.c.campaign == campaign, assignments.c.wave == wave)
    kept, (began, last) = customer_month.c, reading
    month = month_of(began.year, began.month)
    before = sa.and_(kept.month >= past[0], kept.month < past[1])
    ordered = kept.orders > 0
    read = sa.and_(kept.month >= month + (began.day > 1), kept.month <= last)
    spent = sa.select(
        kept.customer,
        sa.func.sum(sa.case((before, kept.revenue), else_=0)).label("revenue"),
        sa.func.sum(sa.case((before, kept.orders), else_=0)).label("orders"),
        sa.func.sum(sa.case((sa.and_(before, ordered), 1), else_=0)).label("active"),
        sa.func.max(sa.case((sa.and_(read, ordered), 1), else_=0)).label("bought"),
    ).group_by(kept.customer)
    if few:
        spent = spent.where(kept.customer.in_(sa.select(assignments.c.customer).where(*roster)))
    months = spent.subquery("months")
    known = sa.select(customers_table().c.customer).distinct().subquery("known")
    joined = assignments.outerjoin(months, months.c.customer == assignments.c.customer)
    joined = joined.outerjoin(known, known.c.customer == assignments.c.customer)
    bought = months.c.bought == 1
    if began.day > 1 and month <= last:
        within = (orders.c.month == month, orders.c.ordered_at >= began, orders.c.revenue >= 0)
        part = sa.select(orders.c.customer).where(*within).distinct().subquery("part")
        joined = joined.outerjoin(part, part.c.customer == assignments.c.customer)
        bought = sa.or_(bought, part.c.customer.is_not(None))
    present = sa.or_(months.c.customer.is_not(None), known.c.customer.is_not(None))
    return (
        sa.select(
            assignments.c.unit,
            assignments.c.stratum,
            assignments.c.arm,
            *(
                sa.cast(sa.func.coalesce(months.c[name], 0), sa.Double).label(name)
                for name in HISTORY
            ),
            sa.case((present, 1), else_=0).label("present"),
            sa.case((bought, 1), else_=0).label("bought"),
        )
        .select_from(joined)
        .where(*roster)
        .subquery("units")
    )
