"""Pieces of the features that look at orders one by one: rhythm and first channel.

Builds tables of one row a customer, for `features` to join; no statement of its own. What is used
twice is a common table without a name of its own, so that two dates fit in one statement.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.functions import days_between
from loyalty_exp.store.tables import orders

__all__ = ["first_channels", "midnight", "rhythm", "until", "usual_gap"]

Expression = sa.ColumnElement[Any]


def midnight(day: dt.date) -> Expression:
    """The first moment of a day."""
    return sa.literal(dt.datetime.combine(day, dt.time.min), sa.DateTime)


def until(as_of: dt.date) -> Expression:
    """Whether an order was placed by the end of a day."""
    return orders.c.ordered_at < midnight(as_of + dt.timedelta(days=1))


def rhythm(as_of: dt.date, *, median: bool) -> sa.CTE:
    """Customers with two days with an order: number of gaps between such days, and their median.

    Returns:
        `customer`, `repeat_days` and, where asked for, `median_gap_days`.
    """
    day = sa.cast(orders.c.ordered_at, sa.Date)
    before = sa.func.lag(day).over(partition_by=orders.c.customer, order_by=orders.c.ordered_at)
    steps = (
        sa.select(orders.c.customer, days_between(before, day).label("gap"))
        .where(orders.c.revenue >= 0, until(as_of))
        .subquery("steps")
    )
    gaps = sa.select(steps.c.customer, steps.c.gap).where(steps.c.gap > 0).subquery("gaps")
    columns: list[Expression] = [sa.func.count(type_=sa.Integer).label("repeat_days")]
    if median:
        middle = sa.cast(sa.func.median(gaps.c.gap), sa.Double)
        columns.append(middle.label("median_gap_days"))
    return sa.select(gaps.c.customer, *columns).group_by(gaps.c.customer).cte()


def usual_gap(of: sa.CTE) -> sa.Subquery:
    """One row: `usual_gap_days`, the median over all customers of `median_gap_days`."""
    middle = sa.cast(sa.func.median(of.c.median_gap_days), sa.Double)
    return sa.select(middle.label("usual_gap_days")).subquery("usual")


def first_channels(firsts: sa.FromClause) -> sa.Subquery:
    """Channel of the first order; of two at the same moment, the first in the alphabet.

    Args:
        firsts: a row a customer, with the moment `first_at` of the first order.
    """
    same = sa.and_(orders.c.customer == firsts.c.customer, orders.c.ordered_at == firsts.c.first_at)
    return (
        sa.select(orders.c.customer, sa.func.min(orders.c.channel).label("first_channel"))
        .join_from(orders, firsts, same)
        .where(orders.c.revenue >= 0)
        .group_by(orders.c.customer)
        .subquery("first_orders")
    )
