"""Rows of units in order, to be added up in process, where no wire is between.

Builds statements only. Units are numbered first; every unit that did something comes with all its
months together, and which units a group has is told by one bit a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.flows import UNIT, Window, flows_of, roster_of, spend_of
from loyalty_exp.store.tables import assignments, roster_members, roster_numbers

__all__ = [
    "group_members",
    "kept_groups",
    "kept_numbers",
    "number_buyers",
    "number_newcomers",
    "number_roster",
    "numbered_flows",
    "numbers",
    "outermost",
]

Wave = tuple[str, int]
"""Campaign and number of the wave."""

numbers = sa.Table(
    "numbers",
    sa.MetaData(),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("arm", sa.Text),
    prefixes=["TEMPORARY"],
)
"""Customers and their units, numbered from 0 in the order of their ids; the arm of a roster's."""


def number_roster(window: Window) -> sa.Insert:
    """Fill `numbers` with the units of one wave."""
    whose = window.roster.c
    rank = sa.func.row_number() if window.by_customer else sa.func.dense_rank()
    order = [whose.unit] if window.by_customer else [whose[name] for name in UNIT]
    number = sa.cast(rank.over(order_by=order) - 1, sa.Integer)
    numbered = roster_of(window, whose.customer, number, whose.arm)
    return numbers.insert().from_select(["customer", "number", "arm"], numbered)


def number_buyers(window: Window) -> sa.Insert:
    """Fill `numbers` with all customers with an order in the window, whatever their rosters."""
    buyers = sa.select(spend_of(window).c.customer).distinct().subquery("buyers")
    number = sa.cast(sa.func.row_number().over(order_by=buyers.c.customer) - 1, sa.Integer)
    numbered = sa.select(buyers.c.customer, number)
    return numbers.insert().from_select(["customer", "number"], numbered)


def number_newcomers(wave: Wave) -> sa.Insert:
    """Give the customers of a wave who have no kept number the next ones, in order of their ids."""
    whose, kept = assignments.c, roster_numbers.c
    known = sa.exists().where(kept.customer == whose.customer)
    who = sa.select(whose.customer).where(whose.campaign == wave[0], whose.wave == wave[1])
    new = who.where(~known).subquery("new")
    free = sa.select(sa.func.coalesce(sa.func.max(kept.number), -1)).scalar_subquery()
    place = sa.func.row_number().over(order_by=new.c.customer)
    numbered = sa.select(new.c.customer, sa.cast(free + place, sa.Integer))
    return roster_numbers.insert().from_select(["customer", "number"], numbered)


def kept_numbers() -> sa.Select[Any]:
    """How many numbers are kept; the largest is one less."""
    return sa.select(sa.func.count()).select_from(roster_numbers)


def kept_groups(waves: Sequence[Wave]) -> sa.Select[Any]:
    """What is kept of the members of some waves, in the order of arm and segment."""
    kept = roster_members.c
    wave = sa.tuple_(kept.campaign, kept.wave)
    return sa.select(roster_members).where(wave.in_(waves)).order_by(kept.arm, kept.segment)


def outermost(numbered: sa.Table, first: int, last: int) -> sa.Select[Any]:
    """(first id, last id) of the customers of a stretch of numbers; NULL where there are none."""
    ids = numbered.c.customer
    return sa.select(sa.func.min(ids), sa.func.max(ids)).where(
        numbered.c.number.between(first, last)
    )


def numbered_flows(
    window: Window, numbered: sa.Table, first: int, last: int, ids: tuple[str, str]
) -> sa.Select[Any]:
    """What units of a stretch of numbers did, month by month; none for those who did nothing.

    Args:
        window: months and outcomes.
        numbered: who has a number: `numbers`, or `roster_numbers`.
        first: the first number wanted.
        last: the last.
        ids: what `outermost` found: no more of the roll-up is read than lies between.

    Returns:
        A statement of number, month, revenue, margin, orders, with exposures also cost and
        reached, in rows of their own; the rows of a unit together, in the order of the numbers.
    """
    who = sa.select(numbered).where(
        numbered.c.number.between(first, last), numbered.c.customer.between(*ids)
    )
    flows = flows_of(window, who.subquery("roster"), ("number",), idle=False)
    names = ["number", "month", "revenue", "margin", "orders"]
    names += ["cost", "reached"] if window.with_exposures else []
    return sa.select(*(flows.c[name] for name in names)).order_by(flows.c.number)


def group_members(
    roster: sa.FromClause,
    waves: Sequence[Wave],
    count: int,
    *,
    by_customer: bool,
    numbered: sa.Table,
) -> sa.Select[Any]:
    """Which units with a number are in each group, of many waves at once.

    Args:
        roster: where the waves are, with the columns of `assignments`.
        waves: those wanted; others between them may come too.
        count: bits wanted, a multiple of 8 above every number.
        by_customer: whether a unit is a customer.
        numbered: who has a number: `numbers`, or `roster_numbers`.

    Returns:
        A statement of campaign, wave, arm, segment, n (units, without a number too) and members
        (bytes, the bit of number 0 first; NULL for none).
    """
    keys = [roster.c[name] for name in ("campaign", "wave", "arm", "segment")]
    number = numbered.c.number
    units = sa.func.count() if by_customer else sa.func.count(number.distinct())
    bits = sa.func.bitstring_agg(number, sa.literal_column("0"), sa.literal_column(f"{count - 1}"))
    statement = sa.select(*keys, units, sa.cast(bits, sa.LargeBinary)).group_by(*keys)
    for key, wanted in zip(keys[:2], zip(*waves, strict=True), strict=True):
        # Bounds cost nothing a row, unlike a list of fifty texts or an order of the result.
        statement = statement.where(key.between(min(wanted), max(wanted)))
    return statement.select_from(
        roster.outerjoin(numbered, numbered.c.customer == roster.c.customer)
    )
