"""Days between the orders of a customer, from the days that the roll-up keeps of each month.

Builds tables of one row a customer, for `features` to join and `merge` to keep; no statement of
its own. What is used twice is a common table without a name of its own, so that two dates fit in
one statement.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.store.queries.functions import bits_in_both, days_between, highest_bit
from loyalty_exp.store.queries.spend import date_of_first, date_of_last, last_of_month
from loyalty_exp.store.tables import customer_month, customer_rhythm, orders

__all__ = [
    "counted_gaps",
    "days_in_order",
    "first_channels",
    "gaps",
    "moved",
    "rhythm",
    "usual_gap",
]

Expression = sa.ColumnElement[Any]

moved = sa.Table(
    "moved", sa.MetaData(), sa.Column("customer", sa.Text, nullable=False), prefixes=["TEMPORARY"]
)
"""Customers whose months a load touches, each once: their rhythm is counted anew."""


def rhythm(as_of: dt.date) -> sa.CTE:
    """Number of gaps between days with an order up to a date, their median, and the first channel.

    What is kept holds for customers without a later order; the others' gaps are counted anew.

    Returns:
        `customer`, `repeat_days`, `median_gap_days` and `first_channel`; customers who ordered
        after the date only are among the rows, without a gap.
    """
    kept = customer_rhythm.c
    later = sa.select(kept.customer).where(kept.last_on > as_of)
    counted = gaps(later, as_of)
    settled = kept.last_on <= as_of
    days = sa.func.coalesce(counted.c.repeat_days, 0)
    return (
        sa.select(
            kept.customer,
            sa.case((settled, kept.repeat_days), else_=days).label("repeat_days"),
            sa.case((settled, kept.median_gap_days), else_=counted.c.median_gap_days).label(
                "median_gap_days"
            ),
            kept.first_channel,
        )
        .select_from(
            customer_rhythm.outerjoin(counted, counted.c.customer == customer_rhythm.c.customer)
        )
        .cte()
    )


def usual_gap(of: sa.CTE) -> sa.Subquery:
    """One row: `usual_gap_days`, the median over all customers of `median_gap_days`."""
    middle = sa.cast(sa.func.median(of.c.median_gap_days), sa.Double)
    return sa.select(middle.label("usual_gap_days")).subquery("usual")


def gaps(who: sa.Select[Any] | None = None, as_of: dt.date | None = None) -> sa.Subquery:
    """`customer`, `last_on`, `repeat_days` and `median_gap_days`, as the engine counts them.

    Args:
        who: one column of customers; None for all.
        as_of: the last day that counts; None for all days.
    """
    months = _months(who, as_of)
    month = last_of_month(months.c.month, months.c.days)
    mine: dict[str, Any] = {"partition_by": months.c.customer, "order_by": month}
    before = sa.func.lag(month).over(**mine).label("before")
    steps = sa.select(months.c.customer, month.label("month"), before).subquery()
    apart = days_between(date_of_last(steps.c.before), date_of_first(steps.c.month))
    between = sa.select(steps.c.customer, apart.label("gap"), steps.c.month)
    months, bits = _months(who, as_of), _bits()
    below = bits_in_both(months.c.days, bits.c.below)
    set_twice = sa.and_(bits_in_both(months.c.days, bits.c.bit) > 0, below > 0)
    nothing = sa.cast(sa.null(), sa.BigInteger)
    within = sa.select(months.c.customer, bits.c.place - highest_bit(below), nothing)
    within = within.join_from(months, bits, set_twice).where(
        bits_in_both(months.c.days, months.c.days - 1) > 0
    )
    found = sa.union_all(between, within).subquery()
    return (
        sa.select(
            found.c.customer,
            sa.cast(sa.func.count(found.c.gap), sa.Integer).label("repeat_days"),
            sa.cast(sa.func.median(found.c.gap), sa.Double).label("median_gap_days"),
            date_of_last(sa.func.max(found.c.month)).label("last_on"),
        )
        .group_by(found.c.customer)
        .subquery()
    )


def _row(table: sa.Table) -> sa.ColumnElement[int]:
    """The place of a row, which holds within a transaction of the embedded engine."""
    return sa.literal_column(f"{table.name}.rowid", sa.BigInteger)


def days_in_order(*, whole: bool) -> sa.Select[Any]:
    """Months with an order, those of a customer together, to be counted in process.

    Args:
        whole: of all customers, the roll-up just made and so in order as it lies; else of those
            in `moved`.

    Returns:
        A statement of whether another customer begins, a row that names the customer (of the
        roll-up, else of `moved`), the month, and its days.
    """
    kept = customer_month.c
    if whole:
        months = sa.select(_row(customer_month).label("row"), kept.customer, kept.month, kept.days)
        whose = "customer"
    else:
        row = _row(moved).label("row")
        months = sa.select(row, kept.month, kept.days).order_by(row)
        months = months.join_from(customer_month, moved, moved.c.customer == kept.customer)
        whose = "row"
    ordered = months.where(kept.days > 0).subquery().c
    begins = ordered[whose] != sa.func.lag(ordered[whose]).over()
    return sa.select(sa.func.coalesce(begins, sa.true()), ordered.row, ordered.month, ordered.days)


def counted_gaps(name: str, *, whole: bool) -> sa.Subquery:
    """What `gaps` gives, from a view of what was counted in process.

    Args:
        name: of the view: `row`, as `days_in_order` gave it, and what `gaps` gives.
        whole: as for `days_in_order`.
    """
    named = customer_month if whole else moved
    columns = ("row", "last_on", "repeat_days", "median_gap_days")
    counted = sa.table(name, *map(sa.column, columns))
    again = counted.c.repeat_days > 0
    return (
        sa.select(
            named.c.customer,
            sa.cast(counted.c.last_on, sa.Date).label("last_on"),
            sa.cast(counted.c.repeat_days, sa.Integer).label("repeat_days"),
            sa.case((again, counted.c.median_gap_days)).label("median_gap_days"),
        )
        .join_from(named, counted, counted.c.row == _row(named))
        .subquery()
    )


def _months(who: sa.Select[Any] | None, as_of: dt.date | None) -> sa.Subquery:
    """Months with an order: `customer`, `month`, and `days` up to the date."""
    kept = customer_month.c
    days: Expression = kept.days
    conditions: list[Expression] = []
    if as_of is not None:
        last, until = month_of(as_of.year, as_of.month), (1 << as_of.day) - 1
        days = sa.case((kept.month == last, bits_in_both(days, until)), else_=days)
        conditions.append(kept.month <= last)
    if who is not None:
        conditions.append(kept.customer.in_(who))
    return (
        sa.select(kept.customer, kept.month, days.label("days"))
        .where(days > 0, *conditions)
        .subquery()
    )


def _bits() -> sa.Subquery:
    """Every bit but the lowest: its `place`, its number, and the number of all bits `below`."""
    rows = (
        sa.select(
            *(
                sa.literal_column(str(number), sa.Integer).label(name)
                for name, number in zip(
                    ("place", "bit", "below"), (place, 1 << place, (1 << place) - 1), strict=True
                )
            )
        )
        for place in range(1, 31)
    )
    return sa.union_all(*rows).subquery()


def first_channels(who: sa.Select[Any] | None = None) -> sa.Subquery:
    """Channel of the first order; of two at the same moment, the first in the alphabet.

    Args:
        who: one column of customers; None for all.
    """
    bought = [orders.c.revenue >= 0]
    if who is not None:
        bought.append(orders.c.customer.in_(who))
    first = (
        sa.select(orders.c.customer, sa.func.min(orders.c.ordered_at).label("at"))
        .where(*bought)
        .group_by(orders.c.customer)
        .subquery()
    )
    same = sa.and_(orders.c.customer == first.c.customer, orders.c.ordered_at == first.c.at)
    return (
        sa.select(orders.c.customer, sa.func.min(orders.c.channel).label("first_channel"))
        .join_from(orders, first, same)
        .where(orders.c.revenue >= 0, orders.c.channel.is_not(None))
        .group_by(orders.c.customer)
        .subquery()
    )
