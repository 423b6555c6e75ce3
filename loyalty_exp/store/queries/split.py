"""A split drawn elsewhere: which of its units can be measured, and their roster.

Builds statements only. A unit is known if one of its customers is in the customers table or had
ordered by the as-of date: knowing it by a later order would choose units by their outcome.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from loyalty_exp.declare.features import ALL
from loyalty_exp.store.queries.audience import Population, roster_of
from loyalty_exp.store.tables import assignments, memberships, orders

__all__ = [
    "ELSEWHERE",
    "MEASURED",
    "OUTSIDE",
    "UNDECLARED",
    "count_split",
    "judge_split",
    "judged",
    "split_roster",
]

ELSEWHERE = "drawn elsewhere"
"""The stratum of every unit of such a split."""

OUTSIDE = "outside the segments"
"""Segment of a unit that no declared segment holds."""

MEASURED = "measured"

UNDECLARED = "an arm that is not declared"

judged = sa.Table(
    "judged_split",
    sa.MetaData(),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False, comment="'measured', or why not"),
    prefixes=["TEMPORARY"],
)


def judge_split(
    incoming: sa.FromClause,
    population: Population,
    arms: Sequence[str],
    *,
    as_of: dt.date,
    days: tuple[dt.date, dt.date],
) -> sa.Select[Any]:
    """Units of a split with their arm and the first reason that sets them aside.

    Args:
        incoming: unit, arm and, where the source tells, date.
        population: customers and units.
        arms: declared arms.
        as_of: the last day whose orders make a customer known.
        days: first and last day on which a unit may enter.
    """
    first = sa.func.min(incoming.c.arm)
    grouped = (
        sa.select(
            incoming.c.unit,
            first.label("arm"),
            sa.func.count(sa.distinct(incoming.c.arm)).label("arms"),
            sa.func.max(sa.case((incoming.c.arm.in_(arms), 0), else_=1)).label("strange"),
            sa.func.min(incoming.c.date).label("earliest"),
            sa.func.max(incoming.c.date).label("latest"),
        )
        .group_by(incoming.c.unit)
        .subquery("grouped")
    )
    customers = population.customers
    entered = sa.cast(orders.c.ordered_at, sa.Date) <= as_of
    known = sa.select(orders.c.customer).where(entered)
    if population.identity is None:
        found = sa.or_(
            grouped.c.unit.in_(known), grouped.c.unit.in_(sa.select(customers.c.customer))
        )
    else:
        found = grouped.c.unit.in_(sa.select(population.identity))
    verdict = sa.case(
        (grouped.c.strange == 1, UNDECLARED),
        (grouped.c.arms > 1, "in more than one arm"),
        (sa.not_(found), "not among the customers"),
        (grouped.c.earliest < days[0], "entered before the start"),
        (grouped.c.latest > days[1], "entered after the end"),
        else_=MEASURED,
    )
    return sa.select(grouped.c.unit, grouped.c.arm, verdict.label("verdict"))


def count_split() -> sa.Select[Any]:
    """(verdict, arm, units) of the judged split."""
    return (
        sa.select(judged.c.verdict, judged.c.arm, sa.func.count())
        .group_by(judged.c.verdict, judged.c.arm)
        .order_by(judged.c.verdict, judged.c.arm)
    )


def split_roster(
    campaign: str, wave: int, population: Population, segments: Sequence[str], as_of: dt.date
) -> sa.Insert:
    """Insert the assignments of the measured units: a row a customer.

    Args:
        campaign: id of the campaign.
        wave: number of the wave.
        population: customers and units.
        segments: declared segments; a unit belongs to the first that holds one of its customers,
            and to `all`, where it is declared, even if none of them ever ordered.
        as_of: date of the memberships.
    """
    units = (
        sa.select(judged.c.unit, judged.c.arm).where(judged.c.verdict == MEASURED).subquery("units")
    )
    roster = roster_of(units, population)
    place = sa.case({name: n for n, name in enumerate(segments)}, value=memberships.c.segment)
    member = (
        sa.select(memberships.c.customer, sa.func.min(place).label("place"))
        .where(memberships.c.as_of == as_of, memberships.c.segment.in_(segments))
        .group_by(memberships.c.customer)
        .subquery("member")
    )
    rest = ALL if ALL in segments else OUTSIDE
    held = sa.func.min(member.c.place).over(partition_by=roster.c.unit)
    selected = sa.select(
        sa.literal(campaign),
        sa.literal(wave),
        roster.c.unit,
        roster.c.customer,
        sa.case(dict(enumerate(segments)), value=held, else_=rest),
        sa.literal(ELSEWHERE),
        roster.c.arm,
    ).select_from(roster.outerjoin(member, roster.c.customer == member.c.customer))
    return assignments.insert().from_select([column.name for column in assignments.c], selected)
