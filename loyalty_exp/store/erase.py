"""Erases a person and keeps the totals; answers what is held about one.

A person's id becomes a tombstone: a digest under a random key of the store. Orders keep their
amounts under it, rosters their arm, so that every total and every draw can still be checked. A
file loaded later that holds the id again meets the same tombstone. The attributes are deleted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from loyalty_exp.errors import StoreError
from loyalty_exp.store import tables
from loyalty_exp.store.engines import capabilities_of
from loyalty_exp.store.etl import Staged, connect
from loyalty_exp.store.queries import draw, load
from loyalty_exp.store.queries import erase as queries

__all__ = [
    "Erased",
    "PersonalData",
    "apply_tombstones",
    "customer_key",
    "forget_person",
    "person_data",
    "tombstone_of",
    "tombstones",
]

KEY = "tombstones"
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Erased:
    """What forgetting a person changed."""

    tombstone: str
    rows: Mapping[str, int]
    """Rows by table: those kept under the tombstone; of `customers` and lists, deleted."""
    again: bool
    """Whether the person had been forgotten before."""
    waves: tuple[tuple[str, int], ...]
    """(campaign, wave) whose rosters hold the person."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Everything the store holds about a person."""

    customer: str
    forgotten: bool
    attributes: Mapping[str, Any]
    rows: Mapping[str, tuple[Mapping[str, Any], ...]]
    """Rows by table, without the column of the person's id."""

    @property
    def held(self) -> bool:
        """Whether anything is held."""
        return bool(self.attributes) or any(self.rows.values())

    def to_json(self) -> str:
        """As a text for the person: dates ISO, one list a table."""
        held = {
            "customer": self.customer,
            "forgotten": self.forgotten,
            "attributes": dict(self.attributes),
            **{name: [dict(row) for row in rows] for name, rows in self.rows.items()},
        }
        return json.dumps(held, indent=2, ensure_ascii=False, default=str)


def customer_key(connection: sa.Connection) -> str | None:
    """The store's key, or None as long as nobody was forgotten."""
    key: str | None = connection.scalar(queries.kept_key(KEY))
    return key


def tombstone_of(key: str, customer: str) -> str:
    """What stands in for a customer under a key."""
    inner = hashlib.sha256(f"{key}:{customer}".encode()).hexdigest()
    return queries.PREFIX + hashlib.sha256(f"{key}:{inner}".encode()).hexdigest()[:_DIGITS]


def tombstones(connection: sa.Connection) -> frozenset[str]:
    """Tombstones of everybody forgotten; no list and no draw may hold them."""
    return frozenset(connection.scalars(queries.tombstones()))


def forget_person(connection: sa.Connection, customer: str, now: dt.datetime) -> Erased:
    """Put a tombstone in the place of a person, in every table.

    Args:
        connection: a writing transaction.
        customer: the id, as the store holds it.
        now: time of the erasure, UTC.

    Raises:
        StoreError: nothing is held about that customer.
    """
    key = customer_key(connection) or _new_key(connection)
    stone = tombstone_of(key, customer)
    again = stone in tombstones(connection)
    waves = tuple(
        (row.campaign, row.wave) for row in connection.execute(queries.waves_of(customer))
    )
    before = {wave: _roster_sum(connection, wave) for wave in waves}
    people = tables.customers_table()
    rows = {
        table.name: connection.execute(queries.renamed(table, customer, stone)).rowcount
        for table in queries.HOLDERS
    }
    gone = people.delete().where(people.c.customer == customer)
    rows["customers"] = connection.execute(gone).rowcount
    for name in _pushed(connection):
        rows[name] = connection.execute(queries.withdrawn(name, customer)).rowcount
    if not again and not any(rows.values()):
        raise StoreError("nothing is held about this customer; ids are written as in the sources")
    if not again:
        at = now.astimezone(dt.UTC).replace(tzinfo=None)
        connection.execute(tables.erasures.insert().values(tombstone=stone, erased_at=at))
    if units := list(connection.scalars(queries.lone_units(stone))):
        connection.execute(queries.renamed_units(units, stone))
    for wave in waves:
        _widen_gap(connection, wave, before[wave] - _roster_sum(connection, wave))
    if not waves:
        waves = tuple((row[0], row[1]) for row in connection.execute(queries.waves_of(stone)))
    return Erased(stone, rows, again, waves)


def _new_key(connection: sa.Connection) -> str:
    key = secrets.token_hex(32)
    connection.execute(tables.keys.insert().values(name=KEY, secret=key))
    return key


def _pushed(connection: sa.Connection) -> list[str]:
    """Names of the tables that lists were pushed to."""
    if not capabilities_of(connection.dialect.name).lists_tables:
        return []
    return list(connection.scalars(queries.pushed_tables()))


def _roster_sum(connection: sa.Connection, wave: tuple[str, int]) -> int:
    return int(connection.scalar(draw.roster_sum(*wave)) or 0)


def _widen_gap(connection: sa.Connection, wave: tuple[str, int], more: int) -> None:
    """Add to what a wave's checksum lacks; only the sum is kept, no single row's digest."""
    table = tables.erased_rosters
    kept = int(connection.scalar(queries.gap_of(*wave)) or 0)
    connection.execute(table.delete().where(table.c.campaign == wave[0], table.c.wave == wave[1]))
    row = {"campaign": wave[0], "wave": wave[1], "gap": str(kept + more)}
    connection.execute(table.insert().values(row))


def person_data(connection: sa.Connection, customer: str) -> PersonalData:
    """Everything the store holds about a customer."""
    known = connection.execute(
        sa.select(tables.attributes).order_by(tables.attributes.c.position)
    ).all()
    people = tables.customers_table([(row.name, row.kind) for row in known])
    mine = connection.execute(queries.rows_of(people, customer)).mappings().first()
    attributes = {name: value for name, value in (mine or {}).items() if name != "customer"}
    rows = {
        table.name: tuple(
            {name: value for name, value in row.items() if name != "customer"}
            for row in connection.execute(queries.rows_of(table, customer)).mappings()
        )
        for table in queries.HOLDERS
    }
    for name in _pushed(connection):
        found = connection.execute(queries.pushed_rows_of(name, customer)).mappings()
        rows[name] = tuple(dict(row) for row in found)
    key = customer_key(connection)
    forgotten = key is not None and tombstone_of(key, customer) in tombstones(connection)
    return PersonalData(customer, forgotten, attributes, rows)


def apply_tombstones(connection: sa.Connection, what: str, staged: Staged, folder: Path) -> Staged:
    """Staged rows without the ids of forgotten persons; their attributes are left out.

    Args:
        connection: the store's.
        what: orders, customers, exposures or costs.
        staged: what was read.
        folder: private folder of the staged files.
    """
    key = customer_key(connection)
    if key is None or what == "costs":
        return staged
    listed = sorted(tombstones(connection))
    drop = what == "customers"
    kept = folder / "kept.parquet"
    with contextlib.closing(connect(folder)) as engine:
        text = queries.suppressed(key, listed, staged.incoming, drop=drop)
        engine.execute(load.write_parquet(text, kept))
        row = engine.execute(queries.count_rows(kept)).fetchone()
    staged.incoming.unlink()
    gone = staged.staged - (row[0] if row else 0)
    reasons = staged.ignored_reasons + ((("a forgotten person", gone),) if gone else ())
    return replace(
        staged,
        incoming=kept,
        staged=staged.staged - gone,
        ignored=staged.ignored + gone,
        ignored_reasons=reasons,
    )
