"""Loads orders, customers, exposures and costs into the store: all of it, or nothing.

Every row of a source is loaded, set aside with its reason, or ignored because it is there
already; the three counts add up to the rows read. Nothing here shows what a row holds.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from loyalty_exp.declare.sources import Data
from loyalty_exp.errors import DataError, StoreError
from loyalty_exp.store import tables
from loyalty_exp.store.attributes import replace_customers
from loyalty_exp.store.database import Store
from loyalty_exp.store.erase import apply_tombstones
from loyalty_exp.store.etl import Reason, Staged
from loyalty_exp.store.merging import Merged, fill_orders, keep_rejects, merge
from loyalty_exp.store.opened import AnySource, Opened, Settings, earlier_load, open_and_judge
from loyalty_exp.store.queries import merge as queries
from loyalty_exp.store.scratch import sweep, working_folder
from loyalty_exp.store.vocabulary import Expected, unfamiliar

__all__ = ["Expected", "LoadReport", "Reason", "load"]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of one source. rows_read = rows_loaded + rows_rejected + rows_ignored."""

    what: str
    """orders, customers, exposures or costs."""
    source: str
    """Name of the file, without its folder, or of the table."""
    load_id: str
    rows_read: int
    rows_loaded: int
    """Rows that changed the store; the lines merged into an order each count."""
    rows_rejected: int
    """Rows set aside, kept in `rejects` with line and reason."""
    rows_ignored: int
    """Rows that the store had already, that repeat another row, or that are no sales."""
    added: int = 0
    """Entries written: orders (lines merged), customers, contacts or costs."""
    changed: int = 0
    """Orders in the store whose content changed, or that are no sales any more."""
    reasons: tuple[Reason, ...] = ()
    """Why rows were set aside, the most frequent first."""
    ignored_reasons: tuple[tuple[str, int], ...] = ()
    """Why rows of the source were ignored, with their number; those already there not listed."""
    notes: tuple[str, ...] = ()
    """What was inferred about the file, and what of it is not kept."""
    warnings: tuple[str, ...] = ()
    """What the store holds of a log or ledger that counts for nothing as it stands."""
    first: dt.datetime | None = None
    """First moment of what was read, wall clock of the project."""
    last: dt.datetime | None = None
    extracted_on: dt.date | None = None
    skipped: bool = False
    """The same file was loaded in the same way before: nothing was done."""


def load(
    store: Store,
    data: Data,
    *,
    project_timezone: str,
    currency: str,
    margin_rate: float | None,
    base: Path,
    expected: Expected,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda _: None,
) -> list[LoadReport]:
    """Load every declared source in one transaction.

    Args:
        store: where to.
        data: the declared sources.
        project_timezone: times are stored as wall clock of this zone.
        currency: of the project; a row in another one is set aside.
        margin_rate: share of revenue that is margin, for sources without a margin column.
        base: folder that relative file names start from.
        expected: what the declaration names of customers and campaigns.
        now: the moment of the load, UTC.
        progress: called with a sentence as each step begins.

    Returns:
        One report a source, in the order orders, customers, exposures, costs.

    Raises:
        DataError: a source cannot be read, or too many of its rows are bad; nothing was changed.
        StoreError: the store cannot be opened; nothing was changed.
    """
    settings = Settings(project_timezone, currency, margin_rate, base, expected, now, progress)
    store.renew()
    if store.path is not None:
        sweep(beside=store.path)
    with working_folder() as folder, _working_files():
        plain = True
        if store.may_begin:
            try:
                if reports := _begin(store, data, settings, folder):
                    return reports
            except (FileExistsError, MemoryError):
                pass
            except _UnusualError:
                plain = False
        opened = [
            open_and_judge(store, what, declared, settings, folder / what, plain=plain)
            for what, declared in _declared(data)
        ]
        if all(each.staged is None for each in opened):
            with store.read() as connection:
                return _told(connection, expected, [_skipped(connection, each) for each in opened])
        progress("writing to the store")
        if store.may_begin:
            # Another process may be first.
            with contextlib.suppress(FileExistsError), store.begin() as connection:
                return _written(connection, opened, settings, begun=True)
        with store.write() as connection:
            return _written(connection, opened, settings)


@contextlib.contextmanager
def _working_files() -> Iterator[None]:
    """A failure to write working files as a sentence."""
    try:
        yield
    except duckdb.IOException as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(
            f"working files cannot be written: {reason}; nothing was changed"
        ) from error


def _begin(store: Store, data: Data, settings: Settings, folder: Path) -> list[LoadReport] | None:
    """Make the store with all that is declared, straight from the file of orders.

    Nobody waits for a store that is not there yet, so that orders with nothing unusual in them
    need not wait in a file. After an error the longer road says what it is.

    Returns:
        None where the first orders are unusual already.

    Raises:
        _UnusualError: an order is there twice, a row has a problem, or the engine has.
        MemoryError: reading takes more than it may.
        FileExistsError: another process made the store first.
        StoreError: the store cannot be made in its place.
    """
    home = folder / "begin"
    home.mkdir()
    opened = []
    for what, declared in _declared(data):
        opened.append(open_and_judge(store, what, declared, settings, home / what, straight=True))
        if opened[0].rows is None:
            return None
    settings.progress("writing to the store")
    with store.begin() as connection:
        try:
            return _written(connection, opened, settings, begun=True)
        except sa.exc.DBAPIError as error:
            raise _UnusualError from error


class _UnusualError(Exception):
    """Orders cannot be read straight into the store."""


def _written(
    connection: sa.Connection,
    opened: Sequence[Opened],
    settings: Settings,
    *,
    begun: bool = False,
) -> list[LoadReport]:
    """Write all sources.

    Args:
        connection: the store's.
        opened: the sources.
        settings: what every source is read under.
        begun: whether the store is being made, in nobody's sight.
    """
    reports = [_write(connection, each, settings, begun=begun) for each in opened]
    return _told(connection, settings.expected, reports)


def _told(
    connection: sa.Connection, expected: Expected, reports: list[LoadReport]
) -> list[LoadReport]:
    """The reports with what each leaves in the store that the declaration does not know."""
    return [
        replace(report, warnings=unfamiliar(connection, report.what, expected))
        for report in reports
    ]


def _declared(data: Data) -> Iterator[tuple[str, AnySource]]:
    yield "orders", data.orders
    for what, declared in (
        ("customers", data.customers),
        ("exposures", data.exposures),
        ("costs", data.costs),
    ):
        if declared is not None:
            yield what, declared


def _write(
    connection: sa.Connection, opened: Opened, settings: Settings, *, begun: bool
) -> LoadReport:
    if opened.rows is not None:
        filled = fill_orders(connection, opened.rows, opened.folder, opened.load_id)
        if filled is None:
            raise _UnusualError
        return _entered(connection, opened, filled, Merged(added=filled.staged), settings)
    staged = opened.staged
    if staged is None or earlier_load(connection, opened.what, opened.load_id) is not None:
        return _skipped(connection, opened)
    what, source, plan = opened.what, opened.source, opened.plan
    staged = apply_tombstones(connection, what, staged, opened.folder)
    if what == "customers":
        merged = replace_customers(connection, staged, plan, opened.folder)
    else:
        merged = merge(
            connection, what, staged, opened.folder,
            load_id=opened.load_id, digest=source.digest, lines=plan.lines, begun=begun,
        )  # fmt: skip
    if not connection.execute(queries.any_rejects(opened.load_id)).first():
        keep_rejects(connection, staged, opened.folder, opened.load_id, source.name)
    return _entered(connection, opened, staged, merged, settings)


def _entered(
    connection: sa.Connection, opened: Opened, staged: Staged, merged: Merged, settings: Settings
) -> LoadReport:
    """The report of a source, after its entry among the loads."""
    report = _report(opened, staged, merged)
    connection.execute(tables.loads.insert(), _entry(report, opened.source.digest, settings.now))
    return report


def _report(opened: Opened, staged: Staged, merged: Merged) -> LoadReport:
    ignored = staged.ignored + merged.ignored
    first, last = (_moment(each) for each in (staged.first, staged.last))
    return LoadReport(
        what=opened.what,
        source=opened.source.name,
        load_id=opened.load_id,
        rows_read=staged.read,
        rows_loaded=staged.read - staged.rejected - ignored,
        rows_rejected=staged.rejected,
        rows_ignored=ignored,
        added=merged.added,
        changed=merged.changed,
        reasons=staged.reasons,
        ignored_reasons=staged.ignored_reasons,
        notes=(*staged.notes, *_not_kept(opened)),
        first=first,
        last=last,
        extracted_on=getattr(opened.declared, "extracted_on", None),
    )


def _not_kept(opened: Opened) -> Iterator[str]:
    """Of customers, how many columns stay in the file: nothing that is not used is stored."""
    used = {*opened.plan.columns}
    others = [name for name in opened.source.header.names if name not in used]
    if opened.what == "customers" and others:
        yield f"not kept, for nothing in the declaration uses them: {len(others):,} columns"


def _moment(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001  (wall clock)
    return value if isinstance(value, dt.datetime) else None


def _entry(report: LoadReport, digest: str, now: dt.datetime) -> dict[str, Any]:
    """The row of `loads`; the moment is UTC without an offset."""
    return {
        "load_id": report.load_id,
        "what": report.what,
        "source": report.source,
        "digest": digest,
        "loaded_at": now.astimezone(dt.UTC).replace(tzinfo=None),
        "extracted_on": report.extracted_on,
        "rows_read": report.rows_read,
        "rows_loaded": report.rows_loaded,
        "rows_rejected": report.rows_rejected,
        "rows_ignored": report.rows_ignored,
    }


def _skipped(connection: sa.Connection, opened: Opened) -> LoadReport:
    """The report of a source that was loaded in the same way before, with its counts then."""
    row = earlier_load(connection, opened.what, opened.load_id)
    if row is None:
        raise DataError(f"{opened.source.name}: the store changed meanwhile; load again")
    return LoadReport(
        what=opened.what,
        source=opened.source.name,
        load_id=opened.load_id,
        rows_read=row.rows_read,
        rows_loaded=row.rows_loaded,
        rows_rejected=row.rows_rejected,
        rows_ignored=row.rows_ignored,
        extracted_on=row.extracted_on,
        skipped=True,
    )
