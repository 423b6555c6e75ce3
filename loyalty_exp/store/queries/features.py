"""Customer features at a date: one statement, a row a customer. Reads the store, writes nothing.

Whole months come from the roll-up; a month that a window starts or ends in, from its orders.

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
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.rhythm import rhythm, usual_gap
from loyalty_exp.store.queries.snapshots import Lookup, Snapshot, TierRule
from loyalty_exp.store.queries.spend import Spend

__all__ = [
    "FEATURES",
    "Survival",
    "features",
]

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

_OF_RHYTHM = frozenset({"repeat_days", "median_gap_days", "usual_gap_days", "first_channel"})
"""What the rhythm of a customer tells."""


@dataclass(frozen=True, slots=True)
class Survival:
    """Fitted BG/NBD parameters (see `loyalty_exp.segment.lifetime`), time in days."""

    r: float
    alpha: float
    a: float
    b: float


def features(
    as_of: dt.date,
    columns: Collection[str] | None = None,
    *,
    tiers: TierRule | None = None,
    survival: Survival | None = None,
) -> sa.Select[Any]:
    """One statement: a row for each customer who ordered up to the end of the as-of day.

    Only what the columns need is computed.

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
    snapshot = Snapshot(as_of, columns, tiers=tiers)
    spend = Spend(snapshot.cuts)
    sums = (
        sa.select(spend.rows.c.customer, *snapshot.sums(spend))
        .group_by(spend.rows.c.customer)
        .subquery("sums")
    )
    ordered = sa.select(sums.c.customer, *snapshot.columns(sums)).where(snapshot.known(sums))
    base = ordered.cte()
    source = snapshot.join_bounds(base, base)
    found = snapshot.found
    if not snapshot.needed.isdisjoint(_OF_RHYTHM):
        kept = rhythm(as_of)
        source = source.outerjoin(kept, kept.c.customer == base.c.customer)
        found |= {name: kept.c[name] for name in ("median_gap_days", "first_channel")}
        found["repeat_days"] = sa.func.coalesce(kept.c.repeat_days, 0, type_=sa.Integer)
        if "usual_gap_days" in snapshot.needed:
            usual = usual_gap(kept)
            source = source.outerjoin(usual, sa.true())
            found["usual_gap_days"] = usual.c.usual_gap_days

    def value(name: str) -> sa.ColumnElement[Any]:
        if name == "p_alive" and survival is not None:
            return _p_alive(value, survival)
        return snapshot.value(name)

    wanted = [value(name).label(name) for name in FEATURES if name in columns]
    return sa.select(base.c.customer, *wanted).select_from(source)


def _checked(columns: Collection[str] | None, survival: Survival | None) -> Collection[str]:
    if columns is None:
        return [name for name in FEATURES if name != "p_alive" or survival is not None]
    if unknown := set(columns) - set(FEATURES):
        raise KeyError(", ".join(sorted(unknown)))
    if "p_alive" in columns and survival is None:
        raise ValueError("p_alive needs the fitted parameters of the lifetime model")
    return columns


def _p_alive(value: Lookup, fitted: Survival) -> sa.ColumnElement[Any]:
    """P(alive) of Fader, Hardie and Lee (2005a, corrected note 2008), 1 without a repeat order."""
    x = sa.cast(value("repeat_days"), sa.Double)
    since_last = fitted.alpha + sa.cast(value("tenure_days"), sa.Double)
    at_last = fitted.alpha + sa.cast(value("active_span_days"), sa.Double)
    odds = fitted.a / (fitted.b + x - 1) * sa.func.power(since_last / at_last, fitted.r + x)
    return sa.case((x > 0, 1 / (1 + odds)), else_=sa.cast(1, sa.Double))
