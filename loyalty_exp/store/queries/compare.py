"""Statements of the year-over-year comparison, from the roll-up but for parts of months.

Builds statements only. A customer is present in a window when it has an order or a refund in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.functions import bits_together, exact_sum
from loyalty_exp.store.queries.snapshots import Lookup, Snapshot, TierRule
from loyalty_exp.store.queries.spend import Spend
from loyalty_exp.store.tables import customer_month

__all__ = [
    "NOBODY",
    "Placing",
    "Segments",
    "Window",
    "cohorts",
    "monthly",
    "months_with_days",
    "portfolio",
]

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


@dataclass(frozen=True, slots=True)
class Placing:
    """A way to place every customer by features that need no rhythm."""

    columns: tuple[str, ...]
    """the features it reads"""
    key: Callable[[Lookup], Expression]
    """what stands for the segment of a customer, a text, given features by name"""
    name: Callable[[Expression], Expression]
    """the segment, given its key"""
    tiers: TierRule | None = None


Segments = tuple[sa.Select[Any], sa.Select[Any]] | Placing | None


def portfolio(year1: Window, year2: Window, segments: Segments = None) -> sa.Select[Any]:
    """Sums of both years by segment of year 1, segment of year 2 and status of the customer.

    Status: retained (present in both), lost (in year 1 only), new (in year 2, and never before its
    start), reactivated (in year 2, not in year 1, but before the start of year 2), dormant.

    `frequency` is the part of the change of revenue of retained customers that comes from their
    number of orders, customer by customer: (orders2 - orders1) x mean of the two baskets (Bennet
    1920); the rest is basket. In a year of refunds only the other year's basket stands alone.

    Args:
        year1: first window.
        year2: second window.
        segments: for each year a select of `customer` and `segment`, at most one row a customer;
            or how every customer is placed at the end of both, in the same pass; None puts every
            customer in `NOBODY`.
    """
    seen = _placed(year1, year2, segments).subquery("seen")
    keys = (seen.c.key1, seen.c.key2, seen.c.status)
    amounts = [
        exact_sum(seen.c[f"{what}{year}"]).label(f"{what}{year}")
        for what in ("revenue", "margin")
        for year in (1, 2)
    ]
    amounts += [sa.func.sum(seen.c[f"orders{year}"]).label(f"orders{year}") for year in (1, 2)]
    counts = [
        sa.func.count(sa.case((seen.c[f"orders{year}"] >= least, 1))).label(f"{name}{year}")
        for name, least in (("buyers", 1), ("repeaters", 2))
        for year in (1, 2)
    ]
    frequency = exact_sum(_frequency(seen)).label("frequency")
    count = sa.func.count(type_=sa.Integer).label("customers")
    summed = sa.select(*keys, count, *amounts, *counts, frequency).group_by(*keys).subquery("cells")
    names = [_named(summed.c[f"key{place}"], segments).label(f"segment{place}") for place in (1, 2)]
    others = [column for column in summed.c if column.name not in {"key1", "key2"}]
    return sa.select(*names, *others).order_by(*names, summed.c.status)


def _named(key: Expression, segments: Segments) -> Expression:
    """The segment that a key stands for."""
    if isinstance(segments, Placing):
        return sa.case((key == NOBODY, NOBODY), else_=segments.name(key))
    return key


def _placed(year1: Window, year2: Window, segments: Segments) -> sa.Select[Any]:
    """A row a customer known by the end of year 2: sums of both years, segments and status."""
    years = (year1, year2)
    nobody: Expression = sa.literal(NOBODY, sa.Text)
    places = [nobody, nobody]
    source: sa.FromClause
    sums: sa.FromClause
    if isinstance(segments, Placing):
        snapshots = [
            Snapshot(year.end, segments.columns, tiers=segments.tiers, suffix=f"_at_{place}")
            for place, year in enumerate(years, start=1)
        ]
        sums = _sums(years, snapshots)
        bounded: sa.FromClause = sums
        for snapshot in snapshots:
            bounded = snapshot.join_bounds(bounded, sums)
        features = (
            snapshot.value(name).label(f"{name}{snapshot.suffix}")
            for snapshot in snapshots
            for name in segments.columns
        )
        source = scored = sa.select(*sums.c, *features).select_from(bounded).subquery("scored")
        for place, snapshot in enumerate(snapshots):
            values = {name: scored.c[f"{name}{snapshot.suffix}"] for name in segments.columns}
            key = segments.key(values.__getitem__)
            places[place] = sa.case((snapshot.known(scored), key), else_=nobody)
        sums = scored
    else:
        source = sums = _sums(years, ())
        for place, members in enumerate(segments or ()):
            kept = members.subquery(f"segments{place + 1}")
            source = source.outerjoin(kept, kept.c.customer == sums.c.customer)
            places[place] = sa.func.coalesce(kept.c.segment, NOBODY, type_=sa.Text)
    names = (key.label(f"key{place}") for place, key in enumerate(places, start=1))
    figures = (sums.c[f"{what}{year}"] for what in _FIGURES for year in (1, 2))
    return sa.select(*figures, sums.c.status, *names).select_from(source)


_FIGURES = ("revenue", "margin", "orders")


def _sums(years: tuple[Window, Window], snapshots: Sequence[Snapshot]) -> sa.CTE:
    """A row a customer known by the end of year 2: sums and presence of each year, and totals."""
    cuts = {day for year in years for day in (year.start, year.after)}
    spend = Spend(cuts.union(*(snapshot.cuts for snapshot in snapshots)))
    columns: list[sa.Label[Any]] = []
    for number, year in enumerate(years, start=1):
        window = (year.start, year.after)
        columns += [
            spend.amount("revenue", *window).label(f"revenue{number}"),
            spend.amount("margin", *window).label(f"margin{number}"),
            spend.placed(*window).label(f"orders{number}"),
        ]
    columns.append(spend.seen().label("seen"))
    for snapshot in snapshots:
        columns += snapshot.sums(spend)
    summed = (
        sa.select(spend.rows.c.customer, *columns).group_by(spend.rows.c.customer).subquery("sums")
    )
    totals = {label.name: label for snapshot in snapshots for label in snapshot.columns(summed)}
    status = _status(*(spend.seen_in(summed.c.seen, *bounds) for bounds in _spans(*years)))
    kept = (totals.get(column.name, column) for column in summed.c if column.name != "seen")
    return sa.select(*kept, status.label("status")).cte("years")


def _spans(year1: Window, year2: Window) -> tuple[tuple[dt.date | None, dt.date], ...]:
    """Year 1, year 2, and all time before year 2."""
    return (year1.start, year1.after), (year2.start, year2.after), (None, year2.start)


def _status(in1: Expression, in2: Expression, earlier: Expression) -> Expression:
    return sa.case(
        (sa.and_(in1, in2), "retained"),
        (in1, "lost"),
        (sa.and_(in2, earlier), "reactivated"),
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


def months_with_days() -> sa.Select[Any]:
    """(month, days) of months with an order, in order: the days with one as bits."""
    month, days = customer_month.c.month, customer_month.c.days
    together = sa.cast(bits_together(days), sa.Integer).label("days")
    return sa.select(month, together).where(days > 0).group_by(month).order_by(month)


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
            exact_sum(seen.c.revenue).label("revenue"),
            exact_sum(seen.c.margin).label("margin"),
            sa.func.sum(seen.c.orders).label("orders"),
        )
        .group_by(seen.c.month, seen.c.segment)
        .order_by(seen.c.month, seen.c.segment)
    )
