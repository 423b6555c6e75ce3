"""Statements that merge what was read into the store, the same on every engine. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.queries.summaries import touched

__all__ = [
    "Additions",
    "any_met",
    "any_orders",
    "any_rejects",
    "append_rejects",
    "arriving",
    "copy_in",
    "count_orders",
    "count_verdicts",
    "drop_orders",
    "earlier_loads",
    "extent_of_orders",
    "insert_all_orders",
    "insert_customers",
    "insert_verdicts",
    "known_load",
    "last_load",
    "meet",
    "met",
    "new_costs",
    "new_exposures",
    "no_sales",
    "replaced",
    "superseded",
    "touch_all",
    "touch_arriving",
    "touch_leaving",
    "verdicts",
]

_NEAR = 1e-9
"""Two sums of the same lines may differ in their last bits."""


def arriving(name: str, columns: Sequence[sa.Column[Any]]) -> sa.Table:
    """A temporary table of what was read."""
    return sa.Table(name, sa.MetaData(), *columns, prefixes=["TEMPORARY"])


def known_load(what: str, load_id: str) -> sa.Select[Any]:
    """The load of that identity, if it was done."""
    loads = tables.loads
    return (
        sa.select(loads)
        .where(loads.c.what == what, loads.c.load_id == load_id)
        .order_by(loads.c.loaded_at.desc())
        .limit(1)
    )


def last_load(what: str) -> sa.Select[Any]:
    """Identity of the last load of a kind."""
    loads = tables.loads
    return (
        sa.select(loads.c.load_id)
        .where(loads.c.what == what)
        .order_by(loads.c.loaded_at.desc())
        .limit(1)
    )


def earlier_loads(what: str, digest: str) -> sa.Select[Any]:
    """Identities of earlier loads of the same file, read in another way."""
    loads = tables.loads
    return sa.select(loads.c.load_id).where(loads.c.what == what, loads.c.digest == digest)


# --- orders -----------------------------------------------------------------------------------


def _month(moment: sa.ColumnElement[object]) -> sa.ColumnElement[int]:
    return tables.month_index(moment)


def _order_values(incoming: sa.Table, load_id: str) -> sa.Select[Any]:
    return sa.select(
        incoming.c.order_id,
        incoming.c.customer,
        incoming.c.ordered_at,
        _month(incoming.c.ordered_at).label("month"),
        incoming.c.revenue,
        incoming.c.margin,
        incoming.c.channel,
        sa.literal(load_id).label("load_id"),
    )


_ORDER_COLUMNS = [column.name for column in tables.orders.columns]


def insert_all_orders(incoming: sa.Table, load_id: str) -> sa.Insert:
    """All that was read, into a store that has none of it."""
    return tables.orders.insert().from_select(_ORDER_COLUMNS, _order_values(incoming, load_id))


def _day(moment: sa.ColumnElement[object]) -> sa.ColumnElement[object]:
    return sa.cast(moment, sa.Date)


def _same_key(kept: sa.Table, incoming: sa.Table, *, lines: bool) -> sa.ColumnElement[bool]:
    key = kept.c.order_id == incoming.c.order_id
    if lines:
        return sa.and_(key, _day(kept.c.ordered_at) == _day(incoming.c.ordered_at))
    return key


def _near(left: sa.ColumnElement[float], right: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    scale = 1.0 + sa.func.abs(left)
    return sa.func.abs(left - right) <= _NEAR * scale


def _identical(kept: sa.Table, incoming: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(
        kept.c.order_id == incoming.c.order_id,
        kept.c.customer == incoming.c.customer,
        kept.c.ordered_at == incoming.c.ordered_at,
        sa.func.coalesce(kept.c.channel, "") == sa.func.coalesce(incoming.c.channel, ""),
        _near(kept.c.revenue, incoming.c.revenue),
        _near(kept.c.margin, incoming.c.margin),
    )


_COMPARED = ("order_id", "customer", "ordered_at", "revenue", "margin", "channel")
met = sa.Table(
    "met",
    sa.MetaData(),
    *(sa.Column(name, tables.orders.c[name].type) for name in _COMPARED),
    prefixes=["TEMPORARY"],
)
"""Orders of the store whose id comes again: few, where a source brings what is new."""


def meet(incoming: sa.Table) -> sa.Insert:
    """Fill `met`."""
    orders = tables.orders
    again = orders.c.order_id.in_(sa.select(incoming.c.order_id))
    found = sa.select(*(orders.c[name] for name in _COMPARED)).where(again)
    return met.insert().from_select(_COMPARED, found)


def any_met(incoming: sa.Table) -> sa.Select[Any]:
    """One order of the store whose id comes again, or nothing."""
    order_id = tables.orders.c.order_id
    return sa.select(order_id).where(order_id.in_(sa.select(incoming.c.order_id))).limit(1)


def verdicts(incoming: sa.Table, *, lines: bool) -> sa.Select[Any]:
    """Each row read with whether its order is in the store, and is the same there, by `met`."""
    known = sa.exists().select_from(met).where(_same_key(met, incoming, lines=lines))
    same = sa.exists().select_from(met).where(_identical(met, incoming))
    return sa.select(incoming, known.label("known"), same.label("same")).select_from(incoming)


def count_verdicts(judged: sa.Table) -> sa.Select[Any]:
    """Rows of the source already there and the same; then orders changed, orders new."""
    n_lines = sa.case((judged.c.same, judged.c.n_lines), else_=0)
    changed = sa.case((sa.and_(judged.c.known, sa.not_(judged.c.same)), 1), else_=0)
    new = sa.case((judged.c.known, 0), else_=1)
    return sa.select(
        sa.func.coalesce(sa.func.sum(n_lines), 0),
        sa.func.coalesce(sa.func.sum(changed), 0),
        sa.func.coalesce(sa.func.sum(new), 0),
    )


def replaced(judged: sa.Table, *, lines: bool) -> sa.ColumnElement[bool]:
    """Orders in the store of which the source has another content, unless it has this one too."""
    key = _same_key(tables.orders, judged, lines=lines)
    other = sa.exists().select_from(judged).where(key, sa.not_(judged.c.same))
    return sa.and_(other, sa.not_(_stays(judged)))


def superseded(judged: sa.Table, load_ids: Sequence[str]) -> sa.ColumnElement[bool]:
    """Orders that the same file gave when it was read in another way."""
    return sa.and_(tables.orders.c.load_id.in_(load_ids), sa.not_(_stays(judged)))


def no_sales(withdrawn: sa.Table) -> sa.ColumnElement[bool]:
    """Orders in the store that the source now says are no sales."""
    same = withdrawn.c.order_id == tables.orders.c.order_id
    return sa.exists().select_from(withdrawn).where(same)


def _stays(judged: sa.Table) -> sa.ColumnElement[bool]:
    return sa.exists().select_from(judged).where(_identical(tables.orders, judged), judged.c.same)


def any_orders() -> sa.Select[Any]:
    """One order of the store, or nothing."""
    return sa.select(tables.orders.c.order_id).limit(1)


def extent_of_orders() -> sa.Select[Any, Any, Any]:
    """Number of orders of the store, and their first and last moment."""
    at = tables.orders.c.ordered_at
    return sa.select(sa.func.count(), sa.func.min(at), sa.func.max(at))


def count_orders(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """How many orders of the store meet a condition."""
    return sa.select(sa.func.count()).select_from(tables.orders).where(which)


def drop_orders(which: sa.ColumnElement[bool]) -> sa.Delete:
    """Take the orders that meet a condition out of the store."""
    return tables.orders.delete().where(which)


def insert_verdicts(judged: sa.Table, load_id: str) -> sa.Insert:
    """Orders that are new or changed."""
    values = _order_values(judged, load_id).where(sa.not_(judged.c.same))
    return tables.orders.insert().from_select(_ORDER_COLUMNS, values)


def touch_all(incoming: sa.Table) -> sa.Insert:
    """Note the months of all that was read."""
    return touched.insert().from_select(["month"], _months(incoming))


def touch_arriving(judged: sa.Table) -> sa.Insert:
    """Note the months of orders that are new or changed."""
    return touched.insert().from_select(["month"], _months(judged).where(sa.not_(judged.c.same)))


def _months(rows: sa.Table) -> sa.Select[Any]:
    return sa.select(_month(rows.c.ordered_at).label("month")).distinct()


def touch_leaving(which: sa.ColumnElement[bool]) -> sa.Insert:
    """Note the months of orders of the store that meet a condition."""
    months = sa.select(tables.orders.c.month).where(which).distinct()
    return touched.insert().from_select(["month"], months)


# --- exposures and costs ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Additions:
    """What a source adds to a log or ledger."""

    rows: sa.Select[Any]
    """How many rows of the source it takes."""
    insert: sa.Insert


def new_exposures(incoming: sa.Table, load_id: str) -> Additions:
    """Contacts that are not in the log yet; a contact is once in it."""
    log = tables.exposures
    names = ("campaign", "customer", "at", "kind")
    there = sa.and_(*(log.c[name] == incoming.c[name] for name in names))
    key = [incoming.c[name] for name in names]
    new = (
        sa.select(*key, sa.func.max(incoming.c.cost).label("cost"), sa.literal(load_id).label("l"))
        .where(sa.not_(sa.exists().select_from(log).where(there)))
        .group_by(*key)
    )
    columns = [column.name for column in log.columns]
    return Additions(
        sa.select(sa.func.count()).select_from(new.subquery("new")),
        log.insert().from_select(columns, new),
    )


def new_costs(incoming: sa.Table, load_id: str) -> Additions:
    """What a source adds to the ledger: for each campaign, arm, day and kind, the difference.

    A corrected amount is a further entry, as in accounting; a repeated file adds nothing.
    """
    ledger = tables.costs
    names = ("campaign", "arm", "day", "kind")
    key = [incoming.c[name] for name in names]
    declared = (
        sa.select(
            *key, sa.func.sum(incoming.c.amount).label("now"), sa.func.count().label("rows_read")
        )
        .group_by(*key)
        .subquery("declared")
    )
    booked = (
        sa.select(*(ledger.c[name] for name in names), sa.func.sum(ledger.c.amount).label("before"))
        .group_by(*(ledger.c[name] for name in names))
        .subquery("booked")
    )
    same = sa.and_(
        declared.c.campaign == booked.c.campaign,
        sa.func.coalesce(declared.c.arm, "") == sa.func.coalesce(booked.c.arm, ""),
        declared.c.day == booked.c.day,
        declared.c.kind == booked.c.kind,
    )
    difference = declared.c.now - sa.func.coalesce(booked.c.before, 0.0)
    differs = sa.or_(
        booked.c.campaign.is_(None),
        sa.func.abs(difference) > _NEAR * (1.0 + sa.func.abs(declared.c.now)),
    )
    joined = declared.outerjoin(booked, same)
    rows = (
        sa.select(*(declared.c[name] for name in names), difference, sa.literal(load_id))
        .select_from(joined)
        .where(differs)
    )
    taken = sa.select(sa.func.coalesce(sa.func.sum(declared.c.rows_read), 0))
    return Additions(
        taken.select_from(joined).where(differs),
        ledger.insert().from_select([column.name for column in ledger.columns], rows),
    )


def insert_customers(customers: sa.Table, incoming: sa.Table) -> sa.Insert:
    """All customers that were read, into their empty table."""
    names = [column.name for column in customers.columns]
    return customers.insert().from_select(names, sa.select(*(incoming.c[name] for name in names)))


# --- rows set aside, and loads ----------------------------------------------------------------


def copy_in(name: str, columns: Sequence[str]) -> str:
    """PostgreSQL's bulk entry into a temporary table, from comma-separated text."""
    quoted = [f'"{each}"' for each in columns]
    return f"COPY \"{name}\" ({', '.join(quoted)}) FROM STDIN (FORMAT csv, NULL '\\N')"


def any_rejects(load_id: str) -> sa.Select[Any]:
    """One row set aside by that load, or nothing."""
    rejects = tables.rejects
    return sa.select(rejects.c.load_id).where(rejects.c.load_id == load_id).limit(1)


def append_rejects(set_aside: sa.Table, load_id: str, file: str) -> sa.Insert:
    """The rows set aside, without anything that they hold."""
    rows = sa.select(
        sa.literal(load_id),
        sa.literal(file),
        set_aside.c.line,
        set_aside.c.field,
        set_aside.c.reason,
    )
    names = [column.name for column in tables.rejects.columns]
    return tables.rejects.insert().from_select(names, rows)
