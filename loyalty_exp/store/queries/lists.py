"""The roster of a wave as lists need it, and as rows of a table for other systems. Runs nothing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.queries.erase import tombstones
from loyalty_exp.store.tables import assignments

__all__ = ["OWN_TABLES", "count_pushed", "push", "pushed_table", "roster_rows"]

OWN_TABLES = frozenset({*tables.metadata.tables, "customers"})
"""Tables of the store that nobody else may write to."""


def roster_rows(
    campaign: str, wave: int, holdout: str, contactable: sa.Select[Any]
) -> sa.Select[Any]:
    """(customer, unit, segment, arm) of a wave's lists, in order of the customer.

    Every customer of the holdout's units, and of the others those who may be contacted; nobody
    forgotten.

    Args:
        campaign: its id.
        wave: which wave.
        holdout: its arm that receives nothing.
        contactable: customers who may be contacted.
    """
    columns = assignments.c
    return (
        _roster(campaign, wave)
        .where((columns.arm == holdout) | columns.customer.in_(contactable))
        .order_by(columns.customer)
    )


def _roster(campaign: str, wave: int) -> sa.Select[Any]:
    columns = assignments.c
    return (
        sa.select(columns.customer, columns.unit, columns.segment, columns.arm)
        .where(columns.campaign == campaign, columns.wave == wave)
        .where(columns.customer.not_in(tombstones()))
    )


def pushed_table(name: str) -> sa.Table:
    """The table that lists are pushed into."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("contact", sa.Boolean, nullable=False),
    )


def count_pushed(target: sa.Table, campaign: str, wave: int) -> sa.Select[Any]:
    """Rows of a wave that are in the table."""
    return sa.select(sa.func.count(target.c.customer_id)).where(
        target.c.campaign == campaign, target.c.wave == wave
    )


def push(
    target: sa.Table, campaign: str, wave: int, holdout: str, contactable: sa.Select[Any]
) -> sa.Insert:
    """Insert a wave's roster, whole: `contact` is true of the contact lists only."""
    rows = _roster(campaign, wave).subquery("rows")
    selected = sa.select(
        sa.literal(campaign),
        sa.literal(wave),
        rows.c.customer,
        rows.c.unit,
        rows.c.segment,
        rows.c.arm,
        (rows.c.arm != holdout) & rows.c.customer.in_(contactable),
    )
    return target.insert().from_select([column.name for column in target.c], selected)
