"""What planning asks of the past: outcomes of the audience that stands ready, and its rhythm.

Builds statements only; reads the temporary table that `design.audience` fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.audience import (
    ELIGIBLE,
    Population,
    audience,
    candidates,
    in_strata,
    roster_of,
    strata,
)
from loyalty_exp.store.tables import customer_month, memberships

__all__ = [
    "Sum",
    "audience_rows",
    "eligible_among",
    "known_months",
    "planned_members",
    "typical_gap",
]

planned_members = sa.Table(
    "planned_members",
    sa.MetaData(),
    *(sa.Column(column.name, column.type, nullable=False) for column in memberships.c),
    prefixes=["TEMPORARY"],
)
"""Memberships that a plan looks at and that nobody keeps."""


@dataclass(frozen=True, slots=True)
class Sum:
    """A figure of a unit summed over months: those from `first` on, before `last`."""

    name: str
    metric: str
    """revenue, margin, orders, or active (months with an order)."""
    first: int
    last: int


def audience_rows(
    population: Population,
    cuts: Sequence[float],
    sums: Sequence[Sum],
    *,
    seed: str,
    largest: int,
) -> sa.Select[Any]:
    """One row a unit of the audience: its stratum, then every sum; zero spend included.

    Args:
        population: customers and units.
        cuts: limits of the revenue bands.
        sums: what is summed.
        seed: which units are taken where there are more than `largest`: those that come first
            by md5(seed:unit).
        largest: most units given.
    """
    key = sa.func.md5(sa.func.concat(seed, ":", audience.c.unit))
    taken = (
        sa.select(audience.c.unit, strata.c.stratum)
        .select_from(in_strata(cuts))
        .order_by(key, audience.c.unit)
        .limit(largest)
        .subquery("taken")
    )
    roster = roster_of(taken, population)
    low, high = min(each.first for each in sums), max(each.last for each in sums)
    spend = customer_month.c
    months = (
        sa.select(
            roster.c.unit,
            roster.c.stratum,
            spend.month,
            *(sa.func.sum(spend[name]).label(name) for name in ("revenue", "margin", "orders")),
        )
        .select_from(
            roster.outerjoin(
                customer_month,
                sa.and_(
                    roster.c.customer == spend.customer, spend.month >= low, spend.month < high
                ),
            )
        )
        .group_by(roster.c.unit, roster.c.stratum, spend.month)
        .subquery("months")
    )
    values: dict[str, sa.ColumnElement[Any]] = {
        name: months.c[name] for name in ("revenue", "margin", "orders")
    }
    values["active"] = sa.case((months.c.orders > 0, 1), else_=0)

    def total(each: Sum) -> sa.Label[Any]:
        inside = sa.and_(months.c.month >= each.first, months.c.month < each.last)
        summed = sa.func.sum(sa.case((inside, values[each.metric]), else_=0))
        return sa.cast(sa.func.coalesce(summed, 0), sa.Double).label(each.name)

    return (
        sa.select(months.c.stratum, *(total(each) for each in sums))
        .group_by(months.c.unit, months.c.stratum)
        .order_by(months.c.stratum, months.c.unit)
    )


def typical_gap(features: sa.Select[Any]) -> sa.Select[Any]:
    """Median over the eligible customers of the median days between their orders; NULL if none.

    Args:
        features: customers with their `median_gap_days`.
    """
    known = features.subquery("known")
    median = sa.func.median(sa.cast(known.c.median_gap_days, sa.Double))
    return (
        sa.select(median)
        .join_from(candidates, known, candidates.c.customer == known.c.customer)
        .where(candidates.c.reason == ELIGIBLE, known.c.median_gap_days.is_not(None))
    )


def eligible_among(members: Sequence[sa.Select[Any]]) -> sa.Select[Any]:
    """How many eligible customers are in any of these sets."""
    inside = [candidates.c.customer.in_(sa.select(each.subquery().c.customer)) for each in members]
    return sa.select(sa.func.count()).where(candidates.c.reason == ELIGIBLE, sa.or_(*inside))


def known_months() -> sa.Select[Any]:
    """Index of the first month with an order; NULL in an empty store."""
    return sa.select(sa.func.min(customer_month.c.month))
