"""Statements that find a person, and put a tombstone in its place. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.queries.functions import kept_columns
from loyalty_exp.store.queries.parse import identifier, literal

__all__ = [
    "HOLDERS",
    "PREFIX",
    "compaction",
    "count_rows",
    "erased_units",
    "gap_of",
    "kept_key",
    "lone_units",
    "pushed_rows_of",
    "pushed_tables",
    "renamed",
    "renamed_units",
    "rows_of",
    "suppressed",
    "tombstones",
    "waves_of",
    "withdrawn",
]

PREFIX = "forgotten-"
"""How every tombstone begins."""

HOLDERS = (
    tables.orders,
    tables.customer_month,
    tables.customer_rhythm,
    tables.memberships,
    tables.assignments,
    tables.roster_numbers,
    tables.exposures,
)
"""Tables that keep their rows under the tombstone; the customers table loses its row."""


PUSHED = ("campaign", "wave", "customer_id", "unit", "segment", "arm", "contact")
"""Columns of a table that lists were pushed to."""


def kept_key(name: str) -> sa.Select[Any]:
    """The secret kept under a name."""
    return sa.select(tables.keys.c.secret).where(tables.keys.c.name == name)


def tombstones() -> sa.Select[Any]:
    """One column of tombstones."""
    return sa.select(tables.erasures.c.tombstone)


def rows_of(table: sa.Table, customer: str) -> sa.Select[Any]:
    """Every row a table holds of a customer."""
    order = [column for column in table.c if column.name in {"ordered_at", "at", "as_of", "month"}]
    return sa.select(table).where(table.c.customer == customer).order_by(*order)


def renamed(table: sa.Table, customer: str, tombstone: str) -> sa.Update:
    """The tombstone in the place of the customer."""
    return table.update().where(table.c.customer == customer).values(customer=tombstone)


def waves_of(customer: str) -> sa.Select[Any]:
    """(campaign, wave) in whose roster a customer is."""
    columns = tables.assignments.c
    return (
        sa.select(columns.campaign, columns.wave)
        .where(columns.customer == customer)
        .distinct()
        .order_by(columns.campaign, columns.wave)
    )


def lone_units(tombstone: str) -> sa.Select[Any]:
    """Units of a tombstone's rows with no customer left who is not forgotten."""
    columns = tables.assignments.c
    mine = sa.select(columns.unit).where(columns.customer == tombstone)
    alive = sa.select(columns.unit).where(columns.customer.not_in(tombstones()))
    return (
        sa.select(columns.unit)
        .where(
            columns.unit.in_(mine),
            columns.unit.not_in(alive),
            columns.unit.not_in(tombstones()),
        )
        .distinct()
    )


def renamed_units(units: Sequence[str], tombstone: str) -> sa.Update:
    """The tombstone in the place of units that are no more than forgotten customers."""
    table = tables.assignments
    return table.update().where(table.c.unit.in_(units)).values(unit=tombstone)


def erased_units(campaign: str, wave: int) -> sa.Select[Any]:
    """(stratum, arm, units) of the forgotten units of a wave."""
    columns = tables.assignments.c
    return (
        sa.select(columns.stratum, columns.arm, sa.func.count(sa.distinct(columns.unit)))
        .where(columns.campaign == campaign, columns.wave == wave)
        .where(columns.unit.in_(tombstones()))
        .group_by(columns.stratum, columns.arm)
    )


def pushed_tables() -> sa.Select[Any]:
    """Names of the tables that lists were pushed to, known by their columns."""
    columns = kept_columns.c
    return (
        sa.select(columns.table_name)
        .where(columns.table_schema == sa.func.current_schema())
        .where(columns.column_name.in_(PUSHED))
        .group_by(columns.table_name)
        .having(sa.func.count() == len(PUSHED))
        .order_by(columns.table_name)
    )


def pushed_rows_of(name: str, customer: str) -> sa.Select[Any]:
    """Every row that a table which lists were pushed to holds of a customer."""
    table = sa.table(name, *(sa.column(column) for column in PUSHED))
    return sa.select(table).where(table.c.customer_id == customer)


def withdrawn(name: str, customer: str) -> sa.Delete:
    """Take a customer out of a table that lists were pushed to."""
    table = sa.table(name, sa.column("customer_id", sa.Text))
    return sa.delete(table).where(table.c.customer_id == customer)


def gap_of(campaign: str, wave: int) -> sa.Select[Any]:
    """What forgetting took from the checksum of a wave's roster, as text."""
    table = tables.erased_rosters
    return sa.select(table.c.gap).where(table.c.campaign == campaign, table.c.wave == wave)


def suppressed(key: str, listed: Sequence[str], rows: Path, *, drop: bool) -> str:
    """DuckDB's text: staged rows with the tombstones put in, or without those rows.

    Args:
        key: the store's key.
        listed: tombstones of everybody forgotten.
        rows: Parquet file with a column `customer`.
        drop: leave the rows out.
    """
    once = f"sha256(concat({literal(key)}, ':', customer))"
    twice = f"sha256(concat({literal(key)}, ':', {once}))"
    stone = f"concat({literal(PREFIX)}, substr({twice}, 1, 32))"
    gone = f"{stone} IN ({', '.join(map(literal, listed))})"
    read = f"read_parquet({literal(str(rows))})"
    if drop:
        return f"SELECT * FROM {read} WHERE NOT coalesce({gone}, FALSE)"  # noqa: S608
    put = f"CASE WHEN {gone} THEN {stone} ELSE customer END"
    return f"SELECT * REPLACE ({put} AS customer) FROM {read}"  # noqa: S608


def compaction(name: str, fresh: Path) -> tuple[str, ...]:
    """DuckDB's texts that copy the open database of that name into a new file."""
    return (
        "CHECKPOINT",
        f"ATTACH {literal(str(fresh))} AS compacted",
        f"COPY FROM DATABASE {identifier(name)} TO compacted",
        "DETACH compacted",
    )


def count_rows(rows: Path) -> str:
    """DuckDB's text: how many rows a Parquet file holds."""
    return f"SELECT count(*) FROM read_parquet({literal(str(rows))})"  # noqa: S608
