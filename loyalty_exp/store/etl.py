"""Reads one source with a DuckDB of its own and judges its rows. Touches no store.

The fast road reads the file once, at the engine's speed and in constant memory. Anything unusual
(a cell that cannot be read, an order id twice, French dates) takes the long road, which knows
lines and reasons. What was read waits in Parquet files in a private folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from loyalty_exp.errors import DataError
from loyalty_exp.store.queries import judge
from loyalty_exp.store.queries import load as queries
from loyalty_exp.store.queries.load import LINE, Plan
from loyalty_exp.store.queries.parse import ColumnFormat
from loyalty_exp.store.queries.rows import parsed
from loyalty_exp.store.readers import Source

__all__ = ["Reason", "Staged", "connect", "plain_rows", "repeated", "stage"]

_MEMORY = "2GB"
_KEYS = {"orders": "order_id", "customers": "customer"}
_MOMENTS = {"orders": "ordered_at", "exposures": "at", "costs": "day"}
_ADVICE = "; declare lines = true if a row is one line of an order"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows were set aside."""

    field: str
    reason: str
    rows: int
    first_line: int


@dataclass(frozen=True, slots=True)
class Staged:
    """A source as read."""

    read: int
    """Rows of the source: those staged, set aside and ignored."""
    rejected: int
    ignored: int
    """Rows that are no sales, or repeat another row of the source."""
    staged: int
    """Rows of `incoming`, lines of an order merged."""
    incoming: Path
    """Parquet file of what is to be merged into the store."""
    set_aside: Path | None = None
    """Parquet file of line, field, sort and reason."""
    withdrawn: Path | None = None
    """Parquet file of orders that are no sales."""
    reasons: tuple[Reason, ...] = ()
    ignored_reasons: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    first: Any = None
    last: Any = None


def connect(folder: Path, gigabytes: float = 50.0) -> duckdb.DuckDBPyConnection:
    """A DuckDB to read with: bounded memory, spilling into a private folder, no other file.

    Args:
        folder: the private folder.
        gigabytes: how much may be spilled.
    """
    engine = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": _MEMORY,
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": f"{max(1, round(gigabytes * 1000))}MB",
            "autoinstall_known_extensions": False,
        },
    )
    engine.execute("SET TimeZone = 'UTC'")
    return engine


def stage(
    engine: duckdb.DuckDBPyConnection,
    source: Source,
    plan: Plan,
    folder: Path,
    *,
    plain: bool = True,
) -> Staged:
    """Read a source.

    Args:
        engine: from `connect`, without tables.
        source: opened source.
        plan: how its rows become ours.
        folder: private folder that receives the files.
        plain: whether it may be free of anything unusual.

    Raises:
        DataError: the source changed while it was read.
    """
    rows = plain_rows(engine, source, plan) if plain else None
    if rows is not None and (done := _fast(engine, rows, plan, folder)) is not None:
        return done
    return _long(engine, source, plan, folder)


def plain_rows(engine: duckdb.DuckDBPyConnection, source: Source, plan: Plan) -> str | None:
    """DuckDB's text of the rows of a source that shows nothing unusual in its first ones; or None.

    A row with a problem further down is an error when it is met.

    Args:
        engine: from `connect`.
        source: opened source.
        plan: how its rows become ours.
    """
    simple = plan.sale is None and not plan.markers and plan.what != "customers"
    if not simple or source.set_aside is not None:
        return None
    plain = {
        name: replace(form, plain=True) if form.type == "text" else form
        for name, form in source.formats.items()
    }
    rows, _ = parsed(queries.first_rows(source.relation), plan, plain)
    try:
        if engine.execute(judge.count_problems(rows)).fetchone() != (0,):
            return None
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return None
    return judge.staged(parsed(source.relation, plan, plain)[0], plan)


def _fast(engine: duckdb.DuckDBPyConnection, rows: str, plan: Plan, folder: Path) -> Staged | None:
    """One pass over the source; None when anything is unusual."""
    incoming = folder / "incoming.parquet"
    try:
        engine.execute(queries.write_parquet(rows, incoming))
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        return None
    engine.execute(queries.view_parquet("incoming", incoming))
    read, staged = _row(engine, judge.tally())
    key = _KEYS.get(plan.what)
    if key and not plan.lines and repeated(engine, key):
        return None
    return _dated(engine, plan, Staged(read, 0, 0, staged, incoming))


def repeated(engine: duckdb.DuckDBPyConnection, key: str, table: str = "incoming") -> bool:
    """Whether any key is there twice: only keys whose hash comes again are compared.

    Args:
        engine: holds the table.
        key: the column.
        table: whose.
    """
    engine.execute(judge.hashes_again(key, table))
    met = _row(engine, judge.count("again"))[0] and _row(engine, judge.repeats(key, table))[0]
    engine.execute(judge.drop("again"))
    return bool(met)


def _long(engine: duckdb.DuckDBPyConnection, source: Source, plan: Plan, folder: Path) -> Staged:
    """Every row with its line; rows set aside with their reasons."""
    source, line = _numbered(engine, source, plan, folder)
    formats, notes = _formats(engine, source, plan)
    rows, problems = parsed("raw_rows", plan, formats, line)
    engine.execute(judge.judged(rows))
    key = _KEYS.get(plan.what)
    once = key is not None and not plan.lines
    advice = _ADVICE if plan.what == "orders" else ""
    engine.execute(judge.duplicates(plan, key or "") if once else judge.no_duplicates())
    misshapen = queries.misshapen_rows(source.set_aside) if source.set_aside else None
    engine.execute(
        judge.set_aside(problems, key or "", advice, misshapen, orders=bool(plan.markers))
    )
    incoming, aside = folder / "incoming.parquet", folder / "set_aside.parquet"
    engine.execute(queries.write_parquet(judge.settled(plan), incoming))
    engine.execute(queries.view_parquet("incoming", incoming))
    engine.execute(queries.write_parquet("SELECT * FROM set_aside", aside))
    withdrawn = None
    if plan.sale is not None:
        withdrawn = folder / "withdrawn.parquet"
        engine.execute(queries.write_parquet(judge.withdrawn(), withdrawn))
    loaded, staged = _row(engine, judge.tally())
    reasons = tuple(Reason(*row) for row in engine.execute(judge.reasons()).fetchall())
    rejected = sum(reason.rows for reason in reasons)
    read = _row(engine, judge.count("judged"))[0]
    read += _row(engine, judge.count(misshapen))[0] if misshapen else 0
    ignored = tuple(
        (str(row[0]), int(row[1])) for row in engine.execute(judge.ignored()).fetchall()
    )
    staged_ = Staged(
        read=read,
        rejected=rejected,
        ignored=read - rejected - loaded,
        staged=staged,
        incoming=incoming,
        set_aside=aside if rejected else None,
        withdrawn=withdrawn,
        reasons=reasons,
        ignored_reasons=ignored,
        notes=notes,
    )
    return _dated(engine, plan, staged_)


def _dated(engine: duckdb.DuckDBPyConnection, plan: Plan, staged: Staged) -> Staged:
    column = _MOMENTS.get(plan.what)
    if column is None:
        return staged
    first, last = _row(engine, judge.extent(column))
    return replace(staged, first=first, last=last)


def _row(engine: duckdb.DuckDBPyConnection, text: str) -> tuple[Any, ...]:
    row = engine.execute(text).fetchone()
    if row is None:
        raise AssertionError(text)
    return tuple(row)


def _numbered(
    engine: duckdb.DuckDBPyConnection, source: Source, plan: Plan, folder: Path
) -> tuple[Source, str]:
    """The table `raw_rows`, with the expression of a row's line."""
    columns = [column for column in plan.columns if column != LINE]
    if not source.numbered:
        try:
            engine.execute(queries.raw(source.relation, columns, numbered=False))
        except duckdb.Error:
            pass
        else:
            if _row(engine, judge.count("raw_rows"))[0] + 1 == source.lines:
                return source, "rowid + 2"
            engine.execute(judge.drop("raw_rows"))
        source = source.repaired(folder)
    try:
        engine.execute(queries.raw(source.relation, columns, numbered=True))
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise DataError(f"{source.name}: cannot be read; is it a whole and valid file?") from error
    return source, f'"{LINE}"'


def _formats(
    engine: duckdb.DuckDBPyConnection, source: Source, plan: Plan
) -> tuple[Mapping[str, ColumnFormat], tuple[str, ...]]:
    """How each column is written, with a note on what was inferred."""
    formats = dict(source.formats)
    typed = plan.typed()
    text = [name for name in typed if formats[name].type == "text"]
    if not text:
        return formats, ()
    unread = _row(engine, queries.not_plain(typed, text))
    formats |= {
        name: ColumnFormat(plain=True) for name, n in zip(text, unread, strict=True) if not n
    }
    odd = [name for name, n in zip(text, unread, strict=True) if n]
    notes: list[str] = []
    if odd:
        counts = _row(engine, queries.styles(odd))
        for position, name in enumerate(odd):
            of_column = counts[position * 6 : position * 6 + 6]
            formats[name] = _style(name, typed[name], of_column, source, plan, notes)
    return formats, tuple(notes)


def _style(
    name: str,
    kind: str,
    counts: Sequence[int],
    source: Source,
    plan: Plan,
    notes: list[str],
) -> ColumnFormat:
    """The way of writing that most cells of a column tell, where they tell any."""
    comma, point, either, day, month, slashed = counts
    if kind == "amount":
        if comma == point == 0 and either:
            comma = source.delimiter == ";"
            meant = "decimal mark" if comma else "thousands"
            notes.append(f'"{name}": a comma before three digits is read as {meant}')
        return ColumnFormat(decimal_comma=comma > point)
    first = plan.month_first or month > day
    if slashed and not plan.month_first and month == day == 0:
        notes.append(f'"{name}": dates such as 3/4/2026 are read as day, then month')
    if month and day:
        notes.append(f'"{name}": some dates are day first, others month first')
    return ColumnFormat(month_first=first)
