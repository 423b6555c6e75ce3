"""Merges what was read into the store, inside a transaction that the caller holds.

Orders already there stay as they are; changed ones are replaced and counted; the roll-up follows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from loyalty_exp.store import tables
from loyalty_exp.store.engines import capabilities_of, lower_memory
from loyalty_exp.store.etl import Staged, connect, repeated
from loyalty_exp.store.limits import bounded_memory
from loyalty_exp.store.queries import load as reading
from loyalty_exp.store.queries import merge as queries
from loyalty_exp.store.queries import summaries
from loyalty_exp.store.queries.rhythm import moved
from loyalty_exp.store.summaries import keep_summaries

if TYPE_CHECKING:
    from loyalty_exp.store.split import SplitConnection

__all__ = [
    "Merged",
    "arrive",
    "fill_orders",
    "keep_rejects",
    "leave",
    "merge",
]

_CHUNK = 1 << 20
_READING = (
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
)
"""As `connect` sets the engine that reads."""
_AS_THEY_COME = "SET preserve_insertion_order = false"
"""Rows are kept in any order, which costs a fifth less."""
_IN_ORDER = "RESET preserve_insertion_order"
"""For the roll-up, which lies in order."""
_WRITING_GIB = 1.0
"""What writing many orders needs: blocks written stay in memory up to the engine's limit, and their
room is the process's twice over."""
_ASIDE = (
    sa.Column("line", sa.BigInteger),
    sa.Column("field", sa.Text),
    sa.Column("sort", sa.Text),
    sa.Column("reason", sa.Text),
)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge changed."""

    ignored: int = 0
    """Rows of the source that the store had already."""
    added: int = 0
    """Rows added to the store's table."""
    changed: int = 0
    """Of them, those that replace other contents; and orders taken out."""


def merge(
    connection: sa.Connection,
    what: str,
    staged: Staged,
    folder: Path,
    *,
    load_id: str,
    digest: str,
    lines: bool = False,
    begun: bool = False,
) -> Merged:
    """Bring staged orders, exposures or costs into the store.

    Args:
        connection: the store's, in a transaction.
        what: orders, exposures or costs.
        staged: what was read.
        folder: private folder for what must be handed over as text.
        load_id: identity of the load, kept with its rows.
        digest: of the file.
        lines: whether the orders come as lines.
        begun: whether the connection is of `Store.begin`, where nobody sees what is committed.
    """
    if what == "exposures":
        return _append(connection, staged, folder, load_id, tables.exposures, queries.new_exposures)
    if what == "costs":
        return _append(connection, staged, folder, load_id, tables.costs, queries.new_costs)
    return _merge_orders(connection, staged, folder, load_id, digest, lines=lines, begun=begun)


def fill_orders(connection: sa.Connection, rows: str, folder: Path, load_id: str) -> Staged | None:
    """Read orders straight into a store of the embedded engine that is being made.

    They are committed before they are rolled up: the engine knows more of a table's columns then.

    Args:
        connection: of `Store.begin`.
        rows: DuckDB's text of them, an error where one has a problem.
        folder: private folder of the source.
        load_id: identity of the load, kept with its rows.

    Returns:
        What was read, of which no file is left; None if an order is there twice.
    """
    for setting in _READING:
        connection.exec_driver_sql(setting)
    connection.exec_driver_sql(reading.view("incoming", rows))
    incoming = queries.arriving("incoming", _order_columns())
    with bounded_memory():
        _insert_all(connection, incoming, load_id)
    leave(connection, incoming)
    connection.commit()
    driver: Any = connection.connection.driver_connection
    if repeated(driver, "order_id", tables.orders.name):
        return None
    keep_summaries(connection)
    number, first, last = connection.execute(queries.extent_of_orders()).one()
    return Staged(number, 0, 0, number, folder / "incoming.parquet", first=first, last=last)


def _insert_all(connection: sa.Connection, incoming: sa.Table, load_id: str) -> None:
    """All that was read, into a store without orders."""
    statement = queries.insert_all_orders(incoming, load_id)
    if not capabilities_of(connection.dialect.name).in_process:
        connection.execute(statement)
        return
    limit = lower_memory(connection, _WRITING_GIB)
    connection.exec_driver_sql(_AS_THEY_COME)
    connection.execute(statement)
    connection.exec_driver_sql(_IN_ORDER)
    connection.exec_driver_sql(f"SET memory_limit = '{limit}'")


def _order_columns() -> list[sa.Column[Any]]:
    """What is read of an order, and how many rows of its source it is."""
    kept = [column for column in tables.orders.columns if column.name not in {"month", "load_id"}]
    listed = [sa.Column(column.name, column.type) for column in kept]
    return [*listed, sa.Column("n_lines", sa.BigInteger)]


def keep_rejects(
    connection: sa.Connection, staged: Staged, folder: Path, load_id: str, file: str
) -> None:
    """Keep the rows set aside: file, line, field and reason, nothing that they hold."""
    if staged.set_aside is not None:
        aside = arrive(connection, "set_aside", _ASIDE, staged.set_aside, folder)
        connection.execute(queries.append_rejects(aside, load_id, file))
        leave(connection, aside)


def _merge_orders(
    connection: sa.Connection,
    staged: Staged,
    folder: Path,
    load_id: str,
    digest: str,
    *,
    lines: bool,
    begun: bool,
) -> Merged:
    incoming = arrive(connection, "incoming", _order_columns(), staged.incoming, folder)
    if connection.execute(queries.any_orders()).first() is None:
        _insert_all(connection, incoming, load_id)
        leave(connection, incoming)
        if begun:  # the engine knows more of a table's columns then
            connection.commit()
        keep_summaries(connection)
        return Merged(added=staged.staged)
    summaries.touched.create(connection)
    moved.create(connection)
    earlier = list(connection.scalars(queries.earlier_loads("orders", digest)))
    if earlier or connection.execute(queries.any_met(incoming)).first() is not None:
        merged = _update_orders(connection, incoming, load_id, earlier, lines=lines)
    else:
        connection.execute(queries.touch_all(incoming))
        connection.execute(queries.insert_all_orders(incoming, load_id))
        merged = Merged(added=staged.staged)
    leave(connection, incoming)
    if staged.withdrawn is not None:
        merged = _withdraw(connection, staged.withdrawn, folder, merged)
    connection.execute(summaries.note_moved())
    connection.execute(summaries.clear_touched_months())
    keep_summaries(connection, whole=False)
    moved.drop(connection)
    summaries.touched.drop(connection)
    return merged


def _update_orders(
    connection: sa.Connection,
    incoming: sa.Table,
    load_id: str,
    earlier: Sequence[str],
    *,
    lines: bool,
) -> Merged:
    """Bring in orders of which the store has some, or that earlier loads read in another way."""
    flags = [sa.Column("known", sa.Boolean), sa.Column("same", sa.Boolean)]
    columns = [sa.Column(column.name, column.type) for column in incoming.columns]
    judged = queries.arriving("verdicts", [*columns, *flags])
    judged.create(connection)
    names = [column.name for column in judged.columns]
    queries.met.create(connection)
    connection.execute(queries.meet(incoming))
    connection.execute(judged.insert().from_select(names, queries.verdicts(incoming, lines=lines)))
    queries.met.drop(connection)
    ignored, changed, new = connection.execute(queries.count_verdicts(judged)).one()
    if changed:
        _take_out(connection, queries.replaced(judged, lines=lines))
    if earlier:
        gone = _take_out(connection, queries.superseded(judged, earlier))
        changed, new = changed + gone, max(new - gone, 0)
    connection.execute(queries.touch_arriving(judged))
    connection.execute(queries.insert_verdicts(judged, load_id))
    leave(connection, judged)
    return Merged(ignored=int(ignored), added=int(changed + new), changed=int(changed))


def _withdraw(connection: sa.Connection, withdrawn: Path, folder: Path, merged: Merged) -> Merged:
    gone = arrive(connection, "withdrawn", [sa.Column("order_id", sa.Text)], withdrawn, folder)
    number = _take_out(connection, queries.no_sales(gone))
    leave(connection, gone)
    return Merged(merged.ignored, merged.added, merged.changed + number)


def _take_out(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    """Take orders that meet a condition out of the store, their months noted; how many."""
    number = connection.execute(queries.count_orders(which)).scalar_one()
    if number:
        connection.execute(queries.touch_leaving(which))
        connection.execute(queries.drop_orders(which))
    return int(number)


def _append(
    connection: sa.Connection,
    staged: Staged,
    folder: Path,
    load_id: str,
    table: sa.Table,
    new: Callable[[sa.Table, str], queries.Additions],
) -> Merged:
    """Add the entries that a log or ledger has not yet."""
    kept = [column for column in table.columns if column.name != "load_id"]
    columns = [
        *(sa.Column(column.name, column.type) for column in kept),
        sa.Column("n_lines", sa.BigInteger),
    ]
    incoming = arrive(connection, "incoming", columns, staged.incoming, folder)
    additions = new(incoming, load_id)
    rows = int(connection.execute(additions.rows).scalar_one())
    connection.execute(additions.insert)
    leave(connection, incoming)
    return Merged(ignored=staged.staged - rows, added=rows)


def arrive(
    connection: sa.Connection,
    name: str,
    columns: Sequence[sa.Column[Any]],
    rows: Path,
    folder: Path,
) -> sa.Table:
    """Staged rows as a temporary table of the store: read in place, or sent to the engine."""
    table = queries.arriving(name, [sa.Column(each.name, each.type) for each in columns])
    arrival = capabilities_of(connection.dialect.name).arrival
    if arrival == "view":
        connection.exec_driver_sql(reading.view_parquet(name, rows))
        return table
    if arrival == "sent":
        cast("SplitConnection", connection).receive(table, rows)
        return table
    table.create(connection)
    text = folder / f"{name}.csv"
    with contextlib.closing(connect(folder)) as engine:
        engine.execute(reading.write_csv(rows, text, table.columns.keys()))
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(queries.copy_in(name, table.columns.keys())) as copy,
        text.open("rb") as file,
    ):
        while chunk := file.read(_CHUNK):
            copy.write(chunk)
    text.unlink()
    return table


def leave(connection: sa.Connection, table: sa.Table) -> None:
    """Forget a temporary table."""
    arrival = capabilities_of(connection.dialect.name).arrival
    if arrival == "view" and table.name != "verdicts":
        connection.exec_driver_sql(reading.drop_view(table.name))
    else:
        table.drop(connection)
