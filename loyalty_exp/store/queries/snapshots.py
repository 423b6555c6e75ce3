"""What places customers at a date: totals, scores, tiers and bands. Builds pieces, no statement.

Features are computed from the totals of one pass over what customers bought, and from where the
scores, the tiers and the bands begin among all customers. See `features` for what each name means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.functions import days_between
from loyalty_exp.store.queries.spend import Spend, date_of_first, date_of_last

__all__ = ["Lookup", "Snapshot", "TierRule", "window_start"]

Expression = sa.ColumnElement[Any]
Lookup = Callable[[str], Expression]

_TOLERANCE = 1e-9
"""Sums differ in their last bits between runs; a tier boundary may not depend on them."""


@dataclass(frozen=True, slots=True)
class TierRule:
    """Where gold and silver begin.

    With `by = "share"`, gold customers are the largest ones who together make the share `gold` of
    the positive revenue_12m of all, silver those who take it up to `silver`; the customer on the
    boundary, and all who equal them, belong to the better tier. With `by = "revenue"`, `gold` and
    `silver` are amounts of revenue_12m in currency. All other customers are bronze.
    """

    by: str = "share"
    gold: float = 0.5
    silver: float = 0.8

    def __post_init__(self) -> None:
        ordered = self.gold < self.silver if self.by == "share" else self.gold > self.silver
        if self.by not in {"share", "revenue"} or not ordered or min(self.gold, self.silver) <= 0:
            raise ValueError(f"{self}: not a rule of tiers")


def window_start(as_of: dt.date, months: int) -> dt.date:
    """First day of the window of `months` months that ends with the day `as_of`."""
    after = as_of + dt.timedelta(days=1)
    index = after.year * 12 + after.month - 1 - months
    year, month = divmod(index, 12)
    try:
        return dt.date(year, month + 1, after.day)
    except ValueError:
        year, month = divmod(index + 1, 12)
        return dt.date(year, month + 1, 1)


class Snapshot:
    """What a statement needs to place customers at a date, from the totals of one pass.

    The order of use: `cuts` for a `Spend`, `sums` of its rows by customer, `columns` of these
    sums, `join_bounds`, then `value`. Its columns carry a suffix, so that two dates fit in one.
    """

    def __init__(
        self,
        as_of: dt.date,
        columns: Collection[str],
        *,
        tiers: TierRule | None = None,
        suffix: str = "",
    ) -> None:
        """A snapshot.

        Args:
            as_of: last day that counts.
            columns: names from `FEATURES`, without those of the rhythm.
            tiers: where gold and silver begin.
            suffix: what the names of its columns end with.
        """
        self.needed = _closure(columns) | {"last_on"}
        self.found: dict[str, Expression] = {"as_of": sa.literal(as_of, sa.Date)}
        self._tiers, self.suffix = tiers or TierRule(), suffix
        self._after = as_of + dt.timedelta(days=1)
        self._starts = {
            window: window_start(as_of, months) for window, months in (("12m", 12), ("24m", 24))
        }

    @property
    def cuts(self) -> set[dt.date]:
        """The days between which it counts."""
        used = {name[-3:] for name in self.needed}
        return {self._after, *(day for window, day in self._starts.items() if window in used)}

    def sums(self, spend: Spend) -> Iterator[sa.Label[Any]]:
        """Aggregates by customer of the rows of a `Spend` with these cuts."""
        for name in _TOTALS:
            if name in self.needed:
                yield self._sum(name, spend).label(f"{name}{self.suffix}")

    def _sum(self, name: str, spend: Spend) -> Expression:
        if name == "last_on":
            return spend.last(self._after)
        if name == "first_on":
            return spend.first()
        start = self._starts.get(name[-3:])
        what = name.removeprefix("ltv_").split("_")[0]
        if what == "orders":
            return spend.placed(start, self._after)
        return spend.amount(what, start, self._after)

    def known(self, sums: sa.FromClause) -> Expression:
        """Whether a customer had ordered by the date."""
        return sums.c[f"last_on{self.suffix}"].is_not(None)

    def columns(self, sums: sa.FromClause) -> Iterator[sa.Label[Any]]:
        """The totals, days as dates."""
        dates = {"last_on": date_of_last, "first_on": date_of_first}
        for name in _TOTALS:
            if name in self.needed:
                column = sums.c[f"{name}{self.suffix}"]
                yield dates.get(name, lambda total: total)(column).label(column.name)

    def join_bounds(self, source: sa.FromClause, base: sa.CTE) -> sa.FromClause:
        """A source with `base` in it, joined with where scores, tiers and bands begin."""
        mine = {name: base.c[f"{name}{self.suffix}"] for name in _TOTALS if name in self.needed}
        self.found |= mine
        among: sa.FromClause = base
        if self.suffix:
            named = (column.label(name) for name, column in mine.items())
            among = sa.select(*named).where(self.known(base)).subquery()
        for bounds in _bounds(among, self.needed, self._tiers):
            source = source.join(bounds, sa.true())
            self.found |= {column.name: column for column in bounds.c}
        return source

    def value(self, name: str) -> Expression:
        """A feature of a row of the source; of a customer not known by the date, no matter what."""
        if name in self.found:
            return self.found[name]
        return _FORMULAS[name][1](self.value)


def _ratio(above: Expression, below: Expression) -> Expression:
    return sa.cast(above, sa.Double) / sa.func.nullif(sa.cast(below, sa.Double), 0, type_=sa.Double)


def _steady(amount: Expression) -> Expression:
    """The amount in whole millionths: equal amounts stay equal whatever the order of their sum."""
    return sa.func.floor(amount * 1e6 + 0.5, type_=sa.Double)


def _measure(value: Lookup, by: str) -> Expression:
    """What customers are ranked by: amounts in steps that no order of addition can move."""
    return _steady(value(by)) if by in _AMOUNTS else value(by)


def _score(value: Lookup, name: str) -> Expression:
    """1, and one more for each bound of the score that the customer reaches."""
    measure = _measure(value, _SCORES[name])
    reached = [sa.case((measure >= value(f"{name}_{fifth}"), 1), else_=0) for fifth in range(1, 5)]
    return 1 + reached[0] + reached[1] + reached[2] + reached[3]


def _trend(value: Lookup) -> Expression:
    before = value("revenue_24m") - value("revenue_12m")
    return sa.case((_steady(before) > 0, value("revenue_12m") / before))


def _tier(value: Lookup) -> Expression:
    revenue = _steady(value("revenue_12m"))
    return sa.case(
        (revenue >= value("gold_from"), "gold"),
        (revenue >= value("silver_from"), "silver"),
        else_="bronze",
    )


def _value_band(value: Lookup) -> Expression:
    margin = _steady(value("margin_24m"))
    return sa.case(
        (margin <= 0, "low"),
        (margin >= value("high_from"), "high"),
        (margin >= value("medium_from"), "medium"),
        else_="low",
    )


_FORMULAS: dict[str, tuple[tuple[str, ...], Callable[[Lookup], Expression]]] = {
    "recency_days": (("last_on",), lambda value: days_between(value("last_on"), value("as_of"))),
    "tenure_days": (("first_on",), lambda value: days_between(value("first_on"), value("as_of"))),
    "active_span_days": (
        ("first_on", "last_on"),
        lambda value: days_between(value("first_on"), value("last_on")),
    ),
    "basket": (
        ("revenue_12m", "orders_12m"),
        lambda value: _ratio(value("revenue_12m"), value("orders_12m")),
    ),
    "overdue_ratio": (
        ("recency_days", "median_gap_days"),
        lambda value: _ratio(value("recency_days"), value("median_gap_days")),
    ),
    "trend": (("revenue_12m", "revenue_24m"), _trend),
    "cohort": (
        ("first_on",),
        lambda value: sa.func.substr(sa.cast(value("first_on"), sa.Text), 1, 7, type_=sa.Text),
    ),
    "r": (("last_on",), lambda value: _score(value, "r")),
    "f": (("orders_12m",), lambda value: _score(value, "f")),
    "m": (("revenue_12m",), lambda value: _score(value, "m")),
    "tier": (("revenue_12m",), _tier),
    "value_band": (("margin_24m",), _value_band),
    "p_alive": (("repeat_days", "tenure_days", "active_span_days"), lambda _: sa.null()),
}
"""Columns computed from others: their names, and the formula."""

_SCORES = {"r": "last_on", "f": "orders_12m", "m": "revenue_12m"}
"""What the customers are scored by; the largest is the best."""

_AMOUNTS = ("revenue_12m", "margin_24m")

_TOTALS = (
    "last_on",
    "first_on",
    "orders_12m",
    "revenue_12m",
    "margin_12m",
    "orders_24m",
    "revenue_24m",
    "margin_24m",
    "ltv_revenue",
    "ltv_margin",
)
"""Totals of the rows of one customer."""


def _closure(columns: Collection[str]) -> frozenset[str]:
    """The columns and all that they are computed from."""
    needed: set[str] = set()
    pending = list(columns)
    while pending:
        name = pending.pop()
        needed.add(name)
        pending.extend(_FORMULAS[name][0] if name in _FORMULAS else ())
    return frozenset(needed)


def _bounds(base: sa.FromClause, needed: frozenset[str], tiers: TierRule) -> Iterator[sa.Subquery]:
    """From where on customers have a score, a tier or a band: tables of one row.

    Nobody is ranked: equal values are counted together, so that ties stay together, and only the
    counts are put in order.
    """
    for name, by in _SCORES.items():
        if name in needed:
            yield _fifths(base, name, by)
    if "value_band" in needed:
        yield _value_bounds(base)
    if "tier" in needed:
        yield _tier_bounds(base, tiers)


def _histogram(base: sa.FromClause, by: str) -> sa.Subquery:
    """Rows of (x, below, upto): customers with less than x, and with x or less; `n` of all."""
    values = sa.select(_measure(base.c.__getitem__, by).label("x")).subquery()
    count = sa.func.count(type_=sa.BigInteger).label("same")
    counted = sa.select(values.c.x, count).group_by(values.c.x).subquery()
    upto = sa.func.sum(counted.c.same).over(order_by=counted.c.x)
    everyone = sa.func.sum(counted.c.same).over()
    return sa.select(
        counted.c.x,
        (upto - counted.c.same).label("below"),
        upto.label("upto"),
        everyone.label("n"),
    ).subquery()


def _smallest(column: Expression, inside: Expression, name: str) -> Expression:
    return sa.func.min(sa.case((inside, column)), type_=column.type).label(name)


def _fifths(base: sa.FromClause, name: str, by: str) -> sa.Subquery:
    """The values at which each fifth of the customers is below: scores 2 to 5 begin there."""
    counts = _histogram(base, by)
    return sa.select(
        *(
            _smallest(counts.c.x, 5 * counts.c.below >= fifth * counts.c.n, f"{name}_{fifth}")
            for fifth in range(1, 5)
        )
    ).subquery()


def _value_bounds(base: sa.FromClause) -> sa.Subquery:
    """The values above which less than 20 %, and less than 50 %, of the customers are."""
    counts = _histogram(base, "margin_24m")
    above = 100 * (counts.c.n - counts.c.upto)
    shares = {"high_from": 20, "medium_from": 50}
    return sa.select(
        *(_smallest(counts.c.x, above < share * counts.c.n, name) for name, share in shares.items())
    ).subquery()


def _tier_bounds(base: sa.FromClause, tiers: TierRule) -> sa.Subquery:
    """The smallest revenue_12m of a gold and of a silver customer, in millionths."""
    if tiers.by == "revenue":
        gold, silver = (sa.literal(x * 1e6, sa.Double) for x in (tiers.gold, tiers.silver))
        return sa.select(gold.label("gold_from"), silver.label("silver_from")).subquery()
    values = sa.select(_measure(base.c.__getitem__, "revenue_12m").label("x")).subquery()
    summed = (
        sa.select(values.c.x, sa.func.sum(values.c.x, type_=sa.Double).label("together"))
        .where(values.c.x > 0)
        .group_by(values.c.x)
        .subquery()
    )
    larger = sa.func.sum(summed.c.together, type_=sa.Double).over(
        order_by=summed.c.x.desc(), rows=(None, 0)
    )
    before = (larger - summed.c.together).label("before")
    everything = sa.func.sum(summed.c.together, type_=sa.Double).over().label("everything")
    running = sa.select(summed.c.x, before, everything).subquery()

    def reach(share: float) -> Expression:
        return running.c.before < share * (1 - _TOLERANCE) * running.c.everything

    return sa.select(
        _smallest(running.c.x, reach(tiers.gold), "gold_from"),
        _smallest(running.c.x, reach(tiers.silver), "silver_from"),
    ).subquery()
