"""The tables of the store, one database. Says what is kept; holds no query.

Facts (`loads`, `rejects`, `launches`, `assignments`, `exposures`, `costs`, `published`, `journal`)
are appended, never updated; only `forget` replaces a person's id in them. A calendar month is
stored as its index, year x 12 + month, so that differences are numbers of months.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

__all__ = [
    "assignments",
    "attributes",
    "costs",
    "customer_month",
    "customer_rhythm",
    "customers_table",
    "erased_rosters",
    "erasures",
    "exposures",
    "journal",
    "keys",
    "launches",
    "loads",
    "memberships",
    "metadata",
    "month_index",
    "orders",
    "published",
    "rejects",
    "roster_members",
    "roster_numbers",
]

metadata = sa.MetaData()

PLAIN = {"compressed": False}
"""Of a column of many different texts: packing them costs more than the room it saves."""

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("order_id", sa.Text, nullable=False, info=PLAIN),
    sa.Column("customer", sa.Text, nullable=False, info=PLAIN),
    sa.Column("ordered_at", sa.DateTime, nullable=False, comment="wall clock of the project"),
    sa.Column("month", sa.Integer, nullable=False),
    sa.Column("revenue", sa.Double, nullable=False, comment="net of tax and refunds"),
    sa.Column("margin", sa.Double, nullable=False),
    sa.Column("channel", sa.Text),
    sa.Column("load_id", sa.Text, nullable=False),
    comment="One row an order and a day; a refund is a negative row and is not counted as an order",
)

customer_month = sa.Table(
    "customer_month",
    metadata,
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("month", sa.Integer, nullable=False),
    sa.Column("revenue", sa.Double, nullable=False),
    sa.Column("margin", sa.Double, nullable=False),
    sa.Column("orders", sa.Integer, nullable=False),
    sa.Column("days", sa.Integer, nullable=False, comment="bit d - 1: an order on day d"),
    comment="Kept roll-up of orders, sorted by customer and month",
)

customer_rhythm = sa.Table(
    "customer_rhythm",
    metadata,
    sa.Column("customer", sa.Text, nullable=False, info=PLAIN),
    sa.Column("last_on", sa.Date, nullable=False, comment="day of the last order"),
    sa.Column("repeat_days", sa.Integer, nullable=False, comment="days with an order, less one"),
    sa.Column("median_gap_days", sa.Double, comment="between these days; NULL with one"),
    sa.Column("first_channel", sa.Text, comment="channel of the first order"),
    comment="Kept rhythm of every customer up to the last order; made anew where that moves",
)

attributes = sa.Table(
    "attributes",
    metadata,
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="text, number, date or boolean"),
    comment="The columns of the customers table besides the id",
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("customer", sa.Text, nullable=False),
)

launches = sa.Table(
    "launches",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("launched_at", sa.DateTime, nullable=False, comment="UTC"),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("start", sa.Date, nullable=False),
    sa.Column("plan", sa.Text, nullable=False, comment="frozen plan, canonical JSON"),
    sa.Column("digest", sa.Text, nullable=False, comment="SHA-256 of the plan"),
    sa.Column("salt", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("campaign", "wave"),
)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("unit", sa.Text, nullable=False, info=PLAIN),
    sa.Column("customer", sa.Text, nullable=False, info=PLAIN),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("stratum", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
)

roster_numbers = sa.Table(
    "roster_numbers",
    metadata,
    sa.Column("customer", sa.Text, nullable=False, info=PLAIN),
    sa.Column("number", sa.Integer, nullable=False, comment="from 0, never given again"),
    comment="Customers of rosters, numbered where the engine works in process",
)

roster_members = sa.Table(
    "roster_members",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("members", sa.LargeBinary, nullable=False, comment="one bit a number, by zlib"),
    comment="The rosters again, of waves whose units are customers, by the numbers",
)

exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime, nullable=False, quote=True),
    sa.Column("kind", sa.Text, nullable=False, comment="sent, opened, redeemed, ..."),
    sa.Column("cost", sa.Double),
    sa.Column("load_id", sa.Text, nullable=False),
)

costs = sa.Table(
    "costs",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("arm", sa.Text),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("amount", sa.Double, nullable=False),
    sa.Column("load_id", sa.Text, nullable=False),
)

published = sa.Table(
    "published",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("wave", sa.Text, nullable=False),
    sa.Column("segment", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("against", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column(
        "month", sa.Text, nullable=False, comment="YYYY-MM, or 'cumulative YYYY-MM' of a look"
    ),
    sa.Column("published_at", sa.DateTime, nullable=False, comment="UTC"),
    sa.Column("result", sa.Text, nullable=False, comment="the row as shown, JSON"),
)

loads = sa.Table(
    "loads",
    metadata,
    sa.Column("load_id", sa.Text, nullable=False, comment="SHA-256 of what was loaded and how"),
    sa.Column("what", sa.Text, nullable=False, comment="orders, customers, exposures or costs"),
    sa.Column("source", sa.Text, nullable=False, comment="file name, without its folder"),
    sa.Column("digest", sa.Text, nullable=False, comment="SHA-256 of the file"),
    sa.Column("loaded_at", sa.DateTime, nullable=False, comment="UTC"),
    sa.Column("extracted_on", sa.Date, comment="the day the export was made, where declared"),
    sa.Column("rows_read", sa.BigInteger, nullable=False),
    sa.Column("rows_loaded", sa.BigInteger, nullable=False),
    sa.Column("rows_rejected", sa.BigInteger, nullable=False),
    sa.Column("rows_ignored", sa.BigInteger, nullable=False, comment="already in the store"),
)

rejects = sa.Table(
    "rejects",
    metadata,
    sa.Column("load_id", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("line", sa.BigInteger, nullable=False),
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("tombstone", sa.Text, nullable=False, comment="what stands in for a person's id"),
    sa.Column("erased_at", sa.DateTime, nullable=False, comment="UTC"),
)

erased_rosters = sa.Table(
    "erased_rosters",
    metadata,
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("gap", sa.Text, nullable=False, comment="frozen roster sum less the one now"),
    comment="One row a wave that lost an id; added up, so that no row's own digest is kept",
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False, comment="256 random bits, hexadecimal"),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("at", sa.DateTime, nullable=False, quote=True, comment="UTC"),
    sa.Column("actor", sa.Text, nullable=False, comment="keyed digest of the account's name"),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False, comment="JSON, no person and no path"),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, comment="done, or the class of the error"),
)

_ATTRIBUTE_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "text": sa.Text,
    "number": sa.Double,
    "date": sa.Date,
    "boolean": sa.Boolean,
}


def customers_table(kinds: Sequence[tuple[str, str]] = ()) -> sa.Table:
    """The customers table for the attributes at hand.

    Args:
        kinds: (name, kind) of every attribute, in order, as kept in `attributes`.

    Returns:
        A table of its own metadata: `customer` and one column an attribute.
    """
    columns = [sa.Column(name, _ATTRIBUTE_TYPES[kind]) for name, kind in kinds]
    return sa.Table(
        "customers", sa.MetaData(), sa.Column("customer", sa.Text, nullable=False), *columns
    )


def month_index(column: sa.ColumnElement[object]) -> sa.ColumnElement[int]:
    """Month index (year x 12 + month) of a date or timestamp column, on every engine."""
    year = sa.cast(sa.extract("year", column), sa.Integer)
    month = sa.cast(sa.extract("month", column), sa.Integer)
    return year * 12 + month
