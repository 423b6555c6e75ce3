"""Rows of units in order, to be added up in process, where no wire is between.

Builds statements only. Units are numbered first; every unit that did something comes with all its
months together, and which units a group has is told by one bit a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.flows import UNIT, Window, flows_of, roster_of, spend_of

__all__ = ["group_members", "number_buyers", "number_roster", "numbered_flows", "numbers"]

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


def numbered_flows(window: Window) -> sa.Select[Any]:
    """What the units of `numbers` did, month by month; none for those who did nothing.

    Returns:
        A statement of number, month, revenue, margin, orders, with exposures also cost and
        reached, in rows of their own; the rows of a unit together, in the order of the numbers.
    """
    roster = sa.select(numbers).subquery("roster")
    flows = flows_of(window, roster, ("number",), idle=False)
    names = ["number", "month", "revenue", "margin", "orders"]
    names += ["cost", "reached"] if window.with_exposures else []
    return sa.select(*(flows.c[name] for name in names)).order_by(flows.c.number)


def group_members(windows: Sequence[Window], count: int) -> sa.Select[Any]:
    """Which units of `numbers` are in each group, of many waves at once.

    Args:
        windows: waves in one roster; others between them may come too.
        count: bits wanted, a multiple of 8 above every number.

    Returns:
        A statement of campaign, wave, arm, segment, n (units, without a number too) and members
        (bytes, the bit of number 0 first; NULL for none).
    """
    roster = windows[0].roster
    keys = [roster.c[name] for name in ("campaign", "wave", "arm", "segment")]
    number = numbers.c.number
    units = sa.func.count() if windows[0].by_customer else sa.func.count(number.distinct())
    bits = sa.func.bitstring_agg(number, sa.literal_column("0"), sa.literal_column(f"{count - 1}"))
    statement = sa.select(*keys, units, sa.cast(bits, sa.LargeBinary)).group_by(*keys)
    for key, wanted in zip(
        keys[:2], zip(*((w.campaign, w.wave) for w in windows), strict=True), strict=True
    ):
        # Bounds cost nothing a row, unlike a list of fifty texts or an order of the result.
        statement = statement.where(key.between(min(wanted), max(wanted)))
    return statement.select_from(roster.outerjoin(numbers, numbers.c.customer == roster.c.customer))
