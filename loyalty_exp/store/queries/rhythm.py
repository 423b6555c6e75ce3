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
    if not median:
        counted = sa.func.count(type_=sa.Integer).label("repeat_days")
        return sa.select(gaps.c.customer, counted).group_by(gaps.c.customer).cte()
    in_order = (
        _in_order(gaps.c.gap, gaps.c.customer).add_columns(gaps.c.customer).subquery("in_order")
    )
    count = sa.func.max(in_order.c.n).label("repeat_days")
    return (
        sa.select(in_order.c.customer, count, _middle(in_order).label("median_gap_days"))
        .where(*_in_the_middle(in_order))
        .group_by(in_order.c.customer)
        .cte()
    )


def usual_gap(of: sa.CTE) -> sa.Subquery:
    """One row: `usual_gap_days`, the median over all customers of `median_gap_days`."""
    in_order = _in_order(of.c.median_gap_days).subquery("in_order")
    return (
        sa.select(_middle(in_order).label("usual_gap_days"))
        .where(*_in_the_middle(in_order))
        .subquery("usual")
    )


def _in_order(column: Expression, by: Expression | None = None) -> sa.Select[Any]:
    """The column as x, with its place and the number of rows, in each group.

    A median by row number is exact and plain on every engine; functions for it differ.
    """
    columns: list[Expression] = [
        column.label("x"),
        sa.func.count(type_=sa.Integer).over(partition_by=by).label("n"),
        sa.func.row_number(type_=sa.Integer).over(partition_by=by, order_by=column).label("place"),
    ]
    return sa.select(*columns)


def _in_the_middle(rows: sa.Subquery) -> tuple[Expression, Expression]:
    twice = 2 * rows.c.place
    return twice >= rows.c.n, twice <= rows.c.n + 2


def _middle(rows: sa.Subquery) -> Expression:
    return sa.func.avg(sa.cast(rows.c.x, sa.Double), type_=sa.Double)


def first_channels(as_of: dt.date) -> sa.Subquery:
    """Channel of the first order; of two at the same moment, the first in the alphabet."""
    turn = sa.func.row_number().over(
        partition_by=orders.c.customer, order_by=(orders.c.ordered_at, orders.c.channel)
    )
    numbered = (
        sa.select(orders.c.customer, orders.c.channel.label("first_channel"), turn.label("turn"))
        .where(orders.c.revenue >= 0, until(as_of))
        .subquery("numbered")
    )
    return (
        sa.select(numbered.c.customer, numbered.c.first_channel)
        .where(numbered.c.turn == 1)
        .subquery("first_orders")
    )
