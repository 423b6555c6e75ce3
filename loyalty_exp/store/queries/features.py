"""Customer features at a date: one statement, a row a customer. Reads orders only, writes nothing.

Windows end with the as-of day. A window of twelve months starts on the day after the as-of date,
one year earlier: at 2017-06-30 it is 2016-07-01 to 2017-06-30, at 2016-02-29 it is 2015-03-01 to
2016-02-29, at 2017-02-28 it is 2016-03-01 to 2017-02-28. A start that the calendar does not have
(29, 30 or 31 of a short month) becomes the first day of the next month. So twelve months ending
with a month are twelve whole months, and no window ever holds two 29 February.

An order is a row with revenue >= 0; a refund is a negative row, which lowers revenue and margin
and counts in no number of orders, no recency and no rhythm. Customers without any order up to the
as-of day have no row.

What the names mean: `recency_days`, `tenure_days` days from the last and the first known order to
the as-of date (tenure is short where history is cut); `active_span_days` from the first to the
last; `ltv_revenue`, `ltv_margin` all that was ever billed and earned; `basket` revenue_12m /
orders_12m; `repeat_days` days with an order after the first such day; `median_gap_days` median of
the days between successive such days, empty with one; `usual_gap_days` the median of that over all
customers; `overdue_ratio` recency_days / median_gap_days: silence against the customer's own
rhythm; `trend` revenue_12m / revenue of the 12 months before, so the same season on both sides,
empty if those had none; `cohort` month of the first order, YYYY-MM; `r`, `f`, `m` scores 1 to 5
among all these customers on recency (5 the latest), orders_12m and revenue_12m: 1 + floor(5 (rank -
1) / customers), rank the smallest of equal ones, so that ties share a score; `tier` see `TierRule`;
`value_band` high for the best 20 % by margin_24m, medium for the next 30 %, low for others and
where there is no margin; `p_alive` probability of being still a customer, by the BG/NBD model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.functions import days_between
from loyalty_exp.store.queries.rhythm import first_channels, midnight, rhythm, until, usual_gap
from loyalty_exp.store.tables import orders

__all__ = [
    "FEATURES",
    "Survival",
    "TierRule",
    "features",
    "window_start",
]

_TOLERANCE = 1e-9
"""Sums differ in their last bits between runs; a tier boundary may not depend on them."""


FEATURES = (
    "recency_days",
    "orders_12m",
    "revenue_12m",
    "margin_12m",
    "orders_24m",
    "revenue_24m",
    "margin_24m",
    "ltv_revenue",
    "ltv_margin",
    "basket",
    "tenure_days",
    "repeat_days",
    "active_span_days",
    "median_gap_days",
    "usual_gap_days",
    "overdue_ratio",
    "trend",
    "first_channel",
    "cohort",
    "r",
    "f",
    "m",
    "tier",
    "value_band",
    "p_alive",
)
"""Every feature this statement can give, in the order it gives them."""


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


@dataclass(frozen=True, slots=True)
class Survival:
    """Fitted BG/NBD parameters (see `loyalty_exp.segment.lifetime`), time in days."""

    r: float
    alpha: float
    a: float
    b: float


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


def features(
    as_of: dt.date,
    columns: Collection[str] | None = None,
    *,
    tiers: TierRule | None = None,
    survival: Survival | None = None,
) -> sa.Select[Any]:
    """One statement: a row for each customer who ordered up to the end of the as-of day.

    Only what the columns need is computed; rhythm, scores and tiers cost a sort each.

    Args:
        as_of: last day that counts, on the wall clock of the project.
        columns: names from `FEATURES`; None means all that the arguments allow.
        tiers: where gold and silver begin; by default gold makes half of the revenue and
            silver the next 30 %.
        survival: fitted parameters, needed by `p_alive`.

    Returns:
        A select of `customer` and the columns, in the order of `FEATURES`.

    Raises:
        KeyError: a column is not a feature.
        ValueError: `p_alive` is asked for without `survival`.
    """
    columns = _checked(columns, survival)
    tiers = tiers or TierRule()
    needed = _closure(columns)
    ranked = _ranked(as_of, needed, running="tier" in needed and tiers.by == "share")
    source: sa.FromClause = ranked
    found: dict[str, Expression] = {column.name: column for column in ranked.c}
    found["as_of"] = sa.literal(as_of, sa.Date)
    if "tier" in needed:
        bounds = _tier_bounds(ranked, tiers)
        source = source.join(bounds, sa.true())
        found |= {"gold_from": bounds.c.gold_from, "silver_from": bounds.c.silver_from}
    if "repeat_days" in needed:
        gaps = rhythm(as_of, median="median_gap_days" in needed)
        source = source.outerjoin(gaps, gaps.c.customer == ranked.c.customer)
        found |= {column.name: column for column in gaps.c if column.name != "customer"}
        found["repeat_days"] = sa.func.coalesce(gaps.c.repeat_days, 0, type_=sa.Integer)
        if "usual_gap_days" in needed:
            usual = usual_gap(gaps)
            source = source.outerjoin(usual, sa.true())
            found["usual_gap_days"] = usual.c.usual_gap_days
    if "first_channel" in needed:
        first = first_channels(as_of)
        source = source.outerjoin(first, first.c.customer == ranked.c.customer)
        found["first_channel"] = first.c.first_channel

    def value(name: str) -> Expression:
        if name == "p_alive" and survival is not None:
            return _p_alive(value, survival)
        return found[name] if name in found else _FORMULAS[name][1](value)

    wanted = [value(name).label(name) for name in FEATURES if name in columns]
    return sa.select(ranked.c.customer, *wanted).select_from(source)


Expression = sa.ColumnElement[Any]
Lookup = Callable[[str], Expression]


def _checked(columns: Collection[str] | None, survival: Survival | None) -> Collection[str]:
    if columns is None:
        return [name for name in FEATURES if name != "p_alive" or survival is not None]
    if unknown := set(columns) - set(FEATURES):
        raise KeyError(", ".join(sorted(unknown)))
    if "p_alive" in columns and survival is None:
        raise ValueError("p_alive needs the fitted parameters of the lifetime model")
    return columns


def _ratio(above: Expression, below: Expression) -> Expression:
    return sa.cast(above, sa.Double) / sa.func.nullif(sa.cast(below, sa.Double), 0, type_=sa.Double)


def _steady(amount: Expression) -> Expression:
    """The amount in whole millionths: equal amounts stay equal whatever the order of their sum."""
    return sa.func.floor(amount * 1e6 + 0.5, type_=sa.Double)


def _score(rank: Expression, population: Expression) -> Expression:
    """1 + floor(5 (rank - 1) / population), in whole numbers on every engine."""
    reached = [sa.case((5 * (rank - 1) >= fifth * population, 1), else_=0) for fifth in range(1, 5)]
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
    place = 100 * (value("v_rank") - 1)
    return sa.case(
        (_steady(value("margin_24m")) <= 0, "low"),
        (place < 20 * value("population"), "high"),
        (place < 50 * value("population"), "medium"),
        else_="low",
    )


def _p_alive(value: Lookup, fitted: Survival) -> Expression:
    """P(alive) of Fader, Hardie and Lee (2005a, corrected note 2008), 1 without a repeat order."""
    x = sa.cast(value("repeat_days"), sa.Double)
    since_last = fitted.alpha + sa.cast(value("tenure_days"), sa.Double)
    at_last = fitted.alpha + sa.cast(value("active_span_days"), sa.Double)
    odds = fitted.a / (fitted.b + x - 1) * sa.func.power(since_last / at_last, fitted.r + x)
    return sa.case((x > 0, 1 / (1 + odds)), else_=sa.cast(1, sa.Double))


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
    "r": (("r_rank",), lambda value: _score(value("r_rank"), value("population"))),
    "f": (("f_rank",), lambda value: _score(value("f_rank"), value("population"))),
    "m": (("m_rank",), lambda value: _score(value("m_rank"), value("population"))),
    "tier": (("revenue_12m",), _tier),
    "value_band": (("v_rank", "margin_24m"), _value_band),
    "p_alive": (("repeat_days", "tenure_days", "active_span_days"), lambda _: sa.null()),
}
"""Columns computed from others: their names, and the formula."""

_RANKS: dict[str, tuple[str, bool]] = {
    "r_rank": ("last_on", False),
    "f_rank": ("orders_12m", False),
    "m_rank": ("revenue_12m", False),
    "v_rank": ("margin_24m", True),
}
"""Ranks among all customers: by what, and whether the largest comes first."""

_AMOUNTS = ("revenue_12m", "margin_24m")

_RHYTHM = {"median_gap_days": ("repeat_days",), "usual_gap_days": ("median_gap_days",)}
"""The gaps are counted when their median is wanted; all medians give the usual gap."""


def _closure(columns: Collection[str]) -> frozenset[str]:
    """The columns and all that they are computed from."""
    needed: set[str] = set()
    pending = list(columns)
    while pending:
        name = pending.pop()
        needed.add(name)
        pending.extend(_FORMULAS[name][0] if name in _FORMULAS else ())
        pending.extend([_RANKS[name][0]] if name in _RANKS else ())
        pending.extend(_RHYTHM.get(name, ()))
    return frozenset(needed)


def _totals(as_of: dt.date) -> dict[str, Expression]:
    """Aggregates of the orders of one customer, by name."""
    placed = orders.c.revenue >= 0
    ordered = sa.case((placed, orders.c.ordered_at))
    year, two_years = (midnight(window_start(as_of, months)) for months in (12, 24))
    at = orders.c.ordered_at

    def total(column: Expression, inside: Expression) -> Expression:
        return sa.func.sum(sa.case((inside, column), else_=0), type_=sa.Double)

    def count(inside: Expression) -> Expression:
        return sa.func.count(sa.case((sa.and_(placed, inside), 1)), type_=sa.Integer)

    return {
        "last_on": sa.cast(sa.func.max(ordered), sa.Date),
        "first_on": sa.cast(sa.func.min(ordered), sa.Date),
        "orders_12m": count(at >= year),
        "revenue_12m": total(orders.c.revenue, at >= year),
        "margin_12m": total(orders.c.margin, at >= year),
        "orders_24m": count(at >= two_years),
        "revenue_24m": total(orders.c.revenue, at >= two_years),
        "margin_24m": total(orders.c.margin, at >= two_years),
        "ltv_revenue": sa.func.sum(orders.c.revenue, type_=sa.Double),
        "ltv_margin": sa.func.sum(orders.c.margin, type_=sa.Double),
    }


def _ranked(as_of: dt.date, needed: frozenset[str], *, running: bool) -> sa.CTE:
    """A row a customer who ordered: totals, ranks, and the revenue of the larger customers."""
    placed = orders.c.revenue >= 0
    base = (
        sa.select(
            orders.c.customer,
            *(total.label(name) for name, total in _totals(as_of).items() if name in needed),
        )
        .where(until(as_of))
        .group_by(orders.c.customer)
        .having(sa.func.count(sa.case((placed, 1))) > 0)
        .subquery("base")
    )
    extra: list[Expression] = []
    for name, (by, downwards) in _RANKS.items():
        if name in needed:
            measure = _steady(base.c[by]) if by in _AMOUNTS else base.c[by]
            order = measure.desc() if downwards else measure
            extra.append(sa.func.rank(type_=sa.Integer).over(order_by=order).label(name))
    if extra:
        extra.append(sa.func.count(type_=sa.Integer).over().label("population"))
    if running:
        steady = _steady(base.c.revenue_12m)
        positive = sa.func.sum(sa.case((steady > 0, steady), else_=0), type_=sa.Double)
        largest_first = positive.over(order_by=steady.desc(), rows=(None, 0))
        extra += [steady.label("steady"), largest_first.label("running")]
        extra.append(positive.over().label("all_revenue"))
    return sa.select(base, *extra).cte()


def _tier_bounds(ranked: sa.CTE, tiers: TierRule) -> sa.Subquery:
    """One row: the smallest revenue_12m of a gold and of a silver customer, in millionths.

    The running sum before a customer depends on the order of ties, but not the value at which it
    passes a share: ties stay together.
    """
    if tiers.by == "revenue":
        gold, silver = (sa.literal(x * 1e6, sa.Double) for x in (tiers.gold, tiers.silver))
        return sa.select(gold.label("gold_from"), silver.label("silver_from")).subquery("bounds")
    before = ranked.c.running - ranked.c.steady

    def smallest(share: float) -> Expression:
        inside = before < share * (1 - _TOLERANCE) * ranked.c.all_revenue
        return sa.func.min(sa.case((sa.and_(ranked.c.steady > 0, inside), ranked.c.steady)))

    return sa.select(
        smallest(tiers.gold).label("gold_from"), smallest(tiers.silver).label("silver_from")
    ).subquery("bounds")
