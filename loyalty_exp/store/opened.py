"""Opens one source for a load, and judges its rows, unless the store has them already.

Nothing here writes to the store.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from loyalty_exp.declare.sources import CostsSource, Customers, Exposures, Orders
from loyalty_exp.errors import DataError
from loyalty_exp.store.attributes import customers_plan
from loyalty_exp.store.database import Store
from loyalty_exp.store.etl import Staged, connect, plain_rows, stage
from loyalty_exp.store.limits import bounded_memory
from loyalty_exp.store.plans import costs_plan, exposures_plan, orders_plan
from loyalty_exp.store.queries import merge as queries
from loyalty_exp.store.queries.load import Plan
from loyalty_exp.store.readers import Source, open_source
from loyalty_exp.store.vocabulary import Expected, refuse_untold_statuses

__all__ = ["AnySource", "Opened", "Settings", "earlier_load", "open_and_judge"]

_NO_MATTER = ("max_rejected_percent", "max_rows", "max_gigabytes")
"""What a declaration says of a source that changes nothing of what is read."""
AnySource = Orders | Customers | Exposures | CostsSource


@dataclass(frozen=True, slots=True)
class Settings:
    """What every source is read under."""

    project_timezone: str
    currency: str
    margin_rate: float | None
    base: Path
    expected: Expected
    now: dt.datetime
    progress: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A source with its plan and identity, and what was read from it unless it is known."""

    what: str
    declared: AnySource
    source: Source
    plan: Plan
    load_id: str
    folder: Path
    staged: Staged | None = None
    rows: str | None = None
    """DuckDB's text of rows that may be read straight into the store."""


def open_and_judge(
    store: Store,
    what: str,
    declared: AnySource,
    settings: Settings,
    folder: Path,
    *,
    straight: bool = False,
    plain: bool = True,
) -> Opened:
    """Open and judge one source, unless the store has it already.

    Args:
        store: where to.
        what: orders, customers, exposures or costs.
        declared: the source.
        settings: what every source is read under.
        folder: private folder, to be made.
        straight: whether orders are only looked at.
        plain: whether the orders may be free of anything unusual.
    """
    folder.mkdir()
    settings.progress(f"reading {what}")
    try:
        with (
            bounded_memory(),
            contextlib.closing(connect(folder, declared.max_gigabytes)) as engine,
        ):
            source = open_source(declared, settings.base, folder, engine)
            plan = _plan(declared, source, settings, engine, folder)
            load_id = _identity(what, declared, source, settings)
            opened = Opened(what, declared, source, plan, load_id, folder)
            if _is_known(store, what, load_id):
                return opened
            if straight and what == "orders":
                rows = None if plan.lines else plain_rows(engine, source, plan)
                return replace(opened, rows=rows)
            staged = stage(engine, source, plan, folder, plain=plain or what != "orders")
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise DataError(
            f"{what}: the source does not fit into the memory and the "
            f"{declared.max_gigabytes:g} GB on disk that reading may take (max_gigabytes); are "
            "some of its cells very long? Nothing was changed"
        ) from error
    _refuse_too_many(staged, declared, what, source.name)
    return replace(opened, staged=staged)


def _plan(
    declared: AnySource,
    source: Source,
    settings: Settings,
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
) -> Plan:
    shared: dict[str, Any] = {
        "project_timezone": settings.project_timezone,
        "currency": settings.currency,
    }
    if isinstance(declared, Orders):
        plan = orders_plan(declared, source.header, margin_rate=settings.margin_rate, **shared)
        if plan.sale is None and "status" in declared.columns:
            refuse_untold_statuses(declared, source, engine, folder)
        return plan
    if isinstance(declared, Exposures):
        return exposures_plan(declared, source.header, **shared)
    if isinstance(declared, CostsSource):
        return costs_plan(declared, source.header, **shared)
    keep = settings.expected.attributes
    return customers_plan(declared, source, engine, folder, keep=keep, **shared)


def _identity(what: str, declared: AnySource, source: Source, settings: Settings) -> str:
    """SHA-256 of what is loaded and how; the place of the file does not count."""
    how = declared.model_dump(mode="json", exclude={"source", *_NO_MATTER})
    how |= {"what": what, "digest": source.digest, "project_timezone": settings.project_timezone}
    if what == "orders":
        how |= {"currency": settings.currency, "margin_rate": settings.margin_rate}
    if what == "customers":
        how |= {"attributes": sorted(settings.expected.attributes)}
    return hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()


def _is_known(store: Store, what: str, load_id: str) -> bool:
    if not store.exists():
        return False
    with store.read() as connection:
        return earlier_load(connection, what, load_id) is not None


def earlier_load(connection: sa.Connection, what: str, load_id: str) -> sa.Row[Any] | None:
    """The earlier load; of customers only the last counts, for each replaces the one before."""
    if what == "customers" and connection.scalar(queries.last_load(what)) != load_id:
        return None
    return connection.execute(queries.known_load(what, load_id)).first()


def _refuse_too_many(staged: Staged, declared: AnySource, what: str, name: str) -> None:
    allowed = declared.max_rejected_percent
    if staged.rejected * 100 <= allowed * staged.read:
        return
    percent = 100 * staged.rejected / staged.read
    shown = "\n".join(
        f"  {reason.field}: {reason.reason} ({reason.rows:,} rows, first on line "
        f"{reason.first_line})"
        for reason in staged.reasons[:5]
    )
    raise DataError(
        f"{name}: {staged.rejected:,} of {staged.read:,} rows cannot be used ({percent:.3g} %, "
        f"more than max_rejected_percent = {allowed:g}); nothing was changed\n{shown}\n"
        f"Mend the file, or set max_rejected_percent = {min(100, math.ceil(percent))} under "
        f"[data.{what}] to load the other rows and keep a list of these with their lines"
    )
