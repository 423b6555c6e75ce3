"""Who is in a segment at a date, and how large segments are. Reads the store, writes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from loyalty_exp.segment.features import (
    FEATURES,
    NAMED,
    Survival,
    TierRule,
    customer_features,
)
from loyalty_exp.segment.rfm import name_of_letter, rfm_letter
from loyalty_exp.segment.schemes import SCHEMES, find_segment
from loyalty_exp.store.queries.compare import Placing, Segments
from loyalty_exp.store.queries.functions import exact_sum

__all__ = [
    "Rule",
    "SegmentRow",
    "declared_size",
    "membership_rows",
    "named",
    "rule_members",
    "scheme_at",
    "scheme_members",
    "scheme_membership",
    "segment_sizes",
]


class Rule(Protocol):
    """A parsed `where` expression, as `loyalty_exp.declare.rules.parse_rule` gives it."""

    @property
    def columns(self) -> AbstractSet[str]:
        """Names of the features and attributes it reads."""

    def compile(self, columns: Mapping[str, sa.ColumnElement[Any]], /) -> sa.ColumnElement[Any]:
        """The condition over these columns."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """Size of a segment at a date; figures are None where too few customers are in it."""

    scheme: str
    """rfm, tiers, risk, value, or declared"""
    segment: str
    """name of the segment"""
    customers: int | None
    """customers in it who ordered at least once up to the date"""
    active: int | None
    """those with an order in the last 12 months"""
    revenue_12m: float | None
    """their revenue of the last 12 months, net of refunds, in currency"""
    orders_12m: int | None
    """their orders of the last 12 months"""
    share: float | None
    """revenue_12m / revenue_12m of all customers; None where that is not positive"""


def rule_members(
    rule: Rule,
    as_of: dt.date,
    customers: sa.Table | None = None,
    *,
    tiers: TierRule | None = None,
    survival: Survival | None = None,
) -> sa.Select[Any]:
    """Customers of a declared segment: one column `customer`, no two alike.

    Everyone known is looked at: customers who ordered up to the as-of date, and, where there is a
    customers table, those of that table who never did. The features of the latter are empty, so
    that a rule on features leaves them out and a rule on attributes reaches them.

    Args:
        rule: the parsed expression.
        as_of: last day that counts.
        customers: table of attributes, one row a customer.
        tiers: where gold and silver begin.
        survival: fitted parameters, needed by `p_alive`.

    Raises:
        KeyError: the rule reads a name that is neither a feature nor an attribute.
    """
    wanted = rule.columns & set(FEATURES)
    found = customer_features(as_of, wanted, tiers=tiers, survival=survival).subquery("found")
    columns: dict[str, sa.ColumnElement[Any]] = {name: found.c[name] for name in wanted}
    if customers is None:
        _known(rule, columns)
        return sa.select(found.c.customer).where(rule.compile(columns))
    columns |= {column.name: column for column in customers.c if column.name not in columns}
    _known(rule, columns)
    who = sa.func.coalesce(found.c.customer, customers.c.customer, type_=sa.Text)
    everyone = found.join(customers, customers.c.customer == found.c.customer, full=True)
    return sa.select(who.label("customer")).select_from(everyone).where(rule.compile(columns))


def _known(rule: Rule, columns: Mapping[str, object]) -> None:
    if unknown := rule.columns - set(columns):
        raise KeyError(", ".join(sorted(unknown)))


def scheme_members(
    name: str,
    scheme: str,
    as_of: dt.date,
    *,
    tiers: TierRule | None = None,
) -> sa.Select[Any]:
    """Customers of a segment of a built-in scheme: one column `customer`, no two alike.

    Raises:
        KeyError: the scheme has no such segment.
    """
    segment = find_segment(name, scheme)
    if segment is None:
        raise KeyError(name)
    column = SCHEMES[scheme].column
    found = customer_features(as_of, [column], tiers=tiers).subquery("found")
    return sa.select(found.c.customer).where(found.c[column] == segment.name)


def scheme_membership(
    scheme: str, as_of: dt.date, *, tiers: TierRule | None = None
) -> sa.Select[Any]:
    """Everybody's segment in a built-in scheme at a date: columns customer and segment."""
    column = SCHEMES[scheme].column
    found = customer_features(as_of, [column], tiers=tiers).subquery()
    return sa.select(found.c.customer, found.c[column].label("segment"))


def scheme_at(
    scheme: str, year1: dt.date, year2: dt.date, *, tiers: TierRule | None = None
) -> Segments:
    """Everybody's segment in a built-in scheme at two dates, for `portfolio`.

    Where the scheme needs no rhythm, one pass over the roll-up serves both dates.
    """
    column = SCHEMES[scheme].column
    if column == "rfm":
        scores = ("r", "f", "m")
        return Placing(scores, lambda value: rfm_letter(*map(value, scores)), name_of_letter, tiers)
    if column in NAMED:
        members = (scheme_membership(scheme, day, tiers=tiers) for day in (year1, year2))
        return next(members), next(members)
    return Placing((column,), lambda value: value(column), lambda key: key, tiers)


def named(segment: str, members: sa.Select[Any]) -> sa.Select[Any]:
    """The members of a segment, with its name: columns customer and segment."""
    found = members.subquery()
    return sa.select(found.c.customer, sa.literal(segment, sa.Text).label("segment"))


def membership_rows(segment: str, as_of: dt.date, members: sa.Select[Any]) -> sa.Select[Any]:
    """Rows of the table `memberships`, for an INSERT FROM SELECT: segment, as_of, customer.

    Args:
        segment: name to keep the membership under.
        as_of: its date.
        members: a select of customers.
    """
    who = members.subquery("members")
    return sa.select(
        sa.literal(segment, sa.Text).label("segment"),
        sa.literal(as_of, sa.Date).label("as_of"),
        who.c.customer,
    )


def segment_sizes(
    connection: sa.Connection,
    as_of: dt.date,
    scheme: str = "rfm",
    *,
    tiers: TierRule | None = None,
) -> tuple[SegmentRow, ...]:
    """Size of every segment of a scheme, empty ones too, in the order of the scheme.

    Raises:
        KeyError: no such scheme.
    """
    chosen = SCHEMES[scheme]
    columns = [chosen.column, "orders_12m", "revenue_12m"]
    found = customer_features(as_of, columns, tiers=tiers).subquery("found")
    statement = sa.select(found.c[chosen.column], *_sums(found)).group_by(found.c[chosen.column])
    sums = {name: tuple(rest) for name, *rest in connection.execute(statement)}
    total = sum(float(row[2]) for row in sums.values())
    return tuple(_row(scheme, name, sums.get(name, (0, 0, 0.0, 0)), total) for name in chosen.names)


def declared_size(
    connection: sa.Connection, as_of: dt.date, segment: str, members: sa.Select[Any]
) -> SegmentRow:
    """Size of a declared segment; members who never ordered are not among its customers."""
    found = customer_features(as_of, ["orders_12m", "revenue_12m"]).subquery("found")
    who = members.subquery("members")
    inside = sa.select(*_sums(found)).join_from(found, who, who.c.customer == found.c.customer)
    total = connection.execute(sa.select(exact_sum(found.c.revenue_12m))).scalar_one_or_none()
    sums = tuple(connection.execute(inside).one())
    return _row("declared", segment, sums, float(total or 0.0))


def _sums(found: sa.Subquery) -> tuple[sa.ColumnElement[Any], ...]:
    return (
        sa.func.count(),
        sa.func.count(sa.case((found.c.orders_12m > 0, 1))),
        exact_sum(found.c.revenue_12m),
        sa.func.sum(found.c.orders_12m),
    )


def _row(scheme: str, segment: str, sums: tuple[Any, ...], total: float) -> SegmentRow:
    customers, active, revenue, placed = sums
    revenue = float(revenue or 0.0)
    share = revenue / total if total > 0 else None
    return SegmentRow(
        scheme, segment, int(customers), int(active), revenue, int(placed or 0), share
    )
