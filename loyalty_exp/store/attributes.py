"""Customers' attributes: which kind each column holds, and the table that is replaced whole."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb
import sqlalchemy as sa

from loyalty_exp.declare.sources import Customers
from loyalty_exp.store import tables
from loyalty_exp.store.columns import Formula, read_formula, safe_names
from loyalty_exp.store.etl import Staged
from loyalty_exp.store.merging import Merged, arrive, leave
from loyalty_exp.store.queries import load as reading
from loyalty_exp.store.queries import merge as queries
from loyalty_exp.store.queries.load import Field, Plan
from loyalty_exp.store.readers import Source, asked

__all__ = ["KINDS", "customers_plan", "present_attributes", "replace_customers"]

KINDS = {"text": "text", "amount": "number", "day": "date", "boolean": "boolean"}
"""Kind of an attribute by the kind of field that reads it."""

_BY_TYPE = {
    "number": "amount",
    "boolean": "boolean",
    "day": "day",
    "timestamp": "day",
    "instant": "day",
    "other": "text",
}
_CONSENT = ("optin", "opt_in", "consent", "accept", "is_", "has_", "newsletter", "subscri", "abonn")
"""A column of 0 and 1 holds booleans only when its name begins so; else numbers."""


def present_attributes(connection: sa.Connection) -> dict[str, str]:
    """Kind of every attribute the store has of customers, by name."""
    kept = tables.attributes.c
    columns = sa.select(kept.name, kept.kind).order_by(kept.position)
    return {row.name: row.kind for row in connection.execute(columns)}


def customers_plan(
    declared: Customers,
    source: Source,
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    keep: Collection[str],
    project_timezone: str,
    currency: str,
) -> Plan:
    """The columns that the declaration names, as attributes of the kind that all cells have.

    Args:
        declared: our names for columns.
        source: the opened source.
        engine: to look at the cells.
        folder: private folder, for a file that must be mended first.
        keep: further columns wanted, under their own name made safe; others are never stored.
        project_timezone: unused by attributes, kept for dates with an offset.
        currency: of the project.

    Raises:
        DataError: the column of the customer's id, or another declared one, is missing.
    """
    header = source.header
    formulas: dict[str, Formula] = {
        name: read_formula(column, header, f"{name} of [data.customers]")
        for name, column in {"customer_id": "customer_id", **declared.columns}.items()
    }
    key = formulas.pop("customer_id")
    names = safe_names(formulas, taken=("customer", "customer_id"))
    named = dict(zip(names, formulas.values(), strict=True))
    used = {column for formula in (key, *named.values()) for column in formula.columns}
    others = [column for column in header.names if column not in used]
    for name, column in zip(
        safe_names(others, taken=("customer", "customer_id", *named)), others, strict=True
    ):
        if name in keep:
            named[name] = Formula((column,))
    kinds = _kinds(source, named, engine, folder)
    attributes = tuple(
        Field(name, kinds[name], formula, required=False) for name, formula in named.items()
    )
    return Plan(
        what="customers",
        fields=(Field("customer", "id", key), *attributes),
        zone=project_timezone,
        project_zone=project_timezone,
        currency=currency,
    )


def _kinds(
    source: Source, named: dict[str, Formula], engine: duckdb.DuckDBPyConnection, folder: Path
) -> dict[str, str]:
    """Kind of field of each attribute: the engine's type, or what every cell can be read as."""
    kinds = {}
    text = []
    for name, formula in named.items():
        type_ = source.formats[formula.columns[0]].type
        kinds[name] = "amount" if formula.tree is not None else _BY_TYPE.get(type_, "text")
        if type_ == "text" and formula.tree is None:
            text.append(name)
    if text:
        columns = [named[name].columns[0] for name in text]
        (counts,) = asked(engine, source, folder, lambda relation: reading.kinds(relation, columns))
        for position, name in enumerate(text):
            kinds[name] = _kind(name, *counts[position * 6 : position * 6 + 6])
    return kinds


def _kind(name: str, filled: int, words: int, bits: int, point: int, comma: int, dates: int) -> str:
    """The kind that all filled cells have; text when there is none."""
    if filled == 0:
        return "text"
    if words == filled or (bits == filled and name.startswith(_CONSENT)):
        return "boolean"
    if filled in {point, comma}:
        return "amount"
    return "day" if dates == filled else "text"


def replace_customers(
    connection: sa.Connection, staged: Staged, plan: Plan, folder: Path
) -> Merged:
    """Replace all customers, and the registry of their attributes.

    Args:
        connection: the store's, in a transaction.
        staged: what was read.
        plan: of `customers_plan`.
        folder: private folder for what must be handed over as text.
    """
    kinds = [(field.name, KINDS[field.kind]) for field in plan.fields[1:]]
    customers = tables.customers_table(kinds)
    incoming = arrive(connection, "incoming", [*customers.columns], staged.incoming, folder)
    customers.drop(connection, checkfirst=True)
    customers.create(connection)
    connection.execute(queries.insert_customers(customers, incoming))
    leave(connection, incoming)
    connection.execute(tables.attributes.delete())
    if kinds:
        rows = [{"position": n, "name": name, "kind": kind} for n, (name, kind) in enumerate(kinds)]
        connection.execute(tables.attributes.insert(), rows)
    return Merged(added=staged.staged)
