"""Statements of the year-over-year comparison, from the roll-up wherever whole months are compared.

Builds statements only. A customer is present in a window when it has an order or a refund in it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.store.queries.rhythm import midnight
from loyalty_exp.store.tables import customer_month, orders

__all__ = ["NOBODY", "Window", "cohorts", "days_with_orders", "monthly", "portfolio"]

NOBODY = "none"
"""Segment of customers who were in no segment at a date: not yet customers, mostly."""

Expression = sa.ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Window:
    """Days from `start` to `end`, both in it, on the wall clock of the project."""

    start: dt.date
    end: dt.date

    @property
    def after(self) -> dt.date:
        """The day after the last."""
        return self.end + dt.timedelta(days=1)

    @property
    def whole_months(self) -> bool:
        """Whether it starts with a month and ends with one."""
        return self.start.day == 1 and self.after.day == 1

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.after - self.start).days

    def year_before(self) -> Window:
        """The same days of the calendar a year earlier."""
        return Window(_year_earlier(self.start), _year_earlier(self.after) - dt.timedelta(days=1))


def _year_earlier(day: dt.date) -> dt.date:
    """The same day a year earlier; of 29 February, the 1st of March."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return dt.date(day.year - 1, 3, 1)


def portfolio(
    year1: Window,
    year2: Window,
    segments1: sa.Select[Any] | None = None,
    segments2: sa.Select[Any] | None = None,
) -> sa.Select[Any]:
    """Sums of both years by segment of year 1, segment of year 2 and status of the customer.

    Status: retained (present in both), lost (in year 1 only), new (in year 2, and never before its
    start), reactivated (in year 2, not in year 1, but before the start of year 2), dormant.

    `frequency` is the part of the change of revenue of retained customers that comes from their
    number of orders, customer by customer: (orders2 - orders1) x mean of the two baskets (Bennet
    1920); the rest is basket. In a year of refunds only the other year's basket stands alone.

    Args:
        year1: first window.
        year2: second window.
        segments1: a select of `customer` and `segment`, at most one row a customer; None puts
            every customer in `NOBODY`.
        segments2: the same at the end of year 2.
    """
    sums = _sums(year1, year2).subquery("sums")
    source: sa.FromClause = sums
    names: list[Expression] = []
    for place, segments in enumerate((segments1, segments2), start=1):
        name: Expression = sa.literal(NOBODY, sa.Text)
        if segments is not None:
            kept = segments.subquery(f"segments{place}")
            source = source.outerjoin(kept, kept.c.customer == sums.c.customer)
            name = sa.func.coalesce(kept.c.segment, NOBODY, type_=sa.Text)
        names.append(name.label(f"segment{place}"))
    seen = sa.select(sums, _status(sums).label("status"), *names).select_from(source).subquery()
    keys = (seen.c.segment1, seen.c.segment2, seen.c.status)
    amounts = [
        sa.func.sum(seen.c[f"{what}{year}"]).label(f"{what}{year}")
        for what in ("revenue", "margin", "orders")
        for year in (1, 2)
    ]
    counts = [
        sa.func.count(sa.case((seen.c[f"orders{year}"] >= least, 1))).label(f"{name}{year}")
        for name, least in (("buyers", 1), ("repeaters", 2))
        for year in (1, 2)
    ]
    frequency = sa.func.sum(_frequency(seen), type_=sa.Double).label("frequency")
    count = sa.func.count(type_=sa.Integer).label("customers")
    return sa.select(*keys, count, *amounts, *counts, frequency).group_by(*keys).order_by(*keys)


def _sums(year1: Window, year2: Window) -> sa.Select[Any]:
    """A row a customer known by the end of year 2: sums and number of rows of each year."""
    if year1.whole_months and year2.whole_months:
        table, when = customer_month, customer_month.c.month
        bounds: list[tuple[Any, Any]] = [
            (_month(window.start), _month(window.after)) for window in (year1, year2)
        ]
        placed: Expression = customer_month.c.orders
    else:
        table, when = orders, orders.c.ordered_at
        bounds = [(midnight(window.start), midnight(window.after)) for window in (year1, year2)]
        placed = sa.case((orders.c.revenue >= 0, 1), else_=0)
    columns: list[Expression] = []
    for year, (first, after) in enumerate(bounds, start=1):
        inside = sa.and_(when >= first, when < after)
        columns += [
            sa.func.sum(sa.case((inside, table.c.revenue), else_=0)).label(f"revenue{year}"),
            sa.func.sum(sa.case((inside, table.c.margin), else_=0)).label(f"margin{year}"),
            sa.func.sum(sa.case((inside, placed), else_=0)).label(f"orders{year}"),
            sa.func.count(sa.case((inside, 1))).label(f"rows{year}"),
        ]
    (_, _), (first2, after2) = bounds
    earlier = sa.case((sa.func.min(when) < first2, 1), else_=0).label("earlier")
    return (
        sa.select(table.c.customer, earlier, *columns)
        .where(when < after2)
        .group_by(table.c.customer)
    )


def _month(day: dt.date) -> int:
    return month_of(day.year, day.month)


def _status(sums: sa.Subquery) -> Expression:
    in1, in2 = sums.c.rows1 > 0, sums.c.rows2 > 0
    return sa.case(
        (sa.and_(in1, in2), "retained"),
        (in1, "lost"),
        (sa.and_(in2, sums.c.earlier == 1), "reactivated"),
        (in2, "new"),
        else_="dormant",
    )


def _frequency(seen: sa.Subquery) -> Expression:
    orders1, orders2 = (sa.cast(seen.c[f"orders{year}"], sa.Double) for year in (1, 2))
    bought1, bought2 = seen.c.orders1 > 0, seen.c.orders2 > 0
    baskets = seen.c.revenue1 / orders1 + seen.c.revenue2 / orders2
    change = sa.case(
        (sa.and_(bought1, bought2), (orders2 - orders1) * baskets / 2),
        (bought1, -seen.c.revenue1),
        (bought2, seen.c.revenue2),
        else_=0,
    )
    return sa.case((seen.c.status == "retained", change), else_=0)


def days_with_orders() -> sa.Select[Any]:
    """Days with a row of orders, in order: the store's coverage of the calendar."""
    day = sa.cast(orders.c.ordered_at, sa.Date).label("day")
    return sa.select(day).distinct().order_by(day)


def cohorts(first: int, last: int) -> sa.Select[Any]:
    """Customers active by month of first order and months since: rows (cohort, age, customers).

    Args:
        first: month index of the first cohort.
        last: month index of the last month looked at.
    """
    bought = (customer_month.c.orders > 0, customer_month.c.month <= last)
    starts = (
        sa.select(customer_month.c.customer, sa.func.min(customer_month.c.month).label("cohort"))
        .where(*bought)
        .group_by(customer_month.c.customer)
        .subquery("starts")
    )
    age = (customer_month.c.month - starts.c.cohort).label("age")
    return (
        sa.select(starts.c.cohort, age, sa.func.count(type_=sa.Integer).label("customers"))
        .join_from(customer_month, starts, starts.c.customer == customer_month.c.customer)
        .where(*bought, starts.c.cohort >= first)
        .group_by(starts.c.cohort, age)
        .order_by(starts.c.cohort, age)
    )


def monthly(last: int, segments: sa.Select[Any] | None = None) -> sa.Select[Any]:
    """Sums and arrivals by month up to `last`: one row a month with orders and a segment.

    `arrivals` are customers whose first order is in the month, `reactivated` those who order again
    after more than 12 months, `leavers` those who order for the last time before more than 12
    months of silence, or before an end that is not known yet (counted too: the reader of the rows
    knows which months are too recent).

    Args:
        last: month index of the last month looked at.
        segments: a select of `customer` and `segment`; None puts every customer in `NOBODY`.
    """
    month = customer_month.c.month
    name: Expression = sa.literal(NOBODY, sa.Text)
    source: sa.FromClause = customer_month
    if segments is not None:
        kept = segments.subquery("segments")
        source = source.outerjoin(kept, kept.c.customer == customer_month.c.customer)
        name = sa.func.coalesce(kept.c.segment, NOBODY, type_=sa.Text)
    bought = sa.case((customer_month.c.orders > 0, month))
    mine: dict[str, Any] = {"partition_by": customer_month.c.customer, "order_by": month}
    before = sa.func.max(bought).over(**mine, rows=(None, -1)).label("before")
    later = sa.func.min(bought).over(**mine, rows=(1, None)).label("later")
    sums = (customer_month.c.revenue, customer_month.c.margin, customer_month.c.orders)
    seen = (
        sa.select(month, *sums, name.label("segment"), before, later)
        .select_from(source)
        .where(month <= last)
        .subquery("seen")
    )
    active = seen.c.orders > 0

    def count(*conditions: Expression) -> Expression:
        return sa.func.count(sa.case((sa.and_(active, *conditions), 1)), type_=sa.Integer)

    silent = sa.or_(seen.c.later.is_(None), seen.c.later - seen.c.month > 12)
    return (
        sa.select(
            seen.c.month,
            seen.c.segment,
            count().label("active"),
            count(seen.c.before.is_(None)).label("arrivals"),
            count(seen.c.month - seen.c.before > 12).label("reactivated"),
            count(silent).label("leavers"),
            *(sa.func.sum(seen.c[column.key]).label(column.key) for column in sums),
        )
        .group_by(seen.c.month, seen.c.segment)
        .order_by(seen.c.month, seen.c.segment)
    )
