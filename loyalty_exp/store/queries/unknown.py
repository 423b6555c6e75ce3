"""What of the log of contacts and of the ledger belongs to nothing declared. Builds statements."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from loyalty_exp.store.tables import costs, exposures, launches, orders

__all__ = ["contacts_by_word", "launched_campaigns", "payments_by_arm", "strangers", "words"]


def contacts_by_word() -> sa.Select[Any]:
    """(campaign, kind, contacts) of the log."""
    keys = (exposures.c.campaign, exposures.c.kind)
    return sa.select(*keys, sa.func.count().label("contacts")).group_by(*keys).order_by(*keys)


def payments_by_arm() -> sa.Select[Any]:
    """(campaign, arm, payments) of the ledger; the arm is NULL for all of them together."""
    keys = (costs.c.campaign, costs.c.arm)
    return sa.select(*keys, sa.func.count().label("payments")).group_by(*keys).order_by(*keys)


def launched_campaigns() -> sa.Select[Any]:
    """Ids of the launched campaigns."""
    return sa.select(launches.c.campaign).distinct()


def strangers(customers: sa.Table) -> sa.Select[int, int]:
    """(contacts, customers) of the log without an order and without attributes.

    Args:
        customers: table of attributes.
    """
    nobody = sa.and_(
        *(
            sa.not_(sa.exists().select_from(known).where(known.c.customer == exposures.c.customer))
            for known in (orders, customers)
        )
    )
    people = sa.func.count(sa.distinct(exposures.c.customer))
    return sa.select(sa.func.count(), people).where(nobody)


def words(relation: str, column: str) -> str:
    """DuckDB text: (word, rows) of a column of a source, the most frequent first.

    Args:
        relation: what stands after FROM.
        column: the expression of a cell as text.
    """
    return (
        f"SELECT {column} AS word, count(*) AS n FROM {relation} "  # noqa: S608  (quoted by callers)
        "WHERE word IS NOT NULL GROUP BY word ORDER BY n DESC, word LIMIT 100"
    )
