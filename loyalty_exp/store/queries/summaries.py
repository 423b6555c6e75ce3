"""What is kept of the orders beside them: the roll-up by month, and the rhythm of every customer.

Builds statements, the same on every engine. A load makes anew what it touches: the months that it
brings orders to or takes some out of, and the rhythm of the customers who have orders in them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.queries.functions import bits_together, customer_sum, kept_columns
from loyalty_exp.store.queries.rhythm import first_channels, gaps, moved
from loyalty_exp.store.queries.spend import days_of

__all__ = [
    "LATEST",
    "any_channel",
    "build_customer_month",
    "build_customer_rhythm",
    "clear_touched_months",
    "drop_moved_rhythms",
    "latest_tables",
    "note_moved",
    "touched",
]

touched = sa.Table(
    "touched", sa.MetaData(), sa.Column("month", sa.Integer, nullable=False), prefixes=["TEMPORARY"]
)
"""Months that a load brings orders to or takes some out of."""


def clear_touched_months() -> sa.Delete:
    """Empty the roll-up in the months of `touched`."""
    month = tables.customer_month.c.month
    return tables.customer_month.delete().where(month.in_(sa.select(touched.c.month)))


def build_customer_month(*, whole: bool = True) -> sa.Insert:
    """The roll-up of orders; a refund counts in money and is no order.

    Args:
        whole: of all months, into an empty table; else of those in `touched`.
    """
    orders = tables.orders
    bought = sa.case((orders.c.revenue >= 0, 1))
    rolled = (
        sa.select(
            orders.c.customer,
            orders.c.month,
            customer_sum(orders.c.revenue),
            customer_sum(orders.c.margin),
            sa.cast(sa.func.count(bought), sa.Integer),
            sa.cast(bits_together(days_of(orders.c.ordered_at, orders.c.revenue)), sa.Integer),
        )
        .group_by(orders.c.customer, orders.c.month)
        .order_by(orders.c.customer, orders.c.month)
    )
    if not whole:
        rolled = rolled.where(orders.c.month.in_(sa.select(touched.c.month)))
    names = [column.name for column in tables.customer_month.columns]
    return tables.customer_month.insert().from_select(names, rolled)


def note_moved() -> sa.Insert:
    """Note in `moved` who has orders in a month of `touched`, or had by the roll-up until now."""
    who = sa.union(
        *(
            sa.select(table.c.customer).where(table.c.month.in_(sa.select(touched.c.month)))
            for table in (tables.customer_month, tables.orders)
        )
    ).subquery()
    # One statement: DuckDB 1.5.6 may lose all rows of a large INSERT that follows, in the same
    # transaction and table, one of no row.
    rows = sa.select(who.c.customer).order_by(who.c.customer)
    return moved.insert().from_select(["customer"], rows)


def drop_moved_rhythms() -> sa.Delete:
    """Take out the rhythm of the customers in `moved`."""
    who = sa.select(moved.c.customer)
    return tables.customer_rhythm.delete().where(tables.customer_rhythm.c.customer.in_(who))


LATEST = {
    tables.customer_month.name: tables.customer_month.c.days.name,
    tables.roster_members.name: tables.roster_members.c.members.name,
}
"""Tables and columns that earlier versions did not keep."""


def latest_tables() -> sa.Select[Any]:
    """Tables of `LATEST` that are there with their column."""
    columns = kept_columns.c
    which = (
        sa.and_(columns.table_name == table, columns.column_name == column)
        for table, column in LATEST.items()
    )
    return sa.select(columns.table_name).where(
        columns.table_schema == sa.func.current_schema(), sa.or_(*which)
    )


def any_channel() -> sa.Select[Any]:
    """One order of the store with a channel, or nothing."""
    orders = tables.orders.c
    return sa.select(orders.order_id).where(orders.channel.is_not(None)).limit(1)


def build_customer_rhythm(
    *, whole: bool = True, channels: bool = True, counted: sa.Subquery | None = None
) -> sa.Insert:
    """The rhythm of customers who order, from the roll-up; the first channel from their orders.

    Args:
        whole: of all customers, into an empty table; else of those in `moved`.
        channels: whether any order of the store has a channel.
        counted: what `gaps` gives, where it was counted already.
    """
    who = None if whole else sa.select(moved.c.customer)
    counted = gaps(who) if counted is None else counted
    source: sa.FromClause = counted
    channel: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.Text)
    if channels:
        first = first_channels(who)
        source = source.outerjoin(first, first.c.customer == counted.c.customer)
        channel = first.c.first_channel
    names = [column.name for column in tables.customer_rhythm.columns]
    rows = sa.select(*(counted.c[name] for name in names[:-1]), channel).select_from(source)
    return tables.customer_rhythm.insert().from_select(names, rows)
