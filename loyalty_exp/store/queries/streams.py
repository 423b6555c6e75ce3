"""Rows of units in order, to be added up in process, where no wire is between.

Builds statements only. Every unit that did something comes with all its months together; those
that did nothing are only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.queries.flows import UNIT, Window, flows_of, roster_of, spend_of

__all__ = [
    "flow_rows",
    "group_sizes",
    "number_customers",
    "numbered_flows",
    "numbered_places",
    "numbers",
]


def group_sizes(window: Window) -> sa.Select[Any]:
    """(arm, segment, units) of a wave, in order."""
    roster = roster_of(window, *(window.roster.c[name] for name in UNIT))
    units = (roster if window.by_customer else roster.distinct()).subquery("units")
    keys = (units.c.arm, units.c.segment)
    return sa.select(*keys, sa.func.count().label("n")).group_by(*keys).order_by(*keys)


def flow_rows(window: Window, groups: Sequence[tuple[str, str]]) -> sa.Select[Any]:
    """What units did, month by month, the rows of a unit together; none for those who did nothing.

    Args:
        window: the wave's window.
        groups: (arm, segment), whose place in this list is given for each unit.

    Returns:
        A statement of number (of the unit, in the order of the ids), month, revenue, margin,
        orders, with exposures also cost and reached, in rows of their own; last the place.
    """
    whose = window.roster.c
    place = sa.case(
        *(
            (sa.and_(whose.arm == arm, whose.segment == segment), place)
            for place, (arm, segment) in enumerate(groups)
        )
    )
    key = [whose[name] for name in UNIT]
    rank = sa.func.row_number() if window.by_customer else sa.func.dense_rank()
    number = rank.over(order_by=key[:1] if window.by_customer else key)
    roster = roster_of(
        window, whose.customer, whose.arm, number.label("number"), place.label("place")
    )
    flows = flows_of(window, roster.subquery("roster"), ("number", "place"), idle=False)
    names = ["number", "month", "revenue", "margin", "orders"]
    names += ["cost", "reached"] if window.with_exposures else []
    return sa.select(*(flows.c[name] for name in (*names, "place"))).order_by(flows.c.number)


numbers = sa.Table(
    "numbers",
    sa.MetaData(),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    prefixes=["TEMPORARY"],
)
"""Customers with an order in a window, numbered from 0 in the order of their ids."""


def number_customers(window: Window) -> sa.Insert:
    """Fill `numbers` for a window whose units are customers."""
    customers = sa.select(spend_of(window).c.customer).distinct().subquery("customers")
    number = sa.func.row_number().over(order_by=customers.c.customer) - 1
    numbered = sa.select(customers.c.customer, sa.cast(number, sa.Integer))
    return numbers.insert().from_select(["customer", "number"], numbered)


def numbered_flows(window: Window) -> sa.Select[Any]:
    """What the customers of `numbers` did, month by month, as in `flow_rows`, without the place."""
    flows = flows_of(window, sa.select(numbers).subquery("roster"), ("number",), idle=False)
    names = ("number", "month", "revenue", "margin", "orders")
    return sa.select(*(flows.c[name] for name in names)).order_by(flows.c.number)


def numbered_places(
    roster: sa.FromClause, groups: Sequence[tuple[str, int, str, str]]
) -> sa.Select[Any]:
    """Which group each customer of `numbers` is in, for many waves at once.

    Args:
        roster: where the waves are, as in `Window`.
        groups: (campaign, wave, arm, segment).

    Returns:
        A statement of number and place, of the group in the list; a row a customer and wave.
    """
    names = ("campaign", "wave", "arm", "segment")
    columns = [sa.column(name, roster.c[name].type) for name in names]
    listed = sa.values(*columns, sa.column("place", sa.Integer), name="listed").data(
        [(*group, place) for place, group in enumerate(groups)]
    )
    same = sa.and_(*(roster.c[name] == listed.c[name] for name in names))
    return sa.select(numbers.c.number, listed.c.place).select_from(
        roster.join(listed, same).join(numbers, numbers.c.customer == roster.c.customer)
    )
