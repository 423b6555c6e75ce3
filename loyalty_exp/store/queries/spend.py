"""What customers bought between days: whole months from the roll-up, parts of months from orders.

Builds a subquery, no statement of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.frozen import month_of
from loyalty_exp.store.queries.functions import (
    bit_at,
    bits_in_both,
    bits_together,
    customer_steps,
    customer_total,
    date_of,
    highest_bit,
)
from loyalty_exp.store.tables import customer_month, orders

__all__ = [
    "Spend",
    "date_of_first",
    "date_of_last",
    "days_of",
    "last_of_month",
    "midnight",
]

Expression = sa.ColumnElement[Any]

_SHIFT = 1 << 31
"""A month times this, and the bits of its days, is larger the later the last day is."""


def midnight(day: dt.date) -> Expression:
    """The first moment of a day."""
    return sa.literal(dt.datetime.combine(day, dt.time.min), sa.DateTime)


def days_of(moment: Expression, revenue: Expression) -> Expression:
    """The bit of the day of an order; none for a refund."""
    day = sa.cast(sa.extract("day", moment), sa.Integer)
    return sa.case((revenue >= 0, bit_at(day - 1)), else_=0)


def _lowest_bit(bits: Expression) -> Expression:
    """Place of the lowest bit of a positive number: of 1 it is 0."""
    return highest_bit(bits_in_both(bits, -bits))


class Spend:
    """Rows of what customers bought up to the last of some days, cut at each of them.

    A row is a customer's whole month, or one order of a month that a cut goes through. The sums
    taken of it are the same whatever the order of the rows.
    """

    def __init__(self, cuts: Collection[dt.date]) -> None:
        """Rows up to the last cut.

        Args:
            cuts: days; each begins a part, and the last one ends them.
        """
        self._cuts = sorted(set(cuts))
        within = {_month(cut) for cut in self._cuts if cut.day > 1}
        last = self._cuts[-1]
        kept = customer_month.c
        columns = (kept.customer, kept.month, kept.revenue, kept.margin, kept.orders, kept.days)
        firsts = [_month(cut) + (cut.day > 1) for cut in self._cuts[:-1]]
        whole = sa.select(*columns, _part(kept.month, firsts)).where(kept.month < _month(last))
        rows: sa.Select[Any] | sa.CompoundSelect[Any] = whole
        if within:
            at = orders.c.ordered_at
            single = sa.select(
                orders.c.customer,
                orders.c.month,
                orders.c.revenue,
                orders.c.margin,
                sa.case((orders.c.revenue >= 0, 1), else_=0),
                days_of(at, orders.c.revenue),
                _part(at, [midnight(cut) for cut in self._cuts[:-1]]),
            ).where(orders.c.month.in_(sorted(within)), at < midnight(last))
            rows = sa.union_all(whole.where(kept.month.not_in(sorted(within))), single)
        spent = rows.subquery()
        shared = (spent.c[name] for name in ("customer", "orders", "part"))
        bought = (spent.c.days > 0, last_of_month(spent.c.month, spent.c.days))
        steps = (customer_steps(spent.c[name]).label(name) for name in ("revenue", "margin"))
        when = sa.case(bought).label("bought")
        self.rows = sa.select(*shared, when, *steps).subquery()

    def inside(self, start: dt.date | None, after: dt.date) -> Expression:
        """Whether a row is of the days from a cut (None: from ever) to before another."""
        first, last = self._parts(start, after)
        part = self.rows.c.part
        if first == last:
            return part == first
        if last == len(self._cuts) - 1:
            return part >= first
        return part <= last if first == 0 else sa.and_(part >= first, part <= last)

    def _parts(self, start: dt.date | None, after: dt.date) -> tuple[int, int]:
        """The first and the last part between two cuts."""
        first = 0 if start is None else self._cuts.index(start) + 1
        return first, self._cuts.index(after)

    def amount(self, name: str, start: dt.date | None, after: dt.date) -> Expression:
        """Sum of revenue or margin between two cuts."""
        inside = self.inside(start, after)
        return customer_total(sa.case((inside, self.rows.c[name]), else_=0))

    def placed(self, start: dt.date | None, after: dt.date) -> Expression:
        """Number of orders between two cuts."""
        counted = sa.case((self.inside(start, after), self.rows.c.orders), else_=0)
        return sa.cast(sa.func.sum(counted), sa.Integer)

    def seen(self) -> Expression:
        """The parts with an order or a refund, for `seen_in`."""
        return bits_together(bit_at(self.rows.c.part))

    def seen_in(self, seen: Expression, start: dt.date | None, after: dt.date) -> Expression:
        """Whether what was `seen` lies between two cuts."""
        first, last = self._parts(start, after)
        return bits_in_both(seen, (1 << last + 1) - (1 << first)) > 0

    def last(self, after: dt.date) -> Expression:
        """The last day with an order before a cut, as a number for `date_of_last`; else NULL."""
        bought: Expression = self.rows.c.bought
        if after != self._cuts[-1]:
            bought = sa.case((self.inside(None, after), bought))
        return sa.func.max(bought, type_=sa.BigInteger)

    def first(self) -> Expression:
        """The first month with an order and its days, as a number for `date_of_first`."""
        return sa.func.min(self.rows.c.bought, type_=sa.BigInteger)


def last_of_month(month: Expression, days: Expression) -> Expression:
    """A number, the larger the later the last of the days of a month; `date_of_last` reads it."""
    return sa.cast(month, sa.BigInteger) * sa.literal_column(str(_SHIFT), sa.BigInteger) + days


def date_of_last(packed: Expression) -> Expression:
    """The date that `Spend.last` stands for."""
    month, bits = _unpacked(packed)
    return sa.cast(_date(month, highest_bit(bits)), sa.Date)


def date_of_first(packed: Expression) -> Expression:
    """The date that `Spend.first` stands for."""
    month, bits = _unpacked(packed)
    return sa.cast(_date(month, _lowest_bit(sa.cast(bits, sa.Integer))), sa.Date)


def _date(month: Expression, place: Expression) -> Expression:
    year = sa.cast(sa.func.floor((month - 1) / 12), sa.Integer)
    return date_of(year, sa.cast(month, sa.Integer) - year * 12, place + 1)


def _unpacked(packed: Expression) -> tuple[Expression, Expression]:
    """Month and bits, as doubles that hold whole numbers."""
    number = sa.cast(packed, sa.Double)
    month = sa.func.floor(number / sa.literal_column(str(_SHIFT)), type_=sa.Double)
    return month, number - month * sa.literal_column(str(_SHIFT))


def _part(when: Expression, bounds: Collection[Any]) -> Expression:
    """How many of the bounds, in order, are reached."""
    reached = [(when >= bound, place) for place, bound in reversed([*enumerate(bounds, start=1)])]
    part = sa.case(*reached, else_=0) if reached else sa.literal_column("0", sa.Integer)
    return part.label("part")


def _month(day: dt.date) -> int:
    return month_of(day.year, day.month)
